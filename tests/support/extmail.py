"""The database and the files of our first users: ExtMail's table, and the configuration that their how-to gives them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.support.mariadb import MariaDB

EXTMAIL_PASSWORD = "extmail"
EXTMAIL_HASH = "$1$phz1mRrj$3ok6BjeaoJYWDBsEPZb5C0"
"""The account that ExtMail installs has this password and this hash of it."""

TABLE = """CREATE TABLE mailbox (
    username varchar(255) NOT NULL DEFAULT '' PRIMARY KEY, uid varchar(255) NOT NULL DEFAULT '',
    password varchar(255) NOT NULL DEFAULT '', clearpwd varchar(128) NOT NULL DEFAULT '',
    name varchar(255) NOT NULL DEFAULT '', mailhost varchar(255) NOT NULL DEFAULT '',
    maildir varchar(255) NOT NULL DEFAULT '', homedir varchar(255) NOT NULL DEFAULT '',
    quota varchar(16) NOT NULL DEFAULT '0', netdiskquota varchar(16) NOT NULL DEFAULT '0',
    domain varchar(255) NOT NULL DEFAULT '', uidnumber int NOT NULL DEFAULT 1000, gidnumber int NOT NULL DEFAULT 1000,
    createdate datetime NOT NULL DEFAULT '2009-01-01', expiredate date NOT NULL DEFAULT '2030-01-01',
    active smallint NOT NULL DEFAULT 1, disablepwdchange smallint, disablesmtpd smallint, disablesmtp smallint,
    disablewebmail smallint, disablenetdisk smallint, disableimap smallint, disablepop3 smallint,
    question text, answer text) ENGINE=MyISAM"""

INSERT = """INSERT INTO mailbox (username, uid, password, name, maildir, homedir, quota, netdiskquota, domain)
    VALUES (%s, %s, %s, %s, %s, %s, '104857600S', '52428800S', %s)"""

AUTHDAEMONRC = """##NAME: authmodulelist:3
authmodulelist="authmysql"

##NAME: authmodulelistorig:4
authmodulelistorig="authmysql"

##NAME: daemons:0
daemons={daemons}

##NAME: authdaemonvar:2
authdaemonvar={run}

##NAME: DEBUG_LOGIN:0
DEBUG_LOGIN=0

##NAME: DEFAULTOPTIONS:0
DEFAULTOPTIONS=""

##NAME: LOGGEROPTS:0
LOGGEROPTS=""
"""

AUTHMYSQLRC = """##NAME: LOCATION:0
MYSQL_SERVER		localhost
MYSQL_PORT		3306
MYSQL_USERNAME		extmail
MYSQL_PASSWORD		extmail
MYSQL_SOCKET		{socket}
MYSQL_OPT		0
MYSQL_DATABASE		extmail
MYSQL_USER_TABLE	mailbox
MYSQL_CRYPT_PWFIELD	password
MYSQL_UID_FIELD		2525
MYSQL_GID_FIELD		2525
MYSQL_LOGIN_FIELD	username
MYSQL_HOME_FIELD	concat('/var/mailbox/',homedir)
MYSQL_NAME_FIELD	name
MYSQL_MAILDIR_FIELD	concat('/var/mailbox/',maildir)
##NAME: MARKER:0
"""


def fill_extmail(server: MariaDB, accounts: int) -> None:
    """Make the ``extmail`` database anew: ExtMail's own account and `accounts` more, all with its password."""
    names = [("postmaster", "extmail.org"), *((f"user{number}", "example.org") for number in range(accounts))]
    fill_with(server, ((user, domain, EXTMAIL_HASH) for user, domain in names))


def fill_with(server: MariaDB, accounts: Iterable[tuple[str, str, str]]) -> None:
    """Make the ``extmail`` database anew, with an account for each user, domain and hash."""
    server.execute(
        "DROP DATABASE IF EXISTS extmail",
        "CREATE DATABASE extmail CHARACTER SET utf8mb3",  # an index of MyISAM is at most 1,000 bytes
        "CREATE OR REPLACE USER extmail@localhost IDENTIFIED BY 'extmail'",
        "GRANT SELECT, UPDATE ON extmail.* TO extmail@localhost",
    )
    rows = [
        (f"{user}@{domain}", user, hashed, user.title(), f"{domain}/{user}/Maildir/", f"{domain}/{user}", domain)
        for user, domain, hashed in accounts
    ]
    with server.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.executemany(INSERT, rows)


def seed_files(etc: Path, run: Path, socket: Path, daemons: int = 10) -> None:
    """Write their configuration files, unchanged but for the paths.

    :param socket: the database's.
    """
    etc.mkdir(parents=True, exist_ok=True)
    (etc / "authdaemonrc").write_text(AUTHDAEMONRC.format(run=run, daemons=daemons))
    (etc / "authmysqlrc").write_text(AUTHMYSQLRC.format(socket=socket))
