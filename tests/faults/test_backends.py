"""Back ends other than MariaDB that stop, come back, crash, hang, or were never there."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from authd.userdb.build import build
from tests.conftest import opened, require
from tests.support.accounts import LDAP_ENTRIES, ROWS, fill_postgres, fill_sqlite
from tests.support.authprog import write_program
from tests.support.daemon import Authd
from tests.support.postgres import PROGRAMS, Postgres
from tests.support.processes import frozen, wait_until
from tests.support.slapd import Slapd
from tests.support.sysconf import ldaprc, pgsqlrc, sqliterc, write_authdaemonrc
from tests.support.userdb import write as write_userdb
from tests.support.wire import exchange, login, passwd, pre

USER = "user@example.org"
LOOKUP = pre(USER)
LOGIN = login(USER, "secret")


class BackEnd(ABC):
    """Something that has accounts, and can be taken away.

    :ivar reply: what a login gets while it is away, where ``AUTHD_LOGIN_TEMPFAIL`` does not say.
    """

    module: str
    reply = b"FAIL\n"

    @abstractmethod
    def configure(self, etc: Path) -> None:
        """Write the module's file."""

    @abstractmethod
    def stop(self) -> None:
        """Take it away."""

    @abstractmethod
    def start(self) -> None:
        """Bring it back, or bring it."""


class InPostgres(BackEnd):
    module = "authpgsql"

    def __init__(self, root: Path) -> None:
        require(str(PROGRAMS / "postgres"))
        self.server = Postgres(root / "server")
        self.server.start()
        fill_postgres(self.server)

    def configure(self, etc: Path) -> None:
        (etc / "authpgsqlrc").write_text(pgsqlrc(self.server.port))

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        if not self.server.running:
            self.server.start()


class InLdap(BackEnd):
    module = "authldap"

    def __init__(self, root: Path) -> None:
        require("slapd", "slapadd")
        self.server = Slapd(root / "server")
        self.server.make(LDAP_ENTRIES)
        self.server.start()

    def configure(self, etc: Path) -> None:
        (etc / "authldaprc").write_text(ldaprc(self.server.uri))

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        if not self.server.running:
            self.server.start()


class InFile(BackEnd):
    """One whose accounts are in a file, which becomes a directory when it is taken away."""

    reply = b""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._kept = file.read_bytes()

    def stop(self) -> None:
        self.file.unlink()
        self.file.mkdir()

    def start(self) -> None:
        if self.file.is_dir():
            self.file.rmdir()
            self.file.write_bytes(self._kept)


class InSqlite(InFile):
    module = "authsqlite"

    def __init__(self, root: Path) -> None:
        fill_sqlite(root / "accounts.db", ROWS)
        super().__init__(root / "accounts.db")

    def configure(self, etc: Path) -> None:
        (etc / "authsqliterc").write_text(sqliterc(self.file))


class InUserdb(InFile):
    module = "authuserdb"

    def __init__(self, root: Path) -> None:
        (root / "etc").mkdir()
        build(write_userdb(root / "etc"))
        super().__init__(root / "etc" / "userdb.dat")

    def configure(self, etc: Path) -> None:
        for name in ("userdb.dat", "userdbshadow.dat", "userdb"):
            (etc / name).symlink_to(self.file.with_name(name))


class InProgram(BackEnd):
    module = "authpipe"
    reply = b""

    def __init__(self, root: Path) -> None:
        self.program = write_program(root)
        self._kept = self.program.read_text()

    def configure(self, etc: Path) -> None:
        (etc / "authProg").symlink_to(self.program)

    def stop(self) -> None:
        self.program.write_text("#!/bin/sh\nexit 1\n")

    def start(self) -> None:
        self.program.write_text(self._kept)


BACK_ENDS = {kind.module: kind for kind in (InPostgres, InLdap, InSqlite, InUserdb, InProgram)}


@pytest.fixture(scope="module", params=BACK_ENDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackEnd]:
    back_end = BACK_ENDS[request.param](opened(tmp_path_factory.mktemp("backend")))
    yield back_end
    back_end.stop()


@pytest.fixture
def back_end(made: BackEnd) -> Iterator[BackEnd]:
    """The back end, there before and after."""
    made.start()
    yield made
    made.start()


def _site(root: Path, back_end: BackEnd, **settings: str) -> Authd:
    write_authdaemonrc(root / "etc", root / "run", back_end.module, daemons="1", **settings)
    back_end.configure(root / "etc")
    return Authd(root / "etc", root / "run")


@pytest.fixture
def site(root: Path, back_end: BackEnd) -> Iterator[Authd]:
    daemon = _site(root, back_end)
    yield daemon
    daemon.stop()


def _forget_program(site: Authd, back_end: BackEnd) -> None:
    """End the running program of authpipe, whose file alone was changed."""
    if back_end.module == "authpipe":
        for worker in site.workers():
            for child in Path(f"/proc/{worker}/task/{worker}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
                wait_until(lambda child=child: _is_zombie(child), "the program has ended")  # type: ignore[misc]


def _is_zombie(pid: str) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_an_outage_is_no_missing_account_and_ends_at_once(site: Authd, back_end: BackEnd) -> None:
    site.start()
    assert exchange(site.socket, LOGIN).endswith(b"\n.\n")
    back_end.stop()
    _forget_program(site, back_end)
    for _ in range(3):
        assert exchange(site.socket, LOOKUP) == b""
        assert exchange(site.socket, LOGIN) == back_end.reply
        assert exchange(site.socket, passwd("imap", USER, "secret", "new")) == b"FAIL\n"
        assert exchange(site.socket, b"ENUMERATE\n") == f"# {back_end.module}\n\n".encode()
    assert f'result=tempfail module={back_end.module} service="imap" user="{USER}" reason="' in site.logged()
    back_end.start()
    for request in (LOOKUP, LOGIN):
        assert exchange(site.socket, request).endswith(b"\n.\n")


def test_a_restart_between_requests_costs_none(site: Authd, back_end: BackEnd) -> None:
    site.start()
    for _ in range(2):
        for request in (LOOKUP, LOGIN):
            assert exchange(site.socket, request).endswith(b"\n.\n")
        back_end.stop()
        back_end.start()
        _forget_program(site, back_end)
        assert exchange(site.socket, LOGIN).endswith(b"\n.\n")


def test_authd_starts_without_it(site: Authd, back_end: BackEnd) -> None:
    back_end.stop()
    site.start()
    assert exchange(site.socket, LOOKUP) == b""
    back_end.start()
    assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")


@pytest.mark.parametrize("made", ["authpgsql", "authldap"], indirect=True)
def test_a_hanging_server_counts_as_down(root: Path, back_end: BackEnd) -> None:
    assert isinstance(back_end, InPostgres | InLdap)
    site = _site(root, back_end, AUTHD_DATABASE_TIMEOUT="1")
    if isinstance(back_end, InLdap):
        rc = root / "etc" / "authldaprc"
        rc.write_text(rc.read_text().replace("LDAP_TIMEOUT\t\t5", "LDAP_TIMEOUT\t\t1"))
    site.start()
    try:
        assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
        with frozen(*_with_children(back_end.server.pid)):
            # The second has to connect anew.
            assert exchange(site.socket, LOOKUP) == b""
            assert exchange(site.socket, LOGIN) == b"FAIL\n"
        assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
    finally:
        site.stop()


def _with_children(pid: int) -> list[int]:
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@pytest.mark.parametrize("made", ["authpgsql"], indirect=True)
def test_a_crash_between_requests_costs_none(site: Authd, back_end: BackEnd) -> None:
    assert isinstance(back_end, InPostgres)
    site.start()
    assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
    children = _with_children(back_end.server.pid)[1:]
    back_end.server.kill()
    wait_until(lambda: all(_is_zombie(str(pid)) for pid in children), "its children have noticed")
    back_end.server.start()
    assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
    assert site.logged().count("connection to the database was lost") == 1


@pytest.mark.parametrize("made", ["authpgsql"], indirect=True)
def test_a_killed_connection_costs_no_request(site: Authd, back_end: BackEnd) -> None:
    assert isinstance(back_end, InPostgres)
    site.start()
    assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
    back_end.server.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'extmail'")
    assert exchange(site.socket, LOGIN).endswith(b"\n.\n")


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("dies@x", "it ended without a whole reply"),
        ("half@x", "it ended without a whole reply"),
        ("sleeps@x", "it has not answered in time"),
        ("endless@x", "its reply is too long"),
        ("garbage@x", "the program's reply has no UID"),
    ],
)
@pytest.mark.parametrize("made", ["authpipe"], indirect=True)
def test_a_program_that_misbehaves_is_started_again(root: Path, back_end: BackEnd, user: str, said: str) -> None:
    site = _site(root, back_end, AUTHD_DATABASE_TIMEOUT="1")
    site.start()
    try:
        for request in (pre(user), login(user, "x")):
            assert exchange(site.socket, request) == b""
            assert exchange(site.socket, LOGIN).endswith(b"\n.\n")
        assert said in site.logged()
    finally:
        site.stop()


@pytest.mark.parametrize("made", ["authpipe"], indirect=True)
def test_what_a_program_says_unasked_is_nobodys_answer(site: Authd, back_end: BackEnd) -> None:
    site.start()
    for _ in range(3):
        assert exchange(site.socket, pre("chatty@x")) == b"FAIL\n"
        # It says more a moment later, and may or may not have done so by now.
        assert exchange(site.socket, LOGIN).endswith(b"\n.\n")
