"""What the commands share: where the configuration is, and the modules that it names."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path

from authd.chain import Chain
from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
from authd.config.locate import sysconfdir
from authd.modules.base import Surroundings
from authd.modules.registry import make_modules

OK = 0
FAILED = 1
USAGE = 2


def load_settings(directory: str | None) -> DaemonSettings:
    """Return the settings of the authdaemonrc in `directory`, or of the first that is found.

    :raises ConfigError: if it can't be used.
    """
    return authdaemonrc.load(sysconfdir(directory) / "authdaemonrc")


def socket_path(option: str | None, directory: str | None) -> Path:
    """Return the socket that ``--socket`` names, else the one of the configuration.

    :raises ConfigError: if the configuration is needed and can't be used.
    """
    return Path(option) if option else load_settings(directory).socket


def make_chain(settings: DaemonSettings, report: Callable[[str], None], trace: Callable[[str], None]) -> Chain:
    """Return the chain that `settings` describe, not connected to anything yet.

    :raises ConfigError: if a module's file can't be used.
    :raises UnknownModules: if there is none of the modules.
    """
    surroundings = Surroundings(settings.file.parent, settings.database_timeout, report, trace)
    return Chain(make_modules(settings.modules, surroundings), settings.login_tempfail, trace)


def complain(message: str) -> None:
    """Write one line to standard error."""
    print(message, file=sys.stderr)


def read_password(prompt: str, stdin: bool = False) -> bytes:
    """Return a password, from standard input if it is no terminal or `stdin` is set, else asked for without echo."""
    if stdin or not sys.stdin.isatty():
        return sys.stdin.buffer.readline().rstrip(b"\r\n")
    return os.fsencode(getpass.getpass(prompt))
