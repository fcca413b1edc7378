"""What the files of the SQL modules have in common: authmysqlrc, authsqliterc.

The names differ in their prefix alone, so one table is made for each from the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authd.config.problem import ConfigError, Problem
from authd.config.setting import Setting, text
from authd.config.values import values_of

EMPTY = "''"
"""SQL for an empty string: what a field is where its setting is absent."""


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """Settings of one SQL module: which expressions make an account, and which statements replace the default ones.

    Every ``*_field`` is an SQL expression.  `values` has every setting by its name in the file, those of
    the connection included.
    """

    file: Path
    table: str
    login_field: str
    crypt_field: str
    clear_field: str
    uid_field: str
    gid_field: str
    home_field: str
    name_field: str
    maildir_field: str
    delivery_field: str
    quota_field: str
    options_field: str
    where_clause: str
    default_domain: str
    select_clause: str
    enumerate_clause: str
    chpass_clause: str
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)


def shared_settings(prefix: str, delivery: str) -> tuple[Setting, ...]:
    """Return the rows that every SQL module's table has.

    :param prefix: what the names begin with, such as ``MYSQL_``.
    :param delivery: full name of the setting for Courier's delivery instructions, which is spelt differently in each.
    """
    return (
        Setting(
            f"{prefix}USER_TABLE", text, "", "Table with one row per account. Needed unless all three clauses are set."
        ),
        Setting(f"{prefix}LOGIN_FIELD", text, "id", "SQL expression for the login, domain included.", restricts=True),
        Setting(
            f"{prefix}CRYPT_PWFIELD", text, EMPTY, "SQL expression for the hashed password. This or the next is needed."
        ),
        Setting(f"{prefix}CLEAR_PWFIELD", text, EMPTY, "SQL expression for the cleartext password, which CRAM needs."),
        Setting(
            f"{prefix}UID_FIELD",
            text,
            "uid",
            "SQL expression for the numeric user id; a literal such as `2525` is one.",
        ),
        Setting(f"{prefix}GID_FIELD", text, "gid", "SQL expression for the numeric group id."),
        Setting(
            f"{prefix}HOME_FIELD",
            text,
            "home",
            "SQL expression for the home directory, such as `concat('/var/mailbox/',homedir)`.",
        ),
        Setting(f"{prefix}NAME_FIELD", text, EMPTY, "SQL expression for the full name."),
        Setting(f"{prefix}MAILDIR_FIELD", text, EMPTY, "SQL expression for the maildir."),
        Setting(delivery, text, EMPTY, "SQL expression that takes the maildir's place for the service `courier`."),
        Setting(f"{prefix}QUOTA_FIELD", text, EMPTY, "SQL expression for the maildir quota."),
        Setting(f"{prefix}AUXOPTIONS_FIELD", text, EMPTY, "SQL expression for the account's options.", restricts=True),
        Setting(f"{prefix}WHERE_CLAUSE", text, "1=1", "SQL condition that every account must meet.", restricts=True),
        Setting("DEFAULT_DOMAIN", text, "", "Domain that is appended to a login that has no `@`."),
        Setting(
            f"{prefix}SELECT_CLAUSE",
            text,
            "",
            "Query that finds an account in place of the default one: login, crypt, clear, uid, gid, home, maildir, quota, "
            "name, options. `$(local_part)`, `$(domain)` and `$(service)` stand for what the client sent.",
            restricts=True,
        ),
        Setting(
            f"{prefix}ENUMERATE_CLAUSE",
            text,
            "",
            "Query that lists accounts in place of the default one: login, uid, gid, home, maildir, options.",
            restricts=True,
        ),
        Setting(
            f"{prefix}CHPASS_CLAUSE",
            text,
            "",
            "Statement that changes a password in place of the default one; `$(newpass)` and `$(newpass_crypt)` too.",
            restricts=True,
        ),
    )


def load(
    file: Path,
    table: Iterable[Setting],
    prefix: str,
    delivery: str,
    finish: Callable[[Mapping[str, Any], Mapping[str, int], Path], list[Problem]],
) -> SqlSettings:
    """Read and parse an SQL module's file.

    :param table: all its settings: `shared_settings` and those of the connection.
    :param finish: checks the settings of the connection; returns what is wrong.
    :raises ConfigError: naming every line that can't be used.
    """
    read = values_of(file, table)
    problems = _needed(read.values, prefix, file) + finish(read.values, read.lines, file)
    if any(problem.fatal for problem in problems):
        raise ConfigError(*problems)
    return _settings(read.values, read.lines, prefix, delivery, file)


def port_problems(values: Mapping[str, Any], lines: Mapping[str, int], file: Path, setting: str) -> list[Problem]:
    """Return what is wrong with the TCP port of a setting, for those who `finish`."""
    if 0 <= values[setting] <= 65535:
        return []
    return [Problem(file, "not a TCP port", "use a number up to 65535", lines.get(setting), setting)]


def encoding_problems(
    values: Mapping[str, Any], lines: Mapping[str, int], file: Path, settings: Iterable[str]
) -> list[Problem]:
    """Return which of `settings`, for those who `finish`, have bytes that no driver can send; never their text."""
    problems = []
    for name in settings:
        try:
            str(values[name]).encode()
        except UnicodeEncodeError:
            problems.append(Problem(file, "has bytes that are not UTF-8", SAVE_AS_UTF8, lines.get(name), name))
    return problems


SAVE_AS_UTF8 = "save the file as UTF-8, and give the database the same bytes"


def _needed(values: Mapping[str, Any], prefix: str, file: Path) -> list[Problem]:
    """Return what is missing for the default query, where no clause replaces it."""
    clause, table = f"{prefix}SELECT_CLAUSE", f"{prefix}USER_TABLE"
    if values[clause]:
        return []
    problems = []
    if not values[table]:
        problems.append(Problem(file, "not set", f"name the table with the accounts, or set {clause}", setting=table))
    crypt, clear = f"{prefix}CRYPT_PWFIELD", f"{prefix}CLEAR_PWFIELD"
    if values[crypt] == values[clear] == EMPTY:
        problems.append(
            Problem(file, f"neither this nor {clear} is set", "name the column with the passwords", setting=crypt)
        )
    return problems


def _settings(
    values: Mapping[str, Any], numbers: Mapping[str, int], prefix: str, delivery: str, file: Path
) -> SqlSettings:
    return SqlSettings(
        file=file,
        table=values[f"{prefix}USER_TABLE"],
        login_field=values[f"{prefix}LOGIN_FIELD"],
        crypt_field=values[f"{prefix}CRYPT_PWFIELD"],
        clear_field=values[f"{prefix}CLEAR_PWFIELD"],
        uid_field=values[f"{prefix}UID_FIELD"],
        gid_field=values[f"{prefix}GID_FIELD"],
        home_field=values[f"{prefix}HOME_FIELD"],
        name_field=values[f"{prefix}NAME_FIELD"],
        maildir_field=values[f"{prefix}MAILDIR_FIELD"],
        delivery_field=values[delivery],
        quota_field=values[f"{prefix}QUOTA_FIELD"],
        options_field=values[f"{prefix}AUXOPTIONS_FIELD"],
        where_clause=values[f"{prefix}WHERE_CLAUSE"],
        default_domain=values["DEFAULT_DOMAIN"],
        select_clause=values[f"{prefix}SELECT_CLAUSE"],
        enumerate_clause=values[f"{prefix}ENUMERATE_CLAUSE"],
        chpass_clause=values[f"{prefix}CHPASS_CLAUSE"],
        values=values,
        lines=numbers,
    )
