"""authdaemond reload: it waits for the outcome, and says plainly what was refused and what needs a restart."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from authd.server.reload import ReloadRefused, Unanswered, address_at, address_of, ask_for_reload, master_at
from tests.conftest import require
from tests.support.daemon import Authd, run_command
from tests.support.planted import MAIL_UID, MAIL_USER
from tests.support.processes import frozen, wait_until
from tests.support.site import GOOD, make_site
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import exchange, pre


@pytest.fixture
def mail_site(root: Path) -> Iterator[Authd]:
    """A daemon that root started, and that is an ordinary user by now, in a directory that only root can write to."""
    require()
    with make_site(root, AUTHD_USER=MAIL_USER, daemons="1") as site:
        yield site


def reload(site: Authd, environment: dict[str, str] | None = None) -> tuple[int, str]:
    status, said, complaint = run_command(
        "authdaemond", "reload", "--sysconfdir", str(site.etc), environment=environment
    )
    return status, said + complaint


def configure(site: Authd, **settings: str) -> None:
    write_authdaemonrc(site.etc, site.run, "authsqlite", **{"AUTHD_USER": MAIL_USER, "daemons": "1", **settings})


def test_it_returns_when_the_new_settings_are_in_force(mail_site: Authd) -> None:
    for number in range(3):
        configure(mail_site, DEFAULTOPTIONS=f"new={number}", daemons=str(number + 1))
        assert reload(mail_site) == (0, "")
        assert f"OPTIONS=new={number}".encode() in exchange(mail_site.socket, pre("user@example.org"))


def test_what_only_root_can_open(mail_site: Authd) -> None:
    configure(mail_site, AUTHD_LISTEN="saslauthd:mux")
    status, said = reload(mail_site)
    assert status == 1
    assert said.startswith(
        f"reload failed, the settings before stay in force: {mail_site.run}/mux: can't listen: Permission denied; "
        "a restart is needed: the daemon opens its sockets before it becomes an ordinary user"
    )
    assert "give" not in said
    assert exchange(mail_site.socket, GOOD).endswith(b"\n.\n")


def test_what_only_root_can_read(mail_site: Authd) -> None:
    (mail_site.etc / "authsqliterc").chmod(0o600)
    status, said = reload(mail_site)
    assert status == 1
    assert f"{mail_site.etc}/authsqliterc: can't be read: Permission denied; " in said
    assert said.endswith("\na restart is needed to read as root what user nobody can't read\n")
    (mail_site.etc / "authdaemonrc").chmod(0o600)
    status, said = reload(mail_site)
    assert status == 1
    assert f"{mail_site.etc}/authdaemonrc: can't be read: Permission denied; " in said
    assert said.endswith("\na restart is needed to read as root what user nobody can't read\n")


def test_another_user(mail_site: Authd) -> None:
    configure(mail_site, AUTHD_USER="daemon", DEFAULTOPTIONS="new=1")
    assert reload(mail_site) == (
        1,
        "reload done but for what needs a restart: AUTHD_USER was changed, which needs a restart; still nobody\n",
    )
    assert b"OPTIONS=new=1" in exchange(mail_site.socket, pre("user@example.org"))
    configure(mail_site)
    assert reload(mail_site) == (0, "")


def test_another_directory(mail_site: Authd) -> None:
    elsewhere = mail_site.run.with_name("elsewhere")
    write_authdaemonrc(mail_site.etc, elsewhere, "authsqlite", AUTHD_USER=MAIL_USER, daemons="1")
    assert mail_site.process is not None
    # The first is as a service manager calls it.
    for named in (str(mail_site.process.pid), "", "x", "\u00b2"):
        assert reload(mail_site, {"MAINPID": named}) == (
            1,
            "reload done but for what needs a restart: authdaemonvar was changed, which needs a restart; "
            f"still {mail_site.run}\n",
        )
    other = mail_site.etc.with_name("other")
    write_authdaemonrc(other, elsewhere, "authsqlite")
    (other / "authsqliterc").write_text((mail_site.etc / "authsqliterc").read_text())
    assert run_command("authdaemond", "reload", "--sysconfdir", str(other)) == (
        1,
        "",
        f"not running in {elsewhere}; if authdaemonvar was changed, a restart is needed\n",
    )
    status, said = reload(mail_site, {"MAINPID": str(os.getpid())})
    assert (status, "if authdaemonvar was changed, a restart is needed" in said) == (1, True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"daemons": "-5"}, "authdaemonrc:2: daemons: expected a number from 1 to 1000, found -5; correct the value"),
        ({"AUTHD_LISTEN": "saslauthd:/nonexistent/mux"}, "/nonexistent: No such file or directory; create it"),
        ({"authmodulelist": ""}, "no module is named"),
    ],
)
def test_what_can_not_be_used(mail_site: Authd, settings: dict[str, str], told: str) -> None:
    configure(mail_site, **settings)
    status, said = reload(mail_site)
    assert status == 1
    assert said.startswith("reload failed, the settings before stay in force: ")
    assert told in said
    assert exchange(mail_site.socket, GOOD).endswith(b"\n.\n")


def test_others_may_not_ask(mail_site: Authd) -> None:
    assert mail_site.process is not None
    before = mail_site.workers()
    pid = os.fork()
    if not pid:
        os.setgroups([])
        os.setresuid(1, 1, 1)
        try:
            ask_for_reload(mail_site.process.pid)
        except PermissionError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert mail_site.workers() == before
    # The daemon's own user may.
    pid = os.fork()
    if not pid:
        os.setgroups([])
        os.setresuid(MAIL_UID, MAIL_UID, MAIL_UID)
        try:
            ask_for_reload(mail_site.process.pid)
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert mail_site.workers() != before


def test_a_process_that_poses_as_the_daemon(mail_site: Authd) -> None:
    """It has the address of a daemon that does not listen at it, such as one of another version."""
    with socket.socket(socket.AF_UNIX) as impostor, subprocess.Popen(["sleep", "60"]) as other:
        impostor.bind(address_of(other.pid))
        impostor.listen()
        with pytest.raises(Unanswered, match="another process answers"):
            ask_for_reload(other.pid)
        other.kill()


def test_a_socket_that_another_user_has_handed_on(tmp_path: Path) -> None:
    """The process whose number the kernel tells is not the one that listened."""
    require()
    file = tmp_path / "authdaemonrc"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address_at(file))
        os.seteuid(MAIL_UID)
        try:
            listener.listen()
        finally:
            os.seteuid(0)
        assert master_at(file) is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address_at(file))
        listener.listen()
        assert master_at(file) == os.getpid()


def test_a_daemon_that_ends_meanwhile(mail_site: Authd) -> None:
    assert mail_site.process is not None
    command = [sys.executable, "-c", "import sys; from authd.cli.authdaemond import main; sys.exit(main())", "reload"]
    with frozen(mail_site.process.pid):
        asking = subprocess.Popen([*command, "--sysconfdir", str(mail_site.etc)], stderr=subprocess.PIPE, text=True)
        mine = address_of(mail_site.process.pid)[1:]
        unix = Path("/proc/net/unix")
        wait_until(lambda: unix.read_text().count(f"@{mine}") > 1, "the command has connected")
        mail_site.process.send_signal(signal.SIGTERM)
    assert asking.communicate(timeout=60)[1] == "the daemon stops\n"
    assert asking.returncode == 1


def test_no_daemon() -> None:
    with pytest.raises(Unanswered):
        ask_for_reload(os.getpid())
    assert issubclass(ReloadRefused, Exception)
