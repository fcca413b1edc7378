"""The cache of a running daemon: what it spares, and what makes it forget."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from authd.passwords import hash_password
from tests.support.daemon import Authd, run_command
from tests.support.site import USER, make_site
from tests.support.wire import connected, exchange, login, passwd, pre, read_to_end

NEW = "new@example.org"
CROWD = 100


@pytest.fixture
def caching(root: Path) -> Authd:
    """A daemon that remembers for the whole test; not started."""
    return make_site(root, AUTHD_CACHE_TTL="600", AUTHD_CACHE_NEGATIVE_TTL="600")


def execute(daemon: Authd, statement: str, *values: str) -> None:
    """Change the database behind the daemon's back."""
    with closing(sqlite3.connect(daemon.etc.parent / "accounts.db")) as database, database:
        database.execute(statement, values)


def set_password(daemon: Authd, password: str) -> None:
    """Set the user's password behind the daemon's back."""
    hashed = hash_password(password.encode(), "md5-crypt").decode()
    execute(daemon, "UPDATE mailbox SET password = ? WHERE username = ?", hashed, USER)


def let_in(daemon: Authd, password: str) -> list[bool]:
    """Have a crowd log in at once, so that all workers that take clients are asked; tell who was let in."""
    with ExitStack() as stack:
        clients = [connected(stack, daemon.socket, login(USER, password), 30) for _ in range(CROWD)]
        return [read_to_end(client).endswith(b"\n.\n") for client in clients]


def flush(daemon: Authd, *words: str) -> tuple[int, str, str]:
    return run_command("authd", "cache", "flush", "--sysconfdir", str(daemon.etc), *words)


def test_what_is_remembered_is_not_asked(caching: Authd) -> None:
    with caching:
        assert all(let_in(caching, "secret"))
        (caching.etc.parent / "accounts.db").rename(caching.etc.parent / "gone")
        assert exchange(caching.socket, login(USER, "secret")).endswith(b"\n.\n")
        assert 'reason="password matches" cached=yes\n' in caching.logged()
        assert "secret" not in caching.logged()


def test_both_passwords_for_a_while(root: Path) -> None:
    """What docs/cache.md says that an administrator accepts."""
    with make_site(root, AUTHD_CACHE_TTL="600", daemons="1") as caching:
        assert all(let_in(caching, "secret"))
        set_password(caching, "other")
        assert any(let_in(caching, "secret"))
        assert not any(let_in(caching, "third"))
        # The database has shown another hash, which ends it for the first password too.
        assert not any(let_in(caching, "secret"))
        assert all(let_in(caching, "other"))


@pytest.mark.parametrize("words", [(), (USER,), (USER.upper(),)])
def test_flush_acts_at_once_in_all_workers(caching: Authd, words: tuple[str, ...]) -> None:
    with caching:
        assert all(let_in(caching, "secret"))
        set_password(caching, "other")
        assert flush(caching, *words) == (0, "", "")
        assert not any(let_in(caching, "secret"))
        assert f"flush: result=ok user={'*' if not words else chr(34) + words[0] + chr(34)}\n" in caching.logged()


def test_flushing_one_leaves_the_others(caching: Authd) -> None:
    with caching:
        assert all(let_in(caching, "secret"))
        assert flush(caching, NEW) == (0, "", "")
        (caching.etc.parent / "accounts.db").rename(caching.etc.parent / "gone")
        assert exchange(caching.socket, login(USER, "secret")).endswith(b"\n.\n")


def test_a_password_changed_through_the_daemon_counts_at_once_in_all_workers(caching: Authd) -> None:
    with caching:
        for old, new in (("secret", "first"), ("first", "second"), ("second", "secret")):
            assert all(let_in(caching, old))
            assert exchange(caching.socket, passwd("imap", USER, old, new)) == b"OK\n"
            assert not any(let_in(caching, old))
            assert all(let_in(caching, new))


def test_an_account_that_comes_later(root: Path) -> None:
    with make_site(root, AUTHD_CACHE_NEGATIVE_TTL="600", daemons="1") as caching:
        for request in (pre(NEW), login(NEW, "secret")):
            assert exchange(caching.socket, request) == b"FAIL\n"
        execute(caching, "UPDATE mailbox SET username = ? WHERE username = ?", NEW, USER)
        for request in (pre(NEW), login(NEW, "secret")):
            assert exchange(caching.socket, request) == b"FAIL\n"
        assert flush(caching, NEW)[0] == 0
        for request in (pre(NEW), login(NEW, "secret")):
            assert exchange(caching.socket, request).endswith(b"\n.\n")


def test_who_is_remembered_as_unknown_costs_a_check_all_the_same(caching: Authd) -> None:
    with caching:
        for _ in range(10):
            assert exchange(caching.socket, login(NEW, "secret")) == b"FAIL\n"
        assert "cached=yes" not in caching.logged()


def test_the_control_socket(caching: Authd) -> None:
    """It is the daemon's user's alone, goes when nothing is cached any more, and does nothing but what it is for."""
    control = caching.run / "control"
    with caching:
        assert stat.S_IMODE(control.stat().st_mode) == 0o600
        for said in (b"NONSENSE\n", b"FLUSH \n", b"FLUSH " + b"x" * 9000 + b"\n", b"FLUSH", b"PRE . imap x\n"):
            assert exchange(control, said, shut=True) == b""
        assert exchange(control, b"FLUSH x\n") == b"OK\n"
        assert exchange(caching.socket, b"FLUSH x\n") == b""
        code, told, complaint = run_command("authd", "doctor", "--sysconfdir", str(caching.etc))
        assert (code, "control:" in told, complaint) == (0, False, "")
        rc = caching.etc / "authdaemonrc"
        rc.write_text("".join(line for line in rc.read_text().splitlines(True) if "CACHE" not in line))
        caching.reload()
        assert not control.exists()
        code, _, complaint = flush(caching)
        assert (code, complaint) == (
            1,
            f"{control}: there is none; either the daemon is down, or it caches nothing: set AUTHD_CACHE_TTL for that\n",
        )


def test_complaints(caching: Authd) -> None:
    assert flush(caching, "a\nb") == (1, "", "'a\\nb': a newline can't be sent in a user name\n")
    control = caching.run / "control"
    with caching:
        os.kill(caching.process.pid, 9) if caching.process else None
        assert caching.process is not None
        caching.process.wait()
        # Its workers end with it.
        code, _, complaint = flush(caching)
        assert code == 1
        assert complaint.startswith(f"{control}: ")


def test_a_reload_begins_anew(caching: Authd) -> None:
    with caching:
        assert all(let_in(caching, "secret"))
        set_password(caching, "other")
        caching.reload()
        assert not any(let_in(caching, "secret"))
