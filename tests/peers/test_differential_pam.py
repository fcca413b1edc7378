"""authpam: the real Courier and authd give the same bytes for the same requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.courier import DAEMON
from tests.support.daemon import Authd
from tests.support.pair import Pair
from tests.support.pam import STACKS, USERS, System
from tests.support.requests import cram, hand_made
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import connected, exchange, login, passwd, pre, read_to_end


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> System:
    require("unshare", "/usr/lib/x86_64-linux-gnu/security/pam_unix.so")
    return System(opened(tmp_path_factory.mktemp("etc")))


@pytest.fixture(scope="module")
def pair(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", "authpam", AUTHD_DATABASE_TIMEOUT="3")
    with Pair(root, etc, root / "authd", system) as both:
        yield both


def _requests() -> Iterator[bytes]:
    for user in (*USERS, "nobody", "root", "mail", "nosuch", "USERA", "usera@x", "usera ", "us:era", "x" * 300):
        for service in ("imap", "courier", "nosuch"):
            yield pre(user, service)
        for password in ("secret", "wrong", "x"):
            yield login(user, password)
        yield cram(user.encode(), b"secret")
    for service in STACKS:
        if service != "stuck":
            yield from (login(user, "secret", service) for user in ("usera", "nosuch", "locked"))
    yield b"TCPREMOTEIP=192.0.2.7\n" + login("usera", "secret")
    yield b"ENUMERATE\n"
    yield passwd("imap", "usera", "wrong", "newpass99X")
    yield passwd("imap", "nosuch", "wrong", "newpass99X")


def test_replies_are_the_same(pair: Pair) -> None:
    few = [request for request in hand_made() if b"extmail" not in request and b"example" not in request]
    different = []
    for request in dict.fromkeys([*_requests(), *few]):
        courier, authd = pair.ask(request)
        if courier != authd:
            different.append((request[:200], courier, authd))
    assert different == []


GATE = """#!/bin/sh
for i in $(seq 200); do [ -e {gate} ] && exit 0; sleep 0.1; done
exit 1
"""
GATHER = """#!/bin/sh
echo >>{log}
for i in $(seq 200); do [ $(wc -l <{log}) -ge 4 ] && exit 0; sleep 0.1; done
exit 1
"""


def test_checks_that_wait_run_at_once(system: System, root: Path) -> None:
    """Each of four waits until all four are there, in the only worker."""
    gate, log = root / "gate", root / "log"
    for name, script in (("gate", GATE), ("gather", GATHER)):
        program = root / name
        program.with_suffix(".sh").write_text(script.format(gate=gate, log=log))
        program.with_suffix(".sh").chmod(0o755)
        stack = f"auth required pam_exec.so quiet {root}/{name}.sh\naccount required pam_permit.so\n"
        (system.etc / "pam.d" / name).write_text(stack)
    write_authdaemonrc(root / "etc", root / "run", "authpam", daemons="1", AUTHD_DATABASE_TIMEOUT="30")
    daemon = Authd(root / "etc", root / "run")
    daemon.start(prefix=system.prefix)
    try:
        with ExitStack() as stack_of_clients:
            first = connected(stack_of_clients, daemon.socket, login("usera", "x", "gate"))
            others = [connected(stack_of_clients, daemon.socket, login("usera", "x", "gather")) for _ in range(4)]
            gate.touch()
            for client in (first, *others):
                assert read_to_end(client).startswith(b"USERNAME=usera\n")
    finally:
        daemon.stop()


def test_a_stuck_check_is_killed_and_harms_nobody(pair: Pair) -> None:
    assert exchange(pair.authd.socket, login("usera", "x", "stuck")) == b"FAIL\n"
    assert "PAM has not answered in time" in pair.authd.logged()
    assert exchange(pair.authd.socket, login("usera", "secret")).endswith(b"\n.\n")


def test_pam_changes_passwords(pair: Pair, system: System) -> None:
    """Courier leaves that to expect(1) and passwd(1), which needs a terminal."""
    socket = pair.authd.socket
    try:
        assert exchange(socket, passwd("imap", "usera", "secret", "newpass99X")) == b"OK\n"
        assert exchange(socket, login("usera", "secret")) == b"FAIL\n"
        for socket in (pair.authd.socket, pair.courier.socket):
            assert exchange(socket, login("usera", "newpass99X")).startswith(b"USERNAME=usera\n")
    finally:
        system.write()


def test_pam_is_told_the_mail_clients_address(pair: Pair, system: System, root: Path) -> None:
    log = root / "log"
    log.touch(mode=0o666)
    (root / "tell.sh").write_text(f"#!/bin/sh\necho $PAM_SERVICE $PAM_USER $PAM_RHOST >>{log}\n")
    (root / "tell.sh").chmod(0o755)
    (system.etc / "pam.d" / "tell").write_text(
        f"auth required pam_exec.so quiet {root}/tell.sh\naccount required pam_permit.so\n"
    )
    for reply in pair.ask(b"TCPREMOTEIP=192.0.2.7\n" + login("usera", "x", "tell")):
        assert reply.startswith(b"USERNAME=usera\n")
    assert log.read_text() == "tell usera 192.0.2.7\n" * 2


class TestDeliberateDifferences:
    """Each of these is explained in docs/compatibility.md."""

    def test_a_service_is_no_path(self, pair: Pair) -> None:
        courier, authd = pair.ask(login("usera", "x", "../pam.d/permit"))
        assert courier.startswith(b"USERNAME=usera\n")
        assert authd == b"FAIL\n"
