"""What the SQL modules share: statements from settings, rows into accounts."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy

from authd.account import Account, Entry
from authd.config import rcfile
from authd.config.problem import ConfigError, Problem
from authd.config.remarks import leftovers
from authd.config.setting import Setting
from authd.config.sqlrc import EMPTY, SqlSettings
from authd.config.watch import WatchedFile
from authd.modules.base import Module, Surroundings, TemporaryFailure
from authd.modules.database import Database
from authd.modules.sqltext import Parameter, Statement, Syntax, shown, unknown_variables
from authd.modules.statements import CHPASS_VARIABLES, LOOKUP_VARIABLES, Statements
from authd.numbers import unsigned
from authd.outcome import Reason

DELIVERY_SERVICE = b"courier"
"""The service under which Courier's mail server asks where to deliver."""


class Unbindable(ValueError):
    """A value that the connection's character set can't carry, so that no row can have it."""


class SqlModule(Module):
    """A module whose accounts are rows.  Subclasses say how to connect and what the driver's values mean."""

    file_name: ClassVar[str]
    """Name of the module's file in the configuration directory."""

    settings_table: ClassVar[Sequence[Setting]]
    """All settings of that file."""

    syntax: ClassVar[Syntax]

    enumerates_nameless: ClassVar[bool] = False
    """Whether a row without a login is enumerated."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._file = WatchedFile(surroundings.sysconfdir / self.file_name, self._load, self._report)
        self._use(self._file.value)

    @abstractmethod
    def parse(self, file: Path) -> SqlSettings:
        """Read and parse the module's file; raise `ConfigError` if it can't be used."""

    @abstractmethod
    def make_engine(self, settings: SqlSettings) -> sqlalchemy.Engine:
        """Return an engine that connects as `settings` say, in autocommit."""

    @abstractmethod
    def bindable(self, value: bytes) -> Any:
        """Return `value` as the driver binds it; raise `Unbindable` if it can't."""

    @abstractmethod
    def text_of(self, value: Any) -> bytes | None:
        """Return a column's value as the bytes that the database's C interface would give; ``None`` for NULL."""

    @abstractmethod
    def account_of(self, columns: Sequence[bytes | None]) -> Account:
        """Return the account of a row: login, crypt, clear, uid, gid, home, maildir, quota, name, options.

        :param columns: ten of them; ``None`` for NULL and for one that the query lacks.
        :raises TemporaryFailure: if a value that must be there is not.
        """

    @classmethod
    def remarks(cls, sysconfdir: Path) -> list[Problem]:
        file = sysconfdir / cls.file_name
        try:
            lines = rcfile.parse(rcfile.read(file))
        except ConfigError:
            # Told by whoever loads the file.
            return []
        problems = leftovers(lines, cls.settings_table, file)
        for line in lines:
            if line.name.endswith("_CLAUSE"):
                known = CHPASS_VARIABLES if line.name.endswith("CHPASS_CLAUSE") else LOOKUP_VARIABLES
                problems += [
                    Problem(
                        file,
                        f"$({name}) stands for nothing here",
                        f"use one of {', '.join(known)}",
                        line.number,
                        line.name,
                        fatal=False,
                    )
                    for name in unknown_variables(line.value, known)
                ]
        return problems

    @property
    def has_cleartext(self) -> bool:
        return self._settings.clear_field != EMPTY or bool(self._settings.select_clause)

    def find(self, service: bytes, user: bytes) -> Account | None:
        self._refresh()
        statements = self._statements
        statement = statements.delivery if service == DELIVERY_SERVICE else statements.select
        try:
            values = self._values(statement, service, user)
        except Unbindable:
            return None
        self._trace("query", statement, values)
        rows = self._database.rows(statement, values)
        if not rows:
            return None
        return self._account_of_rows(rows)

    def set_password(self, service: bytes, user: bytes, password: bytes, hashed: bytes) -> bool:
        statement = self._statements.chpass
        if statement is None:
            raise TemporaryFailure(Reason.MISCONFIGURED, "no table and no clause to change a password with")
        try:
            values = self._values(statement, service, user, newpass=password, newpass_crypt=hashed)
        except Unbindable:
            return False
        self._trace("statement", statement, {})
        matched = self._database.update(statement, values)
        # What a procedure changed is not told; an UPDATE's count is.
        return matched > 0 or not _is_update(statement)

    def enumerate(self) -> Iterator[Entry]:
        self._refresh()
        statement = self._statements.enumerate
        if statement is None:
            raise TemporaryFailure(Reason.MISCONFIGURED, "no table and no clause to enumerate with")
        self._trace("query", statement, {})
        for row in self._database.rows(statement, self._values(statement, b"enumerate", b"")):
            columns = self._columns(row, 6)
            if columns[0] or self.enumerates_nameless:
                yield self.entry_of(columns)

    def entry_of(self, columns: Sequence[bytes | None]) -> Entry:
        """Return the entry of an enumerated row: login, uid, gid, home, maildir, options."""
        login, uid, gid, home, maildir, options = columns
        return Entry(login or b"", unsigned(uid), unsigned(gid), home or b"", maildir or b"", options or b"")

    def check(self) -> Iterator[Problem]:
        settings = self._settings
        probe = b"no-such-user@check.invalid"
        attempts: list[tuple[str, Callable[[], object]]] = [
            ("looking up an account", lambda: self.find(b"check", probe)),
            ("enumerating accounts", lambda: next(self.enumerate(), None)),
        ]
        if not settings.chpass_clause:
            attempts.append(("changing a password", lambda: self.set_password(b"check", probe, b"", b"")))
        for what, attempt in attempts:
            try:
                attempt()
            except TemporaryFailure as failure:
                setting = self._setting_named_in(failure.detail) if failure.reason is Reason.QUERY_FAILED else ""
                detail = failure.detail or failure.reason.value
                yield Problem(
                    settings.file, f"{what} failed: {detail}", self._mend(failure), settings.lines.get(setting), setting
                )
                if failure.reason is Reason.UNREACHABLE:
                    return

    def close(self) -> None:
        self._database.close()

    def _account_of_rows(self, rows: Sequence[Any]) -> Account:
        row = rows[0]
        if len(row) < 6:
            raise TemporaryFailure(Reason.INCOMPLETE_ROW, f"{len(row)} columns, at least 6 are needed")
        return self.account_of(self._columns(row, 10))

    def _columns(self, row: Sequence[Any], wanted: int) -> list[bytes | None]:
        columns = [self.text_of(value) for value in row[:wanted]]
        return columns + [None] * (wanted - len(columns))

    def _values(self, statement: Statement, service: bytes, user: bytes, **more: bytes) -> dict[str, Any]:
        """Return what the parameters of `statement` stand for; ``user`` is the login of the default statements.

        :raises Unbindable: if one of them can't be bound.
        """
        default = self._default_domain
        local_part, at, domain = user.partition(b"@")
        values = {
            "user": user if at or not default else user + b"@" + default,
            "local_part": local_part,
            "domain": domain if at else default,
            "service": service,
            **more,
        }
        return {part.name: self.bindable(values[part.name]) for part in statement if isinstance(part, Parameter)}

    def _refresh(self) -> None:
        if self._file.refresh():
            self._surroundings.notice(f"{self.name}: {self._settings.file} was edited and is in force")
            self.close()
            self._use(self._file.value)

    def _load(self, file: Path) -> tuple[SqlSettings, Statements]:
        settings = self.parse(file)
        return settings, Statements(settings, self.syntax)

    def _use(self, loaded: tuple[SqlSettings, Statements]) -> None:
        self._settings, self._statements = loaded
        settings = self._settings
        self._default_domain = settings.default_domain.encode("utf-8", "surrogateescape")
        surroundings = self._surroundings
        self._database = Database(lambda: self.make_engine(settings), surroundings.timeout, surroundings.notice)

    def _report(self, message: str) -> None:
        self._surroundings.report(f"{self.name}: {message}")

    def _trace(self, kind: str, statement: Statement, values: Mapping[str, Any]) -> None:
        if self._surroundings.trace is not None:
            self._surroundings.trace(f"SQL {kind}: {shown(statement, values)}")

    def _setting_named_in(self, message: str) -> str:
        """Return the setting whose value has the name that the database's message quotes."""
        for quoted in re.findall(r"'([^']+)'|: (\S+)$", message):
            name = next(filter(None, quoted)).rpartition(".")[2]
            for setting in self._settings.lines:
                if name in str(self._settings.values.get(setting, "")):
                    return setting
        return ""

    def _mend(self, failure: TemporaryFailure) -> str:
        if failure.reason is Reason.UNREACHABLE:
            return "start the database, or correct where and as whom to connect"
        return "correct the expression or clause, or the table"


def _is_update(statement: Statement) -> bool:
    return isinstance(statement[0], str) and statement[0].lstrip()[:6].upper() == "UPDATE"
