"""authsqlite: accounts in an SQLite file."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect

from authd.account import Account, Entry
from authd.config.rcfile import without_waiting
from authd.config.sqliterc import SETTINGS, load_sqliterc
from authd.config.sqlrc import SqlSettings
from authd.modules.base import TemporaryFailure
from authd.modules.provers import SqliteProver
from authd.modules.sql import HomelessLogins, Unbindable
from authd.modules.sqltext import SQLITE
from authd.modules.statements import Clause, Query
from authd.numbers import MAX_UID, atoi, unsigned
from authd.outcome import Reason


class AuthSqlite(HomelessLogins):
    """Accounts in an SQLite table.

    Unlike authmysql, Courier's module of this name lets uid and gid be 0, sends fields that are empty, and takes several rows
    for a temporary failure, and enumerates rows without a login; so does this one.
    """

    name = "authsqlite"
    file_name = "authsqliterc"
    settings_table = SETTINGS
    syntax = SQLITE
    login_tempfail = "close"

    _opened: tuple[int, int] | None = None
    """Which file is open, or was."""

    def needs(self) -> Iterator[tuple[Path, int]]:
        yield Path(self._settings.values["SQLITE_DATABASE"]), os.R_OK

    def parse(self, file: Path) -> SqlSettings:
        return load_sqliterc(file)

    def dialect(self) -> Dialect:
        return SQLiteDialect_pysqlite(dbapi=sqlite3)

    def connect(self, settings: SqlSettings) -> sqlite3.Connection:
        # mode=rw: a missing file is an error, never a new and empty database.
        connection = self._open(settings, "mode=rw")
        self._opened = _identity(settings.values["SQLITE_DATABASE"])
        return connection

    def prover(self, settings: SqlSettings) -> SqliteProver:
        file = Path(settings.values["SQLITE_DATABASE"])
        connection = self._open(settings, "mode=ro&immutable=1" if _reading_writes(file) else "mode=ro&readonly_shm=1")
        connection.execute("PRAGMA query_only = 1")
        return SqliteProver(connection, self.dialect(), file)

    def _open(self, settings: SqlSettings, parameters: str) -> sqlite3.Connection:
        _see_that_is_no_fifo(settings.values["SQLITE_DATABASE"])
        path = quote(settings.values["SQLITE_DATABASE"])
        connection = sqlite3.connect(
            f"file:{path}?{parameters}", uri=True, timeout=self._surroundings.timeout, isolation_level=None
        )
        connection.text_factory = bytes
        connection.create_function("concat", -1, _concat, deterministic=True)
        return connection

    def bindable(self, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise Unbindable(str(error)) from None

    def texts_of(self, row: Sequence[Any]) -> Sequence[bytes | None]:
        return [_bytes(value) for value in row]

    def account_of(self, columns: Sequence[bytes | None]) -> Account:
        login, crypt, clear, uid, gid, home, maildir, quota, name, options = columns
        return Account(
            login or None,
            unsigned(uid),
            unsigned(gid),
            home or b"",
            name=name or b"",
            maildir=maildir or None,
            quota=quota or None,
            options=options or None,
            crypt=crypt or b"",
            clear=clear or b"",
        )

    def is_enumerated(self, columns: Sequence[bytes | None]) -> bool:
        return True

    def entry_of(self, columns: Sequence[bytes | None]) -> Entry:
        # Courier's module reads the ids of an enumeration by another function than those of a lookup.
        uid, gid = (atoi(column or b"") % (MAX_UID + 1) for column in columns[1:3])
        return replace(super().entry_of(columns), uid=uid, gid=gid)

    def _refresh(self) -> None:
        super()._refresh()
        # A file that was replaced lives on for who has it open.
        if self._opened is not None and self._opened != _identity(self._settings.values["SQLITE_DATABASE"]):
            self.close()

    def _account_of_rows(self, query: Query | Clause, rows: Sequence[Any]) -> Account:
        if len(rows) > 1:
            raise TemporaryFailure(Reason.SEVERAL_ROWS, f"{len(rows)} rows")
        return super()._account_of_rows(query, rows)


def _reading_writes(file: Path) -> bool:
    """Tell whether SQLite writes beside a database when it is read: an index of its log, or what a crash left undone."""
    try:
        with open(file, "rb", opener=without_waiting) as database:
            has_log = database.read(19)[18:] == b"\2"
    except OSError:
        return False
    if not os.access(file.parent, os.W_OK):
        # It does not, and fails.
        return False
    if has_log:
        return not all(_beside(file, suffix).exists() for suffix in ("-wal", "-shm"))
    return _beside(file, "-journal").exists()


def _see_that_is_no_fifo(path: str) -> None:
    """See that the file is none whose other end SQLite would wait for.

    :raises sqlite3.OperationalError: if it is, in SQLite's words.
    """
    with suppress(OSError):
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise sqlite3.OperationalError("unable to open database file")


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return sqlite_real(value) if isinstance(value, float) else str(value).encode()


def _concat(*values: Any) -> str | None:
    """``concat()`` as MariaDB has it: NULL where any argument is NULL."""
    texts = [_text(value) for value in values]
    return None if None in texts else "".join(text for text in texts if text is not None)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return (_bytes(value) or b"").decode()


def sqlite_real(value: float) -> bytes:
    """Return a REAL as SQLite turns it into text: 15 digits, and never without a decimal point."""
    text = f"{value:.15g}"
    if re.fullmatch(r"-?\d+", text):
        return f"{text}.0".encode()
    return re.sub(r"^(-?\d+)e", r"\1.0e", text).encode()
