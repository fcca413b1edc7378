"""One connection to a database, made when it is first needed and made again when it was lost."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy.engine import Dialect

from authd.modules.base import TemporaryFailure
from authd.modules.statements import Prepared
from authd.outcome import Reason

T = TypeVar("T")


class Database:
    """A lazily connected database.

    A statement that finds its connection gone is run once more on a new one, so that a restarted server costs no request.

    :param connect: makes a connection of the driver's; called in the process that uses it, never before a fork.
    :param dialect: what SQLAlchemy knows of the driver: which errors it has, and which mean that a connection is lost.
    :param timeout: seconds that the connection lets the server take; a statement that took that long is not run again.
    :param notice: writes one line to the log.
    """

    def __init__(
        self, connect: Callable[[], Any], dialect: Dialect, timeout: float, notice: Callable[[str], None]
    ) -> None:
        self._connect = connect
        self._dialect = dialect
        self._errors: type[Exception] = dialect.loaded_dbapi.Error
        self._timeout = timeout
        self._notice = notice
        self._connection: Any = None

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
        connection, self._connection = self._connection, None
        # A connection whose server is gone can't say goodbye, and need not.
        with suppress(self._errors, OSError):
            if connection is not None:
                connection.close()

    def _run(self, statement: Prepared, values: Mapping[str, Any], read: Callable[[Any], T], secret: bool = False) -> T:
        started = time.monotonic()
        while True:
            connection, fresh = self._connected()
            try:
                cursor = connection.cursor()
                try:
                    cursor.execute(statement.text, statement.arguments(values))
                    return read(cursor)
                finally:
                    cursor.close()
            except self._errors as error:
                lost = self._dialect.is_disconnect(error, connection, None)  # type: ignore[arg-type]
                if lost:
                    self.close()
                if not lost or fresh or time.monotonic() - started > 0.9 * self._timeout:
                    detail = server_message(error)
                    if secret:
                        # A value may have quotes in it, of either kind.
                        detail = re.sub(r"['\"].*['\"]", "'...'", detail, flags=re.DOTALL)
                    raise TemporaryFailure(Reason.UNREACHABLE if lost else Reason.QUERY_FAILED, detail) from None
                self._notice(f"connection to the database was lost ({server_message(error)}), connecting again")

    def _connected(self) -> tuple[Any, bool]:
        """Return the driver's connection, and whether it was made just now."""
        if self._connection is not None:
            return self._connection, False
        try:
            self._connection = self._connect()
        except (self._errors, OSError, RuntimeError, ValueError) as error:
            raise TemporaryFailure(Reason.UNREACHABLE, server_message(error)) from None
        return self._connection, True


def _all_rows(cursor: Any) -> Sequence[Any]:
    if cursor.description is None:
        raise TemporaryFailure(Reason.QUERY_FAILED, "the statement is not one that returns rows")
    rows: Sequence[Any] = cursor.fetchall()
    return rows


def server_message(error: BaseException) -> str:
    """Return the database's own words in `error` in one line, and its number behind them."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    if primary:
        # What else psycopg's errors say quotes rows.
        return f"{primary} ({error.sqlstate})"  # type: ignore[attr-defined]
    if len(error.args) == 2 and isinstance(error.args[0], int):
        return f"{error.args[1]} ({error.args[0]})"
    return " ".join(str(error).split())
