"""The shape of a settings table: one row a setting, which drives parsing, defaults, checks and documentation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OPTION_NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""The form of the name of an account's option."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a configuration file.

    :param name: as it stands in the file.
    :param parse: turns the text into the value; raises `ValueError` with what was expected.
    :param default: the value where the setting is absent.
    :param meaning: what it does, in one or two sentences for the reference page.
    :param secret: the value never reaches a log or a message.
    :param restricts: fewer accounts are let in with it than without, so that it must not be lost.
    """

    name: str
    parse: Callable[[str], Any]
    default: Any
    meaning: str
    secret: bool = False
    restricts: bool = False


def text(value: str) -> str:
    """Return `value` as it is."""
    return value


def words(value: str) -> tuple[str, ...]:
    """Return the words of `value`, separated by what C takes for blanks."""
    return tuple(re.findall(r"[^ \t\n\v\f\r]+", value))


def leading_number(value: str) -> int:
    """Return the number that `value` begins with, whatever follows, as Courier reads numbers in module files."""
    number = re.match(r"\s*(\d+)", value)
    if number is None:
        raise ValueError("expected a number")
    return int(number[1])


def number_between(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
            raise ValueError(f"expected a number from {low} to {high}")
        return int(value)

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser that takes `choices` alone."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError("expected " + " or ".join(f'"{choice}"' for choice in choices))
        return value

    return parse
