"""Requests that wait are answered together, each as if it had been alone, and nobody waits for a slow one."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from authd.passwords.crypt3 import crypt
from tests.conftest import REQUIRED
from tests.support.accounts import fill
from tests.support.daemon import Authd
from tests.support.mariadb import MariaDB
from tests.support.pair import Pair
from tests.support.requests import hand_made
from tests.support.site import make_mysql_site
from tests.support.wire import connected, exchange, login, pre, read_to_end

REQUESTS = hand_made()
TOGETHER = 48
LEARNT = 60

DRIVERS = [
    "pymysql",
    pytest.param(
        "mysqlclient",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("MySQLdb") is None and not os.environ.get(REQUIRED),
            reason="needs mysqlclient; make setup installs it",
        ),
    ),
]


def ask_together(daemon: Authd, requests: Sequence[bytes]) -> list[bytes]:
    """Return the replies of a daemon that finds all `requests` waiting when its one worker wakes."""
    [worker] = daemon.workers()
    with ExitStack() as stack:
        os.kill(worker, signal.SIGSTOP)
        clients = []
        try:
            for request in requests:
                client = connected(stack, daemon.socket, request)
                client.shutdown(socket.SHUT_WR)
                clients.append(client)
        finally:
            os.kill(worker, signal.SIGCONT)
        return [read_to_end(client) for client in clients]


@pytest.fixture
def alone(root: Path, extmail: MariaDB) -> Iterator[Authd]:
    """A daemon of one worker that traces its statements."""
    with make_mysql_site(root, extmail, daemons="1", DEBUG_LOGIN="1") as daemon:
        yield daemon


def add_slow_account(server: MariaDB, cost: str) -> str:
    """Add an account with the password ``extmail`` in bcrypt, and return its login.

    :param cost: what the hash begins with.
    """
    user = f"cost{cost[4:6]}@extmail.org"
    hashed = crypt(b"extmail", f"{cost}abcdefghijklmnopqrstuu".encode())
    assert hashed is not None
    server.execute(
        "REPLACE INTO extmail.mailbox (username, password, homedir, maildir, uidnumber, gidnumber) "
        f"VALUES ('{user}', '{hashed.decode()}', 'h', 'm', 1000, 1000)"
    )
    return user


def joined(daemon: Authd) -> int:
    """Return how many statements asked for several users."""
    return daemon.logged().count(" IN ($(user0)")


@pytest.mark.parametrize("driver", DRIVERS)
def test_replies_are_the_same_in_batches(pair: Pair, root: Path, extmail: MariaDB, driver: str) -> None:
    with make_mysql_site(root, extmail, daemons="1", DEBUG_LOGIN="1", AUTHD_MYSQL_DRIVER=driver) as daemon:
        different = []
        for start in range(0, len(REQUESTS), TOGETHER):
            requests = REQUESTS[start : start + TOGETHER]
            for request, authd in zip(requests, ask_together(daemon, requests), strict=True):
                courier = exchange(pair.courier.socket, request, shut=True)
                if courier != authd:
                    different.append((request[:200], courier, authd))
        assert different == []
        assert joined(daemon) > 0


@pytest.mark.parametrize("driver", DRIVERS)
def test_replies_are_the_same_one_by_one(pair: Pair, root: Path, extmail: MariaDB, driver: str) -> None:
    settings = {"AUTHD_BATCH": "1", "AUTHD_MYSQL_DRIVER": driver}
    with make_mysql_site(root, extmail, daemons="1", DEBUG_LOGIN="1", **settings) as daemon:
        for start in range(0, len(REQUESTS), TOGETHER):
            requests = REQUESTS[start : start + TOGETHER]
            courier = [exchange(pair.courier.socket, request, shut=True) for request in requests]
            assert ask_together(daemon, requests) == courier
        assert joined(daemon) == 0


def test_users_who_are_equal_to_the_database(alone: Authd) -> None:
    """One row for several spellings, as a collation that ignores case has it; unknown users among them."""
    users = ["postmaster@extmail.org", "Postmaster@ExtMail.org", "nobody@extmail.org", "POSTMASTER@EXTMAIL.ORG"]
    one_by_one = [exchange(alone.socket, pre(user)) for user in users]
    assert ask_together(alone, [pre(user) for user in users]) == one_by_one
    assert one_by_one[2] == b"FAIL\n"
    assert joined(alone) > 0


def test_several_rows_of_one_login(root: Path, mariadb: MariaDB) -> None:
    """The first of them counts, as when it is asked alone."""
    fill(mariadb)
    mariadb.execute(
        "INSERT INTO extmail.mailbox SELECT * FROM extmail.mailbox WHERE username = 'postmaster@extmail.org'",
        "UPDATE extmail.mailbox SET name = 'Another' WHERE username = 'postmaster@extmail.org' LIMIT 1",
    )
    try:
        with make_mysql_site(root, mariadb, daemons="1", DEBUG_LOGIN="1") as daemon:
            requests = [pre("postmaster@extmail.org"), pre("nobody@extmail.org"), pre("other@extmail.org")]
            one_by_one = [exchange(daemon.socket, request) for request in requests]
            assert ask_together(daemon, requests) == one_by_one
            assert joined(daemon) > 0
    finally:
        fill(mariadb)


def test_expressions_that_are_not_of_one_row_are_asked_one_by_one(root: Path, extmail: MariaDB) -> None:
    site = make_mysql_site(root, extmail, daemons="1", DEBUG_LOGIN="1")
    rc = site.etc / "authmysqlrc"
    rc.write_text(rc.read_text().replace("MYSQL_NAME_FIELD\tname", "MYSQL_NAME_FIELD\tmax(name)"))
    with site as daemon:
        ask_together(daemon, [pre("postmaster@extmail.org"), pre("nobody@extmail.org")])
        assert joined(daemon) == 0


def test_who_needs_little_does_not_wait_for_a_slow_hash(root: Path, extmail: MariaDB) -> None:
    """A lookup that arrives behind a slow login, in the same turn of the only worker, is answered before it."""
    user = add_slow_account(extmail, "$2b$12$")
    with make_mysql_site(root, extmail, daemons="1") as daemon:
        # The worker learns that logins are cheap as a rule, so that it takes more than one at once.
        for _ in range(LEARNT):
            exchange(daemon.socket, login("postmaster@extmail.org", "extmail"))
        lines = len(daemon.logged().splitlines())
        requests = [login(user, "extmail"), login("postmaster@extmail.org", "extmail"), pre("postmaster@extmail.org")]
        assert all(reply.endswith(b"\n.\n") for reply in ask_together(daemon, requests))
        answered = [line.split()[1:] for line in daemon.logged().splitlines()[lines:]]
        assert [words[0] for words in answered] == ["lookup:", "login:", "login:"]
        assert f'user="{user}"' in answered[2]


def test_another_worker_takes_the_place_of_one_that_is_held_up(root: Path, extmail: MariaDB) -> None:
    """With every worker at a slow hash but one, a lookup is answered while they are at it."""
    user = add_slow_account(extmail, "$2b$14$")
    with make_mysql_site(root, extmail, daemons="5") as daemon, ExitStack() as stack:
        clients = [connected(stack, daemon.socket, login(user, "extmail")) for _ in range(4)]
        assert exchange(daemon.socket, pre("postmaster@extmail.org")).endswith(b"\n.\n")
        assert "login: result=ok" not in daemon.logged()
        for client in clients:
            assert read_to_end(client).endswith(b"\n.\n")
