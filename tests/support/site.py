"""authd on accounts of a test's own."""

from __future__ import annotations

from pathlib import Path

from tests.support.accounts import fill_sqlite, row
from tests.support.daemon import Authd
from tests.support.mariadb import MariaDB
from tests.support.sysconf import mysqlrc, sqliterc, write_authdaemonrc
from tests.support.wire import login

USER = "user@example.org"
GOOD = login(USER, "secret")

ACCOUNTS = 2000


def make_site(root: Path, **settings: str) -> Authd:
    """Make files and a small SQLite database in `root`, for what is about the daemon; return it, not started."""
    rows = [row(USER, homedir="/var/mailbox/example.org/user")]
    rows += [
        row(f"user{number}@example.org", homedir=f"/var/mailbox/{'x' * 400}/{number}") for number in range(ACCOUNTS)
    ]
    fill_sqlite(root / "accounts.db", rows)
    write_authdaemonrc(root / "etc", root / "run", "authsqlite", **settings)
    (root / "etc" / "authsqliterc").write_text(sqliterc(root / "accounts.db"))
    return Authd(root / "etc", root / "run")


def make_mysql_site(root: Path, server: MariaDB, **settings: str) -> Authd:
    """Make files in `root` for the accounts on `server`, and return the daemon, not started."""
    write_authdaemonrc(root / "etc", root / "run", **settings)
    (root / "etc" / "authmysqlrc").write_text(mysqlrc(server.socket))
    return Authd(root / "etc", root / "run")
