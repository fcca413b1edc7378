"""A database that stops, comes back, crashes, hangs, or was never there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.accounts import fill
from tests.support.daemon import Authd
from tests.support.mariadb import MariaDB
from tests.support.processes import frozen
from tests.support.site import make_mysql_site
from tests.support.sysconf import changed, write_authdaemonrc
from tests.support.wire import exchange, login, passwd, pre

LOOKUP = pre("user@example.org")
LOGIN = login("user@example.org", "secret")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A server of this module's own, to stop and start."""
    require("mariadbd", "mariadb-install-db")
    with MariaDB(opened(tmp_path_factory.mktemp("fragile")) / "server") as server:
        fill(server)
        yield server


@pytest.fixture
def running(server: MariaDB) -> Iterator[MariaDB]:
    """The server, running before and after."""
    if not server.running:
        server.start()
    yield server
    if not server.running:
        server.start()


@pytest.fixture
def site(root: Path, server: MariaDB) -> Iterator[Authd]:
    daemon = make_mysql_site(root, server)
    yield daemon
    daemon.stop()


def _start(site: Authd, **settings: str) -> None:
    write_authdaemonrc(site.etc, site.run, daemons="1", **settings)
    site.start()


@pytest.mark.parametrize(
    ("tempfail", "reply"),
    [({}, b"FAIL\n"), ({"AUTHD_LOGIN_TEMPFAIL": "fail"}, b"FAIL\n"), ({"AUTHD_LOGIN_TEMPFAIL": "close"}, b"")],
)
def test_requests_fail_as_the_setting_says_and_succeed_at_once_again(
    running: MariaDB, site: Authd, tempfail: dict[str, str], reply: bytes
) -> None:
    _start(site, **tempfail)
    assert exchange(site.socket, LOGIN).endswith(b"\n.\n")
    running.stop()
    for _ in range(3):
        assert exchange(site.socket, LOGIN) == reply
        assert exchange(site.socket, LOOKUP) == b""
        assert exchange(site.socket, passwd("imap", "user@example.org", "secret", "new")) == b"FAIL\n"
        # An empty list that looks finished would make shared folders vanish.
        assert exchange(site.socket, b"ENUMERATE\n") == b"# authmysql\n\n"
    assert (
        'result=tempfail module=authmysql service="imap" user="user@example.org" reason="database unreachable: '
        in site.logged()
    )
    running.start()
    assert exchange(site.socket, LOGIN).endswith(b"\n.\n")
    assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")


def test_an_outage_is_no_wrong_password_in_the_log(running: MariaDB, site: Authd) -> None:
    _start(site)
    running.stop()
    exchange(site.socket, LOGIN)
    line = next(line for line in site.logged().splitlines() if " login: " in line)
    assert re.match(r"WARN: login: result=reject .* reason=\"database unreachable: .*\"$", line)


def test_a_restart_between_requests_costs_none(running: MariaDB, site: Authd) -> None:
    _start(site)
    for ending in (running.stop, running.kill):
        assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
        ending()
        running.start()
        assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
        assert exchange(site.socket, LOGIN).endswith(b"\n.\n")
    assert site.logged().count("connection to the database was lost") == 2


def test_a_killed_connection_costs_no_request(running: MariaDB, site: Authd) -> None:
    """What a server does after ``wait_timeout``, or an administrator with KILL."""
    _start(site)
    exchange(site.socket, LOOKUP)
    with running.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user='extmail'")
        for (number,) in cursor.fetchall():
            cursor.execute(f"KILL {number}")
    assert exchange(site.socket, LOGIN).endswith(b"\n.\n")


def test_authd_starts_without_its_database(running: MariaDB, site: Authd) -> None:
    running.stop()
    _start(site)
    assert exchange(site.socket, LOOKUP) == b""
    running.start()
    assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")


def test_a_hanging_server_counts_as_down(running: MariaDB, site: Authd) -> None:
    _start(site, AUTHD_DATABASE_TIMEOUT="1")
    assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
    with frozen(running.pid):
        assert exchange(site.socket, LOOKUP) == b""
    assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")


def test_a_changed_database_password_is_told_and_mended_by_an_edit(running: MariaDB, site: Authd) -> None:
    _start(site)
    exchange(site.socket, LOOKUP)
    running.execute("ALTER USER extmail@localhost IDENTIFIED BY 'other'")
    try:
        running.stop()
        running.start()
        assert exchange(site.socket, LOOKUP) == b""
        assert "Access denied for user 'extmail'@'localhost'" in site.logged()
        rc = site.etc / "authmysqlrc"
        rc.write_text(changed(rc.read_text(), MYSQL_PASSWORD="other"))
        assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
    finally:
        running.execute("ALTER USER extmail@localhost IDENTIFIED BY 'extmail'")
    assert "other" not in site.logged()
