"""A whole machine to install things on.

It is this one's file system with everything that is written kept apart; processes, devices, control groups and a network of its
own; and a real systemd if wanted.

Nothing in it reaches this machine, and it is gone at the end.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from tests.support import passwords
from tests.support.apart import APART
from tests.support.processes import Service, end, wait_until

SYSTEMD = "/lib/systemd/systemd"

OFF = (
    *("systemd-binfmt", "systemd-modules-load", "systemd-sysctl", "systemd-udevd", "systemd-udev-trigger"),
    *("systemd-remount-fs", "systemd-update-utmp", "systemd-networkd", "systemd-resolved", "systemd-timesyncd"),
    "systemd-tmpfiles-setup-dev",
    "console-getty",
)
"""Services of systemd itself that would wait for devices that are not there, or reach through to the real kernel."""

OFF_MOUNTS = (
    *("dev-hugepages.mount", "dev-mqueue.mount", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount", "proc-sys-fs-binfmt_misc.automount"),
)

REAPER = "bash -c 'while :; do sleep 3600 & wait; done'"
"""A first process that does what the first process must, and no more."""

CONTROL_GROUPS = """set -e
mkdir -p {root}
mount -t tmpfs -o mode=755 tmpfs {root}
mkdir {root}/named {root}/unified
mount -t cgroup -o none,name=systemd cgroup {root}/named
mount -t cgroup2 cgroup2 {root}/unified
"""
"""Both kinds of control groups, as they are on this machine, in a mount namespace of the script's own."""

START = """mkdir {root}/named/{name} {root}/unified/{name}
echo $$ >{root}/named/{name}/cgroup.procs
echo $$ >{root}/unified/{name}/cgroup.procs
exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh -c {layout}
"""

CLEAR = """for group in {root}/named/{name} {root}/unified/{name}; do
    [ ! -d $group ] || find $group -depth -type d -exec rmdir {{}} +
done
"""

LAYOUT = """set -e
umount {root}/named {root}/unified
cd {root}
mkdir upper work root
chmod 755 . upper root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
    touch dev/$name
    mount --bind /dev/$name dev/$name
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p run/lock run/courier
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
ip link set lo up
rm -f usr/sbin/policy-rc.d etc/systemd/system/*.wants/*.service etc/systemd/system/*.wants/*.timer
for name in {off}; do ln -sf /dev/null etc/systemd/system/$name; done
rm -rf var/log/journal
echo 'APT::Install-Recommends "false";' >etc/apt/apt.conf.d/99tests
cp {archives}/*.deb var/cache/apt/archives/ 2>/dev/null || true
exec env -i container=tests PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot . {init}
"""


class Machine(Service):
    """One machine, whose files are in memory at `root`.

    :param systemd: whether systemd is its first process; otherwise nothing runs in it but what the test starts.
    """

    def __init__(self, root: Path, systemd: bool = True) -> None:
        self.root = root
        self.systemd = systemd
        self.log = root.with_name(f"{root.name}.log")
        self._name = f"authd-tests-{os.getpid()}-{root.parent.name}"
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0

    def start(self) -> None:
        """Boot, and wait until its first services run."""
        init = f"{SYSTEMD} --system --unit=multi-user.target" if self.systemd else REAPER
        off = " ".join([*(f"{name}.service" for name in OFF), *OFF_MOUNTS])
        layout = LAYOUT.format(root=shlex.quote(str(self.root)), off=off, init=init, archives=APART / "archives")
        self._process = self._with_control_groups(START, layout)
        wait_until(self._is_up, "the machine is up")

    def stop(self) -> None:
        """End all that runs in it."""
        if self._process is not None:
            journal = self._whole_journal()
            # Without its first process nothing of it is left.
            if self._init:
                subprocess.run(["kill", "-KILL", str(self._init)], check=False, capture_output=True)
            end(self._process)
            self._process = None
            wait_until(lambda: self._with_control_groups(CLEAR).wait() == 0, "its control groups are empty")
            passwords.assert_none_in(journal, "the machine's journal")

    def _with_control_groups(self, script: str, layout: str = "") -> subprocess.Popen[bytes]:
        """Run `script` where it sees this machine's control groups."""
        whole = (CONTROL_GROUPS + script).format(
            root=shlex.quote(str(self.root)), name=self._name, layout=shlex.quote(layout)
        )
        self.root.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", whole], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def run(self, *words: str, check: bool = True, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in it; its output and complaints come together."""
        done = subprocess.run(
            [
                *("nsenter", "-t", str(self._init), "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w", "--"),
                *("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"),
                *words,
            ],
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=150,
            check=False,
        )
        assert not check or done.returncode == 0, (
            f"{words}: {done.returncode}\n{done.stdout[-4000:]}\n{self._journal()}"
        )
        return done

    def shell(self, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in it."""
        return self.run("sh", "-c", command, check=check)

    def path(self, inside: str) -> Path:
        """Return where this test sees one of its files."""
        return Path(f"/proc/{self._init}/root{inside}")

    def _whole_journal(self) -> str:
        """Return what authd has logged; nothing where there is no journal any more."""
        if not self.systemd or not self._init:
            return ""
        return self.run("journalctl", "-u", "authd", "-o", "cat", "--no-pager", check=False).stdout

    def _journal(self) -> str:
        return self.run("journalctl", "-n", "40", "--no-pager", check=False).stdout if self.systemd else ""

    def _is_up(self) -> bool:
        process = self._process
        assert process is not None
        assert process.poll() is None, self.log.read_text()[-3000:]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if not children:
            return False
        try:
            command = Path(f"/proc/{children[0]}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False  # It was one of the commands that lay the machine out.
        if not command.startswith(SYSTEMD.encode() if self.systemd else b"bash"):
            return False
        self._init = int(children[0])
        if not self.systemd:
            return True
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")
