"""The accounts in a MariaDB, and both daemons on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.accounts import COLUMNS, ROWS, TABLE
from tests.support.courier import DAEMON
from tests.support.mariadb import MariaDB
from tests.support.pair import Pair
from tests.support.sysconf import mysqlrc, write_authdaemonrc

INSERT = f"INSERT INTO mailbox ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"


def fill(server: MariaDB) -> None:
    """Make the ``extmail`` database anew, with all accounts."""
    server.execute(
        "DROP DATABASE IF EXISTS extmail",
        "CREATE DATABASE extmail CHARACTER SET utf8mb4",
        "CREATE OR REPLACE USER extmail@localhost IDENTIFIED BY 'extmail'",
        "CREATE OR REPLACE USER extmail@'127.0.0.1' IDENTIFIED BY 'extmail'",
        "GRANT SELECT, UPDATE ON extmail.* TO extmail@localhost",
        "GRANT SELECT, UPDATE ON extmail.* TO extmail@'127.0.0.1'",
    )
    with server.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.executemany(INSERT, ROWS)


@pytest.fixture(scope="module")
def extmail(mariadb: MariaDB) -> MariaDB:
    """The server, its ``extmail`` database as new for this module."""
    fill(mariadb)
    return mariadb


@pytest.fixture(scope="module")
def pair(extmail: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both daemons on the same files and the same database."""
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd")
    (etc / "authmysqlrc").write_text(mysqlrc(extmail.socket))
    both = Pair(root, etc, root / "authd")
    both.start()
    yield both
    both.stop()


@pytest.fixture
def etc(pair: Pair) -> Path:
    """The directory with the files that both read."""
    return pair.etc
