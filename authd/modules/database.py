"""One connection to a database, made when it is first needed and made again when it was lost.

A connection carries answers in the order of the questions and does not say whose an answer is.  If one answer is left unread, or
comes twice, every later statement gets the answer of another.  So a connection is closed after any exception and after bytes that
no statement asked for, and over a network each answer is proved: a marked statement has a column whose name is new each time, and
any other is followed by a marked one of the module's own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import cycle
from typing import Any, TypeVar

from sqlalchemy.engine import Dialect

from authd.config.concealed import without_password
from authd.modules.base import TemporaryFailure
from authd.modules.statements import MARK, Prepared
from authd.outcome import Reason

T = TypeVar("T")

MARKS = 16
"""Numbers of marks.  Few, so that a server's statistics by text of the statement stay short."""


class StrayAnswer(Exception):
    """An answer is that of another statement."""


class Database:
    """A lazily connected database.

    A statement that finds its connection gone, or its answer unreadable, is run once more on a new connection, so that a
    restarted server costs no request.

    :param connect: makes a connection of the driver's; called in the process that uses it, never before a fork.
    :param dialect: what SQLAlchemy knows of the driver: which errors it has, and which mean that a connection is lost.
    :param timeout: seconds that the connection lets the server take; a statement that took that long is not run again.
    :param notice: writes one line to the log.
    :param has_unread: tells, without waiting, whether a connection has bytes that no statement asked for.
    :param proof: a marked statement without parameters, run after each that is not marked; ``None`` to take answers as they come.
    :param file: the database's file, where it is one, which SQLite's own words do not name.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        dialect: Dialect,
        timeout: float,
        notice: Callable[[str], None],
        has_unread: Callable[[Any], bool] = lambda connection: False,
        proof: Prepared | None = None,
        file: str = "",
    ) -> None:
        self._connect = connect
        self._file = file
        self._dialect = dialect
        self._errors: type[Exception] = dialect.loaded_dbapi.Error
        self._timeout = timeout
        self._notice = notice
        self._has_unread = has_unread
        self._proof = proof
        self._marks = cycle(f"{MARK}{number}" for number in range(MARKS))
        self._connection: Any = None

    def rows(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Any]:
        """Return all rows of a query.

        :raises TemporaryFailure: if the server can't be reached or refuses the query.
        """
        if not statement.marked:
            [rows] = self.rows_of_each(statement, [values])
            return rows
        return self._run(lambda connection, fresh: self._execute(connection, statement, values, _all_rows))

    def rows_of_each(self, statement: Prepared, each: Sequence[Mapping[str, Any]]) -> list[Sequence[Any]]:
        """Return all rows of a query for each of several values; one proof is enough for all.

        :raises TemporaryFailure: as `rows`, if it fails for one of them.
        """

        def ask(connection: Any, fresh: bool) -> list[Sequence[Any]]:
            rows = [self._execute(connection, statement, values, _all_rows) for values in each]
            # The first rows of a connection can be those of no other statement.
            if not (fresh and len(each) == 1):
                self._prove(connection, statement)
            return rows

        return self._run(ask)

    def update(self, statement: Prepared, values: Mapping[str, Any]) -> int:
        """Run a statement that may carry secrets, and return the number of rows that it matched.

        :raises TemporaryFailure: as `rows`; what the server's message quotes is left out where it may be a value.
        """

        def ask(connection: Any, _: bool) -> int:
            matched = self._execute(connection, statement, values, lambda cursor: int(cursor.rowcount))
            self._prove(connection, statement)
            return matched

        return self._run(ask, secret=True)

    def close(self) -> None:
        """Close the connection; the next statement makes a new one."""
        connection, self._connection = self._connection, None
        # A connection whose server is gone can't say goodbye, and need not.
        with suppress(Exception):
            if connection is not None:
                connection.close()

    def _run(self, ask: Callable[[Any, bool], T], secret: bool = False) -> T:
        """Ask on the connection there is, or on a new one, of which `ask` is told."""
        started = time.monotonic()
        while True:
            connection, fresh = self._connected()
            try:
                self._reject_unread(connection)
                return ask(connection, fresh)
            except TemporaryFailure:
                self.close()
                raise
            except Exception as error:
                lost = self._is_lost(error, connection)
                detail = self._described(error)
                self.close()
                if not lost or fresh or time.monotonic() - started > 0.9 * self._timeout:
                    if secret and not _quotes_names_alone(error):
                        # A value may have quotes in it, of either kind.
                        detail = re.sub(r"['\"].*['\"]", "'...'", detail, flags=re.DOTALL)
                    is_there = not lost or isinstance(error, StrayAnswer)
                    raise TemporaryFailure(Reason.QUERY_FAILED if is_there else Reason.UNREACHABLE, detail) from None
                self._notice(f"connection to the database was lost ({detail}), connecting again")
            except BaseException:
                self.close()
                raise

    def _reject_unread(self, connection: Any) -> None:
        if self._has_unread(connection):
            raise ConnectionError("the server closed it, or said what no statement asked for")

    def _prove(self, connection: Any, statement: Prepared) -> None:
        """Raise unless the answers up to that of `statement` are their statements' own."""
        if self._proof is not None and not statement.marked:
            self._execute(connection, self._proof, {}, _all_rows)
            # libpq throws an answer away that comes while it waits for none, such as the right one behind another's.
            if self._has_unread(connection):
                raise StrayAnswer("an answer came that no statement asked for")

    def _execute(self, connection: Any, statement: Prepared, values: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        text, mark = statement.text, ""
        if statement.marked:
            mark = next(self._marks)
            text = text.replace(MARK, mark, 1)
        cursor = connection.cursor()
        cursor.execute(text, statement.arguments(values))
        if mark and (not cursor.description or cursor.description[-1][0] != mark):
            raise StrayAnswer("the answer is that of another statement")
        answer = read(cursor)
        # After an error the driver would try to read on; the connection is closed then.
        cursor.close()
        return answer

    def _is_lost(self, error: Exception, connection: Any) -> bool:
        if isinstance(error, self._errors):
            return bool(self._dialect.is_disconnect(error, connection, None))  # type: ignore[arg-type]
        return True

    def _described(self, error: Exception) -> str:
        if isinstance(error, (self._errors, StrayAnswer, OSError)):
            said = server_message(error)
            return f"{self._file}: {said}" if self._file and _ABOUT_FILE.search(said) else said
        # Its text may quote what was read.
        return f"the answer can't be read: {type(error).__name__}"

    def _connected(self) -> tuple[Any, bool]:
        """Return the driver's connection, and whether it was made just now."""
        if self._connection is not None:
            return self._connection, False
        try:
            self._connection = self._connect()
        except TemporaryFailure:
            raise
        except RuntimeError as error:
            raise TemporaryFailure(Reason.UNREACHABLE, server_message(error)) from None
        except Exception as error:
            raise TemporaryFailure(Reason.UNREACHABLE, self._described(error)) from None
        return self._connection, True


_UNUSABLE_VALUE = re.compile(r'(invalid [\w ]*(?:value|number):? )"[^"]*"')
_ABOUT_FILE = re.compile(r"unable to open|locked|readonly|disk|not a database|malformed")
"""Words of SQLite about the file, and not about a statement."""
_MYSQL_NAMES = frozenset({1044, 1054, 1142, 1143, 1146, 1205, 1213, 1288, 1290, 1305, 1348, 1356, 1370, 1792})
_PGSQL_NAMES = frozenset({"25006", "42501", "42703", "42P01", "42883", "55000", "0A000"})


def _quotes_names_alone(error: Exception) -> bool:
    """Tell whether an error is of a kind whose message quotes users, tables, columns and functions, and never a value."""
    if getattr(error, "sqlstate", None) in _PGSQL_NAMES:
        return True
    return bool(error.args) and error.args[0] in _MYSQL_NAMES


def _all_rows(cursor: Any) -> Sequence[Any]:
    if cursor.description is None:
        raise TemporaryFailure(Reason.QUERY_FAILED, "the statement is not one that returns rows")
    rows: Sequence[Any] = cursor.fetchall()
    return rows


def server_message(error: BaseException) -> str:
    """Return the database's own words in `error` in one line, its number behind them, and no password that a host was given."""
    return without_password(_words_of(error))


def _words_of(error: BaseException) -> str:
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    if primary:
        # What else psycopg's errors say quotes rows.
        return f"{primary} ({error.sqlstate})"  # type: ignore[attr-defined]
    if len(error.args) == 2 and isinstance(error.args[0], int):
        return f"{error.args[1]} ({error.args[0]})"
    # What libpq can't use as one option's value may be another's.
    return _UNUSABLE_VALUE.sub(r'\1"..."', " ".join(str(error).split()))
