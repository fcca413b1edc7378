"""Remarks that were left behind a value.

The files have no way to put a remark on the line of a setting; what follows the value becomes part of it.  How-to pages
write such remarks, in parentheses or in another language, and their readers copy them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from authd.config.concealed import before_secret
from authd.config.misplaced import misplaced
from authd.config.problem import Problem
from authd.config.rcfile import Line
from authd.config.setting import Setting, leading_number

MEND = "put the remark on a line of its own that begins with #"

_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`[^`]*`")
_FOREIGN_PARENTHESIS = re.compile(r"[(（][^()（）]*[^\x00-\x7f][^()（）]*[)）]?$")
_AFTER_NUMBER = re.compile(r"^\d+\s*[(（#;].*$")
_COMMENT = re.compile(r"\s(#|--\s|//)")
_FREE_SUFFIXES = ("_URI", "DN", "_FILTER", "_EMAILMAP", "_OPT")
"""Names of settings that may have anything in them, blanks and parentheses too."""
_SQL_SUFFIXES = ("_FIELD", "_PWFIELD", "_CLAUSE", "DEFAULTDELIVERY")
_MAY_BE_QUOTED = (*_SQL_SUFFIXES, "PGSQL_USER_TABLE", "SQLITE_USER_TABLE")
"""Names of settings whose values may be a text, or a name that is quoted, of SQL."""


def leftovers(lines: Iterable[Line], table: Iterable[Setting], file: Path) -> list[Problem]:
    """Return a remark for each value of `lines` that seems to have one behind it, and for each line without effect."""
    lines, table = tuple(lines), tuple(table)
    settings = {setting.name: setting for setting in table}
    problems = [problem for problem in misplaced(lines, table, file) if not problem.fatal]
    for line in lines:
        setting = settings.get(line.name)
        odd = _oddity(setting, line.value) if setting is not None else None
        if odd is not None:
            problems.append(Problem(file, *odd, line.number, line.name, fatal=False))
        elif setting is not None and not setting.secret and (leftover := _leftover(setting, line.value)):
            problems.append(
                Problem(
                    file, f'"{before_secret(leftover)}" seems to be a remark', MEND, line.number, line.name, fatal=False
                )
            )
    return problems


def _oddity(setting: Setting, value: str) -> tuple[str, str] | None:
    """Return what of the form of another kind of file is in a value, and the mend; the value itself is not shown."""
    if re.match(r"=\s", value) or (value.startswith("=") and not setting.secret):
        return 'the value begins with "=", which is part of it', f"write {setting.name}, a blank, and the value"
    if len(value) < 2 or value[0] != value[-1] or value[0] not in "'\"":
        return None
    if not setting.name.endswith(_MAY_BE_QUOTED):
        return "the quotes around the value are part of it", "take them out"
    if setting.name.endswith("LOGIN_FIELD") and value[0] not in value[1:-1] and _is_text(setting.name, value[0]):
        return f"{value} is a text and no column, so that no account is found", f"write {value[1:-1]}"
    return None


def _is_text(name: str, quote: str) -> bool:
    """Tell whether a quote begins a text, and not a name, which MySQL has between backquotes."""
    return quote == "'" or name.startswith("MYSQL_")


def _leftover(setting: Setting, value: str) -> str:
    """Return the part of `value` that does not look like one; empty if all does."""
    if setting.name.endswith(_FREE_SUFFIXES) and setting.parse is not leading_number:
        return ""
    if setting.parse is leading_number:
        # Without a number, the value is an error.
        number = re.match(r"\s*\d+\s*", value)
        return value[number.end() :] if number is not None else ""
    if setting.name.endswith(_SQL_SUFFIXES):
        return _leftover_in_sql(value)
    match = re.search(r"\s*[\s(（#].*$|[^\x00-\x7f].*$", value)
    return match[0].strip() if match else ""


def _leftover_in_sql(value: str) -> str:
    # String literals may hold anything; they are blanked out, each to its length, so that positions stay.
    bare = _QUOTED.sub(lambda literal: "'" * len(literal[0]), value)
    if _AFTER_NUMBER.match(bare):
        return re.sub(r"^\d+\s*", "", value)
    for pattern in (_FOREIGN_PARENTHESIS, _COMMENT):
        match = pattern.search(bare)
        if match:
            return value[match.start() :].strip()
    tail = re.search(r"[)\w'][ \t]*([^\x00-\x7f].*)$", bare)
    return value[tail.start(1) :].strip() if tail else ""
