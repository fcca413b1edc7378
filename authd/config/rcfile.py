"""The syntax that the module files share: authmysqlrc and its sisters.

``NAME<blanks>value``, one a line; a backslash at the end of a value continues on the next line, one at the end of a name is
part of it; ``#`` begins a comment line; the first of two equal names counts.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from authd.config.hints import read_hint
from authd.config.problem import ConfigError, Problem

BLANKS = " \t\r\v\f"


@dataclass(frozen=True, slots=True)
class Line:
    """One setting as it stands in the file.

    :param number: line number, from 1, of its first line.
    """

    name: str
    value: str
    number: int


def without_waiting(path: str, flags: int) -> int:
    """Open a file as ``opener`` of `open`, and wait for no other end of a FIFO."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_bytes(file: Path) -> bytes:
    """Return what is in a configuration file, and never wait for the other end of a FIFO.

    :raises ConfigError: if it can't be read, or is no regular file.
    """
    try:
        with open(file, "rb", opener=without_waiting) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise ConfigError(Problem(file, "can't be read: not a regular file", "put a file in its place"))
            return opened.read()
    except OSError as error:
        raise ConfigError(Problem(file, f"can't be read: {error.strerror}", read_hint(error, file))) from error


def read(file: Path) -> str:
    """Return the text of `file`; bytes that are not UTF-8 survive as surrogates.

    :raises ConfigError: if it can't be read, or is no text.
    """
    content = read_bytes(file)
    if b"\0" in content:
        number = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise ConfigError(Problem(file, "has a NUL byte", "save the file as UTF-8, without NUL bytes", number))
    return content.decode("utf-8", "surrogateescape")


def parse(content: str) -> list[Line]:
    """Return the settings of `content` in their order, repeated names included."""
    lines: list[Line] = []
    pending = ""
    first_number = 0
    for number, raw in enumerate(content.split("\n"), 1):
        text = raw.strip(BLANKS)
        if not pending and text.startswith("#"):
            continue
        if not pending:
            first_number = number
        joined = f"{pending} {text}" if pending else text
        if joined.endswith("\\") and _end_of_name(joined) < len(joined):
            # Courier keeps the blanks before the backslash, and puts one where the line ended.
            pending = joined[:-1]
            continue
        pending = ""
        _append(lines, joined, first_number)
    _append(lines, pending, first_number)
    return lines


def _append(lines: list[Line], joined: str, number: int) -> None:
    joined = joined.strip(BLANKS)
    if joined:
        end = _end_of_name(joined)
        lines.append(Line(joined[:end], joined[end:].strip(BLANKS), number))


def _end_of_name(joined: str) -> int:
    return next((position for position, character in enumerate(joined) if character in BLANKS), len(joined))
