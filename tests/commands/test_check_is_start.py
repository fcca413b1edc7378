"""``authd check`` says yes exactly when a start does, and looks with the eyes of the user that the daemon becomes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authd.config import authdaemonrc
from authd.config.authdaemonrc import DaemonSettings
from authd.server.identity import Identity, daemon_identity
from authd.userdb.build import build
from tests.conftest import opened, require
from tests.support.daemon import Authd, command, run_command
from tests.support.namespace import with_mounts
from tests.support.processes import wait_until
from tests.support.site import make_site
from tests.support.sysconf import write_authdaemonrc
from tests.support.userdb import HASH, write


def checks(daemon: Authd) -> tuple[bool, str]:
    """Return whether ``authd check`` says yes, and all that it says."""
    status, said, complaints = run_command("authd", "check", "--sysconfdir", str(daemon.etc))
    return status == 0, said + complaints


def starts(daemon: Authd) -> tuple[bool, str]:
    """Return whether a start comes to serve, and the log."""
    before = daemon.log.stat().st_size if daemon.log.exists() else 0
    daemon.launch()
    process = daemon.process
    assert process is not None

    def logged() -> str:
        return daemon.log.read_bytes()[before:].decode(errors="replace")

    try:
        wait_until(lambda: process.poll() is not None or "INFO: ready" in logged(), "the daemon serves or ends")
        return process.poll() is None, logged()
    finally:
        daemon.stop()


MODULES: dict[str, bool] = {
    "authsqlite": True,
    "authnone": False,
    "authsqlite authnone": True,
    "authsqlite,authpam": False,
    "authsqlite;": False,
    "authmysql": False,
    "authmysql authnone": False,
    "authmysql authsqlite": True,
    "": False,
    '""authsqlite': False,
    'authsqlite""authnone': True,
}


@pytest.mark.parametrize(("value", "expected"), MODULES.items())
def test_lists_of_modules(site: Authd, value: str, expected: bool) -> None:
    write_authdaemonrc(site.etc, site.run, value, daemons="1")
    site.run.mkdir()
    assert (checks(site)[0], starts(site)[0]) == (expected, expected)


LINES: dict[str, bool] = {
    "AUTHD_USER=no-such-user": False,
    'AUTHD_USER="nobody': False,
    "AUTHD_LISTEN=saslauthd:/nonexistent/mux": False,
    "AUTHD_LISTEN=saslauthd:{etc}/authsqliterc": False,
    "AUTHD_LISTEN=saslauthd:" + "x" * 120: False,
    "AUTHD_LISTEN=saslauthd:mux,owner=no-such-user": False,
    "AUTHD_LISTEN=saslauthd:mux,group=no-such-group": False,
    "AUTHD_LISTEN=saslauth:mux": False,
    "AUTHD_LISTEN=saslauthd:../run/socket": False,
    "AUTHD_LISTEN=authdaemond:../run/socket,mode=660": True,
    "AUTHD_LISTEN=saslauthd:/": False,
    "AUTHD_LISTEN=saslauthd:mux": True,
    "authdaemonvar=/nonexistent/run": False,
    "authdaemonvar={etc}/authsqliterc": False,
    "authdaemonvar=": False,
    "authdaemonvar=run": False,
    "daemons=": True,
    "daemons=2;": True,
    "daemons=-1": False,
    "DEBUG_LOGIN=3": True,
    "LOGGEROPTS=-facility=nosuch": False,
    "nonsense": False,
    "AUTHD_CACHE_TTL=x": False,
    "AUTHD_COLOUR=x": True,
}


@pytest.mark.parametrize(("line", "expected"), LINES.items())
def test_lines(site: Authd, line: str, expected: bool) -> None:
    write_authdaemonrc(site.etc, site.run, "authsqlite", daemons="1")
    site.run.mkdir()
    with (site.etc / "authdaemonrc").open("a") as file:
        file.write(line.format(etc=site.etc) + "\n")
    ready, said = checks(site)
    started, logged = starts(site)
    assert (ready, started) == (expected, expected), said + logged


def _make_a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def test_a_directory_that_is_a_loop_of_links(site: Authd) -> None:
    loop = site.etc / "loop"
    loop.symlink_to(loop)
    write_authdaemonrc(site.etc, loop, "authsqlite", daemons="1")
    ready, said = checks(site)
    started, logged = starts(site)
    assert (ready, started) == (False, False)
    for text in (said, logged):
        assert f"{loop}: Too many levels of symbolic links; name the directory itself" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [("ro", "Read-only file system; mount the file system of"), ("nr_inodes=1", "No space left on device; free space")],
)
def test_a_file_system_that_takes_no_file(site: Authd, options: str, words: str) -> None:
    require("unshare")
    write_authdaemonrc(site.etc, site.run, "authsqlite", daemons="1")
    site.run.mkdir()
    mount = f'mount -t tmpfs -o {options},mode=755 none {site.run} && exec "$@"'
    for name, *rest in (("authd", "check"), ("authdaemond", "start", "--foreground")):
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", mount, "sh", command(name), *rest, "--sysconfdir", str(site.etc)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert words in done.stdout + done.stderr


def test_who_may_not_start_it_is_told(site: Authd) -> None:
    """Root may, so that this is no error."""
    require("setpriv")
    write_authdaemonrc(site.etc, site.run, "authsqlite", daemons="1")
    site.run.mkdir()
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", command("authd"), "check"]
    done = subprocess.run(
        [*words, "--sysconfdir", str(site.etc)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    assert f"remark: {site.etc}/authdaemonrc: authdaemonvar: {site.run}: Permission denied, so that " in done.stdout


FILES: dict[str, tuple[Callable[[Path], int | None], bool]] = {
    "module file is gone": (lambda file: file.unlink(), False),
    "module file is a directory": (_make_a_directory, False),
    "module file is empty": (lambda file: file.write_text(""), False),
    "restriction is lost": (lambda file: file.write_text(file.read_text() + "SQLITE_WHERE_CLAUSE\n"), False),
    "unknown setting": (lambda file: file.write_text(file.read_text() + "SQLITE_COLOUR red\n"), True),
}


@pytest.mark.parametrize(("spoil", "expected"), FILES.values(), ids=FILES)
def test_module_files(site: Authd, spoil: Callable[[Path], int | None], expected: bool) -> None:
    write_authdaemonrc(site.etc, site.run, "authsqlite", daemons="1")
    site.run.mkdir()
    spoil(site.etc / "authsqliterc")
    assert (checks(site)[0], starts(site)[0]) == (expected, expected)


@given(data=st.data())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_mutilation(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A character of authdaemonrc or authsqliterc is taken out or replaced."""
    root = opened(tmp_path_factory.mktemp("mutilated"))
    daemon = make_site(root, daemons="1")
    daemon.run.mkdir()
    file = daemon.etc / data.draw(st.sampled_from(["authdaemonrc", "authsqliterc"]))
    content = file.read_text()
    # The content has a path whose length differs between examples.
    place = data.draw(st.integers(0, 2000)) % len(content)
    new = data.draw(st.sampled_from(["", "\n", '"', "'", " ", "#", "=", "\\", "\\\n", "x", ";"]))
    file.write_text(content[:place] + new + content[place + 1 :])
    ready, said = checks(daemon)
    started, logged = starts(daemon)
    # That a database can't be asked is told by check alone: it never stops a start.
    if ready or all("failed" not in line for line in said.splitlines() if line.startswith("error: ")):
        assert ready == started, (new, said, logged)


@pytest.fixture
def planted(root: Path) -> Authd:
    """An authuserdb whose passwords root alone may read."""
    require("unshare")
    etc = root / "etc"
    write_authdaemonrc(etc, root / "run", "authuserdb", daemons="1")
    write(etc, f"user@example.org\thome=/u|uid=1|gid=2|systempw={HASH}\n")
    build(etc / "userdb")
    (etc / "userdbshadow.dat").chmod(0o600)
    return Authd(etc, root / "run")


UNREADABLE = "etc/userdbshadow.dat: the daemon's user nobody can't read it; chgrp a group of nobody and chmod g+r it"


def test_what_the_user_can_not_read_is_told(planted: Authd) -> None:
    planted.run.mkdir()
    os.chown(planted.run, 65534, 65534)
    assert checks(planted)[0]
    with (planted.etc / "authdaemonrc").open("a") as file:
        file.write("AUTHD_USER=nobody\n")
    ready, said = checks(planted)
    assert not ready
    assert UNREADABLE in said
    started, logged = starts(planted)
    assert started
    assert f"ERR: authuserdb: {planted.etc.parent}/{UNREADABLE}" in logged
    explained = run_command("authtest", "--sysconfdir", str(planted.etc), "--explain", "user@example.org", "secret")
    assert explained[0] == 1
    assert UNREADABLE in explained[2]
    assert "authuserdb: tempfail" in explained[1]


def test_the_unit_s_user_is_the_daemon_s(planted: Authd, root: Path) -> None:
    planted.run.mkdir()
    units = root / "units"
    (units / "authd.service.d").mkdir(parents=True)
    exec_start = f"ExecStart=/usr/sbin/authdaemond start --foreground --sysconfdir {planted.etc}"
    (units / "authd.service").write_text(f"[Service]\n{exec_start}\nUser=root\n")
    (units / "authd.service.d" / "user.conf").write_text("[Service]\nUser=nobody\n")
    check = [command("authd"), "check", "--sysconfdir", str(planted.etc)]
    done = subprocess.run(
        with_mounts({"/etc/systemd/system": units}, check), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert UNREADABLE in done.stdout


def test_units_are_read_as_systemd_reads_them(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("root alone asks the unit")
    etc, first, second = tmp_path / "etc", tmp_path / "first", tmp_path / "second"
    settings_of = _settings(etc)
    assert daemon_identity(settings_of, (first, second)) == Identity()
    for directory in (first, second):
        (directory / "authd.service.d").mkdir(parents=True)
    unit = f"[Service]\nExecStart=/x/authdaemond start \\\n --sysconfdir={etc}\nUser = a\nSupplementaryGroups=g h\n"
    (second / "authd.service").write_text(unit)
    source = "User= of authd.service"
    assert daemon_identity(settings_of, (first, second)) == Identity("a", ("g", "h"), source)
    (second / "authd.service.d" / "1.conf").write_text("[Service]\nUser=b\n")
    (first / "authd.service.d" / "2.conf").write_text("[Service]\nSupplementaryGroups=\nSupplementaryGroups=i\n")
    assert daemon_identity(settings_of, (first, second)) == Identity("b", ("i",), source)
    (first / "authd.service.d" / "1.conf").write_text("")
    assert daemon_identity(settings_of, (first, second)) == Identity("a", ("i",), source)
    (first / "authd.service").write_text(unit.replace(str(etc), "/elsewhere"))
    assert daemon_identity(settings_of, (first, second)) == Identity()


def _settings(etc: Path) -> DaemonSettings:
    write_authdaemonrc(etc, etc, "authuserdb")
    return authdaemonrc.load(etc / "authdaemonrc")
