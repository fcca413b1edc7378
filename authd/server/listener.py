"""The socket that clients connect to.

Everybody may write to the socket itself, since mail programs run as many users; who may reach it is decided by the mode and
owner of the directory that it is in.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

SOCKET_MODE = 0o777

PROBE_SECONDS = 5.0
"""How long a daemon may take to answer before it counts as not answering."""


class ListenError(Exception):
    """The socket can't be had; the text says why and what to mend."""


def somaxconn() -> int:
    """Return the longest queue of connections that the kernel allows.

    Courier's and Cyrus' clients connect without waiting, and report a failure when the queue is full.
    """
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        return socket.SOMAXCONN


def listen(path: Path) -> socket.socket:
    """Return a listening socket at `path`, non-blocking.

    A socket that nobody answers on is replaced, in one step.

    :raises ListenError: if the directory is missing or open to others, or if another daemon answers there.
    """
    _check_directory(path.parent)
    if answers(path):
        raise ListenError(f"{path}: another daemon answers here; stop it first")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.unlink(missing_ok=True)
        listener.bind(str(new))
        new.chmod(SOCKET_MODE)
        listener.listen(somaxconn())
        new.replace(path)
    except OSError as error:
        listener.close()
        with suppress(OSError):
            new.unlink()
        raise ListenError(f"{path}: can't listen: {error.strerror or error}") from error
    return listener


def answers(path: Path) -> bool:
    """Tell whether a daemon answers at `path`: it accepts, and closes on a request that asks for nothing."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
            probe.sendall(b"PING\n")
            probe.recv(1)
        except (ConnectionResetError, BrokenPipeError):
            # It closed before it had read all: somebody is there.
            return True
        except OSError:
            return False
        return True


def _check_directory(directory: Path) -> None:
    try:
        mode = directory.stat().st_mode
    except OSError as error:
        raise ListenError(f"{directory}: {error.strerror}; create it, readable by the mail programs' group") from error
    if not stat.S_ISDIR(mode):
        raise ListenError(f"{directory}: not a directory; correct authdaemonvar")
    if mode & stat.S_IWOTH:
        raise ListenError(
            f"{directory}: others can write to it, and could put a socket of theirs in its place; chmod o-w {directory}"
        )
