"""A FIFO where a library wants a file is named, and neither ``authd check`` nor a lookup waits for its other end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.certificates import Authority
from tests.support.daemon import Authd, run_command
from tests.support.sysconf import changed, ldaprc, mysqlrc, write_authdaemonrc
from tests.support.wire import exchange, pre

TLS = ("CACERT", "CERT", "KEY")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    require("openssl")
    authority = Authority(opened(tmp_path_factory.mktemp("tls")))
    authority.issue("client")
    return authority


def _files(authority: Authority, root: Path, fifo: str) -> dict[str, str]:
    """Return the path for each of `TLS`, that of `fifo` to a FIFO."""
    os.mkfifo(root / "fifo", 0o600)
    certificate = authority.root / "client.pem"
    files = {"CACERT": authority.file, "CERT": certificate, "KEY": certificate.with_suffix(".key")}
    return {name: str(root / "fifo" if name == fifo else path) for name, path in files.items()}


def _is_told(etc: Path, name: str, problem: str = "a FIFO, where a file is wanted") -> None:
    wanted = f"{name}: {etc.parent}/fifo: {problem}"
    code, said, _ = run_command("authd", "check", "--sysconfdir", str(etc))
    assert code == 1
    assert wanted in said
    with Authd(etc, etc.parent / "run") as daemon:
        assert exchange(daemon.socket, pre("user@example.org")) == b""
        assert wanted in daemon.logged()


@pytest.mark.parametrize("driver", ["pymysql", "mysqlclient"])
@pytest.mark.parametrize("fifo", TLS)
def test_mysql(root: Path, authority: Authority, fifo: str, driver: str) -> None:
    settings = {f"MYSQL_SSL_{name}": path for name, path in _files(authority, root, fifo).items()}
    where = {"MYSQL_SOCKET": None, "MYSQL_SERVER": "127.0.0.1", "MYSQL_PORT": "1"}
    write_authdaemonrc(root / "etc", root / "run", daemons="1", AUTHD_MYSQL_DRIVER=driver)
    (root / "etc/authmysqlrc").write_text(changed(mysqlrc(root / "socket"), **where, **settings))
    _is_told(root / "etc", f"MYSQL_SSL_{fifo}", "not a regular file")


@pytest.mark.parametrize("driver", ["pymysql", "mysqlclient"])
def test_a_directory_of_authorities(root: Path, driver: str) -> None:
    """OpenSSL opens what has the name of a certificate's hash, in the midst of a handshake."""
    os.mkfifo(root / "fifo", 0o600)
    authorities = root / "authorities"
    authorities.mkdir()
    (authorities / "0a1b2c3d.0").symlink_to(root / "fifo")
    where = {"MYSQL_SOCKET": None, "MYSQL_SERVER": "127.0.0.1", "MYSQL_PORT": "1", "MYSQL_SSL_CAPATH": str(authorities)}
    write_authdaemonrc(root / "etc", root / "run", daemons="1", AUTHD_MYSQL_DRIVER=driver)
    (root / "etc/authmysqlrc").write_text(changed(mysqlrc(root / "socket"), **where))
    code, said, _ = run_command("authd", "check", "--sysconfdir", str(root / "etc"))
    assert (code, f"MYSQL_SSL_CAPATH: {authorities}/0a1b2c3d.0: a FIFO, where a file is wanted" in said) == (1, True)


@pytest.mark.parametrize(
    ("named", "parameters", "variables"),
    [
        ("passfile", "passfile={fifo}", {}),
        ("sslrootcert", "sslrootcert={fifo}", {}),
        ("sslcert", "sslcert={fifo} sslkey=/nonexistent", {}),
        ("sslkey", "sslcert=/nonexistent sslkey={fifo}", {}),
        ("sslcrl", "sslcrl={fifo}", {}),
        ("sslcrldir", "sslcrldir={root}", {}),
        ("sslrootcert", "", {"PGSSLROOTCERT": "{fifo}"}),
        ("PGSERVICEFILE", "service=mail", {"PGSERVICEFILE": "{fifo}"}),
        ("PGSERVICEFILE", "", {"PGSERVICE": "mail", "PGSERVICEFILE": "{fifo}"}),
        ("passfile", "service=mail", {"PGSERVICEFILE": "{services}"}),
        ("sslrootcert", "service=rooted", {"PGSERVICEFILE": "{services}"}),
    ],
)
def test_pgsql(root: Path, named: str, parameters: str, variables: dict[str, str]) -> None:
    os.mkfifo(root / "fifo", 0o600)
    (root / "services").write_text(f"[rooted]\n  sslrootcert={root}/fifo\n[mail]\n# {root}\npassfile={root}/fifo\n")
    filled = {name: value.format(fifo=root / "fifo", services=root / "services") for name, value in variables.items()}
    write_authdaemonrc(root / "etc", root / "run", "authpgsql", daemons="1", **filled)
    connection = "host=127.0.0.1 port=1 user=nobody " + parameters.format(fifo=root / "fifo", root=root)
    (root / "run").mkdir()
    (root / "etc/authpgsqlrc").write_text(
        f"PGSQL_CONNECTION {connection}\nPGSQL_USER_TABLE mailbox\nPGSQL_CRYPT_PWFIELD password\n"
    )
    _is_told(root / "etc", named)


def test_the_directory_of_services(root: Path) -> None:
    os.mkfifo(root / "pg_service.conf", 0o600)
    write_authdaemonrc(root / "etc", root / "run", "authpgsql", daemons="1", PGSYSCONFDIR=str(root))
    (root / "run").mkdir()
    (root / "etc/authpgsqlrc").write_text(
        "PGSQL_CONNECTION service=mail\nPGSQL_USER_TABLE mailbox\nPGSQL_CRYPT_PWFIELD password\n"
    )
    code, said, _ = run_command("authd", "check", "--sysconfdir", str(root / "etc"))
    assert code == 1
    assert f"PGSYSCONFDIR: {root}/pg_service.conf: a FIFO, where a file is wanted" in said


@pytest.mark.parametrize("fifo", TLS)
def test_ldap(root: Path, authority: Authority, fifo: str) -> None:
    settings = {f"LDAPTLS_{name}": path for name, path in _files(authority, root, fifo).items()}
    write_authdaemonrc(root / "etc", root / "run", "authldap", daemons="1", **settings)
    (root / "etc/authldaprc").write_text(ldaprc("ldaps://127.0.0.1:1"))
    _is_told(root / "etc", f"LDAPTLS_{fifo}")
