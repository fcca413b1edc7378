"""authdaemond: start, stop, restart, reload, status, and what each says when it can't."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.courier import in_namespace
from tests.support.daemon import Authd, command
from tests.support.processes import wait_until
from tests.support.site import GOOD
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import exchange

OTHER_DEV = """
mount -t tmpfs none "$1"
for node in null urandom; do touch "$1/$node"; mount --bind "/dev/$node" "$1/$node"; done
touch "$1/log"; mount --bind "$2" "$1/log"
mount --rbind "$1" /dev
shift 2
exec "$@"
"""
"""Run a command with a /dev whose log is the socket that is named second."""


class Service:
    """The daemon in the background, controlled by the command."""

    def __init__(self, site: Authd) -> None:
        self.site = site
        site.run.mkdir(mode=0o755)

    def __call__(self, *words: str, prefix: tuple[str, ...] = ()) -> tuple[int, str]:
        """Run ``authdaemond`` with `words`; return its exit status and all that it said."""
        done = subprocess.run(
            [*prefix, command("authdaemond"), *words, "--sysconfdir", str(self.site.etc)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def pid(self) -> int:
        return int((self.site.run / "pid").read_text())


@pytest.fixture
def service(site: Authd) -> Iterator[Service]:
    service = Service(site)
    yield service
    write_authdaemonrc(site.etc, site.run, "authsqlite")
    assert service("stop")[0] == 0


def test_a_life(service: Service) -> None:
    assert service("status") == (3, "not running\n")
    assert service("stop") == (0, "")
    assert service("start") == (0, "")
    assert exchange(service.site.socket, GOOD).endswith(b"\n.\n")
    first = service.pid
    assert service("status") == (0, f"running, process {first}; {service.site.socket} answers\n")
    code, said = service("start")
    assert (code, service.pid) == (0, first)
    assert f"already running, process {first}" in said
    assert service("reload") == (0, "")
    assert service("restart") == (0, "")
    assert service.pid != first
    assert exchange(service.site.socket, GOOD).endswith(b"\n.\n")
    assert service("stop") == (0, "")
    assert service("status") == (3, "not running\n")
    assert not service.site.socket.exists()


def test_a_daemon_in_the_directory_of_before(service: Service) -> None:
    """Whoever changes authdaemonvar has it started anew where it is then, not another beside it."""
    assert service("start") == (0, "")
    before = service.pid
    elsewhere = service.site.run.with_name("elsewhere")
    elsewhere.mkdir()
    write_authdaemonrc(service.site.etc, elsewhere, "authsqlite")
    told = f"running, process {before}, but not in {elsewhere}; authdaemonvar was changed, and a restart is needed\n"
    assert service("status") == (1, told)
    assert service("restart") == (0, "")
    assert not service.site.socket.exists()
    assert exchange(elsewhere / "socket", GOOD).endswith(b"\n.\n")
    write_authdaemonrc(service.site.etc, service.site.run, "authsqlite")
    assert service("stop") == (0, "")
    assert not (elsewhere / "socket").exists()
    assert service("status") == (3, "not running\n")


def test_a_file_that_tells_no_directory_ends_no_daemon_in_the_default_one(service: Service) -> None:
    """Another configuration's daemon may run there."""
    require("unshare")
    default = service.site.run.with_name("default")
    (default / "authdaemon").mkdir(parents=True)
    write_authdaemonrc(service.site.etc, default / "authdaemon", "authsqlite")
    assert service("start") == (0, "")
    other = service.site.etc.with_name("other")
    other.mkdir()
    for line, told in (
        ('x="', "other/authdaemonrc:1: a quote or parenthesis is not closed"),
        ("authdaemonvar=run", "other/authdaemonrc:1: authdaemonvar: expected a path that begins with /"),
        ("authdaemonvar = /x", "other/authdaemonrc:1: authdaemonvar: without effect: a blank before ="),
        ("authdaemonvar=$(x)", "other/authdaemonrc:1: authdaemonvar: has a value that only a shell could tell"),
    ):
        (other / "authdaemonrc").write_text(f"{line}\n")
        for verb, code in (("stop", 1), ("reload", 1), ("status", 4)):
            words = [command("authdaemond"), verb, "--sysconfdir", str(other)]
            done = subprocess.run(
                in_namespace(other, default, words), capture_output=True, text=True, timeout=60, check=False
            )
            assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert exchange(default / "authdaemon" / "socket", GOOD).endswith(b"\n.\n")
    assert service("stop") == (0, "")


def test_a_daemon_whose_file_or_pid_file_is_spoilt_is_found(service: Service) -> None:
    service("start")
    pid = service.pid
    file = service.site.etc / "authdaemonrc"
    before = file.read_text()
    file.write_text('x="\n')
    told = (
        f"running, process {pid}, but {file} does not tell its directory any more; correct that file, see authd check\n"
    )
    assert service("status") == (1, told)
    file.write_text(before)
    (service.site.run / "pid").unlink()
    told = f"running, process {pid}, but {service.site.run}/pid is not its pid file any more; a restart is needed\n"
    assert service("status") == (1, told)
    file.write_text('x="\n')
    assert service("stop") == (0, "")
    assert not service.site.socket.exists()


def test_a_relative_directory_is_found_again_at_a_reload(service: Service) -> None:
    relative = os.path.relpath(service.site.etc)
    started = subprocess.run([command("authdaemond"), "start", "--sysconfdir", relative], timeout=60, check=False)
    assert started.returncode == 0
    write_authdaemonrc(service.site.etc, service.site.run, "authsqlite", DEFAULTOPTIONS="new=1")
    assert service("reload") == (0, "")
    wait_until(lambda: b"new=1" in exchange(service.site.socket, GOOD), "the new settings are in force")


def test_the_background_has_no_ties(service: Service) -> None:
    assert service("start") == (0, "")
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{service.pid}/status").read_text().splitlines())
    assert Path(f"/proc/{service.pid}/cwd").readlink() == Path("/")
    assert status["Umask"] == "0022"
    # The controlling terminal is the seventh field of stat, 0 for none.
    assert Path(f"/proc/{service.pid}/stat").read_text().rpartition(")")[2].split()[4] == "0"
    for descriptor in ("0", "1", "2"):
        assert Path(f"/proc/{service.pid}/fd/{descriptor}").readlink() == Path("/dev/null")


def test_a_crash_is_told_and_does_not_stop_a_start(service: Service) -> None:
    service("start")
    pid = service.pid
    os.kill(pid, 9)
    wait_until(
        lambda: service("status") == (1, f"not running, but {service.site.run / 'pid'} was left behind\n"),
        "the crash is told",
    )
    assert service("start") == (0, "")
    assert service.pid != pid
    assert exchange(service.site.socket, GOOD).endswith(b"\n.\n")


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_socket_is_open_to_all_whatever_the_umask(service: Service, umask: int) -> None:
    old = os.umask(umask)
    try:
        assert service("start") == (0, "")
    finally:
        os.umask(old)
    assert service.site.socket.stat().st_mode & 0o777 == 0o777
    assert (service.site.run / "pid").stat().st_mode & 0o022 == 0


def test_a_directory_that_others_can_write_to_is_refused(service: Service) -> None:
    service.site.run.chmod(0o757)
    code, said = service("start")
    assert code == 1
    assert said == (
        f"{service.site.run}: others can write to it, and could put a socket of theirs in its place; "
        f"chmod o-w {service.site.run}\n"
    )


def test_a_missing_directory_is_told(service: Service) -> None:
    service.site.run.rmdir()
    code, said = service("start")
    assert code == 1
    assert str(service.site.run) in said
    assert "No such file or directory" in said
    service.site.run.mkdir()


def test_another_daemon_is_left_alone(service: Service) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(service.site.socket))
        other.listen()
        other.settimeout(30)
        started = subprocess.Popen(
            [command("authdaemond"), "start", "--sysconfdir", str(service.site.etc)], stderr=subprocess.PIPE, text=True
        )
        other.accept()[0].close()
        _, said = started.communicate(timeout=60)
    assert started.returncode == 1
    assert "another daemon listens here; stop it first" in said
    assert service.site.socket.exists()
    service.site.socket.unlink()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "authdaemonrc",
            "daemons=-5\n",
            "authdaemonrc:1: daemons: expected a number from 1 to 1000, found -5; correct the value",
        ),
        ("authdaemonrc", None, "can't be read: No such file or directory"),
        (
            "authsqliterc",
            "SQLITE_USER_TABLE mailbox\nSQLITE_CLEAR_PWFIELD c\n",
            "authsqliterc: SQLITE_DATABASE: not set; ",
        ),
        ("authsqliterc", None, "authsqliterc: can't be read: No such file or directory; create it"),
    ],
)
@pytest.mark.parametrize("verb", ["start", "restart", "reload"])
def test_broken_files_are_told_and_cost_nothing(
    service: Service, name: str, content: str | None, told: str, verb: str
) -> None:
    if verb != "start":
        service("start")
    file = service.site.etc / name
    before = file.read_text()
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    code, said = service(verb)
    file.write_text(before)
    assert code == 1
    assert told in said
    if verb != "start":
        assert exchange(service.site.socket, GOOD).endswith(b"\n.\n")


def test_a_broken_file_does_not_keep_the_daemon_alive(service: Service) -> None:
    service("start")
    file = service.site.etc / "authdaemonrc"
    file.write_text(file.read_text().replace('daemons="3"', "daemons=many\nnonsense"))
    assert service("status")[0] == 0
    assert service("stop") == (0, "")
    assert service("status")[0] == 3


def test_reload_and_usage_need_something_to_work_on(service: Service) -> None:
    status, said = service("reload")
    assert (status, said.startswith(f"not running in {service.site.run}; ")) == (1, True)
    assert service("nonsense")[0] == 2


def test_lines_go_to_syslog(service: Service, tmp_path: Path) -> None:
    """With a syslog of the test's own in the place of /dev/log; the facility is mail, and LOGGEROPTS names the lines."""
    require("unshare")
    write_authdaemonrc(service.site.etc, service.site.run, "authsqlite", LOGGEROPTS="-name=mailauth")
    log = tmp_path / "log"
    (tmp_path / "dev").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(log))
        syslog.settimeout(30)
        assert service(
            "start", prefix=("unshare", "-m", "sh", "-ec", OTHER_DEV, "sh", str(tmp_path / "dev"), str(log))
        ) == (0, "")
        exchange(service.site.socket, GOOD)
        lines: list[str] = []
        while not lines or "login:" not in lines[-1]:
            lines.append(syslog.recv(8192).decode())
    facility_mail, info = 2, 6
    assert lines[-1].startswith(f"<{facility_mail * 8 + info}>")
    assert "mailauth[" in lines[-1]
    assert (
        'login: result=ok module=authsqlite service="imap" user="user@example.org" reason="password matches"'
        in lines[-1]
    )
