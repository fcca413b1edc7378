"""Values of a module's file, read by its table of settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authd.config.misplaced import misplaced
from authd.config.problem import ConfigError, Problem
from authd.config.rcfile import Line, parse, read
from authd.config.setting import Setting


@dataclass(frozen=True, slots=True)
class Values:
    """What a file says: every setting of its table, and the line numbers of those that stand in it."""

    values: dict[str, Any]
    lines: dict[str, int]


def values_of(file: Path, table: Iterable[Setting]) -> Values:
    """Read and parse `file`; a setting that is absent or empty has its default.

    :raises ConfigError: naming every line that can't be used.
    """
    table = tuple(table)
    parsed = parse(read(file))
    problems = [problem for problem in misplaced(parsed, table, file) if problem.fatal]
    lines = _first_of_each(parsed)
    values: dict[str, Any] = {}
    for setting in table:
        line = lines.get(setting.name)
        if line is None or not line.value:
            values[setting.name] = setting.default
            continue
        try:
            values[setting.name] = setting.parse(line.value)
        except ValueError as error:
            # The value is not shown: a password may stand in a line that was meant for another setting.
            problems.append(Problem(file, str(error), "correct the value", line.number, setting.name))
    if problems:
        raise ConfigError(*problems)
    return Values(values, {name: line.number for name, line in lines.items()})


def _first_of_each(lines: Iterable[Line]) -> dict[str, Line]:
    first: dict[str, Line] = {}
    for line in lines:
        first.setdefault(line.name, line)
    return first
