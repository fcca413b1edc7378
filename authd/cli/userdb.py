"""userdb: change one account of a userdb's text, or show it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from authd.cli.common import FAILED, OK, command, complain, read_password, take_option, version
from authd.config.locate import directory_of_files
from authd.config.problem import ConfigError
from authd.userdb.record import BadRecord, Fields, check_field, parse_fields
from authd.userdb.source import Change, SourceError, edit, lines_of

USAGE = """usage: userdb [path/ | -f file ]name set field=value...
       userdb [path/ | -f file ]name set field      (reads the value)
       userdb [path/ | -f file ]name unset field...
       userdb [path/ | -f file ]name del
       userdb -show [path | -f file] [name]"""

HELP = f"""{USAGE}

Change one account of a userdb's text, or show it; makeuserdb makes the change known to the daemon.

  -f FILE            the userdb's text, in place of userdb beside authdaemonrc
  --sysconfdir DIR   directory of authdaemonrc, and of the userdb
  --help, -h         show this
  --version          show the version
"""

WRONG_USE = 2


@command("userdb")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 for what can't be done, 2 for a wrong use."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["--help"], ["-h"]):
        print(HELP, end="")
        return OK
    if words[:1] == ["--version"]:
        print(version("userdb"))
        return OK
    try:
        userdb = directory_of_files(take_option(words, "--sysconfdir")) / "userdb"
    except ValueError as error:
        complain(f"userdb: {error}")
        complain(USAGE)
        return WRONG_USE
    except ConfigError as error:
        complain(str(error))
        return WRONG_USE
    try:
        if words[:1] == ["-show"]:
            return _show(userdb, words[1:])
        file, name, action, fields = _parse(userdb, words)
        return _ACTIONS[action](file, name, fields)
    except (SourceError, BadRecord) as error:
        complain(f"userdb: {error}")
        return FAILED
    except _WrongUse:
        complain(USAGE)
        return WRONG_USE


class _WrongUse(Exception):
    """The arguments are none that the command has."""


def _parse(userdb: Path, words: list[str]) -> tuple[Path, bytes, str, list[str]]:
    file = None
    if words[:1] == ["-f"] and len(words) > 1:
        file, words = Path(words[1]), words[2:]
    if len(words) < 2 or words[1] not in _ACTIONS:
        raise _WrongUse
    if words[0].startswith("--"):
        raise _WrongUse
    place, name = _place(userdb, words[0], file)
    if not name:
        raise _WrongUse
    return place, name, words[1], words[2:]


def _place(userdb: Path, address: str, file: Path | None) -> tuple[Path, bytes]:
    """Return the file and the name that ``path/name`` means."""
    path, slash, name = address.rpartition("/")
    place = file if file is not None else userdb
    if slash and file is None:
        place = place / path
    return place, os.fsencode(name if file is None else address)


def _set(file: Path, name: bytes, words: list[str]) -> int:
    if not words:
        raise _WrongUse
    fields: Fields = {}
    for word in words:
        field, equals, value = os.fsencode(word).partition(b"=")
        if not equals:
            value = read_password(f"{word}: ")
            if not value:
                complain(f"userdb: {word}: no value was given; type one, or write {word}=value")
                return FAILED
        check_field(field, value)
        fields[field] = value
    _edit(file, name, lambda before: {**(before or {}), **fields})
    return OK


def _unset(file: Path, name: bytes, words: list[str]) -> int:
    if not words:
        raise _WrongUse
    names = {os.fsencode(word) for word in words}

    def change(before: Fields | None) -> Fields | None:
        return None if before is None else {field: value for field, value in before.items() if field not in names}

    _edit(file, name, change)
    return OK


def _delete(file: Path, name: bytes, words: list[str]) -> int:
    if words:
        raise _WrongUse
    _edit(file, name, lambda before: None)
    return OK


_ACTIONS = {"set": _set, "unset": _unset, "del": _delete}


def _edit(file: Path, name: bytes, change: Change) -> None:
    if any(byte in name for byte in (b"\t", b"\n", b"|", b"\0")):
        raise BadRecord("a name has a |, a tab or a line break; leave it out")
    if file.is_dir():
        raise SourceError(f"{file}: is a directory; name the file in it, as in path/name")
    edit(file, name, change)


def _show(userdb: Path, words: list[str]) -> int:
    if words[:1] == ["-f"] and len(words) > 1:
        file, rest = Path(words[1]), words[2:]
    else:
        file, rest = userdb, words
        if file.is_dir():
            if not rest:
                raise _WrongUse
            path, slash, name = rest[0].rpartition("/")
            # "path name", as the manual has it, or "path/name".
            whole = file / rest[0]
            file, rest = (whole, rest[1:]) if whole.is_file() or not slash else (file / path, [name, *rest[1:]])
    if len(rest) > 1:
        raise _WrongUse
    for _, name_there, text in lines_of(file):
        if not rest:
            _print(name_there)
        elif name_there == os.fsencode(rest[0]):
            for field, value in parse_fields(text).items():
                _print(b"%b=%b" % (field, value))
            return OK
    return OK


def _print(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
