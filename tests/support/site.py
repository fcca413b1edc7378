"""authd on a small SQLite database, for everything that is about the daemon and not about the database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.support.accounts import COLUMNS, row
from tests.support.daemon import Authd
from tests.support.sysconf import sqliterc, write_authdaemonrc
from tests.support.wire import login

USER = "user@example.org"
GOOD = login(USER, "secret")

ACCOUNTS = 2000


def make_site(root: Path, **settings: str) -> Authd:
    """Make files and a database in `root`, and return the daemon, not started."""
    connection = sqlite3.connect(root / "accounts.db")
    connection.execute(f"CREATE TABLE mailbox ({', '.join(COLUMNS)})")
    connection.execute("CREATE INDEX login ON mailbox (username)")
    rows = [row(USER, homedir="/var/mailbox/example.org/user")]
    rows += [
        row(f"user{number}@example.org", homedir=f"/var/mailbox/{'x' * 400}/{number}") for number in range(ACCOUNTS)
    ]
    connection.executemany(f"INSERT INTO mailbox VALUES ({', '.join('?' * len(COLUMNS))})", rows)
    connection.commit()
    connection.close()
    write_authdaemonrc(root / "etc", root / "run", "authsqlite", **settings)
    (root / "etc" / "authsqliterc").write_text(sqliterc(root / "accounts.db"))
    return Authd(root / "etc", root / "run")
