"""What the commands share: where the configuration is, and how they talk to people.

Nothing here knows of modules: most commands only talk to the daemon, and loading database drivers would be most of their time.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from authd.config import authdaemonrc
from authd.config.locate import sysconfdir

OK = 0
FAILED = 1


def configuration(option: str | None) -> Path:
    """Return the authdaemonrc in the directory that ``--sysconfdir`` names, or in the first that has one.

    :raises ConfigError: if none has.
    """
    return sysconfdir(option) / "authdaemonrc"


def socket_path(option: str | None, directory: str | None) -> Path:
    """Return the socket that ``--socket`` names, else the one of the configuration.

    :raises ConfigError: if the configuration is needed and can't be read.
    """
    return Path(option) if option else authdaemonrc.load_directory(configuration(directory)).socket


def read_new_password() -> bytes | None:
    """Return a password for something new, asked for twice at a terminal; ``None``, and a complaint, if it can't be used."""
    password = read_password("Password: ")
    if sys.stdin.isatty() and read_password("Reenter password: ") != password:
        complain("Passwords don't match.")
        return None
    if not password:
        complain("The password is empty, and no client could send it.")
        return None
    return password


def complain(message: str) -> None:
    """Write one line to standard error."""
    print(message, file=sys.stderr)


def read_password(prompt: str, stdin: bool = False) -> bytes:
    """Return a password, from standard input if it is no terminal or `stdin` is set, else asked for without echo."""
    if stdin or not sys.stdin.isatty():
        return sys.stdin.buffer.readline().rstrip(b"\r\n")
    return os.fsencode(getpass.getpass(prompt))
