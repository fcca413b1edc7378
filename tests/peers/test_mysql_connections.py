"""authmysql over socket, TCP and TLS, and with every way that the server may treat strings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.accounts import fill
from tests.support.courier import DAEMON, Courier
from tests.support.daemon import Authd
from tests.support.mariadb import MariaDB
from tests.support.site import make_mysql_site
from tests.support.sysconf import changed, edit, mysqlrc
from tests.support.wire import exchange, login, passwd, pre

LOOKUP = pre("user@example.org")


def _certificate(directory: Path, name: str, issuer: str | None) -> None:
    """Make a key and a certificate in `directory`, signed by `issuer` or by itself."""
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN={name}"]
    if issuer is None:
        commands = [[*new, "-x509", "-days", "2", "-out", f"{name}.pem"]]
    else:
        commands = [
            [*new, "-out", f"{name}.csr"],
            [
                "openssl",
                "x509",
                "-req",
                "-in",
                f"{name}.csr",
                "-CA",
                f"{issuer}.pem",
                "-CAkey",
                f"{issuer}.key",
                "-CAcreateserial",
                "-days",
                "2",
                "-out",
                f"{name}.pem",
            ],
        ]
    for command in commands:
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
    for file in directory.iterdir():
        file.chmod(0o644)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("openssl")
    directory = opened(tmp_path_factory.mktemp("tls"))
    _certificate(directory, "authority", None)
    _certificate(directory, "stranger", None)
    _certificate(directory, "server", "authority")
    _certificate(directory, "client", "authority")
    return directory


@pytest.fixture(scope="module")
def server(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    require("mariadbd", "mariadb-install-db")
    options = (
        f"--ssl-ca={certificates / 'authority.pem'}",
        f"--ssl-cert={certificates / 'server.pem'}",
        f"--ssl-key={certificates / 'server.key'}",
    )
    with MariaDB(opened(tmp_path_factory.mktemp("tls-server")) / "server", options) as server:
        fill(server)
        for name, demand in (("tls", "SSL"), ("x509", "X509")):
            server.execute(
                f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY 'extmail' REQUIRE {demand}",
                f"GRANT SELECT, UPDATE ON extmail.* TO {name}@'127.0.0.1'",
            )
        yield server


@pytest.fixture(scope="module")
def authd(server: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authd]:
    with make_mysql_site(opened(tmp_path_factory.mktemp("connections")), server, daemons="1") as daemon:
        yield daemon


def _configure(authd: Authd, server: MariaDB, **settings: str | None) -> None:
    edit(authd.etc / "authmysqlrc", changed(mysqlrc(server.socket), **settings))


def _tcp(server: MariaDB, **settings: str | None) -> dict[str, str | None]:
    return {"MYSQL_SERVER": "127.0.0.1", "MYSQL_SOCKET": None, "MYSQL_PORT": str(server.port), **settings}


def test_tcp(authd: Authd, server: MariaDB) -> None:
    _configure(authd, server, **_tcp(server))
    assert exchange(authd.socket, LOOKUP).endswith(b"\n.\n")


def test_localhost_is_the_socket_whatever_the_port(authd: Authd, server: MariaDB) -> None:
    """As the C client has it, and as our first users' files rely on."""
    _configure(authd, server, MYSQL_PORT="1")
    assert exchange(authd.socket, LOOKUP).endswith(b"\n.\n")


def test_an_address_is_tcp_whatever_the_socket(authd: Authd, server: MariaDB) -> None:
    _configure(authd, server, MYSQL_SERVER="127.0.0.1", MYSQL_PORT=str(server.port))
    assert exchange(authd.socket, LOOKUP).endswith(b"\n.\n")


def test_tls(authd: Authd, server: MariaDB, certificates: Path) -> None:
    authority = {"MYSQL_SSL_CACERT": str(certificates / "authority.pem")}
    _configure(authd, server, **_tcp(server, MYSQL_USERNAME="tls", **authority))
    assert exchange(authd.socket, LOOKUP).endswith(b"\n.\n")
    _configure(
        authd, server, **_tcp(server, MYSQL_USERNAME="tls", MYSQL_SSL_CIPHER="ECDHE-RSA-AES256-GCM-SHA384", **authority)
    )
    assert exchange(authd.socket, LOOKUP).endswith(b"\n.\n")


def test_a_stranger_is_not_trusted(authd: Authd, server: MariaDB, certificates: Path) -> None:
    _configure(authd, server, **_tcp(server, MYSQL_USERNAME="tls", MYSQL_SSL_CACERT=str(certificates / "stranger.pem")))
    assert exchange(authd.socket, LOOKUP) == b""
    assert "certificate verify failed" in authd.logged()


@pytest.mark.parametrize("authority", ["authority", "stranger"])
def test_the_same_servers_are_trusted_as_by_courier(
    authd: Authd, server: MariaDB, certificates: Path, root: Path, authority: str
) -> None:
    """The authority is verified, the host name is not: the server's certificate is not for 127.0.0.1."""
    require("unshare", DAEMON)
    _configure(
        authd, server, **_tcp(server, MYSQL_USERNAME="tls", MYSQL_SSL_CACERT=str(certificates / f"{authority}.pem"))
    )
    with Courier(root, authd.etc) as courier:
        replies = exchange(courier.socket, LOOKUP), exchange(authd.socket, LOOKUP)
    assert replies[0] == replies[1]
    assert bool(replies[0]) is (authority == "authority")


def test_a_client_certificate(authd: Authd, server: MariaDB, certificates: Path) -> None:
    tls = _tcp(server, MYSQL_USERNAME="x509", MYSQL_SSL_CACERT=str(certificates / "authority.pem"))
    _configure(authd, server, **tls)
    assert exchange(authd.socket, LOOKUP) == b""
    _configure(
        authd,
        server,
        **tls,
        MYSQL_SSL_CERT=str(certificates / "client.pem"),
        MYSQL_SSL_KEY=str(certificates / "client.key"),
    )
    assert exchange(authd.socket, LOOKUP).endswith(b"\n.\n")


INJECTIONS = (
    b"' OR 1=1 -- ",
    b"\\' OR 1=1 -- ",
    b"\xbf' OR 1=1 -- ",
    b"\xbf\\' OR 1=1 -- ",
    b"\x95\\' OR 1=1 -- ",
    b"x\\",
    b'" OR 1=1 -- ',
    b"%' OR '%",
    b"'; UPDATE mailbox SET clearpwd='x' -- ",
    b"\xa1\xe5' OR 1=1 -- ",
    b"$(domain)' OR 1=1 -- ",
)

SELECT = (
    "SELECT username,password,clearpwd,uidnumber,gidnumber,homedir FROM mailbox "
    "WHERE username='$(local_part)@$(domain)' OR username='$(local_part)' OR concat(\"$(service)\",'')='x'' OR 1=1'"
)


@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES", "ANSI"])
@pytest.mark.parametrize("charset", ["utf8mb4", "latin1", "gbk", "sjis", "big5", "cp932"])
@pytest.mark.parametrize("clause", [None, SELECT])
def test_nothing_that_a_client_sends_becomes_sql(
    authd: Authd, server: MariaDB, mode: str, charset: str, clause: str | None
) -> None:
    server.execute(f"SET GLOBAL sql_mode='{mode}'")
    try:
        if clause and mode == "ANSI":
            clause = clause.replace('"', "'")
        _configure(authd, server, MYSQL_CHARACTER_SET=charset, MYSQL_SELECT_CLAUSE=clause)
        reply = exchange(authd.socket, LOOKUP)
        assert reply.startswith(b"UID=1000\n")
        assert (b"MAILDIR" in reply) is (clause is None)
        assert exchange(authd.socket, pre("it's@example.org")).endswith(b"\n.\n")
        assert exchange(authd.socket, pre("back\\slash@example.org")).endswith(b"\n.\n")
        for injection in INJECTIONS:
            for request in (
                pre(injection),
                login(injection, injection.replace(b"\n", b"")),
                pre(injection + b"@example.org"),
                pre("nobody@example.org", injection.decode("latin1")),
            ):
                assert exchange(authd.socket, request) == b"FAIL\n", request
            change = b"PASSWD imap\tuser@example.org\tsecret\t" + injection + b"\n"
            if exchange(authd.socket, change) == b"OK\n":
                back = b"PASSWD imap\tuser@example.org\t" + injection + b"\tsecret\n"
                assert exchange(authd.socket, back) == b"OK\n"
            assert exchange(authd.socket, passwd("imap", injection, "a", "b")) == b"FAIL\n"
    finally:
        server.execute("SET GLOBAL sql_mode=DEFAULT")
    with server.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM mailbox WHERE clearpwd='x'")
        assert cursor.fetchone() == (0,)
