"""The statements of an SQL module: the administrator's clause where there is one, else Courier's default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authd.config.problem import ConfigError, Problem
from authd.config.sqlrc import EMPTY, SqlSettings
from authd.modules.base import SAMPLE
from authd.modules.sqltext import ClauseError, Parameter, Statement, Syntax, refuse_parameters, render, substitute

LOOKUP_VARIABLES = ("local_part", "domain", "service")
ENUMERATE_VARIABLES = ("service",)
CHPASS_VARIABLES = ("local_part", "domain", "newpass", "newpass_crypt")
"""A password change has no service in Courier's clause."""

_EXPRESSIONS = ("FIELD", "DEFAULTDELIVERY", "WHERE_CLAUSE", "USER_TABLE")
"""How the names of settings end that are pasted into the default statements."""

MARK = "authd_answer"
"""Name of the column by which an answer is known to be its statement's; a number is appended each time."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A statement, and its text as the driver takes it.

    :param names: of its parameters, each once.
    :param made: what the parameters are made of that are no variables, by their names.
    :param order: the names again, as the parameters follow each other, for a driver that takes them so; ``None`` for one that
        takes them by name.
    :param marked: whether the last column of its answer is named `MARK`, and so the answer can be told from others.
    """

    parts: Statement
    text: str
    names: tuple[str, ...]
    order: tuple[str, ...] | None
    made: Mapping[str, Sequence[str | Parameter]]
    marked: bool = False

    def arguments(self, values: Mapping[str, Any]) -> Mapping[str, Any] | Sequence[Any]:
        """Return `values`, given by name, as the driver takes them."""
        return values if self.order is None else [values[name] for name in self.order]


def prepare(parts: Statement, syntax: Syntax, marked: bool = False) -> Prepared:
    """Return `parts` with all that has to be done once."""
    order = tuple(part.name for part in parts if isinstance(part, Parameter))
    names = tuple(dict.fromkeys(order))
    made = {part.name: part.pieces for part in parts if isinstance(part, Parameter) and part.pieces}
    in_order = order if syntax.paramstyle == "format" else None
    return Prepared(parts, render(parts, syntax.paramstyle), names, in_order, made, marked)


def proof(syntax: Syntax) -> Prepared | None:
    """Return a query that proves that a connection's answers are in order; ``None`` where answers come by no connection."""
    return prepare((f"SELECT 1 AS {MARK}",), syntax, marked=True) if syntax.over_network else None


def padded(row: Sequence[Any], wanted: int) -> list[Any]:
    """Return as many columns of a row as are wanted; ``None`` for those that it lacks."""
    return [*row[:wanted], *[None] * (wanted - len(row))]


class Query:
    """A query for accounts, by default Courier's, which can ask for several at once.

    A default query leaves out the columns whose setting is absent, and knows what they would have been.

    :param fields: SQL expressions of an account's ten columns, the login first.
    :param where: SQL condition that every account must meet.
    """

    def __init__(self, fields: Sequence[str], table: str, where: str, syntax: Syntax) -> None:
        asked = list(dict.fromkeys(field for field in fields if field != EMPTY))
        self._columns = ", ".join(asked)
        self._place = [asked.index(field) if field != EMPTY else None for field in fields]
        self._login = fields[0]
        self._table = table
        self._where = where
        self._syntax = syntax
        passwords = f"SELECT {fields[1]}, {fields[2]} FROM {table} WHERE ({where})"
        self.first = prepare((f"{passwords} LIMIT {SAMPLE}",), syntax)
        """The query for the passwords of the first accounts."""
        self.scattered = prepare((f"{passwords} AND {syntax.one_in_20} LIMIT {2 * SAMPLE}",), syntax)
        """The query for the passwords of one account in 20, of the first so many."""
        self._many: dict[int, Prepared] = {}
        others = [field for field in asked if field != self._login]
        self.joinable = self._login in asked and syntax.certain.is_joinable(self._login, (*others, where), table)
        """Whether `many` is certain to tell the same of each user as `one`."""
        self.login_place = asked.index(self._login) if self.joinable else 0
        """Index of the login in a row."""
        self._mark = f" AS {MARK}" if syntax.over_network else ""
        marked = f"{self._columns}, 1{self._mark}" if self._mark else self._columns
        self.one = prepare(
            (f"SELECT {marked} FROM {table} WHERE {self._login} = ", Parameter("user"), f" AND ({where})"),
            syntax,
            marked=bool(self._mark),
        )

    def many(self, count: int) -> Prepared:
        """Return the query for `count` users ``user0`` and so on; its last column is the number of the user.

        Of users who are equal to the database, by a collation that ignores case for instance, the first gets the row.
        """
        prepared = self._many.get(count)
        if prepared is None:
            parts: list[str | Parameter] = [f"SELECT {self._columns}, CASE {self._login}"]
            for number in range(count):
                parts += [" WHEN ", Parameter(f"user{number}"), f" THEN {number}"]
            parts.append(f" END{self._mark} FROM {self._table} WHERE {self._login} IN (")
            for number in range(count):
                parts += [", " if number else "", Parameter(f"user{number}")]
            parts.append(f") AND ({self._where})")
            prepared = self._many[count] = prepare(tuple(parts), self._syntax, marked=bool(self._mark))
        return prepared

    def columns(self, row: Sequence[Any]) -> list[Any]:
        """Return all ten columns of a row."""
        return [b"" if place is None else row[place] for place in self._place]


class Clause:
    """A query for accounts in the administrator's own words; asks for one at a time."""

    def __init__(self, parts: Statement, syntax: Syntax) -> None:
        self.one = prepare(parts, syntax)

    def columns(self, row: Sequence[Any]) -> list[Any]:
        """Return ten columns; ``None`` for those that the row lacks."""
        return padded(row, 10)


class Statements:
    """The statements that settings make: the administrator's clause where there is one, else the default.

    :raises ConfigError: if a clause can't be used.
    """

    def __init__(self, settings: SqlSettings, syntax: Syntax) -> None:
        self._settings = settings
        self._syntax = syntax
        self.select: Query | Clause
        self.delivery: Query | Clause
        self._refuse_parameters()
        clause = self._clause("SELECT", settings.select_clause, LOOKUP_VARIABLES)
        if clause:
            self.select = self.delivery = Clause(clause, syntax)
        else:
            self.select = self._query(settings.maildir_field)
            self.delivery = self._query(settings.delivery_field)
        self.enumerate = self._prepared(
            self._clause("ENUMERATE", settings.enumerate_clause, ENUMERATE_VARIABLES) or self._default_enumerate()
        )
        self.chpass = self._prepared(
            self._clause("CHPASS", settings.chpass_clause, CHPASS_VARIABLES) or self._default_chpass()
        )

    def chpass_of_several(self) -> Prepared | None:
        """Return the default change of a password as one of several tables, for ``authd check``; ``None`` beside a clause."""
        if self._settings.chpass_clause:
            return None
        return self._prepared(self._default_chpass(", (SELECT 1 AS authd_one) AS authd_other"))

    def _prepared(self, parts: Statement | None) -> Prepared | None:
        return prepare(parts, self._syntax) if parts else None

    def _clause(self, kind: str, clause: str, variables: Sequence[str]) -> Statement:
        try:
            return substitute(clause, variables, self._syntax)
        except ClauseError as error:
            name = next((name for name in self._settings.lines if name.endswith(f"{kind}_CLAUSE")), f"{kind}_CLAUSE")
            raise self._refused(name, error) from None

    def _refused(self, name: str, error: ClauseError) -> ConfigError:
        problem, _, mend = str(error).partition("; ")
        return ConfigError(Problem(self._settings.file, problem, mend, self._settings.lines.get(name), name))

    def _refuse_parameters(self) -> None:
        """Refuse the mark of a parameter in what the default statements are made of, which one of ours would be bound to."""
        for name in self._settings.lines:
            if name.endswith(_EXPRESSIONS):
                try:
                    refuse_parameters(self._settings.values.get(name, ""), self._syntax)
                except ClauseError as error:
                    raise self._refused(name, error) from None

    def _query(self, maildir_field: str) -> Query:
        s = self._settings
        fields = (
            s.login_field,
            s.crypt_field,
            s.clear_field,
            s.uid_field,
            s.gid_field,
            s.home_field,
            maildir_field,
            s.quota_field,
            s.name_field,
            s.options_field,
        )
        return Query(fields, s.table, s.where_clause, self._syntax)

    def _default_enumerate(self) -> Statement | None:
        s = self._settings
        if not s.table:
            return None
        fields = (s.login_field, s.uid_field, s.gid_field, s.home_field, s.maildir_field, s.options_field)
        return (f"SELECT {', '.join(fields)} FROM {s.table} WHERE {s.where_clause}",)

    def _default_chpass(self, more_tables: str = "") -> Statement | None:
        s = self._settings
        columns = [(s.clear_field, "newpass"), (s.crypt_field, "newpass_crypt")]
        assigned = [(column, variable) for column, variable in columns if column != EMPTY]
        if not s.table or not assigned:
            return None
        parts: list[str | Parameter] = [f"UPDATE {s.table}{more_tables} SET "]
        for number, (column, variable) in enumerate(assigned):
            parts += [f"{', ' if number else ''}{column} = ", Parameter(variable)]
        parts += [f" WHERE {s.login_field} = ", Parameter("user"), f" AND ({s.where_clause})"]
        return tuple(parts)
