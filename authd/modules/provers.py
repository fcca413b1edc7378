"""How each engine proves a statement without running it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from authd.modules.proving import (
    Finding,
    Kind,
    Prover,
    Refused,
    by_table,
    only_changes,
    only_reads,
    require_columns,
    untried,
)
from authd.modules.statements import Prepared

_MULTI_STATEMENTS = 1 << 16
"""A client flag of MySQL's protocol, which MYSQL_OPT may have."""

_INTO = re.compile(r"into\b", re.IGNORECASE)

_MOST_COLUMNS = 64
"""Columns of a query up to which they are counted."""


def _number(error: Exception) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


class MysqlProver(Prover):
    """Proves by ``PREPARE``, which looks at names, at rights, and at views that can't be updated."""

    _NOT_UPDATABLE = frozenset({1036, 1288, 1348, 1393, 1394, 1395, 1443, 1471})
    _DENIED = frozenset({1044, 1142, 1143, 1227, 1356, 1370})
    _READ_ONLY_TRANSACTION = 1792
    _READ_ONLY_SERVER = frozenset({1290, 1792, 1836, 3100})
    _NOT_PREPARABLE = 1295
    _sent = ""
    _SYNTAX = 1064
    _OTHER_COLUMNS = 1241

    def _prove_query(self, statement: Prepared, values: Mapping[str, Any], columns: int) -> None:
        if not self._prepares_read_only(statement, values):
            # Say what is wrong with it, if anything.
            self._prepare(statement, values)
            raise untried()
        if not only_reads(statement):
            raise untried()
        with self._read_only():
            self._count_columns(statement, values, columns)

    def _prove_change(self, statement: Prepared, values: Mapping[str, Any], several: Prepared | None) -> None:
        self._prepare(statement, values)
        self._begin("READ WRITE", self._READ_ONLY_SERVER)
        self._execute("ROLLBACK")
        if not only_changes(statement):
            raise untried()
        try:
            if several is not None:
                self._prepare(several, values)
        except self.errors as error:
            if _number(error) in self._NOT_UPDATABLE:
                raise

    def _count_columns(self, statement: Prepared, values: Mapping[str, Any], columns: int) -> None:
        """Raise `Refused` if a query has too few columns, which are compared with a row's without running it."""
        query = self._text(statement, values).rstrip().rstrip(";")
        # A comment at the query's end closes with its line.
        wrapped = f"({query}\n)"
        # One value is no row, and last.
        for number in (*range(max(columns, 2), _MOST_COLUMNS), *range(2, columns), 1):
            try:
                self._prepare_text(f"SELECT ({', '.join(['NULL'] * number)}) = {wrapped}")
            except self.errors as error:
                if _number(error) == self._OTHER_COLUMNS:
                    continue
                # INTO, by which the result goes to a file, has no place there, nor has what older servers don't know.
                if _INTO.search(query):
                    raise untried() from None
                return
            require_columns(number, columns)
            return

    def _prepares_read_only(self, statement: Prepared, values: Mapping[str, Any]) -> bool:
        """Tell whether a statement, which must be right, and all functions that it calls, only read.

        A read-only transaction refuses to prepare any other; a procedure it does not look into.
        """
        try:
            with self._read_only() as begun:
                self._prepare(statement, values)
                return begun
        except self.errors as error:
            if _number(error) != self._READ_ONLY_TRANSACTION:
                raise
        return False

    def _prepare(self, statement: Prepared, values: Mapping[str, Any]) -> None:
        self._sent = self._text(statement, values)
        self._prepare_text(self._sent)

    def _text(self, statement: Prepared, values: Mapping[str, Any]) -> str:
        text = self._connection.cursor().mogrify(statement.text, statement.arguments(values))
        return text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text

    def _prepare_text(self, text: str) -> None:
        cursor = self._connection.cursor()
        cursor.execute("PREPARE authd_check FROM %s", (text,))
        cursor.execute("DEALLOCATE PREPARE authd_check")
        cursor.close()

    @contextmanager
    def _read_only(self) -> Iterator[bool]:
        begun = self._begin("READ ONLY", frozenset())
        try:
            yield begun
        finally:
            with suppress(self.errors):
                self._execute("ROLLBACK")

    def _begin(self, access: str, raised: frozenset[int]) -> bool:
        """Begin a transaction; tell whether it is one of that kind, which MySQL before 5.6 does not have."""
        try:
            self._execute(f"START TRANSACTION {access}")
        except self.errors as error:
            if _number(error) in raised or self._dialect.is_disconnect(error, self._connection, None):  # type: ignore[arg-type]
                raise
            return False
        return True

    def _kind(self, error: Exception) -> Kind:
        number = _number(error)
        if number in self._NOT_UPDATABLE:
            return Kind.NOT_UPDATABLE
        if number in self._DENIED:
            return Kind.DENIED
        if number in self._READ_ONLY_SERVER:
            return Kind.READ_ONLY
        several = number == self._SYNTAX and getattr(self._connection, "client_flag", 0) & _MULTI_STATEMENTS
        return Kind.UNTRIED if several or number == self._NOT_PREPARABLE else Kind.WRONG

    def _described(self, finding: Finding, error: Exception) -> Finding:
        number, words = _number(error), finding.words
        quoted = re.search(r"'((?:[^']|'(?! (?:in|at line|doesn't)))*)'", words)
        name = quoted[1] if quoted else ""
        if number == 1054:
            return replace(finding, column=name)
        if number in (1109, 1146):
            return replace(finding, table=name.rpartition(".")[2])
        if number == self._SYNTAX:
            near = re.search(r"near '(.+)' at line \d+", words, re.DOTALL)
            # A long text ends with three dots.
            position = self._sent.rfind(near[1].removesuffix("...")) if near else None
            return replace(finding, position=position, length=len(self._sent))
        routine = re.match(r"(?:FUNCTION|PROCEDURE) (\S+) does not exist", words)
        return replace(finding, other=(routine[1] if routine else name).rpartition(".")[2])

    def tables(self) -> list[str]:
        return [row[0] for row in self._texts(_MYSQL_TABLES)]

    def columns_of(self, names: Sequence[str]) -> dict[str, list[str]]:
        marks = ", ".join(["%s"] * len(names))
        return by_table(self._texts(_MYSQL_COLUMNS.format(marks), *names, *names)) if names else {}


_MYSQL_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = database() ORDER BY 1"
_MYSQL_COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_name IN ({0}) AND (table_schema = database() OR table_schema IN ({0}))
    ORDER BY table_name, ordinal_position
"""


class PostgresqlProver(Prover):
    """Proves by ``EXPLAIN`` in a read-only transaction, which looks at names, rights, and views.

    Every statement is sent by the protocol that takes one at a time, so that none ends the transaction.
    """

    _offset = _length = 0

    def _prove_query(self, statement: Prepared, values: Mapping[str, Any], columns: int) -> None:
        self._prove(statement, values, only_reads(statement))
        require_columns(self._parse(statement).nfields, columns)

    def _prove_change(self, statement: Prepared, values: Mapping[str, Any], several: Prepared | None) -> None:
        if self._says("SELECT pg_is_in_recovery()") == b"t":
            raise Refused(Finding(Kind.READ_ONLY, "the server is a standby: pg_is_in_recovery() is true"))
        if self._says("SHOW transaction_read_only") == b"on":
            raise Refused(Finding(Kind.READ_ONLY, "default_transaction_read_only is on"))
        self._prove(statement, values, only_changes(statement))

    def _prove(self, statement: Prepared, values: Mapping[str, Any], explainable: bool) -> None:
        if not explainable:
            self._parse(statement)
            raise untried()
        self._offset, self._length = len("EXPLAIN "), len(_numbered(statement))
        with self._read_only():
            self._execute(f"EXPLAIN {statement.text}", statement.arguments(values))
        self._offset = self._length = 0

    @contextmanager
    def _read_only(self) -> Iterator[None]:
        """Refuse writes, for which the statement then counts as one that was not tried."""
        self._execute("START TRANSACTION READ ONLY")
        try:
            yield
        except self.errors as error:
            if _state(error) == _READ_ONLY:
                raise untried() from None
            raise
        finally:
            with suppress(self.errors):
                self._execute("ROLLBACK")

    def _parse(self, statement: Prepared) -> Any:
        """Have the server parse a statement, which may be one that it can't explain, and return its description of the result."""
        from psycopg import errors, generators  # noqa: PLC0415 - not every site has it

        text = _numbered(statement)
        connection = self._connection
        connection.pgconn.send_prepare(b"", text.encode("utf-8", "surrogateescape"))
        [result] = connection.wait(generators.execute(connection.pgconn))
        if result.status != _FATAL_ERROR:
            connection.pgconn.send_describe_prepared(b"")
            [result] = connection.wait(generators.execute(connection.pgconn))
        if result.status == _FATAL_ERROR:
            raise errors.error_from_result(result, encoding="utf-8")
        return result

    def _says(self, question: str) -> Any:
        return self._execute(question).fetchall()[0][0]

    def _kind(self, error: Exception) -> Kind:
        state = _state(error)
        if state == "42501":
            return Kind.DENIED
        # "Feature not supported" is said of a view's column, and with a position of much else.
        of_a_view = state == "0A000" and error.diag.statement_position is None  # type: ignore[attr-defined]
        if of_a_view or state in ("55000", "42809"):
            return Kind.NOT_UPDATABLE
        if state == "42601" and "multiple commands" in str(error):
            return Kind.UNTRIED
        return Kind.DATA if state.startswith("22") else Kind.WRONG

    def _described(self, finding: Finding, error: Exception) -> Finding:
        said = error.diag  # type: ignore[attr-defined]
        quoted = re.search(r'"([^"]+)"', finding.words) or re.search(r"(\w+\.\w+)", finding.words)
        name = quoted[1] if quoted else ""
        if said.statement_position and said.internal_query is None:
            # Counted from 1; nearly every statement is sent behind EXPLAIN.
            position = int(said.statement_position) - 1 - self._offset
            finding = replace(finding, position=position, length=self._length)
        state = _state(error)
        if state == "42703":
            return replace(finding, column=name)
        return replace(finding, table=name) if state == "42P01" else replace(finding, other=name)

    def tables(self) -> list[str]:
        return [row[0] for row in self._texts(_PGSQL_TABLES)]

    def columns_of(self, names: Sequence[str]) -> dict[str, list[str]]:
        marks = ", ".join(["%s"] * len(names))
        folded = [name.lower().encode("utf-8", "surrogateescape") for name in names]
        return by_table(self._texts(_PGSQL_COLUMNS.format(marks), *folded, *folded)) if names else {}


_PGSQL_TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = ANY(current_schemas(false)) ORDER BY 1"
)
_PGSQL_COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE lower(table_name) IN ({0}) AND (table_schema = ANY(current_schemas(false)) OR table_schema IN ({0}))
    ORDER BY table_name, ordinal_position
"""
_READ_ONLY = "25006"
_FATAL_ERROR = 7
"""``PGRES_FATAL_ERROR``."""


def _numbered(statement: Prepared) -> str:
    """Return the text of a statement as the server gets it."""
    numbers = count(1)
    return re.sub("%[%s]", lambda mark: "%" if mark[0] == "%%" else f"${next(numbers)}", statement.text)


def _state(error: Exception) -> str:
    return getattr(error, "sqlstate", None) or ""


class SqliteProver(Prover):
    """Proves by ``EXPLAIN``, which compiles a statement, on a connection that can't write.

    :param file: of the database.
    """

    def __init__(self, connection: Any, dialect: Any, file: Path) -> None:
        super().__init__(connection, dialect)
        self._file = file

    def _prove_query(self, statement: Prepared, values: Mapping[str, Any], columns: int) -> None:
        self._explain(statement, values)
        if not only_reads(statement):
            raise untried()
        self._run(statement, values, columns)

    def _run(self, statement: Prepared, values: Mapping[str, Any], columns: int) -> None:
        """Run a query, which SQLite keeps from all writes, and count its columns."""
        cursor = self._execute(statement.text, statement.arguments(values))
        require_columns(len(cursor.description or ()), columns)
        cursor.fetchall()
        cursor.close()

    def _prove_change(self, statement: Prepared, values: Mapping[str, Any], several: Prepared | None) -> None:
        self._explain(statement, values)
        for path in (self._file, self._file.parent):
            if not os.access(path, os.W_OK):
                raise Refused(Finding(Kind.DENIED, f"{path} can't be written to"))

    def _explain(self, statement: Prepared, values: Mapping[str, Any]) -> None:
        # Of others, such as PRAGMA and ATTACH, some act while they are compiled.
        if not only_reads(statement) and not only_changes(statement):
            raise untried()
        self._execute(f"EXPLAIN {statement.text}", statement.arguments(values)).close()

    def _kind(self, error: Exception) -> Kind:
        words = str(error)
        if re.search(r"cannot modify|may not be modified", words):
            return Kind.NOT_UPDATABLE
        return Kind.READ_ONLY if "readonly database" in words else Kind.WRONG

    def _described(self, finding: Finding, error: Exception) -> Finding:
        missing = re.search(
            r"(no such column|no such table|no such function|near): \"?(?:main\.)?([^\s\"]+)", str(error)
        )
        near = re.search(r'near "(.+)": syntax error', str(error))
        if missing is None:
            return replace(finding, other=near[1] if near else "")
        what, name = missing.groups()
        if what == "no such column":
            return replace(finding, column=name)
        return replace(finding, table=name) if what == "no such table" else replace(finding, other=name)

    def tables(self) -> list[str]:
        return [
            row[0] for row in self._texts("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY 1")
        ]

    def columns_of(self, names: Sequence[str]) -> dict[str, list[str]]:
        return by_table([(name, row[0]) for name in names for row in self._texts(_SQLITE_COLUMNS, name)])


_SQLITE_COLUMNS = "SELECT name FROM pragma_table_info(?) ORDER BY cid"
