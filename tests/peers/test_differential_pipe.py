"""authpipe: the real Courier and authd ask the same program the same, and give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import opened, require
from tests.support.authprog import write_program
from tests.support.courier import DAEMON
from tests.support.pair import Pair, crumbs, whole
from tests.support.requests import hand_made
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import exchange, login, passwd, pre


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    etc = root / "etc"
    # One worker each, whose program remembers what it was told.
    write_authdaemonrc(etc, root / "authd", "authpipe", daemons="1")
    write_program(etc)
    with Pair(root, etc, root / "authd") as both:
        yield both


@pytest.mark.parametrize("feed", [whole, crumbs])
def test_replies_are_the_same(pair: Pair, feed: object) -> None:
    assert callable(feed)
    different = []
    for request in hand_made():
        # Differences below; and a body without a type is refused at once, where Courier leaves it to the program.
        if any(part in request for part in (b"nulluid@", b"emptyuid@", b"\n\nlogin\n")):
            continue
        courier, authd = pair.ask(*feed(request))
        if courier != authd:
            different.append((request[:200], courier, authd))
    assert different == []


@pytest.mark.parametrize("user", ["dies@x", "half@x"])
def test_a_program_that_ends_is_started_again(pair: Pair, user: str) -> None:
    for request in (pre(user), pre("user@example.org"), login(user, "x"), login("user@example.org", "secret")):
        courier, authd = pair.ask(request)
        assert authd == courier


def test_password_changes_are_the_same(pair: Pair) -> None:
    for request in (
        passwd("imap", "user@example.org", "wrong", "new"),
        passwd("imap", "user@example.org", "secret", "n e'w"),
        login("user@example.org", "n e'w"),
        login("user@example.org", "secret"),
        passwd("imap", "user@example.org", "n e'w", "secret"),
        passwd("imap", "nobody@example.org", "a", "b"),
    ):
        courier, authd = pair.ask(request)
        assert authd == courier


class TestDeliberateDifferences:
    """Each of these is explained in docs/compatibility.md."""

    @pytest.mark.parametrize("user", ["nulluid@example.org", "emptyuid@example.org"])
    def test_nobody_is_told_an_account_without_a_uid(self, pair: Pair, user: str) -> None:
        courier, authd = pair.ask(login(user, "secret"))
        assert courier.startswith(b"GID=")
        assert authd == b""

    def test_a_reply_that_is_no_account_opens_nothing(self, pair: Pair) -> None:
        courier, authd = pair.ask(login("garbage@x", "anything"))
        assert courier == b"GID=0\nHOME=\n.\n"
        assert authd == b""
        assert "the program's reply has no UID" in pair.authd.logged()
        assert exchange(pair.authd.socket, login("user@example.org", "secret")).endswith(b"\n.\n")
