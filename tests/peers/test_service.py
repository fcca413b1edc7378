"""The Debian package under a real systemd: in Courier's place, sandboxed, reloaded, watched, upgraded, purged; and by init."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.accounts import fill_sqlite, row
from tests.support.apart import APART
from tests.support.howto import block
from tests.support.machine import SYSTEMD, Machine
from tests.support.processes import wait_until
from tests.support.sysconf import sqliterc
from tests.support.wire import login

pytestmark = pytest.mark.timeout(600)  # a package is built, and installed on machines of its own

SOURCE = Path(__file__).parents[2]
UNIT = SOURCE / "init" / "authd.service"
DATABASE = "/etc/courier/accounts.db"
USER = "user@example.org"
PRIVATE = "/var/spool/postfix/private/authdaemond"

AUTHDAEMONRC = f"""authmodulelist="authsqlite"
daemons=2
authdaemonvar=/run/courier/authdaemon
AUTHD_LOGIN_TEMPFAIL="close"
AUTHD_LISTEN="authdaemond:{PRIVATE},mode=0600,owner=postfix,passwords=no dovecot-auth:auth"
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The package, and its next revision."""
    require(
        "unshare", "nsenter", SYSTEMD, "dpkg-deb", "/usr/bin/python3", "postfix", "/usr/lib/courier/courier/imaplogin"
    )
    target = tmp_path_factory.mktemp("packages")
    done = subprocess.run(
        ["make", "deb"], cwd=SOURCE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    (first,) = (SOURCE / "build").glob("authd_*-1_*.deb")
    contents = target / "contents"
    subprocess.run(["dpkg-deb", "-R", first, contents], check=True)
    control = contents / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^(Version: .*)-1$", r"\1-2", control.read_text()))
    second = target / first.name.replace("-1_", "-2_")
    subprocess.run(["dpkg-deb", "--build", contents, second], check=True, stdout=subprocess.DEVNULL)
    return [first, second]


def furnish(machine: Machine, packages: list[Path], directory: Path) -> None:
    """Put an administrator's configuration for Courier, accounts and the packages into a machine."""
    fill_sqlite(directory / "accounts.db", [row(USER, homedir="/var/mail/user", password="")])
    shutil.copy(directory / "accounts.db", machine.path(DATABASE))
    machine.path("/etc/courier/authdaemonrc").write_text(AUTHDAEMONRC)
    machine.path("/etc/courier/authsqliterc").write_text(sqliterc(Path(DATABASE)))
    machine.shell(f"chgrp courier {DATABASE} && chmod 640 {DATABASE}")
    for number, package in enumerate(packages, 1):
        shutil.copy(package, machine.path(f"/root/authd-{number}.deb"))


@pytest.fixture(scope="module")
def machine(packages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which Courier's daemon was replaced by the package."""
    directory = tmp_path_factory.mktemp("machine")
    with Machine(directory / "root") as machine:
        furnish(machine, packages, directory)
        machine.run("apt-get", "install", "-y", "/root/authd-1.deb")
        yield machine


def main_pid(machine: Machine) -> int:
    return int(machine.run("systemctl", "show", "-p", "MainPID", "--value", "authd").stdout)


def logs_in(machine: Machine, socket: str = "/run/courier/authdaemon/socket", password: str = "secret") -> bool:
    said = machine.run("authtest", "--socket", socket, USER, password, check=False).stdout
    return said.startswith("Authentication succeeded.")


def test_the_sandbox() -> None:
    require("systemd-analyze")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "AF_UNIX" in re.findall(r"(?m)^RestrictAddressFamilies=(.*)", UNIT.read_text())[0].split()


def test_it_took_courier_s_place(machine: Machine) -> None:
    assert machine.run("systemctl", "is-active", "authd", "courier-authdaemon").stdout == "active\nactive\n"
    assert machine.run("systemctl", "is-enabled", "authd").stdout.strip() == "enabled"
    assert (
        machine.run("dpkg-query", "-W", "-f=${db:Status-Status}", "courier-authdaemon", check=False).stdout
        != "installed"
    )
    assert machine.run("apt-get", "check").returncode == 0
    depends = machine.run("dpkg-query", "-W", "-f=${Depends}", "authd").stdout
    assert depends.startswith("python3 (>= 3.11), python3 (<< 3.12), ")
    assert "courier-imap" in machine.run("dpkg-query", "-W", "courier-imap").stdout
    assert machine.path("/etc/courier/authdaemonrc").read_text() == AUTHDAEMONRC
    assert logs_in(machine)
    assert not logs_in(machine, password="wrong")
    assert machine.run("systemd-analyze", "verify", "/lib/systemd/system/authd.service", check=False).returncode == 0


def test_it_has_no_privileges_left(machine: Machine) -> None:
    courier = machine.run("id", "-u", "courier").stdout.strip()
    pids = machine.run("pgrep", "-u", "courier", "-f", "authdaemond").stdout.split()
    assert len(pids) == 3
    for pid in pids:
        status = machine.path(f"/proc/{pid}/status").read_text()
        assert re.search(rf"(?m)^Uid:\t{courier}\t{courier}\t{courier}\t{courier}$", status)
        for kind in ("Inh", "Prm", "Eff", "Amb"):
            assert re.search(rf"(?m)^Cap{kind}:\t0+$", status), status
        assert "NoNewPrivs:\t1" in status
        # No core dump, and no tracing by other processes of its user, to whom these would belong.
        assert re.search(r"(?m)^Max core file size +0 +0 ", machine.path(f"/proc/{pid}/limits").read_text())
        assert machine.path(f"/proc/{pid}/mem").stat().st_uid == 0
    assert machine.run("pgrep", "-u", "root", "-f", "authdaemond", check=False).stdout == ""


def test_a_socket_in_another_s_directory(machine: Machine) -> None:
    assert machine.run("stat", "-c", "%a %U", PRIVATE).stdout == "600 postfix\n"
    said = machine.run("authtest", "--socket", PRIVATE, USER, "secret").stdout
    assert said.startswith("Authentication succeeded.")
    assert "Cleartext Password: (none)" in said
    examined = machine.run("authd", "doctor", "--as", "postfix", "--chroot", "/var/spool/postfix").stdout
    assert f"authdaemond:{PRIVATE}: postfix can reach it" in examined


def test_after_a_boot(machine: Machine) -> None:
    """Nothing is below /run; tmpfiles makes the directory, and of the init script systemd makes no second daemon."""
    machine.shell("systemctl stop authd && rm -r /run/courier && systemd-tmpfiles --create")
    assert machine.run("stat", "-c", "%a %U %G", "/run/courier/authdaemon").stdout == "750 courier courier\n"
    unit = machine.run("systemctl", "show", "-p", "Id", "--value", "courier-authlib", "courier-authdaemon").stdout
    assert unit.split() == ["authd.service", "authd.service"]
    machine.shell("systemctl start courier-authlib")
    assert logs_in(machine)


def test_reload_and_status(machine: Machine) -> None:
    before = main_pid(machine)
    assert 'Status: "2 workers serve"' in machine.run("systemctl", "status", "authd").stdout
    machine.shell("sed -i 's/^daemons=.*/daemons=3/' /etc/courier/authdaemonrc")
    machine.run("systemctl", "reload", "authd")
    assert "3 workers serve" in machine.run("systemctl", "status", "authd").stdout

    def refused(edit: str, *told: str) -> None:
        """See that a reload after an edit of authdaemonrc fails, says why, and leaves the daemon at work."""
        rc = machine.path("/etc/courier/authdaemonrc")
        kept = rc.read_text()
        machine.shell(f"sed -i {shlex.quote(edit)} /etc/courier/authdaemonrc")
        done = machine.run("systemctl", "reload", "authd", check=False)
        journal = machine.run("journalctl", "-u", "authd", "-o", "cat", "-n", "30").stdout
        rc.write_text(kept)
        assert done.returncode != 0, done.stdout
        for words in told:
            assert words in journal, journal
        assert "give " not in journal.rpartition("reload failed")[2]
        assert machine.run("systemctl", "is-active", "authd").stdout == "active\n"
        assert logs_in(machine)

    failed = "reload failed, the settings before stay in force: /etc/courier/authdaemonrc:2: daemons: expected a number"
    refused("s/^daemons=.*/daemons=-5/", failed)
    assert failed in machine.run("systemctl", "status", "-l", "authd").stdout
    refused(
        "s/dovecot-auth:auth/& saslauthd:\\/run\\/mux/",
        "/run/mux: can't listen: Permission denied; a restart is needed: ",
    )
    refused("$ a AUTHD_USER=daemon", "AUTHD_USER was changed, which needs a restart; still not set")
    refused(
        "s/^authdaemonvar=.*/authdaemonvar=\\/run\\/elsewhere/",
        "authdaemonvar was changed, which needs a restart; still /run/courier/authdaemon",
    )
    assert logs_in(machine)
    machine.shell("sed -i 's/^daemons=.*/daemons=2/' /etc/courier/authdaemonrc")
    machine.run("systemctl", "reload", "authd")
    assert "2 workers serve" in machine.run("systemctl", "status", "authd").stdout
    assert main_pid(machine) == before


def test_priorities_in_the_journal_and_fail2ban(machine: Machine) -> None:
    """What fail2ban would read there: wrong passwords match, an outage and a success do not."""
    ask = b"TCPREMOTEIP=192.0.2.9\n" + login(USER, "wrong")
    speak = "import socket; s=socket.socket(socket.AF_UNIX); s.connect('/run/courier/authdaemon/socket'); "
    speak += f"s.sendall({ask!r}); print(s.recv(999))"
    for _ in range(3):
        assert machine.run("python3", "-c", speak).stdout == "b'FAIL\\n'\n"
    machine.shell(f"mv {DATABASE} {DATABASE}.away && systemctl restart authd")
    assert machine.run("python3", "-c", speak).stdout == "b''\n"
    machine.shell(f"mv {DATABASE}.away {DATABASE}")
    assert logs_in(machine)
    notices = machine.run("journalctl", "-u", "authd", "-p", "notice..notice", "-o", "cat").stdout
    assert notices.count('ip="192.0.2.9" reason="wrong password"') == 3
    assert "result=ok" not in notices
    machine.shell("install -m 644 /usr/share/authd/fail2ban/authd.conf /etc/fail2ban/filter.d/authd.conf")
    machine.shell("journalctl -u authd -o short >/root/journal")
    found = machine.run("fail2ban-regex", "/root/journal", "/etc/fail2ban/filter.d/authd.conf").stdout
    assert re.search(r"(?m)^Lines: \d+ lines, 0 ignored, 3 matched", found), found
    jail = machine.path("/etc/fail2ban/jail.d/authd.conf")
    jail.write_text(block("../fail2ban", "/etc/fail2ban/jail.d/authd.conf"))
    # Debian's own jail wants this file.
    machine.shell("touch /var/log/auth.log")
    assert machine.run("fail2ban-client", "-t").returncode == 0
    said = machine.run("fail2ban-client", "-d").stdout
    assert "['add', 'authd', 'systemd']" in said
    assert re.search(r"\['set', 'authd', 'addjournalmatch', '_SYSTEMD_UNIT=authd.service'\]", said), said
    machine.shell("rm /etc/fail2ban/*.d/authd.conf; systemctl reset-failed")


def test_a_daemon_that_hangs_is_replaced(machine: Machine) -> None:
    machine.shell("mkdir -p /run/systemd/system/authd.service.d")
    drop_in = machine.path("/run/systemd/system/authd.service.d/watchdog.conf")
    drop_in.write_text("[Service]\nWatchdogSec=1\nRestartSec=0\n")
    machine.shell("systemctl daemon-reload && systemctl restart authd")
    before = main_pid(machine)
    machine.shell(f"kill -STOP {before}")
    wait_until(lambda: main_pid(machine) not in (0, before), "systemd has started another")
    wait_until(lambda: logs_in(machine), "it serves")
    machine.shell("rm -r /run/systemd/system/authd.service.d; systemctl daemon-reload && systemctl restart authd")


def test_the_socket_unit(machine: Machine) -> None:
    """systemd has the socket; a client that comes while no daemon runs is answered by the one that it starts."""
    machine.shell("systemctl stop authd && systemctl enable --now authd.socket")
    assert machine.run("systemctl", "is-active", "authd", check=False).stdout == "inactive\n"
    assert logs_in(machine)
    assert machine.run("systemctl", "is-active", "authd").stdout == "active\n"
    machine.shell("systemctl restart authd")
    assert logs_in(machine)
    assert machine.run("stat", "-c", "%a", "/run/courier/authdaemon/socket").stdout == "777\n"
    machine.shell("systemctl stop authd")
    assert machine.path("/run/courier/authdaemon/socket").exists()
    assert logs_in(machine)
    machine.shell("systemctl disable --now authd.socket; systemctl restart authd")
    assert logs_in(machine)


def test_the_systems_accounts(machine: Machine) -> None:
    """Debian's own authdaemonrc names authpam; the unit becomes root by what docs/modules.md says."""
    place = "/etc/systemd/system/authd.service.d/root.conf"
    machine.path(place).parent.mkdir(parents=True, exist_ok=True)
    machine.path(place).write_text(block("../modules", place))
    machine.path("/etc/pam.d/imap").write_text(
        "@include common-auth\n@include common-account\n@include common-password\n"
    )
    machine.shell("useradd --create-home usera && echo usera:secret | chpasswd")
    rc = machine.path("/etc/courier/authdaemonrc")
    kept = rc.read_text()

    def says(password: str, *words: str) -> str:
        socket = ("--socket", "/run/courier/authdaemon/socket", "-s", "imap")
        return machine.run("authtest", *socket, "usera", password, *words, check=False).stdout

    try:
        for module in ("authpam", "authshadow"):
            rc.write_text(kept.replace("authsqlite", module))
            machine.shell("systemctl daemon-reload && systemctl restart authd")
            assert says("secret").startswith("Authentication succeeded."), module
            assert not says("wrong").startswith("Authentication succeeded."), module
        rc.write_text(kept.replace("authsqlite", "authpam"))
        machine.run("systemctl", "restart", "authd")
        assert "Password change succeeded." in says("secret", "new9Password")
        assert says("new9Password").startswith("Authentication succeeded.")
    finally:
        rc.write_text(kept)
        machine.path(place).unlink()
        machine.shell("systemctl daemon-reload && systemctl restart authd")
    assert logs_in(machine)


def test_upgrade_and_purge(machine: Machine) -> None:
    machine.shell("echo '# mine' >>/etc/courier/authdaemonrc")
    before = main_pid(machine)
    machine.run("apt-get", "install", "-y", "/root/authd-2.deb")
    assert machine.run("dpkg-query", "-W", "-f=${Version}", "authd").stdout.endswith("-2")
    assert main_pid(machine) not in (0, before)
    assert machine.path("/etc/courier/authdaemonrc").read_text() == AUTHDAEMONRC + "# mine\n"
    assert logs_in(machine)
    machine.run("apt-get", "remove", "-y", "authd")
    assert machine.run("systemctl", "is-active", "authd", check=False).stdout.strip() != "active"
    assert machine.run("pgrep", "-f", "authdaemond", check=False).stdout == ""
    machine.run("apt-get", "install", "-y", "/root/authd-2.deb")
    assert logs_in(machine)
    machine.run("apt-get", "purge", "-y", "authd")
    assert machine.run("pgrep", "-f", "authdaemond", check=False).stdout == ""
    # The administrator's files were there before, and stay.
    assert machine.path("/etc/courier/authdaemonrc").read_text() == AUTHDAEMONRC + "# mine\n"
    left = machine.shell("find /etc /usr /lib /var /run -xdev -name 'authd' -o -name 'authd[.-]*'").stdout.split()
    assert [path for path in left if not path.startswith(str(APART))] == []
    assert machine.run("systemctl", "list-unit-files", "authd*", "--no-legend", check=False).stdout == ""


def test_by_init(packages: list[Path], tmp_path: Path) -> None:
    """Without systemd: the System V script as ``service`` runs it, with the statuses of the LSB; root is left behind."""
    with Machine(tmp_path / "root", systemd=False) as machine:
        furnish(machine, packages, tmp_path)
        machine.shell("echo 'AUTHD_USER=\"courier\"' >>/etc/courier/authdaemonrc")
        machine.run("apt-get", "install", "-y", "/root/authd-1.deb")

        def service(verb: str) -> int:
            return machine.run("service", "courier-authlib", verb, check=False).returncode

        # Its installation starts nothing on a machine that init has not brought to a runlevel.
        # After a boot nothing is below /run.
        machine.shell("rm -r /run/courier")
        assert service("start") == 0
        assert service("status") == 0
        assert machine.run("stat", "-c", "%a %U %G", "/run/courier/authdaemon").stdout == "750 courier courier\n"
        assert logs_in(machine)
        assert machine.run("pgrep", "-u", "root", "-f", "authdaemond", check=False).stdout == ""
        assert len(machine.run("pgrep", "-u", "courier", "-f", "authdaemond").stdout.split()) == 3
        for verb, status in (
            *(("start", 0), ("reload", 0), ("restart", 0), ("force-reload", 0), ("status", 0), ("try-restart", 0)),
            *(("stop", 0), ("status", 3), ("stop", 0), ("reload", 7), ("try-restart", 0), ("status", 3), ("start", 0)),
            *(("status", 0), ("nonsense", 2)),
        ):
            assert service(verb) == status, verb
        assert logs_in(machine)
        script = machine.path("/etc/init.d/courier-authlib").read_text()
        assert re.search(r"(?m)^# chkconfig: \d+ \d+ \d+$", script)
        assert "### BEGIN INIT INFO" in script
        machine.run("apt-get", "purge", "-y", "authd")
        assert machine.run("pgrep", "-f", "authdaemond", check=False).stdout == ""
        assert not machine.path("/etc/init.d/courier-authlib").exists()


def test_files_that_the_package_made_go_with_it(packages: list[Path], tmp_path: Path) -> None:
    with Machine(tmp_path / "root", systemd=False) as machine:
        furnish(machine, packages, tmp_path)
        machine.shell("dpkg --purge --force-depends courier-authdaemon courier-authlib-mysql courier-authlib-sqlite")
        machine.shell("rm -f /etc/courier/auth*rc")
        machine.run("dpkg", "-i", "/root/authd-1.deb")
        assert machine.run("stat", "-c", "%a %U %G", "/etc/courier/authmysqlrc").stdout == "640 root courier\n"
        assert 'AUTHD_USER="courier"' in machine.path("/etc/courier/authdaemonrc").read_text()
        machine.run("dpkg", "--purge", "--force-depends", "authd")
        assert machine.shell("ls /etc/courier/auth*rc", check=False).returncode != 0
