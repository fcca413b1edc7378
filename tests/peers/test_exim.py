"""Exim checks passwords at authd: by the examples that Debian ships, and as it asks Dovecot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.daemon import Authd
from tests.support.exim import EXAMPLES, EXIM, Exim, example
from tests.support.howto import block, setting
from tests.support.mariadb import MariaDB
from tests.support.site import make_mysql_site
from tests.support.smtp import connect, login_code, try_login

LOGINS = [
    ("user@default.example", "secret", True),
    ("postmaster@extmail.org", "extmail", True),
    ("user", "secret", True),
    ("postmaster@extmail.org", "wrong", False),
    ("nobody@example.org", "secret", False),
    ("locked@hash.example", "!", False),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("unshare", EXIM, str(EXAMPLES))
    return opened(tmp_path_factory.mktemp("exim"))


@pytest.fixture(scope="module")
def authd(extmail: MariaDB, base: Path) -> Iterator[Authd]:
    """Its directory is where Exim, in its namespace, finds ``/run/courier/authdaemon``."""
    (base / "run").mkdir()
    listen = (
        setting("exim", "AUTHD_LISTEN")
        .replace("/run/courier/authdaemon/", "")
        .replace("group=Debian-exim", "mode=0666")
    )
    with make_mysql_site(base, extmail, AUTHD_LISTEN=listen, AUTHD_LOGIN_TEMPFAIL="close") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def by_courier_s_socket(authd: Authd, base: Path) -> Iterator[Exim]:
    authenticators = example("plain_courier_authdaemon", "login_courier_authdaemon")
    assert authenticators.count("/run/courier/authdaemon/socket") == 2
    with Exim(base / "courier", authenticators, {"/run/courier/authdaemon": authd.run}) as server:
        yield server


@pytest.fixture(scope="module")
def as_dovecot(authd: Authd, base: Path) -> Iterator[Exim]:
    authenticators = block("exim", "/etc/exim4/conf.d/auth/20_authd")
    with Exim(base / "dovecot", authenticators, {"/run/courier/authdaemon": authd.run}) as server:
        yield server


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(("user", "password", "good"), LOGINS)
def test_debian_s_examples(by_courier_s_socket: Exim, mechanism: str, user: str, password: str, good: bool) -> None:
    code = login_code(by_courier_s_socket.port, mechanism, user, password)
    assert code == (235 if good else 535), by_courier_s_socket.logged()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(("user", "password", "good"), LOGINS)
def test_the_dovecot_driver(as_dovecot: Exim, mechanism: str, user: str, password: str, good: bool) -> None:
    code = login_code(as_dovecot.port, mechanism, user, password)
    assert code == (235 if good else 535), as_dovecot.logged()


def test_an_outage(by_courier_s_socket: Exim, as_dovecot: Exim, mariadb: MariaDB) -> None:
    """Debian's examples know no temporary failure; the driver does, and the next login is as good as ever."""
    mariadb.stop()
    try:
        assert login_code(by_courier_s_socket.port, "PLAIN", "user", "secret") == 535
        with connect(as_dovecot.port) as session:
            assert try_login(session, "PLAIN", "user", "secret") == 435
            assert try_login(session, "LOGIN", "user", "secret") == 435
    finally:
        mariadb.start()
    for exim in (by_courier_s_socket, as_dovecot):
        assert login_code(exim.port, "PLAIN", "user", "secret") == 235


def test_the_address_is_told(authd: Authd, as_dovecot: Exim) -> None:
    assert login_code(as_dovecot.port, "PLAIN", "user", "not this") == 535
    assert 'login: result=reject module=authmysql service="smtp" user="user" ip="127.0.0.1"' in authd.logged()
