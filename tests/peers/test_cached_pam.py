"""With the cache on, an address that PAM keeps out stays out, whatever was let in before; each is asked of the real PAM."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.authprog import write_program
from tests.support.daemon import Authd
from tests.support.pam import System
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import exchange, login, pre

CACHE = {"AUTHD_CACHE_TTL": "600", "AUTHD_CACHE_NEGATIVE_TTL": "600", "daemons": "1"}
INSIDE, OUTSIDE = "192.0.2.5", "192.0.2.9"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> System:
    require("unshare", "/usr/lib/x86_64-linux-gnu/security/pam_access.so")
    system = System(opened(tmp_path_factory.mktemp("etc")))
    (system.etc / "access.test").write_text(f"+:ALL:{INSIDE}\n-:ALL:ALL\n")
    for name, kind in (("early", "auth"), ("late", "account")):
        stack = (
            f"auth required pam_unix.so nodelay\n{kind} required pam_access.so nodefgroup accessfile=/etc/access.test\n"
        )
        (system.etc / "pam.d" / name).write_text(f"{stack}account required pam_unix.so\n")
    return system


@pytest.fixture(params=["authpam", "authpipe authpam", "authpam authpipe"])
def daemon(request: pytest.FixtureRequest, system: System, root: Path) -> Iterator[Authd]:
    etc, run = root / "etc", root / "run"
    write_authdaemonrc(etc, run, request.param, AUTHD_LISTEN="dovecot-auth:dovecot,mode=0666", **CACHE)
    if "authpipe" in request.param:
        write_program(etc)
    daemon = Authd(etc, run)
    daemon.start(prefix=system.prefix)
    yield daemon
    daemon.stop()


def by_courier(daemon: Authd, service: str, address: str) -> bool:
    """Log in as courier-imap does."""
    reply = exchange(daemon.socket, f"TCPREMOTEIP={address}\n".encode() + login("usera", "secret", service))
    assert reply == b"FAIL\n" or reply.startswith(b"USERNAME=usera\n")
    return reply != b"FAIL\n"


def by_dovecot(daemon: Authd, service: str, address: str) -> bool:
    """Log in as a client of Dovecot's protocol does."""
    response = base64.b64encode(b"\0usera\0secret").decode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(daemon.run / "dovecot"))
        words = f"VERSION\t1\t2\nCPID\t1\nAUTH\t1\tPLAIN\tservice={service}\trip={address}\tresp={response}\n"
        connection.sendall(words.encode())
        lines = connection.makefile("rb")
        reply = next(line for line in lines if line.startswith((b"OK\t", b"FAIL\t")))
    return reply.startswith(b"OK\t")


@pytest.mark.parametrize("service", ["early", "late"])
@pytest.mark.parametrize("log_in", [by_courier, by_dovecot])
def test_an_address_that_is_kept_out_stays_out(
    daemon: Authd, service: str, log_in: Callable[[Authd, str, str], bool]
) -> None:
    asked = [INSIDE, INSIDE, OUTSIDE, OUTSIDE, INSIDE, OUTSIDE]
    assert [log_in(daemon, service, address) for address in asked] == [address == INSIDE for address in asked]
    assert "cached=yes" not in daemon.logged()


def test_the_log_says_that_logins_are_not_cached(daemon: Authd) -> None:
    assert "logins are not cached where auth" in daemon.logged()


def test_lookups_that_go_by_the_name_are_remembered(system: System, root: Path) -> None:
    write_authdaemonrc(root / "etc", root / "run", "authpam", **CACHE)
    daemon = Authd(root / "etc", root / "run")
    daemon.start(prefix=system.prefix)
    try:
        assert [exchange(daemon.socket, pre(user)) for user in ("usera", "nosuch")] == [
            exchange(daemon.socket, pre(user)) for user in ("usera", "nosuch")
        ]
        assert daemon.logged().count("cached=yes") == 2
    finally:
        daemon.stop()
