"""authpgsql: accounts in PostgreSQL, by psycopg."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.adapt import Dumper
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect

from authd.account import Account
from authd.config.pgsqlrc import SETTINGS, load_pgsqlrc
from authd.config.problem import ConfigError, Problem
from authd.config.sqlrc import SqlSettings
from authd.modules.base import TemporaryFailure
from authd.modules.pgsqlconnect import connection_parameters, environment, fifo_of, mode_beside_service
from authd.modules.provers import PostgresqlProver
from authd.modules.readable import is_readable
from authd.modules.sql import HomelessLogins
from authd.modules.sqltext import POSTGRESQL
from authd.numbers import whole_unsigned
from authd.outcome import Reason

T = TypeVar("T")


class AuthPgsql(HomelessLogins):
    """Accounts in a PostgreSQL table.

    Unlike authmysql, Courier's module of this name lets uid and gid be 0, takes what is not a number there for a temporary
    failure, and sends an empty name; so does this one.
    """

    name = "authpgsql"
    file_name = "authpgsqlrc"
    settings_table = SETTINGS
    syntax = POSTGRESQL
    login_tempfail = "fail"

    def parse(self, file: Path) -> SqlSettings:
        settings = load_pgsqlrc(file)
        try:
            connection_parameters(settings, self._surroundings.timeout)
        except psycopg.ProgrammingError as error:
            # What it quotes may be the password.
            words = str(error).partition('"')[0].strip()
            if words == "missing":
                words = "a word of it has no = behind it"
            raise ConfigError(
                Problem(
                    file,
                    f"not a connection string: {words}",
                    "write name=value pairs, a value with blanks in single quotes, or a URI",
                    settings.lines.get("PGSQL_CONNECTION"),
                    "PGSQL_CONNECTION",
                )
            ) from None
        return settings

    def dialect(self) -> Dialect:
        return PGDialect_psycopg(dbapi=psycopg)  # type: ignore[no-untyped-call]

    def connect(self, settings: SqlSettings) -> psycopg.Connection[Any]:
        timeout = self._surroundings.timeout
        with environment(self._surroundings.libpq), environment(mode_beside_service(settings)):
            parameters = connection_parameters(settings, timeout)
            if problem := fifo_of(parameters):
                raise TemporaryFailure(Reason.MISCONFIGURED, problem)
            connection = _Connection.connect(
                # Whole statements each time: what is prepared would be outlived by an altered table.
                "",
                autocommit=True,
                prepare_threshold=None,
                cursor_factory=_Cursor,
                **parameters,
            )
        try:
            connection.answer_seconds = timeout
            connection.adapters.register_dumper(bytes, _TextDumper)
            connection.add_notice_handler(connection.note)
            self._set_character_set(connection, settings)
        except BaseException:
            connection.close()
            raise
        return connection

    def prover(self, settings: SqlSettings) -> PostgresqlProver:
        connection = self.connect(settings)
        # The protocol's messages that carry one statement each.
        connection.prepare_threshold = 0
        return PostgresqlProver(connection, self.dialect())

    def has_unread(self, connection: _Connection) -> bool:
        return connection.has_unread()

    def bindable(self, value: bytes) -> bytes:
        return value

    def texts_of(self, row: Sequence[Any]) -> Sequence[bytes | None]:
        return row

    def account_of(self, columns: Sequence[bytes | None]) -> Account:
        login, crypt, clear, uid, gid, home, maildir, quota, name, options = columns
        return Account(
            login or None,
            _number(uid, Reason.BAD_UID),
            _number(gid, Reason.BAD_GID),
            home or b"",
            name=name or b"",
            maildir=maildir or None,
            quota=quota or None,
            options=options or None,
            crypt=crypt or None,
            clear=clear or None,
        )

    def is_enumerated(self, columns: Sequence[bytes | None]) -> bool:
        return bool(columns[0] and columns[3])

    def _set_character_set(self, connection: psycopg.Connection[Any], settings: SqlSettings) -> None:
        wanted = settings.values["PGSQL_CHARACTER_SET"]
        if not wanted:
            return
        try:
            connection.execute("SELECT set_config('client_encoding', %s, false)", (wanted.encode(),))
        except psycopg.DatabaseError as error:
            if connection.closed:
                raise
            used = connection.pgconn.parameter_status(b"client_encoding") or b""
            self._report(
                f"{settings.file}: PGSQL_CHARACTER_SET: {error.diag.message_primary}, using {used.decode()}; correct the name"
            )


def _number(column: bytes | None, reason: Reason) -> int:
    number = whole_unsigned(column or b"")
    if number is None:
        raise TemporaryFailure(reason, repr((column or b"").decode("utf-8", "backslashreplace")))
    return number


class _Connection(psycopg.Connection[Any]):
    """A connection that waits for an answer so long and no longer."""

    answer_seconds: float = 60
    _said_unasked = False

    def note(self, notice: psycopg.errors.Diagnostic) -> None:
        """Take note of what libpq says of bytes that it threw away; the server's own notices have a code."""
        if notice.sqlstate is None:
            self._said_unasked = True

    def has_unread(self) -> bool:
        """Tell, without waiting, whether there is anything that no statement asked for: in libpq's buffer or in the socket."""
        if is_readable(self.pgconn.socket):
            return True
        # Looks at whole messages in the buffer, and tells `note` of each.
        self.pgconn.is_busy()
        return self._said_unasked

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **more: Any) -> T:
        return super().wait(self._bounded(gen), *arguments, **more)

    def _bounded(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """Pass `gen` on, which is told each moment that the server has said nothing yet."""
        deadline = time.monotonic() + self.answer_seconds
        try:
            wish = next(gen)
            while True:
                ready = yield wish
                if not ready and time.monotonic() > deadline:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {self.answer_seconds:g} s")
                wish = gen.send(ready)
        except StopIteration as end:
            answer: T = end.value
            return answer


class _Cursor(psycopg.Cursor[Any]):
    """A cursor that gives every value as the bytes that the server sent."""

    def execute(self, query: Any, *arguments: Any, **more: Any) -> _Cursor:
        if isinstance(query, str):
            # As they stood in the file; the connection's encoding may be another.
            query = query.encode("utf-8", "surrogateescape")
        return super().execute(query, *arguments, **more)

    @property
    def description(self) -> list[tuple[str | None]] | None:  # type: ignore[override]
        """The columns' names, in PEP 249's form; of all else nothing is looked at."""
        result = self.pgresult
        if result is None or not result.nfields:
            return None
        last = result.nfields - 1
        return [(None,)] * last + [((result.fname(last) or b"").decode("utf-8", "replace"),)]

    def fetchall(self) -> list[tuple[bytes | None, ...]]:
        result = self.pgresult
        if result is None:
            return []
        columns = range(result.nfields)
        return [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]


class _TextDumper(Dumper):
    """Binds bytes as a string literal without a type, which the statement around it decides."""

    def dump(self, obj: bytes) -> bytes:
        return obj
