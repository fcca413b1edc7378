"""Files that the mail user, or an accident, put in the place of the daemon's: nothing but the daemon's own is touched."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.daemon import Authd, run_command
from tests.support.planted import MAIL_UID, MAIL_USER, PLANTS, Victim, state_of
from tests.support.processes import end, wait_until
from tests.support.site import GOOD, make_site
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import exchange

PLACES = [("mux", plant) for plant in PLANTS] + [
    (name, plant) for name in ("socket", "control") for plant in ("a link to a file", "a file")
]
"""Sockets, and what is in their place."""

HOLDER = """
import fcntl, os, sys, time
os.setgid(65534)
os.setuid(65534)
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
os.ftruncate(descriptor, 0)
os.write(descriptor, sys.argv[2].encode())
if "flock" in sys.argv[3]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
if "lockf" in sys.argv[3]:
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def victim(root: Path) -> Victim:
    require()
    return Victim(root / "roots")


@pytest.fixture
def mail_site(root: Path) -> Iterator[Authd]:
    """A daemon that root starts, in a directory of the user that it becomes."""
    site = make_site(root, AUTHD_USER=MAIL_USER, AUTHD_CACHE_TTL="60", AUTHD_LISTEN="saslauthd:mux", daemons="1")
    site.run.mkdir(mode=0o750)
    os.chown(site.run, MAIL_UID, MAIL_UID)
    for name in ("authdaemonrc", "authsqliterc"):
        (site.etc / name).chmod(0o644)
    yield site
    # What some tests start in the background.
    run_command("authdaemond", "stop", "--sysconfdir", str(site.etc))
    site.stop()


def authdaemond(site: Authd, verb: str) -> tuple[int, str]:
    status, said, complaint = run_command("authdaemond", verb, "--sysconfdir", str(site.etc))
    return status, said + complaint


@pytest.mark.parametrize("plant", PLANTS)
def test_in_the_place_of_the_pid_file(mail_site: Authd, victim: Victim, plant: str) -> None:
    pid = mail_site.run / "pid"
    PLANTS[plant](pid, victim.path)
    before = state_of(pid)
    assert run_command("authd", "check", "--sysconfdir", str(mail_site.etc))[0] == 1
    for verb in ("start", "stop", "reload"):
        status, said = authdaemond(mail_site, verb)
        if verb == "stop" and plant in ("a huge file", "a file"):
            # No process holds it, so no daemon runs.
            assert (status, said) == (0, "")
            continue
        assert status == 1, (verb, said)
        if verb != "reload" or plant not in ("a huge file", "a file"):
            assert said.startswith(f"{pid}: "), (verb, said)
            assert "; remove " in said or "; move it away" in said
    assert authdaemond(mail_site, "status")[0] in (1, 3, 4)
    assert state_of(pid) == before
    assert [path.name for path in mail_site.run.iterdir()] == ["pid"]
    if plant != "another name of a file":
        victim.assert_untouched()
    assert victim.path.read_bytes() == Victim.CONTENT
    assert victim.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("name", "plant"), PLACES)
def test_in_the_place_of_a_socket(mail_site: Authd, victim: Victim, name: str, plant: str) -> None:
    path = mail_site.run / name
    PLANTS[plant](path, victim.path)
    before = state_of(path)
    status, said = authdaemond(mail_site, "start")
    assert status == 1
    assert said.startswith(f"{path}: a "), said
    assert "is in the place of the socket; move it away, or name another path in authdaemonvar or AUTHD_LISTEN" in said
    assert state_of(path) == before
    assert [left.name for left in mail_site.run.iterdir()] == [name]
    status, checked, _ = run_command("authd", "check", "--sysconfdir", str(mail_site.etc))
    assert (status, said.strip() in checked) == (1, True), checked
    assert victim.path.read_bytes() == Victim.CONTENT


def test_a_directory_that_a_link_of_the_mail_user_s_leads_to(mail_site: Authd, victim: Victim) -> None:
    mail_site.run.rmdir()
    mail_site.run.symlink_to(victim.path.parent)
    os.chown(mail_site.run, MAIL_UID, MAIL_UID, follow_symlinks=False)
    for verb in ("start", "reload", "stop"):
        status, said = authdaemond(mail_site, verb)
        assert (status, "is a symbolic link of user nobody; name the directory itself" in said) == (1, True), said
    victim.assert_untouched()
    # Root's own link may lead anywhere.
    mail_site.run.unlink()
    elsewhere = mail_site.run.with_name("elsewhere")
    elsewhere.mkdir(mode=0o755)
    mail_site.run.symlink_to(elsewhere)
    assert authdaemond(mail_site, "start") == (0, "")
    assert exchange(mail_site.socket, GOOD).endswith(b"\n.\n")


@pytest.mark.parametrize("locks", ["flock", "lockf", "flock and lockf"])
def test_stop_ends_no_process_that_a_forged_file_names(mail_site: Authd, locks: str) -> None:
    """A process of root's runs; the mail user holds the lock itself, and wrote the number of that process into the file."""
    pid = mail_site.run / "pid"
    with (
        subprocess.Popen(["sleep", "600"]) as sleep,
        subprocess.Popen(
            [sys.executable, "-I", "-c", HOLDER, str(pid), str(sleep.pid), locks],
            stdout=subprocess.PIPE,
        ) as holder,
    ):
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            for verb in ("stop", "reload", "start"):
                status, said = authdaemond(mail_site, verb)
                if locks == "lockf" and verb == "stop":
                    # The lock that says that a daemon runs is the other.
                    assert (status, said) == (0, "")
                    continue
                assert status == 1, (verb, said)
                assert str(pid) in said or said.startswith("not running")
            assert sleep.poll() is None
            assert holder.poll() is None
            assert pid.read_text() == str(sleep.pid)
        finally:
            end(holder)
            end(sleep)


def test_a_refused_start_leaves_the_pid_file_of_a_daemon_alone(mail_site: Authd) -> None:
    assert authdaemond(mail_site, "start") == (0, "")
    before = state_of(mail_site.run / "pid")
    status, said = authdaemond(mail_site, "start")
    assert (status, "already running, process " in said) == (0, True)
    assert state_of(mail_site.run / "pid") == before
    assert authdaemond(mail_site, "stop") == (0, "")


@pytest.mark.parametrize("plant", ["a link to a file", "a FIFO", "a directory", "a file"])
def test_what_is_put_in_the_place_of_a_socket_meanwhile_stays(mail_site: Authd, victim: Victim, plant: str) -> None:
    """At the reload that takes the listener out, and at the stop."""
    mail_site.start()
    assert mail_site.process is not None
    kept = {}
    for name in ("mux", "socket"):
        path = mail_site.run / name
        path.unlink()
        PLANTS[plant](path, victim.path)
        kept[path] = state_of(path)
    write_authdaemonrc(
        mail_site.etc, mail_site.run, "authsqlite", AUTHD_USER=MAIL_USER, AUTHD_CACHE_TTL="60", daemons="1"
    )
    mail_site.reload()
    assert not (mail_site.run / "control").is_file()
    mail_site.stop()
    assert {path: state_of(path) for path in kept} == kept
    assert sorted(path.name for path in mail_site.run.iterdir()) == ["mux", "socket"]
    victim.assert_untouched()


def test_a_reload_replaces_nothing(mail_site: Authd, victim: Victim) -> None:
    mail_site.start()
    assert mail_site.process is not None
    path = mail_site.run / "new"
    PLANTS["a file"](path, victim.path)
    before = state_of(path)
    write_authdaemonrc(
        mail_site.etc, mail_site.run, "authsqlite", AUTHD_USER=MAIL_USER, AUTHD_LISTEN="authdaemond:other saslauthd:new"
    )
    mail_site.process.send_signal(signal.SIGHUP)
    wait_until(
        lambda: "a regular file of user nobody is in the place of the socket" in mail_site.logged(), "it is told"
    )
    assert state_of(path) == before
    assert not (mail_site.run / "other").exists()
    assert exchange(mail_site.socket, GOOD).endswith(b"\n.\n")


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_a_socket_of_another_type_that_is_in_use_stays(mail_site: Authd, kind: int) -> None:
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(mail_site.run / "mux"))
        if kind == socket.SOCK_SEQPACKET:
            other.listen()
        before = state_of(mail_site.run / "mux")
        status, said = authdaemond(mail_site, "start")
        assert (status, "another daemon has a socket of another type here; stop it first" in said) == (1, True), said
        assert state_of(mail_site.run / "mux") == before
    # Its process is gone.
    assert authdaemond(mail_site, "start") == (0, "")


def test_the_old_temporary_name_is_no_reason_to_remove_a_file(mail_site: Authd) -> None:
    """Until this version the socket was made under NAME.PID.new, and whatever had that name was removed."""
    planted = [mail_site.run / f"socket.{pid}.new" for pid in (os.getpid(), os.getpid() + 1)]
    for path in planted:
        path.write_text("kept")
    mail_site.start()
    mail_site.stop()
    assert [path.read_text() for path in planted] == ["kept", "kept"]
