"""The hint of ``authd check`` fits what is wrong: each engine, its own words, and the setting that they are about."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.peers.test_ldap_connections import Authority
from tests.support.accounts import LDAP_ENTRIES, fill
from tests.support.daemon import Authd, command, run_command
from tests.support.mariadb import MariaDB
from tests.support.postgres import Postgres
from tests.support.processes import free_tcp_port
from tests.support.slapd import Slapd
from tests.support.sysconf import changed, ldaprc, mysqlrc, pgsqlrc, write_authdaemonrc

Problem = tuple[str, str]


def problem(etc: Path) -> Problem:
    """Return the first error that ``authd check`` tells, and its hint."""
    code, said, complaint = run_command("authd", "check", "--sysconfdir", str(etc))
    assert (code, complaint) == (1, ""), said
    line = next(line for line in said.splitlines() if line.startswith("error: "))
    told, _, hint = line.rpartition("rc: ")[2].rpartition(" failed: ")[2].partition("; ")
    return told, hint


@pytest.fixture
def etc(root: Path) -> Path:
    (root / "run").mkdir()
    return root / "etc"


@pytest.fixture(scope="module")
def server(mariadb: MariaDB) -> MariaDB:
    fill(mariadb)
    return mariadb


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    require("openssl")
    return Authority(opened(tmp_path_factory.mktemp("tls")) / "authority")


class TestMysql:
    def check(self, etc: Path, server: MariaDB, **settings: str | None) -> Problem:
        write_authdaemonrc(etc, etc.parent / "run", AUTHD_DATABASE_TIMEOUT="5")
        (etc / "authmysqlrc").write_text(changed(mysqlrc(server.socket), **settings))
        return problem(etc)

    @pytest.mark.parametrize(
        ("settings", "hint"),
        [
            ({"MYSQL_SOCKET": "/nonexistent/sock"}, "start the database, or correct MYSQL_SOCKET"),
            (
                {"MYSQL_SERVER": "127.0.0.1", "MYSQL_SOCKET": None, "MYSQL_PORT": "{free}"},
                "start the database, or correct MYSQL_SERVER or MYSQL_PORT",
            ),
            ({"MYSQL_SERVER": "no-such-host.invalid", "MYSQL_SOCKET": None}, "correct the host in MYSQL_SERVER"),
            (
                {"MYSQL_PASSWORD": "wrong"},
                "correct MYSQL_USERNAME or MYSQL_PASSWORD, or create that user for this host",
            ),
            ({"MYSQL_DATABASE": "nosuch"}, "correct MYSQL_DATABASE, or grant MYSQL_USERNAME its rights on it"),
            (
                {"MYSQL_USERNAME": "root", "MYSQL_PASSWORD": "", "MYSQL_DATABASE": "nosuch"},
                "correct MYSQL_DATABASE, or create it",
            ),
        ],
    )
    def test_where_and_as_whom(self, etc: Path, server: MariaDB, settings: dict[str, str], hint: str) -> None:
        filled = {name: value and value.format(free=free_tcp_port()) for name, value in settings.items()}
        assert self.check(etc, server, **filled)[1] == hint

    @pytest.mark.parametrize("driver", ["pymysql", "mysqlclient"])
    def test_a_socket_that_a_dead_server_left(self, etc: Path, root: Path, server: MariaDB, driver: str) -> None:
        left = root / "left.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(left))
        write_authdaemonrc(etc, root / "run", AUTHD_MYSQL_DRIVER=driver)
        (etc / "authmysqlrc").write_text(changed(mysqlrc(server.socket), MYSQL_SOCKET=str(left)))
        told, hint = problem(etc)
        assert (str(left) in told, hint) == (True, "start the database, or correct MYSQL_SOCKET")

    def test_too_many_connections(self, etc: Path, root: Path) -> None:
        require("mariadbd")
        with MariaDB(root / "small", ("--max-connections=10",)) as server:
            server.execute("CREATE USER few IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS 1", "CREATE DATABASE extmail")
            server.execute("GRANT ALL ON extmail.* TO few")
            with server.connect() as one:
                one.ping()
                import pymysql  # noqa: PLC0415

                with pymysql.connect(unix_socket=str(server.socket), user="few", password="few"):
                    told, hint = self.check(etc, server, MYSQL_USERNAME="few", MYSQL_PASSWORD="few")
        assert hint == "raise max_connections, or that user's limit, to more than the workers in daemons"
        assert "few" in told


class TestPgsql:
    @pytest.mark.parametrize(
        ("connection", "hint"),
        [
            ("host=127.0.0.1 port={free} user=root", "start the database, or correct host or port in PGSQL_CONNECTION"),
            ("host=no-such-host.invalid user=root", "correct host in PGSQL_CONNECTION"),
            (
                "host=/nonexistent user=root",
                "start the database, or correct host, the directory of its socket, or port in PGSQL_CONNECTION",
            ),
            ("host=127.0.0.1 port={port} user=nosuch", "correct user in PGSQL_CONNECTION, or create the role"),
            (
                "host=127.0.0.1 port={port} user=root sslmode=require",
                "give the server TLS, or correct sslmode in PGSQL_CONNECTION",
            ),
        ],
    )
    def test_where_and_as_whom(self, etc: Path, postgres: Postgres, connection: str, hint: str) -> None:
        write_authdaemonrc(etc, etc.parent / "run", "authpgsql", AUTHD_DATABASE_TIMEOUT="5")
        rc = pgsqlrc(postgres.port)
        where = rc[rc.index("PGSQL_CONNECTION") : rc.index("PGSQL_DATABASE")]
        filled = connection.format(free=free_tcp_port(), port=postgres.port)
        rc = rc.replace(where, f"PGSQL_CONNECTION {filled}\n")
        (etc / "authpgsqlrc").write_text(changed(rc, PGSQL_DATABASE="template1"))
        assert problem(etc)[1] == hint
        if "nosuch" in connection:
            (etc / "authpgsqlrc").write_text(changed(rc.replace("user=nosuch", "user=root"), PGSQL_DATABASE="nosuch"))
            assert problem(etc)[1] == "correct PGSQL_DATABASE, or dbname in PGSQL_CONNECTION, or create the database"


class TestSqlite:
    def check(self, site: Authd, database: Path) -> Problem:
        site.run.mkdir(exist_ok=True)
        rc = site.etc / "authsqliterc"
        rc.write_text(changed(rc.read_text(), SQLITE_DATABASE=str(database)))
        return problem(site.etc)

    def test_what_is_missing(self, site: Authd, root: Path) -> None:
        assert (
            self.check(site, root / "none" / "db")[1]
            == f"there is no directory {root / 'none'}; correct SQLITE_DATABASE"
        )
        hint = self.check(site, root / "none.db")[1]
        assert hint == f"there is no file {root / 'none.db'}; correct SQLITE_DATABASE, or create it (authd never does)"
        assert not (root / "none.db").exists()

    def test_what_is_no_database(self, site: Authd, root: Path) -> None:
        (root / "text").write_text("not a database, but long enough that it could be one\n" * 40)
        assert (
            self.check(site, root / "text")[1]
            == f"name an SQLite 3 file in SQLITE_DATABASE, or restore {root / 'text'}"
        )
        assert self.check(site, root)[1] == f"{root} is a directory; name a file in SQLITE_DATABASE"

    def test_a_locked_one(self, site: Authd, root: Path) -> None:
        write_authdaemonrc(site.etc, site.run, "authsqlite", AUTHD_DATABASE_TIMEOUT="1")
        database = root / "accounts.db"
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            hint = self.check(site, database)[1]
        assert hint == f"end the program that has {database} locked, or raise AUTHD_DATABASE_TIMEOUT"

    @pytest.mark.parametrize("closed", ["file", "directory"])
    def test_no_right(self, site: Authd, root: Path, closed: str) -> None:
        require("setpriv")
        directory = root / "private"
        directory.mkdir()
        database = (root / "accounts.db").rename(directory / "accounts.db")
        (database if closed == "file" else directory).chmod(0o600)
        rc = site.etc / "authsqliterc"
        rc.write_text(changed(rc.read_text(), SQLITE_DATABASE=str(database)))
        site.run.mkdir()
        nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--")
        done = subprocess.run(
            [*nobody, command("authd"), "check", "--sysconfdir", str(site.etc)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert f"error: {database}: the daemon's user nobody can't read it; chgrp a group of nobody" in done.stdout
        assert f"and let nobody enter {directory}\n" in done.stdout


WANTS_TLS = "the server wants TLS: set LDAP_TLS to 1, or ldaps:// in LDAP_URI, with LDAPTLS_CACERT in authdaemonrc"

CERTIFICATE = (
    "correct LDAPTLS_CACERT in authdaemonrc, the authority of the server's certificate, which must be valid and for the host in "
    "LDAP_URI"
)


class TestLdap:
    def check(self, etc: Path, uri: str, rc: dict[str, str | None], **more: str) -> Problem:
        write_authdaemonrc(etc, etc.parent / "run", "authldap", **more)
        (etc / "authldaprc").write_text(changed(ldaprc(uri), **rc))
        return problem(etc)

    def test_where_and_as_whom(self, etc: Path, root: Path) -> None:
        require("slapd", "slapadd")
        server = Slapd(root / "server")
        server.make(LDAP_ENTRIES)
        with server:
            wrong: tuple[tuple[dict[str, str | None], str], ...] = (
                ({"LDAP_BINDPW": "wrong"}, "correct LDAP_BINDDN or LDAP_BINDPW"),
                ({"LDAP_BINDDN": "no dn"}, "correct LDAP_BINDDN"),
                ({"LDAP_BASEDN": "no dn"}, "correct LDAP_BASEDN"),
                ({"LDAP_BASEDN": "o=nosuch"}, "correct LDAP_BASEDN"),
                ({"LDAP_BINDPW": None}, "set LDAP_BINDPW, or LDAP_INITBIND to 0"),
                ({"LDAP_MAIL": "=login"}, "correct LDAP_MAIL, LDAP_FILTER or LDAP_ENUMERATE_FILTER"),
                ({"LDAP_URI": "ldap://127.0.0.1:port"}, "correct LDAP_URI, such as ldap://localhost:389"),
                (
                    {"LDAP_URI": server.uri.replace("ldap:", "ldaps:")},
                    "write ldap:// in LDAP_URI, or the server's port for ldaps://, which is 636 elsewhere",
                ),
                (
                    {"LDAP_TLS": "1"},
                    "correct LDAP_PROTOCOL_VERSION, or LDAP_TLS where the server has no StartTLS",
                ),
            )
            for rc, hint in wrong:
                assert self.check(etc, server.uri, rc)[1] == hint
            assert self.check(etc, server.uri, {"LDAP_BINDPW": "wrong"})[0] == "bind for lookups: Invalid credentials"
        assert self.check(etc, server.uri, {}) == (
            f"{server.uri}: Can't contact LDAP server",
            "start the server, or correct LDAP_URI",
        )

    def test_attributes_that_the_schema_lacks(self, etc: Path, root: Path) -> None:
        require("slapd", "slapadd")
        server = Slapd(root / "server")
        server.make(LDAP_ENTRIES)
        write_authdaemonrc(etc, etc.parent / "run", "authldap")
        rc = {"LDAP_MAIL": "lgoin", "LDAP_CRYPTPW": "userPasswd;x-y", "LDAP_CLEARPW": "CLEAR;lang-en"}
        (etc / "authldaprc").write_text(changed(ldaprc(server.uri), **rc, LDAP_AUXOPTIONS="disableimap=a,optoins=b"))
        with server:
            status, said, complaints = run_command("authd", "check", "--sysconfdir", str(etc))
        assert status == 0, said + complaints
        remarks = [line.partition("LDAP_")[2] for line in (said + complaints).splitlines() if "schema" in line]
        told = "the directory's schema has no"
        assert remarks == [
            f'MAIL: {told} attribute "lgoin", so that no entry has one; did you mean login? correct the name',
            f"CRYPTPW: {told} such attribute, so that no entry has one; did you mean userPassword? correct the name",
            f'AUXOPTIONS: {told} attribute "optoins", so that no entry has one; did you mean options? correct the name',
        ]

    def test_a_file_that_is_none(self, etc: Path, root: Path) -> None:
        (root / "empty.pem").touch(mode=0o600)
        for name, file in (("LDAPTLS_CACERT", root / "none.pem"), ("LDAPTLS_KEY", root / "empty.pem")):
            told, hint = self.check(etc, "ldaps://127.0.0.1:1", {}, **{name: str(file)})
            assert told == f"TLS can't be set up with {name} {file}"
            assert hint == "correct these settings in authdaemonrc, or let the daemon's user read the files"

    @pytest.mark.parametrize("policy", ["security ssf=64", "security simple_bind=64", "require LDAPv3\nsecurity tls=1"])
    def test_a_server_that_wants_tls(self, etc: Path, root: Path, authority: Authority, policy: str) -> None:
        """As Active Directory does, which says strongerAuthRequired."""
        require("slapd", "slapadd")
        certificate, key = authority.issue("127.0.0.1")
        server = Slapd(root / "server", f"TLSCertificateFile {certificate}", f"TLSCertificateKeyFile {key}", policy)
        server.make(LDAP_ENTRIES)
        with server:
            told, hint = self.check(etc, server.uri, {})
        assert (hint, "LDAP_BINDDN" in told) == (WANTS_TLS, False)

    @pytest.mark.parametrize(("scheme", "starts_tls"), [("ldaps", "0"), ("ldap", "1")])
    @pytest.mark.parametrize("wrong", ["authority", "host"])
    def test_a_certificate(
        self, etc: Path, root: Path, authority: Authority, scheme: str, starts_tls: str, wrong: str
    ) -> None:
        require("slapd", "slapadd")
        certificate, key = authority.issue("127.0.0.1")
        trusted = authority if wrong == "host" else Authority(root / "other")
        server = Slapd(
            root / "server", f"TLSCertificateFile {certificate}", f"TLSCertificateKeyFile {key}", scheme=scheme
        )
        server.make(LDAP_ENTRIES)
        uri = server.uri.replace("127.0.0.1", "localhost") if wrong == "host" else server.uri
        with server:
            told, hint = self.check(etc, uri, {"LDAP_TLS": starts_tls}, LDAPTLS_CACERT=str(trusted.certificate))
        assert hint == CERTIFICATE
        assert "certificate" in told
        assert "unknown error code" not in told
