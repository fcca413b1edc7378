"""The documents: tables are whole, and the tests that they name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])


def _tables(text: str) -> Iterator[list[str]]:
    """Yield the lines of each table, those in blocks of code left out."""
    prose = re.sub(r"(?ms)^```.*?^```$", "", text)
    for of_table, lines in groupby(prose.splitlines(), lambda line: line.startswith("|")):
        if of_table:
            yield list(lines)


def _cells(line: str) -> int:
    """Return the number of cells of a table's line; a bar in a cell has a backslash before it."""
    return len(re.findall(r"(?<!\\)\|", line)) - 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_tables_are_whole(page: Path) -> None:
    """An empty line ends a table; the rows behind it would be shown as text."""
    for table in _tables(page.read_text()):
        assert len(table) >= 3, table
        assert re.fullmatch(r"(\|:?-+:?)+\|", table[1].replace(" ", "")), table[:2]
        assert {_cells(line) for line in table} == {_cells(table[0])}, table[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_tests_that_are_named_exist(page: Path) -> None:
    tests = {file: file.read_text() for file in (TOP / "tests").rglob("*.py")}
    for name in re.findall(r"`(test_\w+)`", page.read_text()):
        assert any(re.search(rf"^\s*def {name}\(", text, re.MULTILINE) for text in tests.values()), name
    for name in re.findall(r"`(?:tests/)?((?:\w+/)*test_\w+\.py)`", page.read_text()):
        assert any(file.match(name) for file in tests), name
