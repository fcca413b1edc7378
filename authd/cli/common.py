"""Common parts of the commands: where the configuration is, exit statuses, and messages.

Nothing here knows of modules: most commands only talk to the daemon, and loading database drivers would be most of their time.
"""

from __future__ import annotations

import argparse
import errno
import getpass
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path

from authd import __version__
from authd.config import authdaemonrc
from authd.config.hints import connect_hint, process_hint, reason
from authd.config.locate import sysconfdir
from authd.config.nearest import suggestion

OK = 0
FAILED = 1

INTERRUPTED = 128 + signal.SIGINT
UNREAD = 128 + signal.SIGPIPE
"""Exit statuses of a command that was interrupted, or whose output is read no further, as a shell has them."""

_TAKES_NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Main = Callable[[Sequence[str] | None], int]


def command(name: str) -> Callable[[Main], Callable[..., int]]:
    """Return a decorator for the function that runs the command `name`: it ends without a traceback, whatever comes.

    Standard streams that are closed are opened on /dev/null, and text that they can't encode is escaped.
    """

    def decorate(run: Main) -> Callable[..., int]:
        @wraps(run)
        def main(arguments: Sequence[str] | None = None) -> int:
            _open_standard_streams()
            try:
                try:
                    return run(arguments)
                finally:
                    sys.stdout.flush()
            except BrokenPipeError:
                _discard_output()
                return UNREAD
            except KeyboardInterrupt:
                return INTERRUPTED
            except OSError as error:
                _discard_output()
                # Files have names; what has none and takes no more is what the command prints to.
                place = error.filename or (f"{name}: standard output" if error.errno in _TAKES_NO_MORE else name)
                complain(f"{place}: {reason(error)}{_and(process_hint(error))}")
            except Exception as error:
                # The text of an exception that was not foreseen may quote anything, a password too.
                complain(f"{name}: unexpected {type(error).__name__} at {_origin(error)}; a defect, please report it")
            return FAILED

        return main

    return decorate


def option_parser(name: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """Return a parser with the options that all commands have, but for ``--sysconfdir``."""
    parser = argparse.ArgumentParser(prog=name, description=description, epilog=epilog or None, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=version(name))
    return parser


def choice(word: str | None, known: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Return `word`, the command's first argument, if it is one of `known`; else end with a usage error that names them."""
    if word is None or word not in known:
        problem = "no command; " if word is None else f"unknown command {word}; {suggestion(word, known)}"
        parser.error(f"{problem}use {', '.join(known[:-1])} or {known[-1]}")
    return word


def version(name: str) -> str:
    """Return what ``--version`` of the command `name` prints."""
    return f"authd {__version__}" if name == "authd" else f"{name} (authd) {__version__}"


def take_option(words: list[str], option: str) -> str | None:
    """Take ``option VALUE`` or ``option=VALUE`` out of `words` wherever it is, and return the value; ``None`` if absent.

    :raises ValueError: if the option is the last word, without a value.
    """
    value = None
    for place, word in reversed(list(enumerate(words))):
        if word == option:
            if place + 1 >= len(words):
                raise ValueError(f"{option} has no value")
            value = words[place + 1]
            del words[place : place + 2]
        elif word.startswith(f"{option}="):
            value = word.removeprefix(f"{option}=")
            del words[place]
    return value


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
    """Write one line to standard error, which may be read no further."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        _discard(2)


def unreachable(path: Path, error: OSError) -> str:
    """Return the line about a daemon that can't be reached at `path`: the socket, the reason and the hint."""
    return f"{path}: {reason(error)}; {connect_hint(error, path)}"


def read_password(prompt: str, stdin: bool = False) -> bytes:
    """Return a password, from standard input if it is no terminal or `stdin` is set, else asked for without echo."""
    if stdin or not sys.stdin.isatty():
        return sys.stdin.buffer.readline().rstrip(b"\r\n")
    try:
        return os.fsencode(getpass.getpass(prompt))
    except EOFError:
        return b""


def _open_standard_streams() -> None:
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            # The descriptor is free; otherwise the next socket would get it, and what is printed too.
            opened = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(opened, mode, closefd=False, encoding="utf-8"))  # noqa: SIM115
        elif descriptor and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Have nothing more written to standard output, whose buffer Python would write at the end."""
    _discard(1)


def _discard(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


def _origin(error: Exception) -> str:
    """Return file and line that `error` was raised at."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "an unknown place"


def _and(hint: str) -> str:
    return f"; {hint}" if hint else ""
