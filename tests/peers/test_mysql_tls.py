"""A TLS setting of authmysqlrc means TLS or a temporary failure, and one that can't be used is named."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from authd.modules.authmysql import AuthMysql
from authd.modules.base import TemporaryFailure
from tests.conftest import REQUIRED, opened, require
from tests.support.accounts import fill
from tests.support.certificates import Authority
from tests.support.courier import DAEMON, Courier
from tests.support.daemon import Authd, run_command
from tests.support.mariadb import MariaDB
from tests.support.network import Network
from tests.support.site import make_mysql_site
from tests.support.stub import surroundings
from tests.support.sysconf import changed, edit, mysqlrc
from tests.support.wire import exchange, login, pre

LOOKUP = pre("user@example.org")
CLIENT_SSL = 0x0800


def _needs(name: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(name) is None and not os.environ.get(REQUIRED)
    return pytest.mark.skipif(missing, reason=f"needs {name}; make setup installs it")


DRIVERS = ["pymysql", pytest.param("mysqlclient", marks=_needs("MySQLdb"))]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    require("openssl")
    return Authority(opened(tmp_path_factory.mktemp("tls")))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    require("openssl")
    return Authority(opened(tmp_path_factory.mktemp("other")), "stranger")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A server without TLS."""
    require("mariadbd", "mariadb-install-db")
    with MariaDB(opened(tmp_path_factory.mktemp("plain")) / "server", ("--skip-ssl",)) as server:
        fill(server)
        yield server


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A server with TLS, whose certificate is for no address that it is asked for by."""
    require("mariadbd", "mariadb-install-db")
    certificate = authority.issue("server")
    options = (
        f"--ssl-ca={authority.file}",
        f"--ssl-cert={certificate}",
        f"--ssl-key={certificate.with_suffix('.key')}",
        "--plugin-load-add=auth_ed25519",
    )
    with MariaDB(opened(tmp_path_factory.mktemp("secure")) / "server", options) as server:
        fill(server)
        for user in ("tls@'127.0.0.1'", "tls@localhost"):
            server.execute(
                f"CREATE USER {user} IDENTIFIED BY 'extmail' REQUIRE SSL", f"GRANT SELECT ON extmail.* TO {user}"
            )
        yield server


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def site(root: Path, plain: MariaDB, driver: str) -> Iterator[Authd]:
    settings = {"AUTHD_MYSQL_DRIVER": driver, "AUTHD_DATABASE_TIMEOUT": "5"}
    with make_mysql_site(root, plain, daemons="1", **settings) as daemon:
        yield daemon


def _ask(site: Authd, server: MariaDB, port: int = 0, **settings: Any) -> bytes:
    """Return the reply to a lookup with `settings`, by TCP through `port` unless that is 0."""
    where: dict[str, str | None] = {}
    if port:
        where = {"MYSQL_SERVER": "127.0.0.1", "MYSQL_SOCKET": None, "MYSQL_PORT": str(port)}
    edit(site.etc / "authmysqlrc", changed(mysqlrc(server.socket), **{**where, **settings}))
    return exchange(site.socket, LOOKUP)


def _settings(authority: Authority) -> dict[str, dict[str, str]]:
    client = authority.root / "client.pem"
    if not client.exists():
        authority.issue("client")
    pair = {"MYSQL_SSL_CERT": str(client), "MYSQL_SSL_KEY": str(client.with_suffix(".key"))}
    return {
        "CACERT": {"MYSQL_SSL_CACERT": str(authority.file)},
        "CAPATH": {"MYSQL_SSL_CAPATH": "/etc/ssl/certs"},
        "CERT": pair,
        "KEY": {"MYSQL_SSL_KEY": pair["MYSQL_SSL_KEY"]},
        "CIPHER": {"MYSQL_SSL_CIPHER": "ECDHE-RSA-AES256-GCM-SHA384"},
        "CIPHER of TLS 1.3": {"MYSQL_SSL_CIPHER": "TLS_AES_256_GCM_SHA384"},
        "OPT": {"MYSQL_OPT": str(CLIENT_SSL)},
    }


NAMES = ("CACERT", "CAPATH", "CERT", "KEY", "CIPHER", "CIPHER of TLS 1.3", "OPT")


def _stripped(greeting: bytes) -> bytes:
    """Return a server's greeting as an attacker changes it: without the offer of TLS."""
    at = greeting.index(b"\0", 5) + 1 + 4 + 8 + 1
    flags = int.from_bytes(greeting[at : at + 2], "little")
    assert flags & CLIENT_SSL
    return greeting[:at] + (flags & ~CLIENT_SSL).to_bytes(2, "little") + greeting[at + 2 :]


@pytest.mark.parametrize("name", NAMES)
def test_no_setting_is_gone_on_without(
    site: Authd, plain: MariaDB, secure: MariaDB, authority: Authority, name: str
) -> None:
    """A server without TLS, and an attacker who takes the offer out, get neither the user's name nor its password."""
    settings = _settings(authority)[name]
    for server in (plain, secure):
        with Network(server.port) as network:
            if server is secure:
                network.greet = _stripped
            assert _ask(site, server, network.port, **settings) == b""
            assert exchange(site.socket, login("user@example.org", "secret")) == b"FAIL\n"
            assert b"extmail" not in network.asked
    assert 'reason="database unreachable: ' in site.logged()
    assert "the server has no TLS" in site.logged()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CAPATH"])
def test_every_setting_means_tls(site: Authd, secure: MariaDB, authority: Authority, name: str) -> None:
    """The host name is not verified, as by Courier: the server's certificate is not for 127.0.0.1."""
    settings = _settings(authority)[name]
    assert _ask(site, secure, secure.port, MYSQL_USERNAME="tls", **settings).endswith(b"\n.\n")


def test_nobody_in_between_is_trusted(site: Authd, secure: MariaDB, stranger: Authority) -> None:
    assert _ask(site, secure, secure.port, MYSQL_SSL_CACERT=str(stranger.file)) == b""
    assert "certificate verify failed" in site.logged()


@pytest.mark.parametrize("setting", ["CACERT", "CERT", "KEY", "CAPATH"])
@pytest.mark.parametrize("has_tls", [True, False])
def test_a_file_that_is_not_there_is_named(
    site: Authd, plain: MariaDB, secure: MariaDB, authority: Authority, setting: str, has_tls: bool
) -> None:
    server = secure if has_tls else plain
    more = _settings(authority)["CERT"] if setting == "KEY" else {}
    settings: dict[str, Any] = {**more, f"MYSQL_SSL_{setting}": "/nonexistent/file.pem"}
    assert _ask(site, server, server.port, **settings) == b""
    rc = site.etc / "authmysqlrc"
    line = next(
        number for number, line in enumerate(rc.read_text().splitlines(), 1) if line.startswith(f"MYSQL_SSL_{setting}")
    )
    said = f"{rc}:{line}: MYSQL_SSL_{setting}: /nonexistent/file.pem: No such file or directory"
    assert said in site.logged()
    status, told, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
    assert status == 1
    assert said in told
    assert "let the daemon's user read its file" in told


@pytest.mark.parametrize(
    ("setting", "content", "said"),
    [
        ("CACERT", "garbage", "no certificate or crl found"),
        ("CERT", "garbage", "without MYSQL_SSL_KEY"),
        ("CIPHER", None, "NOPE: no cipher can be selected"),
    ],
)
def test_what_can_not_be_used_is_named(
    site: Authd, secure: MariaDB, root: Path, setting: str, content: str | None, said: str
) -> None:
    value = "NOPE"
    if content is not None:
        file = root / "file.pem"
        file.write_text(content)
        value = str(file)
    settings: dict[str, Any] = {f"MYSQL_SSL_{setting}": value}
    assert _ask(site, secure, secure.port, **settings) == b""
    assert f"MYSQL_SSL_{setting}: {value}" in site.logged()
    assert said.lower() in site.logged().lower()


@pytest.mark.parametrize("name", ["missing", "good", "none"])
def test_it_does_not_matter_over_a_socket(
    site: Authd, plain: MariaDB, secure: MariaDB, authority: Authority, name: str
) -> None:
    settings: dict[str, Any] = {
        "missing": {"MYSQL_SSL_CACERT": "/nonexistent/file.pem", "MYSQL_SSL_CERT": "/nonexistent/cert.pem"},
        "good": {"MYSQL_SSL_CACERT": str(authority.file)},
        "none": {},
    }[name]
    for server in (plain, secure):
        assert _ask(site, server, **settings).endswith(b"\n.\n")


def test_a_user_who_must_use_tls_can_do_so_over_a_socket(
    site: Authd, plain: MariaDB, secure: MariaDB, authority: Authority, root: Path
) -> None:
    """As with Courier."""
    require("unshare", DAEMON)
    settings: dict[str, Any] = {"MYSQL_SSL_CACERT": str(authority.file), "MYSQL_USERNAME": "tls"}
    assert _ask(site, secure, **settings).endswith(b"\n.\n")
    with Courier(root, site.etc) as courier:
        assert exchange(courier.socket, LOOKUP).endswith(b"\n.\n")


def test_courier_goes_on_without(site: Authd, plain: MariaDB, authority: Authority, root: Path) -> None:
    """The difference that docs/compatibility.md lists."""
    require("unshare", DAEMON)
    assert _ask(site, plain, plain.port, MYSQL_SSL_CACERT=str(authority.file)) == b""
    with Courier(root, site.etc) as courier:
        assert exchange(courier.socket, LOOKUP).endswith(b"\n.\n")


@pytest.fixture
def ed25519(secure: MariaDB) -> MariaDB:
    for user in ("curve@'127.0.0.1'", "curve@localhost"):
        secure.execute(
            f"CREATE OR REPLACE USER {user} IDENTIFIED VIA ed25519 USING PASSWORD('extmail')",
            f"GRANT SELECT ON extmail.* TO {user}",
        )
    return secure


@_needs("nacl")
@pytest.mark.parametrize("password", ["pässwörd", "пароль"])
def test_a_password_is_the_bytes_of_the_file(site: Authd, ed25519: MariaDB, root: Path, password: str) -> None:
    require("unshare", DAEMON)
    with Courier(root, site.etc) as courier:
        for plugin in ("mysql_native_password", "ed25519"):
            ed25519.execute(
                f"CREATE OR REPLACE USER umlaut@localhost IDENTIFIED VIA {plugin} USING PASSWORD('{password}')",
                "GRANT SELECT ON extmail.* TO umlaut@localhost",
            )
            answer = _ask(site, ed25519, MYSQL_USERNAME="umlaut", MYSQL_PASSWORD=password)
            assert answer.endswith(b"\n.\n")
            assert exchange(courier.socket, LOOKUP) == answer


@_needs("nacl")
def test_a_user_of_ed25519(site: Authd, ed25519: MariaDB, authority: Authority) -> None:
    for more in ({}, {"MYSQL_SSL_CACERT": str(authority.file)}):
        assert _ask(site, ed25519, ed25519.port, MYSQL_USERNAME="curve", **more).endswith(b"\n.\n")
    assert _ask(site, ed25519, MYSQL_USERNAME="curve").endswith(b"\n.\n")


def test_what_a_user_of_ed25519_needs_is_told(root: Path, ed25519: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nacl", None)
    monkeypatch.setattr("pymysql._auth._nacl_bindings", None)
    edit(root / "authmysqlrc", changed(mysqlrc(ed25519.socket), MYSQL_USERNAME="curve"))
    module = AuthMysql(replace(surroundings(), sysconfdir=root))
    with pytest.raises(TemporaryFailure, match=r"curve logs in by client_ed25519, .* pip install 'authd\[ed25519\]'"):
        module.find(b"imap", b"user@example.org")
    assert "authd[ed25519]" in " ".join(str(problem) for problem in module.check())
