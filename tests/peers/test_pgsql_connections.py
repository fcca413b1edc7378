"""Where PGSQL_CONNECTION leads: libpq's own rules decide, for Courier and for authd."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import opened, require
from tests.support.accounts import fill_postgres
from tests.support.certificates import Authority
from tests.support.courier import DAEMON
from tests.support.daemon import Authd, run_command
from tests.support.network import Network
from tests.support.pair import Pair
from tests.support.postgres import PROGRAMS, USER, Postgres
from tests.support.sysconf import changed, edit, pgsqlrc, write_authdaemonrc
from tests.support.wire import exchange, pre

LOOKUP = pre("user@example.org")
ENVIRONMENT = {"PGUSER": "extmail", "PGPASSWORD": "extmail"}


def _rc(port: int, connection: str | None, **more: str | None) -> str:
    rc = pgsqlrc(port).replace("\\\n", " ")
    return changed(rc, **{"PGSQL_CONNECTION": connection, "PGSQL_DATABASE": None, **more})


@pytest.fixture(scope="module")
def server(postgres: Postgres) -> Postgres:
    fill_postgres(postgres)
    postgres.execute("DROP DATABASE IF EXISTS other", database="template1")
    postgres.execute("CREATE DATABASE other", database="template1")
    return postgres


def _pair(root: Path, server: Postgres, **more: str) -> Pair:
    write_authdaemonrc(root / "etc", root / "authd", "authpgsql", daemons="1", **more)
    (root / "etc" / "authpgsqlrc").write_text(pgsqlrc(server.port))
    return Pair(root, root / "etc", root / "authd")


@pytest.fixture(scope="module")
def pair(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    services = root / "services"
    where = f"host=127.0.0.1\nport={server.port}\nuser=extmail\npassword=extmail\n"
    services.write_text(f"[mail]\n{where}dbname=extmail\n[other]\n{where}dbname=other\n[short]\n{where}")
    services.chmod(0o644)
    with _pair(root, server, PGSERVICEFILE=str(services)) as both:
        yield both


URI = "postgresql://extmail:extmail@127.0.0.1:{port}"
PAIRS = "host=127.0.0.1 port={port} user=extmail password=extmail"
CONNECTIONS = (
    f"{URI}/extmail",
    f"{URI}/other",
    URI,
    f"{URI}/",
    f"{URI}?dbname=extmail",
    f"{URI}/extmail?connect_timeout=3&application_name=x",
    f"{URI}/extmail?sslmode=disable",
    "postgres://extmail:ext%6Dail@127.0.0.1:{port}/extmail",
    "postgresql:///extmail?host=127.0.0.1&port={port}&user=extmail&password=extmail",
    "postgresql://extmail:extmail@127.0.0.1:1,127.0.0.1:{port}/extmail",
    "postgresql://extmail:extmail@127.0.0.1:1,127.0.0.1:{port}/extmail?target_session_attrs=read-write",
    "service=mail",
    "service=other",
    "service=short",
    "service=nosuch",
    "service=mail dbname=other",
    "postgresql://?service=mail",
    PAIRS,
    f"{PAIRS} dbname=extmail",
    f"{PAIRS} dbname=other",
    f"{PAIRS} dbname=''",
    "host=127.0.0.1,127.0.0.1 port=1,{port} user=extmail password=extmail",
    "host=127.0.0.1,127.0.0.1 port=1,{port} user=extmail password=extmail target_session_attrs=read-write",
    "host=127.0.0.1,127.0.0.1 port={port} user=extmail password=extmail target_session_attrs=any",
    "hostaddr=127.0.0.1 port={port} user=extmail password=extmail",
    "host='' hostaddr=127.0.0.1 port={port} user=extmail password=extmail options=''",
)


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_it_leads_where_it_leads_courier(pair: Pair, server: Postgres, connection: str) -> None:
    edit(pair.etc / "authpgsqlrc", _rc(server.port, connection.format(port=server.port)))
    courier, authd = pair.ask(LOOKUP)
    assert authd == courier


def test_a_service_is_not_led_elsewhere(pair: Pair, server: Postgres) -> None:
    """By a PGSQL_DATABASE such as Courier's sample file has, which Courier does not look at."""
    edit(pair.etc / "authpgsqlrc", _rc(server.port, "service=mail", PGSQL_DATABASE="template1", PGSQL_HOST="/x"))
    courier, authd = pair.ask(LOOKUP)
    assert authd == courier
    assert authd.endswith(b"\n.\n")


@pytest.mark.parametrize("connection", ["", "dbname=extmail", "user=extmail", "user=nosuch"])
def test_variables_of_authdaemonrc_count(root: Path, server: Postgres, connection: str) -> None:
    require("unshare", DAEMON)
    where = {**ENVIRONMENT, "PGHOST": "127.0.0.1", "PGPORT": str(server.port)}
    with _pair(root, server, **where) as pair:
        edit(pair.etc / "authpgsqlrc", _rc(server.port, connection))
        courier, authd = pair.ask(LOOKUP)
        assert authd == courier
        assert authd.endswith(b"\n.\n") is ("nosuch" not in connection)


@pytest.fixture
def site(root: Path, server: Postgres) -> Iterator[Authd]:
    write_authdaemonrc(root / "etc", root / "run", "authpgsql", daemons="1", AUTHD_DATABASE_TIMEOUT="5")
    (root / "etc" / "authpgsqlrc").write_text(pgsqlrc(server.port))
    with Authd(root / "etc", root / "run") as daemon:
        yield daemon


@pytest.mark.parametrize(
    "connection",
    [
        "postgresql://mail:geheim@127.0.0.1:1/mail",
        "postgresql://mail:geheim@127.0.0.1:1/mail?nosuch=1",
        "postgresql://mail:geh%ZZeim@127.0.0.1/mail",
        "postgresql://mail:geheim@[127.0.0.1/mail",
        "host=127.0.0.1 port=1 user=mail password=geheim",
        "host=127.0.0.1 port=1 user=mail password=x geheim",
        "host=127.0.0.1 port=1 password='geheim",
        "postgresql://mail:geheim@127.0.0.1:1,127.0.0.1:2/mail",
    ],
)
def test_no_password_is_told(site: Authd, server: Postgres, connection: str) -> None:
    edit(site.etc / "authpgsqlrc", _rc(server.port, connection))
    reply = exchange(site.socket, LOOKUP)
    status, told, complaints = run_command("authd", "check", "--sysconfdir", str(site.etc))
    assert status == 1
    for text in (site.logged(), told, complaints):
        assert "geheim" not in text
        assert "ZZeim" not in text
    # What can't be used leaves the settings of before in force.
    assert reply == b"" or "PGSQL_CONNECTION: not a connection string" in site.logged()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    require("openssl")
    return Authority(opened(tmp_path_factory.mktemp("tls")))


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server with TLS."""
    require(str(PROGRAMS / "postgres"))
    certificate = authority.issue("server")
    key = certificate.with_suffix(".key")
    shutil.chown(key, USER)
    key.chmod(0o600)
    options = ("-c", "ssl=on", "-c", f"ssl_cert_file={certificate}", "-c", f"ssl_key_file={key}")
    with Postgres(opened(tmp_path_factory.mktemp("secure")) / "server", options=options) as server:
        fill_postgres(server)
        yield server


def _without_tls(greeting: bytes) -> bytes:
    """Return what an attacker makes of a server's answer to the question for TLS."""
    return b"N" if greeting == b"S" else greeting


@pytest.mark.parametrize(
    ("more", "is_demanded"),
    [
        ("sslrootcert={authority}", True),
        ("sslrootcert={authority} sslmode=require", True),
        ("sslrootcert={authority} sslmode=prefer", False),
        ("sslrootcert={authority} sslmode=disable", False),
        ("sslcert={authority} sslkey={key}", True),
        ("", False),
    ],
)
def test_a_certificate_means_tls(
    site: Authd, server: Postgres, secure: Postgres, authority: Authority, more: str, is_demanded: bool
) -> None:
    client = authority.root / "client.key"
    if not client.exists():
        authority.issue("client")
    client.chmod(0o600)
    files: dict[str, Any] = {"authority": authority.file, "key": client}
    if "sslcert" in more:
        files["authority"] = client.with_suffix(".pem")
    tls = more.format(**files)
    for target in (server, secure) if is_demanded else (server,):
        with Network(target.port) as network:
            network.greet = _without_tls
            edit(site.etc / "authpgsqlrc", _rc(target.port, f"{PAIRS.format(port=network.port)} {tls}"))
            assert exchange(site.socket, LOOKUP).endswith(b"\n.\n") is not is_demanded
            assert (b"extmail" in network.asked) is not is_demanded
    edit(site.etc / "authpgsqlrc", _rc(secure.port, f"{PAIRS.format(port=secure.port)} {tls}"))
    assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")


@pytest.mark.parametrize(("said", "goes_on"), [("", False), ("sslmode=prefer\n", True)])
@pytest.mark.parametrize(
    ("connection", "variable"),
    [
        ("service=mail sslrootcert={file}", ""),
        ("service=mail", ""),
        ("", "mail"),
    ],
)
def test_a_certificate_of_a_service_means_tls_unless_its_file_says_otherwise(
    root: Path, server: Postgres, authority: Authority, said: str, goes_on: bool, connection: str, variable: str
) -> None:
    services = root / "services"
    in_file = "" if "sslrootcert" in connection else f"sslrootcert={authority.file}\n"
    variables = {"PGSERVICEFILE": str(services), **({"PGSERVICE": variable} if variable else {})}
    with Network(server.port) as network:
        where = PAIRS.format(port=network.port).replace(" ", "\n")
        services.write_text(f"[mail]\n{where}\ndbname=extmail\n{in_file}{said}")
        write_authdaemonrc(root / "etc", root / "run", "authpgsql", daemons="1", **variables)
        rc = _rc(server.port, connection.format(file=authority.file))
        (root / "etc" / "authpgsqlrc").write_text(rc)
        with Authd(root / "etc", root / "run") as site:
            assert exchange(site.socket, LOOKUP).endswith(b"\n.\n") is goes_on
        assert (b"extmail" in network.asked) is goes_on


def test_an_authority_of_a_service_that_is_not_there_is_an_error(root: Path, secure: Postgres) -> None:
    services = root / "services"
    where = PAIRS.format(port=secure.port).replace(" ", "\n")
    services.write_text(f"[mail]\n{where}\ndbname=extmail\nsslrootcert=/nonexistent/ca.pem\nsslmode=require\n")
    write_authdaemonrc(root / "etc", root / "run", "authpgsql", daemons="1", PGSERVICEFILE=str(services))
    (root / "etc" / "authpgsqlrc").write_text(_rc(secure.port, "service=mail"))
    with Authd(root / "etc", root / "run") as site:
        assert exchange(site.socket, LOOKUP) == b""
        assert "/nonexistent/ca.pem" in site.logged()


@pytest.mark.parametrize("mode", ["", "sslmode=require", "sslmode=verify-ca"])
def test_an_authority_that_is_not_there_is_named(site: Authd, secure: Postgres, mode: str) -> None:
    connection = f"{PAIRS.format(port=secure.port)} sslrootcert=/nonexistent/ca.pem {mode}"
    edit(site.etc / "authpgsqlrc", _rc(secure.port, connection))
    assert exchange(site.socket, LOOKUP) == b""
    assert "/nonexistent/ca.pem" in site.logged()
    _, told, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
    assert "correct sslrootcert in PGSQL_CONNECTION" in told
