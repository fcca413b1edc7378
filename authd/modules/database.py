"""One connection to a database, made when it is first needed and made again when it was lost."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from authd.modules.base import TemporaryFailure
from authd.modules.statements import Prepared
from authd.outcome import Reason

T = TypeVar("T")


class Database:
    """A lazily connected database.

    A statement that finds its connection gone is run once more on a new one, so that a restarted server costs no request.

    :param make_engine: makes SQLAlchemy's engine; called in the process that uses it, never before a fork.
    :param timeout: seconds that the engine lets the server take; a statement that took that long is not run again.
    :param notice: writes one line to the log.
    """

    def __init__(
        self, make_engine: Callable[[], sqlalchemy.Engine], timeout: float, notice: Callable[[str], None]
    ) -> None:
        self._make_engine = make_engine
        self._timeout = timeout
        self._notice = notice
        self._engine: sqlalchemy.Engine | None = None
        self._connection: sqlalchemy.Connection | None = None
        self._raw: Any = None
        self._errors: type[Exception] = sqlalchemy.exc.DBAPIError

    def rows(self, statement: Prepared, values: Mapping[str, Any]) -> Sequence[Any]:
        """Return all rows of a query.

        :raises TemporaryFailure: if the server can't be reached or refuses the query.
        """
        return self._run(statement, values, _all_rows)

    def update(self, statement: Prepared, values: Mapping[str, Any]) -> int:
        """Run a statement that may carry secrets, and return the number of rows that it matched.

        :raises TemporaryFailure: as `rows`; what the server's message quotes is left out, since it may be a value.
        """
        return self._run(statement, values, lambda cursor: int(cursor.rowcount), secret=True)

    def close(self) -> None:
        """Close the connection; the next statement makes a new one."""
        connection, self._connection, self._raw = self._connection, None, None
        engine, self._engine = self._engine, None
        # A connection whose server is gone can't say goodbye, and need not.
        with suppress(SQLAlchemyError, OSError):
            if connection is not None:
                connection.invalidate()
                connection.close()
        if engine is not None:
            engine.dispose()

    def _run(self, statement: Prepared, values: Mapping[str, Any], read: Callable[[Any], T], secret: bool = False) -> T:
        started = time.monotonic()
        while True:
            connection, fresh = self._connected()
            try:
                # SQLAlchemy makes and judges connections; a statement of which nothing is to be translated goes by itself.
                cursor = connection.cursor()
                try:
                    cursor.execute(statement.text, values)
                    return read(cursor)
                finally:
                    cursor.close()
            except self._errors as error:
                lost = self._is_lost(error, connection)
                if lost:
                    self.close()
                if not lost or fresh or time.monotonic() - started > 0.9 * self._timeout:
                    detail = server_message(error)
                    if secret:
                        # From the first quote to the last: a value may have quotes in it.
                        detail = re.sub(r"'.*'", "'...'", detail, flags=re.DOTALL)
                    raise TemporaryFailure(Reason.UNREACHABLE if lost else Reason.QUERY_FAILED, detail) from None
                self._notice(f"connection to the database was lost ({server_message(error)}), connecting again")

    def _connected(self) -> tuple[Any, bool]:
        """Return the driver's connection, and whether it was made just now."""
        if self._raw is not None:
            return self._raw, False
        try:
            if self._engine is None:
                self._engine = self._make_engine()
                self._errors = self._engine.dialect.loaded_dbapi.Error
            self._connection = self._engine.connect()
            self._raw = self._connection.connection.dbapi_connection
        except (SQLAlchemyError, OSError, RuntimeError, ValueError) as error:
            raise TemporaryFailure(Reason.UNREACHABLE, server_message(error)) from None
        return self._raw, True

    def _is_lost(self, error: Any, connection: Any) -> bool:
        return self._engine is not None and self._engine.dialect.is_disconnect(error, connection, None)


def _all_rows(cursor: Any) -> Sequence[Any]:
    if cursor.description is None:
        raise TemporaryFailure(Reason.QUERY_FAILED, "the statement is not one that returns rows")
    rows: Sequence[Any] = cursor.fetchall()
    return rows


def server_message(error: BaseException) -> str:
    """Return the database's own words in `error`, without SQLAlchemy's around them."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if len(original.args) == 2 and isinstance(original.args[0], int):
        return f"{original.args[1]} ({original.args[0]})"
    return str(original)
