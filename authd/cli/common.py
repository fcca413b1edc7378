"""What the commands share: where the configuration is, and how they talk to people."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from authd.chain import Chain, make_chain
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
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


def examine(file: Path) -> DaemonSettings:
    """Return the settings of an authdaemonrc if the daemon could run on them.

    :raises ConfigError: if it or a module's file can't be used.
    :raises UnknownModules: if there is none of the modules that it names.
    """
    settings = authdaemonrc.load(file)
    quiet_chain(settings)
    return settings


def quiet_chain(settings: DaemonSettings) -> Chain:
    """Return the chain that `settings` describe, which complains to standard error and says nothing else."""
    return make_chain(settings, complain, lambda line: None, None)


def complain(message: str) -> None:
    """Write one line to standard error."""
    print(message, file=sys.stderr)


def read_password(prompt: str, stdin: bool = False) -> bytes:
    """Return a password, from standard input if it is no terminal or `stdin` is set, else asked for without echo."""
    if stdin or not sys.stdin.isatty():
        return sys.stdin.buffer.readline().rstrip(b"\r\n")
    return os.fsencode(getpass.getpass(prompt))
