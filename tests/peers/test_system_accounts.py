"""authpwd and authshadow on an /etc of the test's own.

Debian's Courier has neither; what its authpam tells of accounts is the measure.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import opened, require
from tests.support.courier import DAEMON, Courier
from tests.support.daemon import Authd
from tests.support.pam import USERS, System
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import exchange, login, passwd, pre


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> System:
    require("unshare")
    return System(opened(tmp_path_factory.mktemp("etc")))


def _serve(system: System, tmp_path_factory: pytest.TempPathFactory, module: str) -> Iterator[Authd]:
    root = opened(tmp_path_factory.mktemp(module))
    write_authdaemonrc(root / "etc", root / "run", module)
    daemon = Authd(root / "etc", root / "run")
    daemon.start(prefix=system.prefix)
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def authpwd(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authd]:
    yield from _serve(system, tmp_path_factory, "authpwd")


@pytest.fixture(scope="module")
def authshadow(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authd]:
    yield from _serve(system, tmp_path_factory, "authshadow")


def test_accounts_are_those_of_couriers_authpam(
    system: System, authshadow: Authd, tmp_path_factory: pytest.TempPathFactory
) -> None:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("courier"))
    write_authdaemonrc(root / "etc", root / "run", "authpam")
    with Courier(root, root / "etc", system.mounts) as courier:
        for user in USERS:
            if user not in ("noshadow", "inpasswd", "nopassword"):
                assert exchange(authshadow.socket, pre(user)) == exchange(courier.socket, pre(user))
        listed = exchange(courier.socket, b"ENUMERATE\n")
    assert exchange(authshadow.socket, b"ENUMERATE\n") == listed.replace(b"# authpam", b"# authshadow")


def test_authpwd_compares_with_the_password_file_alone(authpwd: Authd) -> None:
    account = exchange(authpwd.socket, login("inpasswd", "secret"))
    assert account.startswith(b"USERNAME=inpasswd\nGID=2002\nHOME=/home/i\nADDRESS=inpasswd\n")
    assert account.endswith(b"\nPASSWD2=secret\n.\n")
    for user in ("usera", "nopassword", "noshadow", "nosuch"):
        for password in ("secret", "x", "wrong"):
            assert exchange(authpwd.socket, login(user, password)) == b"FAIL\n"


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("usera", "password matches"),
        ("user@example.org", "password matches"),
        ("expired", "account has expired"),
        ("old", "password has expired"),
        ("mustchange", "password has expired"),
        ("locked", "account is locked"),
        ("noshadow", "no such user"),
        ("inpasswd", "no such user"),
        ("nosuch", "no such user"),
    ],
)
def test_who_is_locked_or_expired_is_refused(authshadow: Authd, user: str, reason: str) -> None:
    reply = exchange(authshadow.socket, login(user, "secret"))
    assert reply.endswith(b"\nPASSWD2=secret\n.\n") if reason == "password matches" else reply == b"FAIL\n"
    assert f'user="{user}" reason="{reason}"' in authshadow.logged()


def test_who_does_not_know_the_password_is_not_told_of_the_account(authshadow: Authd) -> None:
    assert exchange(authshadow.socket, login("expired", "wrong")) == b"FAIL\n"
    assert 'user="expired" reason="wrong password"' in authshadow.logged()


def test_passwords_are_not_changed(authshadow: Authd) -> None:
    assert exchange(authshadow.socket, passwd("imap", "usera", "secret", "new")) == b"FAIL\n"
    assert exchange(authshadow.socket, login("usera", "secret")).endswith(b"\n.\n")
    assert "authshadow changes no passwords" in authshadow.logged()
