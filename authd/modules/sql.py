"""What the SQL modules share: statements from settings, rows into accounts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy.engine import Dialect

from authd.account import Account, Entry, until_end
from authd.config import rcfile
from authd.config.problem import ConfigError, Problem
from authd.config.remarks import leftovers
from authd.config.setting import Setting
from authd.config.sqlrc import EMPTY, SqlSettings
from authd.config.watch import WatchedFile
from authd.modules import sqlcheck, sqlnames
from authd.modules.base import DELIVERY_SERVICE, SAMPLE, Module, Surroundings, TemporaryFailure
from authd.modules.batch import Rows, rows_of_many
from authd.modules.database import Database, server_message
from authd.modules.inquiry import Inquiry
from authd.modules.proving import Prover
from authd.modules.sqltext import Parameter, Syntax, shown, unknown_variables
from authd.modules.statements import (
    CHPASS_VARIABLES,
    ENUMERATE_VARIABLES,
    LOOKUP_VARIABLES,
    Clause,
    Prepared,
    Query,
    Statements,
    padded,
    proof,
)
from authd.numbers import unsigned
from authd.outcome import Answer, Outcome, Reason, reject
from authd.passwords.decoy import is_computed


class Unbindable(ValueError):
    """A value that the connection's character set can't carry, so that no row can have it."""


class SqlModule(Module):
    """A module whose accounts are rows.  Subclasses say how to connect and what the driver's values mean."""

    file_name: ClassVar[str]
    """Name of the module's file in the configuration directory."""

    settings_table: ClassVar[Sequence[Setting]]
    """All settings of that file."""

    syntax: ClassVar[Syntax]

    caches_lookups = True
    caches_logins = True

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._file = WatchedFile(surroundings.sysconfdir / self.file_name, self._load, self._report)
        self._use(self._file.value)

    @abstractmethod
    def parse(self, file: Path) -> SqlSettings:
        """Read and parse the module's file; raise `ConfigError` if it can't be used."""

    @abstractmethod
    def dialect(self) -> Dialect:
        """Return what SQLAlchemy knows of the driver, which is loaded: later this process may not be able to read it."""

    @abstractmethod
    def connect(self, settings: SqlSettings) -> Any:
        """Return a connection of the driver's, made as `settings` say, in autocommit."""

    def has_unread(self, connection: Any) -> bool:
        """Tell, without waiting, whether a connection has bytes that no statement asked for, or was closed by the server."""
        return False

    @abstractmethod
    def prover(self, settings: SqlSettings) -> Prover:
        """Return what proves statements for `check`, on a connection of its own; raise as `connect`."""

    @abstractmethod
    def bindable(self, value: bytes) -> Any:
        """Return `value` as the driver binds it; raise `Unbindable` if it can't."""

    @abstractmethod
    def texts_of(self, row: Sequence[Any]) -> Sequence[bytes | None]:
        """Return a row's values as the bytes that the database's C interface would give; ``None`` for NULL."""

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
                known = _VARIABLES.get(line.name.partition("_")[2], LOOKUP_VARIABLES)
                problems += [
                    Problem(
                        file,
                        f"$({name}) stands for nothing here",
                        f"use {'one of ' if known[1:] else ''}{', '.join(known)}",
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
        return self._find_one(self._query_for(service), service, user)

    def find_each(self, wanted: Sequence[tuple[bytes, bytes]]) -> list[Account | TemporaryFailure | None]:
        if len(wanted) == 1:
            return super().find_each(wanted)
        self._refresh()
        together: dict[Query, list[int]] = {}
        findings: list[Account | TemporaryFailure | None] = [None] * len(wanted)
        alone: list[int] = []
        for place, (service, _) in enumerate(wanted):
            query = self._query_for(service)
            if isinstance(query, Query) and query.joinable:
                together.setdefault(query, []).append(place)
            else:
                alone.append(place)
        most = self._surroundings.batch
        for query, places in together.items():
            for start in range(0, len(places), most):
                for place, rows in self._rows_of_many(query, places[start : start + most], wanted):
                    if rows is None:
                        alone.append(place)
                    else:
                        findings[place] = self._finding(query, rows)
        failure: TemporaryFailure | None = None
        for place in self._find_by_clause(alone, wanted, findings) if len(alone) > 1 else alone:
            service, user = wanted[place]
            try:
                # Nobody waits for a database that is down once for every request.
                findings[place] = failure or self._find_one(self._query_for(service), service, user)
            except TemporaryFailure as error:
                findings[place] = error
                failure = error if error.reason is Reason.UNREACHABLE else None
        return findings

    def _find_by_clause(
        self,
        places: Sequence[int],
        wanted: Sequence[tuple[bytes, bytes]],
        findings: list[Account | TemporaryFailure | None],
    ) -> Sequence[int]:
        """Put the `findings` of the administrator's clause into `places`; return the places to be asked for one by one."""
        query = self._statements.select
        if not isinstance(query, Clause):
            return places
        bound: dict[int, Mapping[str, Any]] = {}
        for place in places:
            with suppress(Unbindable):
                bound[place] = self._values(query.one, *wanted[place])
        for values in bound.values():
            self._trace("query", query.one, values)
        try:
            rows_of_each: Sequence[Rows | TemporaryFailure] = self._database.rows_of_each(
                query.one, list(bound.values())
            )
        except TemporaryFailure as failure:
            if failure.reason is not Reason.UNREACHABLE:
                # The query may fail for one user alone.
                return list(bound)
            rows_of_each = [failure] * len(bound)
        for place, rows in zip(bound, rows_of_each, strict=True):
            findings[place] = self._finding(query, rows)
        return ()

    def _rows_of_many(
        self, query: Query, places: Sequence[int], wanted: Sequence[tuple[bytes, bytes]]
    ) -> Iterator[tuple[int, Rows | TemporaryFailure | None]]:
        """Yield for each of `places` in `wanted` what `rows_of_many` has for its login; nothing for who can't be a login."""
        by_login: dict[bytes, list[int]] = {}
        bound: dict[bytes, Any] = {}
        for place in places:
            login = self._login_of(wanted[place][1])
            try:
                bound[login] = self.bindable(login)
            except Unbindable:
                continue
            by_login.setdefault(login, []).append(place)
        for login, rows in rows_of_many(query, bound, self._rows, self._login_in):
            for place in by_login[login]:
                yield place, rows

    def _login_in(self, value: Any) -> bytes | None:
        [login] = self.texts_of((value,))
        return login

    def _find_one(self, query: Query | Clause, service: bytes, user: bytes) -> Account | None:
        try:
            values = self._values(query.one, service, user)
        except Unbindable:
            return None
        rows = self._rows(query.one, values)
        return self._account_of_rows(query, rows) if rows else None

    def _finding(self, query: Query | Clause, rows: Rows | TemporaryFailure) -> Account | TemporaryFailure | None:
        if isinstance(rows, TemporaryFailure):
            return rows
        try:
            return self._account_of_rows(query, rows) if rows else None
        except TemporaryFailure as failure:
            return failure

    def _rows(self, statement: Prepared, values: Mapping[str, Any]) -> Rows:
        self._trace("query", statement, values)
        return self._database.rows(statement, values)

    def _query_for(self, service: bytes) -> Query | Clause:
        return self._statements.delivery if service == DELIVERY_SERVICE else self._statements.select

    def sample(self) -> Iterable[tuple[bytes | None, bytes | None]]:
        query = self._statements.select
        if not isinstance(query, Query):
            # A clause finds one account by its name.
            return
        rows = self._database.rows(query.first, {})
        if len(rows) >= SAMPLE:
            # The oldest accounts come first, and may have other hashes than the newest.
            rows = self._database.rows(query.scattered, {}) or rows
        for row in rows:
            crypt, clear = self.texts_of(row)
            yield crypt, clear

    def login_name(self, user: bytes) -> bytes:
        return self._login_of(user)

    def _login_of(self, user: bytes) -> bytes:
        """Return the login that the default statements ask for."""
        return user if not self._default_domain or b"@" in user else user + b"@" + self._default_domain

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
            columns = self.texts_of(padded(row, 6))
            if self.is_enumerated(columns):
                yield self.entry_of(columns)

    def is_enumerated(self, columns: Sequence[bytes | None]) -> bool:
        """Tell whether an enumerated row is shown: login, uid, gid, home, maildir, options."""
        return bool(columns[0])

    def entry_of(self, columns: Sequence[bytes | None]) -> Entry:
        """Return the entry of an enumerated row: login, uid, gid, home, maildir, options."""
        login, uid, gid, home, maildir, options = columns
        return Entry(login or b"", unsigned(uid), unsigned(gid), home or b"", maildir or b"", options or b"")

    def check(self) -> Iterator[Problem]:
        """Connect and prove every statement, changing nothing; yield what is wrong."""
        self._refresh()
        settings = self._settings
        try:
            prover = self.prover(settings)
        except TemporaryFailure as failure:
            yield sqlcheck.unreachable(
                f"looking up an account failed: {failure.detail or failure.reason.value}", settings
            )
            return
        except (self.dialect().loaded_dbapi.Error, OSError, RuntimeError, ValueError) as error:
            yield sqlcheck.unreachable(f"looking up an account failed: {server_message(error)}", settings)
            return
        try:
            yield from sqlcheck.problems(self._trials(), prover, settings, self._statements.chpass_of_several())
        finally:
            prover.close()

    def _trials(self) -> list[sqlcheck.Trial]:
        """Return every statement with what a made-up user makes of it."""
        settings, statements = self._settings, self._statements
        trials = []

        def add(
            purpose: str,
            statement: Prepared,
            suffix: str,
            parts: Sequence[str],
            columns: int,
            command: str,
            **values: bytes,
        ) -> None:
            clause = sqlnames.full_name(settings, suffix)
            if settings.values[clause]:
                parts = (clause,)
            else:
                clause, columns = "", min(columns, 1)
            bound = self._values(statement, b"check", sqlcheck.PROBE, **values)
            trials.append(sqlcheck.Trial(purpose, statement, bound, clause, parts, columns, command))

        add("looking up an account", statements.select.one, "SELECT_CLAUSE", sqlnames.LOOKUP, 6, "authtest")
        if statements.delivery is not statements.select:
            delivery = statements.delivery.one
            parts = sqlnames.DELIVERY
            add("looking up where to deliver", delivery, "SELECT_CLAUSE", parts, 6, "authtest -s courier")
        if statements.enumerate is not None:
            listing = statements.enumerate
            add("enumerating accounts", listing, "ENUMERATE_CLAUSE", sqlnames.ENUMERATION, 1, "authenumerate")
        if statements.chpass is not None:
            secrets = {"newpass": b"", "newpass_crypt": b""}
            add("changing a password", statements.chpass, "CHPASS_CLAUSE", sqlnames.CHANGE, 0, "authpasswd", **secrets)
        return trials

    def close(self) -> None:
        self._database.close()

    def _account_of_rows(self, query: Query | Clause, rows: Sequence[Any]) -> Account:
        row = rows[0]
        columns = self.texts_of(query.columns(row))
        if isinstance(query, Clause) and len(row) < 6:
            raise TemporaryFailure(Reason.INCOMPLETE_ROW, f"{len(row)} columns, at least 6 are needed")
        account = self.account_of(columns)
        if isinstance(query, Clause) and self._decoys.is_thin and account.crypt and is_computed(account.crypt):
            # There is no sample, so that lookups tell what hashes there are, too.
            self._decoys.learn(account.crypt)
        return account

    def _values(self, statement: Prepared, service: bytes, user: bytes, **more: bytes) -> dict[str, Any]:
        """Return what the parameters of `statement` stand for; ``user`` is the login of the default statements.

        :raises Unbindable: if one of them can't be bound.
        """
        if statement.names == ("user",):
            return {"user": self.bindable(self._login_of(user))}
        local_part, at, domain = user.partition(b"@")
        values = {
            "user": self._login_of(user),
            "local_part": local_part,
            "domain": domain if at else self._default_domain,
            "service": service,
            **more,
        }
        for name, pieces in statement.made.items():
            values[name] = b"".join(
                values[piece.name] if isinstance(piece, Parameter) else piece.encode("utf-8", "surrogateescape")
                for piece in pieces
            )
        return {name: self.bindable(values[name]) for name in statement.names}

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
        self._decoys.renew()
        settings = self._settings
        self._default_domain = settings.default_domain.encode("utf-8", "surrogateescape")
        surroundings = self._surroundings
        self._database = Database(
            lambda: self.connect(settings),
            self.dialect(),
            surroundings.timeout,
            surroundings.notice,
            self.has_unread,
            proof(self.syntax),
            settings.values.get("SQLITE_DATABASE", ""),
        )

    def _trace(self, kind: str, statement: Prepared, values: Mapping[str, Any]) -> None:
        if self._surroundings.trace is not None:
            self._surroundings.trace(f"SQL {kind}: {shown(statement.parts, values)}")


_VARIABLES = {"ENUMERATE_CLAUSE": ENUMERATE_VARIABLES, "CHPASS_CLAUSE": CHPASS_VARIABLES}
"""What stands for something in a clause that is not for a lookup."""


class HomelessLogins(SqlModule):
    """A module that lets an account without a home log in, and rejects it otherwise, as some of Courier's do."""

    def lookup(self, service: bytes, user: bytes) -> Inquiry[Answer]:
        return _with_home((yield from super().lookup(service, user)))

    def cram(self, service: bytes, user: bytes, digest: str, challenge: bytes, response: bytes) -> Inquiry[Answer]:
        return _with_home((yield from super().cram(service, user, digest, challenge, response)))


def _with_home(answer: Answer) -> Answer:
    """Return a reject in place of an account without a home, which a login alone may have in some of Courier's modules."""
    if answer.outcome is Outcome.OK and answer.account is not None and not until_end(answer.account.home):
        return reject(Reason.NO_HOME, answer.account)
    return answer


def _is_update(statement: Prepared) -> bool:
    return statement.text.lstrip()[:6].upper() == "UPDATE"
