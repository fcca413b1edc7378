"""Several sockets: who is served by which, what stalled and greedy clients cost the others, and what a reload changes."""

from __future__ import annotations

import base64
import re
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.daemon import Authd, run_command
from tests.support.processes import asleep, wait_until
from tests.support.site import GOOD, USER, make_site
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import exchange, login, pre, read_to_end

LISTEN = "authdaemond:quiet,passwords=no,mode=0640 dovecot-auth:auth dovecot-userdb:userdb saslauthd:mux"


@pytest.fixture
def several(root: Path) -> Iterator[Authd]:
    with make_site(root, AUTHD_LISTEN=LISTEN) as daemon:
        yield daemon


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(path))
    return client


def read_until(client: socket.socket, end: bytes) -> bytes:
    heard = b""
    while not heard.endswith(end):
        piece = client.recv(65536)
        assert piece, heard
        heard += piece
    return heard


def plain(number: int, password: str = "secret", service: str = "smtp") -> bytes:
    response = base64.b64encode(f"\0{USER}\0{password}".encode())
    return b"AUTH\t%d\tPLAIN\tservice=%b\tresp=%b\n" % (number, service.encode(), response)


def dovecot(daemon: Authd) -> socket.socket:
    """Return a connection of Dovecot's protocol, greeted."""
    client = connect(daemon.run / "auth")
    read_until(client, b"DONE\n")
    client.sendall(b"VERSION\t1\t0\nCPID\t1\n")
    return client


def test_modes_and_whether_passwords_leave(several: Authd) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in several.run.iterdir() if path.is_socket()}
    assert modes == {"socket": 0o777, "quiet": 0o640, "auth": 0o660, "userdb": 0o600, "mux": 0o777}
    quiet = several.run / "quiet"
    for request in (pre(USER), GOOD):
        told, kept = exchange(several.socket, request), exchange(quiet, request)
        assert b"\nPASSWD2=" in told
        assert b"PASSWD" not in kept
        assert kept == b"".join(line for line in told.splitlines(True) if not line.startswith(b"PASSWD"))
    assert exchange(quiet, login(USER, "wrong")) == b"FAIL\n"


def test_many_requests_on_one_connection(several: Authd) -> None:
    with dovecot(several) as client:
        client.sendall(b"".join(plain(number, "secret" if number % 2 else "wrong") for number in range(1, 301)))
        heard = read_until(client, b"FAIL\t300\tuser=user@example.org\n")
        assert [line.split(b"\t")[1] for line in heard.splitlines()] == [b"%d" % number for number in range(1, 301)]
        assert heard.count(b"OK\t") == 150


def test_clients_who_stay_are_dealt_out(several: Authd) -> None:
    """None of the workers gets all of them, though one would do for their coming."""
    with ExitStack() as stack:
        workers = []
        for _ in range(30):
            # The kernel wakes the worker that has waited longest; one that still runs does not wait.
            wait_until(lambda: all(asleep(pid) for pid in several.workers()), "all workers wait for clients")
            client = stack.enter_context(connect(several.run / "userdb"))
            greeting = read_until(client, b"\n")
            while b"SPID" not in greeting:
                greeting += read_until(client, b"\n")
            workers.append(re.findall(rb"SPID\t(\d+)", greeting)[0])
        counts = [workers.count(b"%d" % pid) for pid in several.workers()]
        assert sum(counts) == 30
        assert max(counts) - min(counts) <= 4


def test_a_crowd_of_requests_holds_up_nobody(root: Path) -> None:
    """One worker; a client has thousands of requests waiting, and another is served long before they are."""
    with make_site(root, AUTHD_LISTEN=LISTEN, daemons="1") as daemon, dovecot(daemon) as greedy:
        greedy.setblocking(False)
        queue = b"".join(plain(number) for number in range(1, 3001))
        sent = greedy.send(queue)
        assert sent > 20000
        assert exchange(daemon.socket, GOOD).endswith(b"\n.\n")
        logged = daemon.logged()
        assert logged.count('service="imap"') == 1
        assert logged.count('service="smtp"') < sent // len(plain(3000)) // 2


def test_a_client_that_reads_nothing(several: Authd) -> None:
    """Its replies fill its socket, and then nothing more of it is read; others are served."""
    with dovecot(several) as deaf:
        deaf.settimeout(1)
        queue = b"".join(
            b"AUTH\t%d\tLOGIN\tservice=smtp\nCANCEL\t%d\n" % (number, number) for number in range(1, 20000)
        )
        with pytest.raises(TimeoutError):
            deaf.sendall(queue * 40)
        for _ in range(10):
            assert exchange(several.socket, GOOD).endswith(b"\n.\n")


def test_stalled_clients_of_every_protocol(several: Authd) -> None:
    halves = {"auth": b"AUTH\t1", "userdb": b"USER\t1", "mux": b"\0\4us", "socket": b"AUTH 99\nimap"}
    with ExitStack() as crowd:
        for name, half in halves.items():
            for _ in range(30):
                client = crowd.enter_context(connect(several.run / name))
                client.sendall(half)
        for _ in range(10):
            assert exchange(several.socket, GOOD).endswith(b"\n.\n")
        with dovecot(several) as client:
            client.sendall(plain(1))
            assert read_until(client, b"\n").startswith(b"OK\t1\t")


def test_half_a_line_is_given_up_and_a_client_at_rest_is_not(several: Authd) -> None:
    with dovecot(several) as half, dovecot(several) as rests:
        half.sendall(b"AUTH\t1")
        assert read_to_end(half) == b""
        rests.sendall(plain(1))
        assert read_until(rests, b"\n").startswith(b"OK\t1\t")


def test_options_are_enforced_for_those_who_can_not_see_them(root: Path) -> None:
    with make_site(root, AUTHD_LISTEN=LISTEN, DEFAULTOPTIONS="disableimap=1") as daemon, dovecot(daemon) as client:
        client.sendall(plain(1, service="imap") + plain(2, service="pop3"))
        heard = read_until(client, b"OK\t2\tuser=user@example.org\n")
        assert heard.startswith(b"FAIL\t1\tuser=user@example.org\tcode=user_disabled\n")
        # Who can, gets them.
        assert b"OPTIONS=disableimap=1\n" in exchange(daemon.socket, GOOD)
        assert "result=reject" in daemon.logged()
        assert 'reason="disabled for this service by the account\'s options"' in daemon.logged()


def test_a_reload_opens_closes_and_changes_sockets(several: Authd) -> None:
    kept = several.socket.stat().st_ino
    listen = "saslauthd:mux,mode=0600 authdaemond:socket,passwords=no authdaemond:new"
    write_authdaemonrc(several.etc, several.run, "authsqlite", AUTHD_LISTEN=listen)
    with dovecot(several) as old:
        old.sendall(plain(1))
        assert read_until(old, b"\n").startswith(b"OK\t1\t")
        several.reload()
        assert {path.name for path in several.run.iterdir() if path.is_socket()} == {"socket", "mux", "new"}
        assert several.socket.stat().st_ino == kept
        assert (several.run / "mux").stat().st_mode & 0o777 == 0o600
        assert b"PASSWD" not in exchange(several.socket, GOOD)
        assert b"PASSWD" in exchange(several.run / "new", GOOD)
        # The worker that had it retires, and lets go of who rests.
        assert read_to_end(old) == b""


def test_a_login_that_was_begun_outlives_a_reload(several: Authd) -> None:
    """The worker that has it retires; so does the other client, who floods it without an end."""
    workers = several.workers()
    with dovecot(several) as begun, dovecot(several) as greedy:
        begun.sendall(b"AUTH\t1\tLOGIN\tservice=smtp\tresp=" + base64.b64encode(USER.encode()) + b"\n")
        read_until(begun, b"UGFzc3dvcmQ6\n")
        greedy.setblocking(False)
        stop = threading.Event()

        def flood() -> None:
            # One that stopped reading would be waited for as long as any client that does not read.
            queue = b""
            with suppress(ConnectionError):
                while not stop.is_set():
                    readable, writable, _ = select.select([greedy], [greedy], [], 0.05)
                    if readable and not greedy.recv(1 << 20):
                        return
                    if writable:
                        queue = queue or b"AUTH\t9\tPLAIN\tservice=smtp\tresp=AGEAYg==\n" * 50
                        queue = queue[greedy.send(queue) :]

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            several.reload(settle=False)
            begun.sendall(b"CONT\t1\t" + base64.b64encode(b"secret") + b"\n")
            assert read_until(begun, b"\n").startswith(b"OK\t1\t")
            wait_until(lambda: not set(several.workers()) & set(workers), "the workers of before have retired")
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize(
    ("listen", "problem"),
    [
        ("saslauthd:/nonexistent/mux", "/nonexistent: No such file or directory; create it"),
        ("saslauthd:mux,owner=nobody-at-all", "there is no user nobody-at-all"),
        ("nonsense:mux", "AUTHD_LISTEN: expected protocol:path"),
    ],
)
def test_a_reload_that_can_not_be(several: Authd, listen: str, problem: str) -> None:
    write_authdaemonrc(several.etc, several.run, "authsqlite", AUTHD_LISTEN=f"authdaemond:new {listen}")
    assert several.process is not None
    several.process.send_signal(1)
    wait_until(lambda: problem in several.logged(), "the problem is told")
    assert "(the settings before stay in force)" in several.logged()
    assert {path.name for path in several.run.iterdir() if path.is_socket()} == {
        "socket",
        "quiet",
        "auth",
        "userdb",
        "mux",
    }
    assert exchange(several.run / "quiet", GOOD).endswith(b"\n.\n")


def test_what_only_a_restart_can_change(several: Authd) -> None:
    elsewhere = several.run.with_name("elsewhere")
    write_authdaemonrc(several.etc, elsewhere, "authsqlite", AUTHD_LISTEN=LISTEN, AUTHD_USER="nobody")
    several.reload()
    assert "authdaemonvar was changed, which needs a restart" in several.logged()
    assert "AUTHD_USER was changed, which needs a restart; still not set" in several.logged()
    assert exchange(several.run / "quiet", GOOD).endswith(b"\n.\n")


def test_a_start_that_can_not_be_leaves_no_socket(root: Path) -> None:
    site = make_site(root, AUTHD_LISTEN="saslauthd:mux authdaemond:/nonexistent/socket")
    site.run.mkdir(mode=0o755)
    status, _, complaint = run_command("authdaemond", "start", "--sysconfdir", str(site.etc))
    assert (status, complaint.count("/nonexistent: No such file or directory; create it")) == (1, 1)
    assert [path.name for path in site.run.iterdir() if path.is_socket()] == []


def test_check_looks_at_all_of_it(root: Path) -> None:
    require()
    site = make_site(
        root,
        AUTHD_LISTEN="saslauthd:/nonexistent/mux authdaemond:x,owner=no-one authdaemond:y,group=no-group",
        AUTHD_USER="no-user",
    )
    site.run.mkdir(mode=0o755)
    status, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
    assert status == 1
    for problem in (
        "AUTHD_LISTEN: /nonexistent: No such file or directory; create it",
        "/x: there is no user no-one; create it, or correct owner= in AUTHD_LISTEN",
        "/y: there is no group no-group; create it, or correct group= in AUTHD_LISTEN",
        "AUTHD_USER: there is no user no-user; create it, or name another",
    ):
        assert problem in said
    write_authdaemonrc(site.etc, site.run, "authsqlite", AUTHD_USER="nobody")
    (site.etc / "authsqliterc").chmod(0o600)
    (root / "accounts.db").chmod(0o666)
    status, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
    assert "remark: " in said
    assert f"AUTHD_USER: nobody can't read {site.etc}/authsqliterc, so that edits need a restart; chgrp" in said
    assert status == 0, said
    # What the daemon could not read as that user, the check can't either.
    (root / "accounts.db").chmod(0o600)
    status, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
    assert (status, "error: " in said and "nobody can't read it" in said) == (1, True), said
