"""Several modules at once: the real Courier and authd ask the same of them, and give the same bytes."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.accounts import ROWS, fill_postgres, fill_sqlite, row
from tests.support.authprog import write_program
from tests.support.courier import DAEMON
from tests.support.daemon import Authd, run_command
from tests.support.pair import Pair
from tests.support.postgres import PROGRAMS, Postgres
from tests.support.processes import wait_until
from tests.support.requests import cram
from tests.support.sysconf import changed, edit, pgsqlrc, sqliterc, write_authdaemonrc
from tests.support.userdb import HASH, compile_with_courier, write
from tests.support.wire import exchange, login, passwd, pre

MODULES = "authuserdb authpgsql authsqlite authpipe"
USERDB = f"""onlyuserdb@example.org\thome=/u|uid=1|gid=2|systempw={HASH}
user@example.org\thome=/u|uid=1|gid=2|systempw={HASH}
"""
MORE = (row("onlysqlite@example.org", clearpwd="sqlite"), row("bare@default.example", clearpwd="sqlite"))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server of this module's own, to stop and start."""
    require(str(PROGRAMS / "postgres"))
    with Postgres(opened(tmp_path_factory.mktemp("fragile")) / "server") as server:
        fill_postgres(server)
        yield server


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = opened(tmp_path_factory.mktemp("sqlite"))
    directory.chmod(0o777)
    file = directory / "accounts.db"
    fill_sqlite(file, [*ROWS, *MORE])
    file.chmod(0o666)
    return file


@pytest.fixture(scope="module")
def pair(postgres: Postgres, database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", MODULES)
    (etc / "authpgsqlrc").write_text(pgsqlrc(postgres.port))
    (etc / "authsqliterc").write_text(sqliterc(database))
    write_program(etc)
    write(etc, USERDB)
    compile_with_courier(root, etc)
    with Pair(root, etc, root / "authd") as both:
        yield both


@pytest.fixture(params=["up", "down"])
def state(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[str]:
    """Whether the second module's server runs."""
    if request.param == "down":
        postgres.stop()
    yield request.param
    if not postgres.running:
        postgres.start()


def _requests() -> Iterator[bytes]:
    for user in ("user@example.org", "onlyuserdb@example.org", "onlysqlite@example.org", "nobody@x", "bare", "dies@x"):
        yield pre(user)
        for password in ("secret", "sqlite", "wrong"):
            yield login(user, password)
        yield cram(user.encode(), b"secret")
        for module in (*MODULES.split(), "authmysql", "authnone", "."):
            yield pre(user, modules=module)
    yield passwd("imap", "nobody@x", "a", "b")
    yield passwd("imap", "user@example.org", "wrong", "b")


def _replies(pair: Pair, request: bytes) -> tuple[bytes, bytes]:
    """Return both replies; each of Courier's three children may fail once over the connection that it had."""
    for _ in range(3):
        courier, authd = pair.ask(request)
        if courier == authd:
            break
    return courier, authd


def test_replies_are_the_same(pair: Pair, state: str) -> None:
    different = []
    for request in _requests():
        courier, authd = _replies(pair, request)
        if courier != authd:
            different.append((request, courier, authd))
    assert different == []


def test_a_password_is_changed_where_the_user_is(pair: Pair, state: str, database: Path) -> None:
    """The first that takes the old password changes it; one that can't tell is passed over."""
    results = []
    for socket in (pair.courier.socket, pair.authd.socket):
        said = [exchange(socket, passwd("imap", "onlysqlite@example.org", "sqlite", "new"))]
        said.append(exchange(socket, pre("onlysqlite@example.org", modules="authsqlite")))
        results.append(said)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(
                "UPDATE mailbox SET clearpwd='sqlite', password='' WHERE username='onlysqlite@example.org'"
            )
            connection.commit()
    results = [[said[0], said[1].split(b"PASSWD=")[0]] for said in results]
    assert results[1] == results[0]
    assert results[0][0] == b"OK\n"


def test_everybody_is_listed(pair: Pair) -> None:
    courier, authd = _replies(pair, b"ENUMERATE\n")
    assert authd == courier
    assert [line[2:].decode() for line in courier.split(b"\n") if line.startswith(b"# ")] == MODULES.split()


def test_what_one_module_can_not_list_is_missing_and_told(pair: Pair, postgres: Postgres) -> None:
    """Deliberate difference: Courier ends the list as if it was complete."""
    postgres.stop()
    try:
        authd = exchange(pair.authd.socket, b"ENUMERATE\n")
        # A child that had a connection ends in the middle; the others, and that one by and by, tell what they take for all.
        wait_until(
            lambda: exchange(pair.courier.socket, b"ENUMERATE\n") == authd + b".\n",
            "Courier ends the list as if it was whole",
        )
    finally:
        postgres.start()
    assert b"\n# authsqlite\n\n" in authd
    assert "enumerate: result=tempfail module=authpgsql" in pair.authd.logged()


def test_the_log_names_the_module(pair: Pair, state: str) -> None:
    for user, module in (("onlyuserdb@example.org", "authuserdb"), ("onlysqlite@example.org", "authsqlite")):
        exchange(pair.authd.socket, login(user, "sqlite" if module == "authsqlite" else "secret"))
        assert f'result=ok module={module} service="imap" user="{user}"' in pair.authd.logged()
    exchange(pair.authd.socket, pre("nobody@x"))
    if state == "down":
        assert 'result=tempfail module=authpgsql service="imap" user="nobody@x"' in pair.authd.logged()


def test_check_names_the_file_of_the_module(pair: Pair, state: str) -> None:
    status, told, _ = run_command("authd", "check", "--sysconfdir", str(pair.etc))
    if state == "up":
        assert (status, told.splitlines()[-1]) == (0, f"{pair.etc}/authdaemonrc: {MODULES}: ready")
        assert "error" not in told
    else:
        assert status == 1
        assert f"error: {pair.etc}/authpgsqlrc: looking up an account failed: " in told
        assert not any("authsqliterc" in line for line in told.splitlines() if "every user can " not in line)


def test_a_module_of_a_broken_file_keeps_what_it_had(pair: Pair, postgres: Postgres) -> None:
    good = pgsqlrc(postgres.port)
    edit(pair.etc / "authpgsqlrc", changed(good, PGSQL_USER_TABLE=None))
    try:
        assert exchange(pair.authd.socket, pre("it's@example.org")).endswith(b"\n.\n")
        assert "authpgsqlrc: PGSQL_USER_TABLE: not set; name the table" in pair.authd.logged()
    finally:
        edit(pair.etc / "authpgsqlrc", good)


@pytest.mark.parametrize("name", ["authmysql", "authpgsql", "authldap", "authsqlite"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_module_without_its_file_can_not_tell(root: Path, name: str, place: str) -> None:
    """The others serve; what comes to this module is a temporary failure in both."""
    require("unshare", DAEMON)
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", f"{name} authuserdb" if place == "first" else f"authuserdb {name}")
    write(etc, USERDB)
    compile_with_courier(root, etc)
    user, unknown = "user@example.org", "nobody@example.org"
    with Pair(root, etc, root / "authd") as both:
        for request in (
            *(pre(user), pre(unknown), pre(user, modules="authuserdb"), pre(user, modules=name)),
            *(login(user, "secret"), login(user, "wrong"), login(unknown, "x"), cram(user.encode(), b"secret")),
            passwd("imap", user, "wrong", "new"),
        ):
            courier, authd = both.ask(request)
            if name == "authpgsql" and request.startswith(b"PASSWD"):
                # Deliberate difference: nothing was changed.
                assert (courier, authd) == (b"OK\n", b"FAIL\n")
            else:
                assert authd == courier, request
        logged = both.authd.logged()
    assert f"ERR: {etc}/authdaemonrc: authmodulelist: {name}: {etc}/{name}rc is missing, so that" in logged


def test_a_reload_takes_no_file_from_a_module_that_has_one(root: Path, database: Path) -> None:
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", "authuserdb authsqlite")
    (etc / "authsqliterc").write_text(sqliterc(database))
    daemon = Authd(etc, root / "authd")
    with daemon:
        (etc / "authsqliterc").rename(etc / "elsewhere")
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)
        refused = (
            f"reload: {etc}/authsqliterc: is missing, but was there before; put it back, or take authsqlite out of"
        )
        wait_until(lambda: refused in daemon.logged(), "the reload is refused")
        assert exchange(daemon.socket, pre("onlysqlite@example.org")).startswith(b"UID=")
        (etc / "elsewhere").rename(etc / "authsqliterc")
        daemon.reload()
