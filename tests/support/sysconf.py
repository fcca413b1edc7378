"""Configuration directories for the tests: the same files for Courier and for authd.

Courier's daemon has its socket compiled in and ignores ``authdaemonvar``, so that one file can give authd another place.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from tests.support.slapd import ADMIN, ADMIN_PASSWORD, BASE

_edits = iter(range(2, 10**9, 2))


def write_authdaemonrc(etc: Path, run: Path, module: str = "authmysql", **settings: str) -> Path:
    """Write an authdaemonrc with `settings` that differ from the usual ones."""
    values = {
        "authmodulelist": module,
        "daemons": "3",
        "authdaemonvar": str(run),
        "DEBUG_LOGIN": "0",
        "DEFAULTOPTIONS": "",
        "LOGGEROPTS": "",
        **settings,
    }
    etc.mkdir(parents=True, exist_ok=True)
    file = etc / "authdaemonrc"
    file.write_text("".join(f'{name}="{value}"\n' for name, value in values.items()))
    return file


def mysqlrc(socket: Path) -> str:
    """Return an authmysqlrc for the table of tests/support/accounts.py on the server at `socket`."""
    return f"""##NAME: LOCATION:0
MYSQL_SERVER\t\tlocalhost
MYSQL_USERNAME\t\textmail
MYSQL_PASSWORD\t\textmail
MYSQL_SOCKET\t\t{socket}
MYSQL_PORT\t\t0
MYSQL_OPT\t\t0
MYSQL_DATABASE\t\textmail
MYSQL_USER_TABLE\tmailbox
MYSQL_CRYPT_PWFIELD\tpassword
MYSQL_CLEAR_PWFIELD\tclearpwd
MYSQL_UID_FIELD\t\tuidnumber
MYSQL_GID_FIELD\t\tgidnumber
MYSQL_LOGIN_FIELD\tusername
MYSQL_HOME_FIELD\tconcat('/var/mailbox/',homedir)
MYSQL_NAME_FIELD\tname
MYSQL_MAILDIR_FIELD\tconcat('/var/mailbox/',maildir)
MYSQL_QUOTA_FIELD\tquota
MYSQL_AUXOPTIONS_FIELD\toptions
MYSQL_DEFAULTDELIVERY_FIELD\tdelivery
DEFAULT_DOMAIN\t\tdefault.example
##NAME: MARKER:0
"""


def pgsqlrc(port: int) -> str:
    """Return an authpgsqlrc for the same table on the server at `port`."""
    return f"""##NAME: LOCATION:1
PGSQL_CONNECTION\thost=127.0.0.1 \\
\t\tport={port} \\
\t\tuser=extmail password=extmail
PGSQL_DATABASE\t\textmail
PGSQL_USER_TABLE\tmailbox
PGSQL_CRYPT_PWFIELD\tpassword
PGSQL_CLEAR_PWFIELD\tclearpwd
PGSQL_UID_FIELD\t\tuidnumber
PGSQL_GID_FIELD\t\tgidnumber
PGSQL_LOGIN_FIELD\tusername
PGSQL_HOME_FIELD\t'/var/mailbox/' || homedir
PGSQL_NAME_FIELD\tname
PGSQL_MAILDIR_FIELD\tconcat('/var/mailbox/',maildir)
PGSQL_QUOTA_FIELD\tquota
PGSQL_AUXOPTIONS_FIELD\toptions
PGSQL_DEFAULTDELIVERY\tdelivery
DEFAULT_DOMAIN\t\tdefault.example
##NAME: MARKER:0
"""


def ldaprc(uri: str) -> str:
    """Return an authldaprc for the same accounts in the directory at `uri`."""
    return f"""##NAME: LOCATION:1
LDAP_URI\t\t{uri}
LDAP_PROTOCOL_VERSION\t3
LDAP_BASEDN\t\t{BASE}
LDAP_BINDDN\t\t{ADMIN}
LDAP_BINDPW\t\t{ADMIN_PASSWORD}
LDAP_TIMEOUT\t\t5
LDAP_INITBIND\t\t1
LDAP_MAIL\t\tlogin
LDAP_DOMAIN\t\tdefault.example
LDAP_HOMEDIR\t\thomedir
LDAP_MAILROOT\t\t/var/mailbox
LDAP_MAILDIR\t\tmaildir
LDAP_DEFAULTDELIVERY\tdelivery
LDAP_MAILDIRQUOTA\tquota
LDAP_FULLNAME\t\tfullname
LDAP_CLEARPW\t\tclear
LDAP_CRYPTPW\t\tcrypt
LDAP_UID\t\tuidnum
LDAP_GID\t\tgidnum
LDAP_AUXOPTIONS\t\tdisableimap=disableimap,options=x
LDAP_DEREF\t\tnever
LDAP_TLS\t\t0
##NAME: MARKER:0
"""


def sqliterc(database: Path) -> str:
    """Return an authsqliterc for the same table in `database`."""
    return f"""##NAME: LOCATION:0
SQLITE_DATABASE\t\t{database}
SQLITE_USER_TABLE\tmailbox
SQLITE_CRYPT_PWFIELD\tpassword
SQLITE_CLEAR_PWFIELD\tclearpwd
SQLITE_UID_FIELD\tuidnumber
SQLITE_GID_FIELD\tgidnumber
SQLITE_LOGIN_FIELD\tusername
SQLITE_HOME_FIELD\thomedir
SQLITE_NAME_FIELD\tname
SQLITE_MAILDIR_FIELD\tmaildir
SQLITE_QUOTA_FIELD\tquota
SQLITE_AUXOPTIONS_FIELD\toptions
SQLITE_DEFAULTDELIVERY\tdelivery
DEFAULT_DOMAIN\t\tdefault.example
##NAME: MARKER:0
"""


def changed(rc: str, **settings: str | None) -> str:
    """Return `rc` with `settings` replaced, added or, where ``None``, taken out."""
    for name, value in settings.items():
        rc = re.sub(rf"(?m)^{name}\b.*\n", "", rc)
        if value is not None:
            rc = rc.replace("##NAME: MARKER", f"{name}\t{value}\n##NAME: MARKER")
    return rc


def edit(file: Path, content: str) -> None:
    """Write `content` with a modification time that is newer by whole seconds, which is as fine as Courier looks."""
    file.write_text(content)
    stamp = time.time() + next(_edits)
    os.utime(file, (stamp, stamp))
