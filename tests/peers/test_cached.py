"""With the cache on, replies are Courier's, the first time and when they are remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.accounts import fill
from tests.support.mariadb import MariaDB
from tests.support.pair import Pair, change_and_look
from tests.support.requests import hand_made
from tests.support.site import make_mysql_site
from tests.support.wire import exchange, login, pre

CACHE = {"AUTHD_CACHE_TTL": "600", "AUTHD_CACHE_NEGATIVE_TTL": "600"}
REQUESTS = hand_made()


@pytest.mark.parametrize("size", ["10000", "1"])
def test_replies_are_the_same_the_second_time(pair: Pair, root: Path, extmail: MariaDB, size: str) -> None:
    with make_mysql_site(root, extmail, daemons="1", AUTHD_CACHE_SIZE=size, **CACHE) as daemon:
        different = []
        for _ in range(2):
            for request in REQUESTS:
                courier = exchange(pair.courier.socket, request, shut=True)
                first, second = (exchange(daemon.socket, request, shut=True) for _ in range(2))
                if not courier == first == second:
                    different.append((request[:200], courier, first, second))
        assert different == []
        assert daemon.logged().count("cached=yes") > len(REQUESTS) / 4


def test_password_changes_are_the_same(pair: Pair, root: Path, extmail: MariaDB) -> None:
    """Each is looked at before and after, so that what is remembered would show."""
    results: list[list[object]] = []
    with make_mysql_site(root, extmail, daemons="1", **CACHE) as daemon:
        for socket in (pair.courier.socket, daemon.socket):
            fill(extmail)
            said: list[object] = []
            for user in ("postmaster@extmail.org", "POSTMASTER@extmail.org", "user@example.org", "nobody@example.org"):
                old, new = ("extmail", "changed") if user.startswith("p") else ("secret", "changed")
                if user.startswith("P"):
                    old, new = new, old
                said.append(exchange(socket, pre(user)).count(b"\n"))
                said.append(exchange(socket, login(user.lower(), old)).count(b"\n"))
                said.append(change_and_look(socket, user, old, new))
                said.append(exchange(socket, login(user.lower(), old)))
                said.append(exchange(socket, login(user.lower(), new)).count(b"\n"))
            results.append(said)
    fill(extmail)
    assert results[0] == results[1]
