"""Proving an SQL module's statements without changing anything, for ``authd check``.

Each engine compiles a statement without running it.  MariaDB and PostgreSQL never run one: a read-only transaction keeps them
from writing rows, but not from writing files, settings or other databases by a function.  SQLite, which has no such functions,
runs a query on a connection that can't write.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy.engine import Dialect

from authd.modules.database import server_message
from authd.modules.statements import Prepared

_BEFORE = r"(?:[\s(]|/\*(?![!M]).*?\*/)*"
"""Blanks, parentheses, and comments other than those that MySQL runs."""
_READS = re.compile(_BEFORE + r"(?:SELECT|WITH|VALUES|TABLE)\b", re.IGNORECASE | re.DOTALL)
_CHANGES = re.compile(_BEFORE + r"(?:UPDATE|INSERT|REPLACE|DELETE|MERGE|WITH)\b", re.IGNORECASE | re.DOTALL)
_WRITES_A_FILE = re.compile(r"\b(?:outfile|dumpfile)\b", re.IGNORECASE)
_WITHOUT_ROWS = re.compile(
    r"\s*(?:DO|SET|UPDATE|DELETE|INSERT|REPLACE)\b(?!.*\breturning\b)", re.IGNORECASE | re.DOTALL
)

NO_ROWS = "the statement is not one that returns rows"


class Kind(Enum):
    """The meaning of a finding."""

    WRONG = "the statement fails"
    UNREACHABLE = "there is no answer"
    UNTRIED = "the statement can't be proven without a risk of changing something"
    DENIED = "the statement is right, and this database user may not run it, or not on this server"
    NOT_UPDATABLE = "what the statement writes to can't be written to by anyone"
    READ_ONLY = "the server takes no writes"
    DATA = "the statement fails for the made-up user"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of a statement.

    :param words: the server's own.
    :param column: name of a column that there is not; empty if it is something else.
    :param table: name of a table that there is not.
    :param other: another name, or a piece of the statement, that the words are about.
    :param position: index into the statement as it was sent, where the server says so.
    :param length: of the statement as it was sent.
    """

    kind: Kind
    words: str
    column: str = ""
    table: str = ""
    other: str = ""
    position: int | None = None
    length: int = 0


class Refused(Exception):
    """A statement that was not proven."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.words)
        self.finding = finding


class Prover(ABC):
    """Proves statements on a connection of its own.

    :param connection: the driver's, in autocommit.
    :param dialect: tells which of the driver's errors mean that a connection is lost.
    """

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self.errors: type[Exception] = dialect.loaded_dbapi.Error

    def query(self, statement: Prepared, values: Mapping[str, Any], columns: int) -> Finding | None:
        """Return what is wrong with a query; ``None`` if nothing is.

        :param columns: that it must have at least.
        """
        if _WITHOUT_ROWS.match(statement.text):
            return Finding(Kind.WRONG, NO_ROWS)
        return self._finding(lambda: self._prove_query(statement, values, columns))

    def change(self, statement: Prepared, values: Mapping[str, Any], several: Prepared | None) -> Finding | None:
        """Return what is wrong with a statement that changes a password; it is never run.

        :param several: the statement as one of several tables, which MariaDB looks at more closely; ``None`` where there is none.
        """
        return self._finding(lambda: self._prove_change(statement, values, several))

    def close(self) -> None:
        """Close the connection."""
        try:
            self._connection.close()
        except (self.errors, OSError):
            # It is lost already.
            return

    @abstractmethod
    def _prove_query(self, statement: Prepared, values: Mapping[str, Any], columns: int) -> None:
        """Raise `Refused`, or an error of the driver's, unless the query is right."""

    @abstractmethod
    def _prove_change(self, statement: Prepared, values: Mapping[str, Any], several: Prepared | None) -> None:
        """Raise `Refused`, or an error of the driver's, unless the statement is right."""

    @abstractmethod
    def _kind(self, error: Exception) -> Kind:
        """Return what an error of the driver's means."""

    def _described(self, finding: Finding, error: Exception) -> Finding:
        """Return `finding` with the names that an error of the driver's is about."""
        return finding

    @abstractmethod
    def tables(self) -> list[str]:
        """Return the names of the tables and views that this database user sees."""

    @abstractmethod
    def columns_of(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return the names of the columns of those of `names` that are tables or views."""

    def _finding(self, prove: Callable[[], None]) -> Finding | None:
        try:
            prove()
        except Refused as refused:
            return refused.finding
        except self.errors as error:
            lost = self._dialect.is_disconnect(error, self._connection, None)  # type: ignore[arg-type]
            if lost:
                return Finding(Kind.UNREACHABLE, server_message(error))
            return self._described(Finding(self._kind(error), server_message(error)), error)
        return None

    def _execute(self, text: str, arguments: Any = None) -> Any:
        """Run a statement that changes nothing, and return its cursor."""
        cursor = self._connection.cursor()
        if arguments is None:
            cursor.execute(text)
        else:
            cursor.execute(text, arguments)
        return cursor

    def _texts(self, text: str, *arguments: Any) -> list[list[str]]:
        """Return the rows of a question to the server's own tables."""
        with suppress(self.errors):
            cursor = self._execute(text, list(arguments))
            return [[_text(value) for value in row] for row in cursor.fetchall()]
        return []


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def by_table(rows: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Return the columns of each table.

    :param rows: a table and a column each.
    """
    columns: dict[str, list[str]] = {}
    for table, column in rows:
        columns.setdefault(table, []).append(column)
    return columns


def only_reads(statement: Prepared) -> bool:
    """Tell whether a statement is a query that writes nothing, unless a function in it does or it locks rows."""
    return bool(_READS.match(statement.text)) and not _WRITES_A_FILE.search(statement.text)


def only_changes(statement: Prepared) -> bool:
    """Tell whether a statement changes rows, which every engine compiles without running it."""
    return bool(_CHANGES.match(statement.text))


def require_columns(number: int, wanted: int) -> None:
    """Raise `Refused` if a statement with `number` columns, 0 for one without rows, has too few."""
    if not number:
        raise Refused(Finding(Kind.WRONG, NO_ROWS))
    if number < wanted:
        raise Refused(Finding(Kind.WRONG, f"{number} columns, at least {wanted} are needed"))


def untried() -> Refused:
    """Return the finding for a statement that no engine compiles without running it."""
    return Refused(Finding(Kind.UNTRIED, "it may change something"))
