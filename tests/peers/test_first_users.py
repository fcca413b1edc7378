"""The mail system of our first users logs in through authd: their configuration, unchanged but for the paths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import opened, require
from tests.support.courier import DAEMON
from tests.support.extmail import fill_extmail, seed_files
from tests.support.mariadb import MariaDB
from tests.support.pair import Pair
from tests.support.wire import exchange, login, pre

ACCOUNTS = 10_000


@pytest.fixture(scope="module")
def pair(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    fill_extmail(mariadb, ACCOUNTS)
    root = opened(tmp_path_factory.mktemp("seed"))
    seed_files(root / "etc", root / "authd", mariadb.socket)
    with Pair(root, root / "etc", root / "authd") as both:
        yield both


def test_a_login_answers_home_and_maildir(pair: Pair) -> None:
    assert len(pair.authd.workers()) == 10
    assert exchange(pair.authd.socket, login("postmaster@extmail.org", "extmail", "smtp")) == (
        b"UID=2525\nGID=2525\nHOME=/var/mailbox/extmail.org/postmaster\nADDRESS=postmaster@extmail.org\nNAME=Postmaster\n"
        b"MAILDIR=/var/mailbox/extmail.org/postmaster/Maildir/\nPASSWD=$1$phz1mRrj$3ok6BjeaoJYWDBsEPZb5C0\n"
        b"PASSWD2=extmail\n.\n"
    )


def test_every_account_is_as_courier_has_it(pair: Pair) -> None:
    courier, authd = pair.ask(b"ENUMERATE\n")
    assert authd == courier
    assert authd.count(b"\n") == ACCOUNTS + 1 + 3
    for number in range(0, ACCOUNTS, 500):
        user = f"user{number}@example.org"
        for request in (pre(user, "maildrop"), login(user, "extmail", "extmail"), login(user, "wrong", "extmail")):
            courier, authd = pair.ask(request)
            assert authd == courier


def test_extmail_changes_a_password(pair: Pair) -> None:
    """The webmail sends what follows its body, a newline, to the daemon too."""
    user = b"user7@example.org"
    assert exchange(pair.authd.socket, b"PASSWD extmail\t" + user + b"\textmail\tnew one\n") == b"OK\n"
    body = b"extmail\nlogin\n" + user + b"\nnew one\n"
    for socket in (pair.authd.socket, pair.courier.socket):
        assert exchange(socket, b"AUTH %d\n%b\n" % (len(body), body)).startswith(b"UID=2525\n")
