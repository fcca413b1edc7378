"""``authd cache flush``: have the daemon forget."""

from __future__ import annotations

import os
from pathlib import Path

from authd.cli.common import FAILED, OK, complain, configuration, unreachable
from authd.client import ask
from authd.config import authdaemonrc
from authd.protocol import reply
from authd.protocol.control import encode_flush


def flush(socket: str | None, directory: str | None, user: str | None) -> int:
    """Have all workers forget `user`, or, for ``None``, everything; return the exit status.

    :param socket: the control socket; ``None`` for the one of the configuration.
    :param directory: where authdaemonrc is.
    :raises ConfigError: if the configuration is needed and can't be read.
    """
    path = Path(socket) if socket else authdaemonrc.load_directory(configuration(directory)).control
    try:
        answer = ask(path, encode_flush(None if user is None else os.fsencode(user)))
    except ValueError as error:
        complain(f"{user!r}: {error}")
        return FAILED
    except FileNotFoundError:
        complain(
            f"{path}: there is none; either the daemon is down, or it caches nothing: set AUTHD_CACHE_TTL for that"
        )
        return FAILED
    except PermissionError:
        complain(f"{path}: not for you; run it as root, or as the daemon's user")
        return FAILED
    except OSError as error:
        complain(unreachable(path, error))
        return FAILED
    if answer != reply.OK:
        complain(f"{path}: the daemon did not understand; its log says why")
        return FAILED
    return OK
