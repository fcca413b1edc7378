"""What the commands say where there is no daemon, no configuration, no right, and no space."""

from __future__ import annotations

import os
import re
import resource
import socket
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.daemon import Authd, command, run, run_command
from tests.support.site import USER, make_site
from tests.support.sysconf import write_authdaemonrc

NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--")

START = "start it: authdaemond start, or systemctl start authd"


class TestNoDaemon:
    @pytest.fixture
    def at(self, root: Path) -> tuple[str, Path]:
        return "--socket", root / "socket"

    def complaints(self, path: Path, *prefix: str) -> list[str]:
        """Return what authtest and authenumerate say where no daemon is at `path`, each behind Courier's words."""
        code, said, complaint = run(*prefix, command("authtest"), "--socket", str(path), "user", "x")
        assert (code, said) == (1, "")
        match = re.fullmatch(
            r"ERR: authdaemon: s_connect\(\) failed: (.*)\nAuthentication FAILED: Invalid argument\nauthtest: (.*)\n",
            complaint,
        )
        assert match is not None, complaint
        code, said, complaint = run(*prefix, command("authenumerate"), "--socket", str(path))
        assert (code, said) == (1, "")
        assert complaint == f"ERR: authdaemon: s_connect() failed: {match[1]}\nauthenumerate: {match[2]}\n"
        assert match[2].startswith(f"{path}: {match[1]}; ")
        return [match[1], match[2].removeprefix(f"{path}: {match[1]}; ")]

    def test_no_socket(self, root: Path) -> None:
        assert self.complaints(root / "socket") == ["No such file or directory", f"no daemon listens there; {START}"]
        assert self.complaints(root / "none" / "socket") == [
            "No such file or directory",
            f"there is no directory {root / 'none'}; correct authdaemonvar or --socket, or {START}",
        ]

    def test_a_stale_socket(self, root: Path) -> None:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(root / "socket"))
        assert self.complaints(root / "socket") == ["Connection refused", f"no daemon listens there; {START}"]

    def test_a_file(self, root: Path) -> None:
        (root / "socket").touch()
        assert self.complaints(root / "socket") == ["Connection refused", f"it is no socket; remove it, and {START}"]

    def test_a_long_path(self, root: Path) -> None:
        path = root / ("x" * 120)
        said, hint = self.complaints(path)
        assert said == "AF_UNIX path too long"
        assert hint == (
            f"a socket's path has at most 107 bytes, and this one {len(str(path))}; "
            "name a directory with a shorter one in authdaemonvar or --socket"
        )

    def test_no_right(self, root: Path) -> None:
        require("setpriv")
        path = root / "closed" / "socket"
        path.parent.mkdir(mode=0o700)
        assert self.complaints(path, *NOBODY) == [
            "Permission denied",
            f"run it as root; authd doctor --socket {path} says what keeps this user from it",
        ]

    def test_the_other_commands(self, site: Authd) -> None:
        at = ("--sysconfdir", str(site.etc))
        code, said, complaint = run_command("authd", "deliver", *at, USER, "true")
        assert (code, said) == (os.EX_TEMPFAIL, "")
        assert complaint == f"{USER}: {site.socket}: No such file or directory; there is no directory {site.run}; " + (
            f"correct authdaemonvar or --socket, or {START}\n"
        )


class TestNoConfiguration:
    def test_a_file_in_place_of_its_directory(self, site: Authd) -> None:
        file = site.etc / "authdaemonrc"
        code, _, complaint = run_command("authenumerate", "--sysconfdir", str(file))
        assert code == 1
        assert complaint == (
            f"{file}/authdaemonrc: can't be read: Not a directory; "
            f"{file} is not a directory; name the file's directory with --sysconfdir or AUTHD_SYSCONFDIR\n"
        )

    def test_no_directory(self) -> None:
        assert run_command("authd", "check", "--sysconfdir", "/nonexistent")[1] == (
            "error: /nonexistent/authdaemonrc: can't be read: No such file or directory; "
            "there is no directory /nonexistent; correct --sysconfdir or AUTHD_SYSCONFDIR\n"
        )

    def test_no_right(self, site: Authd) -> None:
        require("setpriv")
        for name in ("authdaemonrc", "authsqliterc"):
            (site.etc / name).chmod(0o600)
            code, said, complaint = run(*NOBODY, command("authd"), "check", "--sysconfdir", str(site.etc))
            assert code == 1
            assert f"{site.etc / name}: can't be read: Permission denied; run it as root, or let " in said + complaint
            (site.etc / name).chmod(0o644)

    def test_an_empty_authdaemonvar(self, site: Authd) -> None:
        file = site.etc / "authdaemonrc"
        file.write_text(file.read_text() + "authdaemonvar\n")
        for words in (("authtest", "user"), ("authdaemond", "status"), ("authd", "check")):
            code, said, complaint = run_command(words[0], *words[1:], "--sysconfdir", str(site.etc))
            assert code != 0
            assert "defect" not in said + complaint


class TestStart:
    """Each names the file, the setting that it comes from, and what to do."""

    def start(self, site: Authd, *prefix: str) -> str:
        told = []
        for more in ((), ("--foreground",)):
            code, said, complaint = run(*prefix, command("authdaemond"), "start", *more, "--sysconfdir", str(site.etc))
            assert (code, said) == (1, "")
            told.append(complaint)
        assert told[0] == told[1]
        return told[0]

    def test_no_right(self, site: Authd) -> None:
        require("setpriv")
        site.run.mkdir()
        assert self.start(site, *NOBODY) == (
            f"{site.run}/pid: authdaemonvar: Permission denied; run it as root, or give {site.run} to the daemon's user, "
            "or name another directory in authdaemonvar\n"
        )

    @pytest.mark.parametrize(
        ("mount", "told"),
        [
            ("size=4k", "No space left on device; free space on the file system of {run} (df {run}), or name another"),
            (
                "size=1m,nr_inodes=2",
                "No space left on device; free space on the file system of {run} (df {run}), or name another",
            ),
            ("ro", "Read-only file system; mount the file system of {run} read-write, or name another"),
        ],
    )
    def test_no_space(self, site: Authd, mount: str, told: str) -> None:
        require("unshare")
        site.run.mkdir()
        script = 'mount -t tmpfs -o "$1",mode=755 none "$0"; { head -c 4096 /dev/zero >"$0"/fill; } 2>/dev/null; shift; exec "$@"'
        said = self.start(site, "unshare", "-m", "sh", "-c", script, str(site.run), mount)
        assert said.startswith(f"{site.run}/pid: authdaemonvar: {told.format(run=site.run)} directory in authdaemonvar")

    def test_a_long_path(self, root: Path) -> None:
        run_directory = root / ("x" * 100)
        site = make_site(root)
        write_authdaemonrc(site.etc, run_directory, "authsqlite")
        run_directory.mkdir()
        said = self.start(site)
        assert said.startswith(
            f"{run_directory}/socket: can't listen: AF_UNIX path too long; a socket's path has at most 107 "
        )
        assert said.endswith("name a directory with a shorter one in authdaemonvar or AUTHD_LISTEN\n")

    def test_no_descriptors(self, site: Authd) -> None:
        site.run.mkdir()
        code, _, complaint = run(
            command("authdaemond"),
            *("start", "--foreground", "--sysconfdir", str(site.etc)),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5)),
        )
        assert code == 1
        assert "Traceback" not in complaint

    def test_another_users_daemon(self, site: Authd) -> None:
        require("setpriv")
        site.start()
        for verb in ("stop", "reload"):
            code, _, complaint = run(*NOBODY, command("authdaemond"), verb, "--sysconfdir", str(site.etc))
            assert code == 1
            assert re.fullmatch(
                r"process \d+: Operation not permitted; it is another user's; run it as root\n", complaint
            )
        assert run_command("authdaemond", "status", "--sysconfdir", str(site.etc))[0] == 0


def test_standard_output_is_named() -> None:
    code, _, complaint = run(command("authtest"), "--help", shell='exec "$@" >/dev/full')
    assert (code, complaint) == (1, "authtest: standard output: No space left on device\n")


class TestTheUserdb:
    def test_a_full_disk(self, tmp_path: Path) -> None:
        require("unshare")
        script = """mount -t tmpfs -o size=8k none "$0"
            echo "a@b	uid=1" >"$0"/userdb
            head -c 8192 /dev/zero >"$0"/fill
            "$@"
            cat "$0"/userdb
            ls "$0"
        """
        code, said, complaint = run(
            *("unshare", "-m", "sh", "-c", script, str(tmp_path)),
            *(command("userdb"), "--sysconfdir", str(tmp_path), "c@d", "set", f"home={'x' * 5000}"),
        )
        assert (
            f"userdb: {tmp_path}/userdb: can't be changed: No space left on device; free space on the file system of {tmp_path} "
            in complaint
        )
        assert said == "a@b\tuid=1\nfill\nuserdb\n"
        assert code == 0

    def test_no_right(self, root: Path) -> None:
        require("setpriv")
        (root / "userdb").touch(mode=0o600)
        assert run(*NOBODY, command("makeuserdb"), "--sysconfdir", str(root))[::2] == (
            1,
            f"makeuserdb: {root}/userdb: can't be compiled: {root}/userdb.lock: Permission denied; "
            f"run it as the owner of {root}, or as root\n",
        )
        assert run(*NOBODY, command("userdb"), "-show", "--sysconfdir", str(root))[2] == (
            f"userdb: {root}/userdb: can't be read: Permission denied; run it as the owner of the file, or as root\n"
        )
