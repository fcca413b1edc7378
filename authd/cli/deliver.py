"""``authd deliver``: a delivery program that takes every failure for an unknown user, kept from that.

Exit statuses are those of ``sysexits.h``, as mail servers understand them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from authd.cli.common import complain, socket_path, unreachable
from authd.client import ask
from authd.config.hints import reason
from authd.protocol.client import ReplyError, decode_account, encode_lookup

SERVICE = b"deliver"


def deliver(socket: str | None, directory: str | None, user: str, words: Sequence[str]) -> int:
    """Become the command in `words` if the daemon knows `user`; else return an exit status.

    :param socket, directory: as in `socket_path`.
    :raises ConfigError: if the configuration is needed and can't be read.
    """
    if not words:
        complain("authd deliver: no command to run for the user")
        return os.EX_USAGE
    if any(byte in user for byte in "\n\0\t") or user.startswith(" "):
        # The protocol skips blanks before a name, which would then be another's.
        complain(f"{user!r}: not a user")
        return os.EX_NOUSER
    path = socket_path(socket, directory)
    try:
        account = decode_account(ask(path, encode_lookup(SERVICE, os.fsencode(user))))
    except OSError as error:
        complain(f"{user}: {unreachable(path, error)}")
        return os.EX_TEMPFAIL
    except ReplyError:
        complain(f"{user}: the daemon can't tell now; its log says why")
        return os.EX_TEMPFAIL
    if account is None:
        complain(f"{user}: no such user")
        return os.EX_NOUSER
    try:
        os.execvp(words[0], list(words))  # noqa: S606 - to become the command is what this is for
    except OSError as error:
        complain(f"{words[0]}: {reason(error)}")
        return os.EX_TEMPFAIL
