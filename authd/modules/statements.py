"""The statements of an SQL module: the administrator's clause where there is one, else Courier's default."""

from __future__ import annotations

from collections.abc import Sequence

from authd.config.problem import ConfigError, Problem
from authd.config.sqlrc import EMPTY, SqlSettings
from authd.modules.sqltext import ClauseError, Parameter, Statement, Syntax, substitute

LOOKUP_VARIABLES = ("local_part", "domain", "service")
CHPASS_VARIABLES = ("local_part", "domain", "newpass", "newpass_crypt")
"""A password change has no service in Courier's clause."""


class Statements:
    """The statements that settings make: the administrator's clause where there is one, else the default.

    :raises ConfigError: if a clause can't be used.
    """

    def __init__(self, settings: SqlSettings, syntax: Syntax) -> None:
        self._settings = settings
        self._syntax = syntax
        self.select = self._clause("SELECT", settings.select_clause, LOOKUP_VARIABLES) or self._default_select(
            settings.maildir_field
        )
        self.delivery = self.select if settings.select_clause else self._default_select(settings.delivery_field)
        self.enumerate = (
            self._clause("ENUMERATE", settings.enumerate_clause, LOOKUP_VARIABLES) or self._default_enumerate()
        )
        self.chpass = self._clause("CHPASS", settings.chpass_clause, CHPASS_VARIABLES) or self._default_chpass()

    def _clause(self, kind: str, clause: str, variables: Sequence[str]) -> Statement:
        try:
            return substitute(clause, variables, self._syntax)
        except ClauseError as error:
            name = next((name for name in self._settings.lines if name.endswith(f"{kind}_CLAUSE")), f"{kind}_CLAUSE")
            problem, _, mend = str(error).partition("; ")
            raise ConfigError(
                Problem(self._settings.file, problem, mend, self._settings.lines.get(name), name)
            ) from None

    def _default_select(self, maildir_field: str) -> Statement:
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
        return (
            f"SELECT {', '.join(fields)} FROM {s.table} WHERE {s.login_field} = ",
            Parameter("user"),
            f" AND ({s.where_clause})",
        )

    def _default_enumerate(self) -> Statement | None:
        s = self._settings
        if not s.table:
            return None
        fields = (s.login_field, s.uid_field, s.gid_field, s.home_field, s.maildir_field, s.options_field)
        return (f"SELECT {', '.join(fields)} FROM {s.table} WHERE {s.where_clause}",)

    def _default_chpass(self) -> Statement | None:
        s = self._settings
        columns = [(s.clear_field, "newpass"), (s.crypt_field, "newpass_crypt")]
        assigned = [(column, variable) for column, variable in columns if column != EMPTY]
        if not s.table or not assigned:
            return None
        parts: list[str | Parameter] = [f"UPDATE {s.table} SET "]
        for number, (column, variable) in enumerate(assigned):
            parts += [f"{', ' if number else ''}{column} = ", Parameter(variable)]
        parts += [f" WHERE {s.login_field} = ", Parameter("user"), f" AND ({s.where_clause})"]
        return tuple(parts)
