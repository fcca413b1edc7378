"""Files that settings belong to, by their names, for those that stand in another file."""

from __future__ import annotations

import re

_OWNERS = {
    "authmysqlrc": re.compile(r"MYSQL_\w+"),
    "authpgsqlrc": re.compile(r"PGSQL_\w+"),
    "authsqliterc": re.compile(r"SQLITE_\w+"),
    "authldaprc": re.compile(r"LDAP_\w+"),
    "authdaemonrc": re.compile(
        r"(?:AUTHD|LDAPTLS)_\w+|authmodulelist|authdaemonvar|daemons|DEBUG_LOGIN|DEFAULTOPTIONS|LOGGEROPTS"
    ),
}


def owner_of(name: str) -> str:
    """Return the name of the file that a setting of this name is for; empty if it is none's."""
    return next((file for file, pattern in _OWNERS.items() if pattern.fullmatch(name)), "")
