"""Which setting an SQL server's complaint is about, and which names it should have had."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from authd.config.sqlrc import EMPTY, SqlSettings

MAX_NAMES = 40
"""How many names of columns or tables a message lists."""

LOOKUP = (
    "LOGIN_FIELD",
    "CRYPT_PWFIELD",
    "CLEAR_PWFIELD",
    "UID_FIELD",
    "GID_FIELD",
    "HOME_FIELD",
    "MAILDIR_FIELD",
    "QUOTA_FIELD",
    "NAME_FIELD",
    "AUXOPTIONS_FIELD",
    "USER_TABLE",
    "LOGIN_FIELD",
    "WHERE_CLAUSE",
)
"""Ends of the names of the settings that the default lookup is made of, in their order in it."""

DELIVERY = tuple("DEFAULTDELIVERY" if name == "MAILDIR_FIELD" else name for name in LOOKUP)
ENUMERATION = (
    "LOGIN_FIELD",
    "UID_FIELD",
    "GID_FIELD",
    "HOME_FIELD",
    "MAILDIR_FIELD",
    "AUXOPTIONS_FIELD",
    "USER_TABLE",
    "WHERE_CLAUSE",
)
CHANGE = ("USER_TABLE", "CLEAR_PWFIELD", "CRYPT_PWFIELD", "LOGIN_FIELD", "WHERE_CLAUSE")

_LITERAL = re.compile(r"'(?:[^'\\]|\\.|'')*'", re.DOTALL)
_WORD = re.compile(r"[^\W\d][\w$]*|`([^`]+)`|\"([^\"]+)\"")


def full_name(settings: SqlSettings, part: str) -> str:
    """Return the name of the setting that ends in `part`, such as MYSQL_USER_TABLE, or that contains it."""
    return next((name for name in settings.values if name.endswith(part)), "") or next(
        name for name in settings.values if part in name
    )


def setting_at(position: int, text: str, parts: Iterable[str], settings: SqlSettings) -> str:
    """Return the setting whose value is at, or ends before, `position` of a default statement; empty if none does.

    :param parts: of the names of the settings that `text` is made of, in their order.
    """
    found, at = "", 0
    seen = set()
    for part in parts:
        name = full_name(settings, part)
        value = str(settings.values[name])
        if value == EMPTY or (value in seen and part != "LOGIN_FIELD"):
            continue
        seen.add(value)
        start = text.find(value, at)
        if start < 0:
            continue
        if start > position:
            break
        found, at = name, start + len(value)
    return found


def setting_with(missing: str, parts: Iterable[str], settings: SqlSettings) -> str:
    """Return the setting whose value has the name `missing` as a whole word; empty if none has.

    :param parts: of the names of the settings that are looked at.
    """
    for name in dict.fromkeys((missing, missing.rpartition(".")[2])):
        pattern = re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])", re.IGNORECASE)
        for part in dict.fromkeys(parts):
            setting = full_name(settings, part)
            if pattern.search(_LITERAL.sub("''", str(settings.values[setting]))):
                return setting
    return ""


def words_in(text: str) -> list[str]:
    """Return what may be names of tables in a piece of SQL."""
    return list(
        dict.fromkeys(next(filter(None, (*m.groups(), m[0]))) for m in _WORD.finditer(_LITERAL.sub("''", text)))
    )


def advice_on_column(missing: str, columns: Mapping[str, Sequence[str]]) -> str:
    """Return what to do about a column that there is not.

    :param columns: names of the columns by table.
    """
    if not re.fullmatch(r"[\w$. -]+", missing):
        # MySQL has texts in double quotes too, the others have names there.
        return "write a text in single quotes, since double quotes are for names"
    names = list(dict.fromkeys(name for some in columns.values() for name in some))
    if not names:
        return "correct the name"
    there_are = "; ".join(f"{table} has {_listed(some)}" for table, some in columns.items())
    return f"{_nearest(missing, names) or 'name a column that there is; '}{there_are}"


def advice_on_table(missing: str, tables: Sequence[str]) -> str:
    """Return what to do about a table that there is not."""
    if not tables:
        return "create the table, or let the database user read it, or name another database"
    return f"{_nearest(missing, tables) or 'name a table that there is; '}there are {_listed(tables)}"


def _nearest(missing: str, names: Sequence[str]) -> str:
    plain = missing.rpartition(".")[2].lower()
    by_folded = {name.lower(): name for name in names}
    near = difflib.get_close_matches(plain, by_folded, 1)
    return f"did you mean {by_folded[near[0]]}? " if near else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
