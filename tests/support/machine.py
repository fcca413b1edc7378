"""A whole machine to install things on: this one's file system with everything that is written kept apart, processes and network
of its own, and a real systemd if wanted.

Nothing in it reaches this machine, and it is gone at the end.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from tests.support.apart import APART
from tests.support.processes import Service, end, wait_until

SYSTEMD = "/lib/systemd/systemd"

OFF = (
    "binfmt",
    "modules-load",
    "sysctl",
    "udevd",
    "udev-trigger",
    "remount-fs",
    "update-utmp",
    "networkd",
    "resolved",
    "timesyncd",
)
"""systemd's own services that would reach through to the real kernel, or wait for devices that are not there."""

REAPER = "bash -c 'while :; do sleep 3600 & wait; done'"
"""A first process that does what the first process must, and no more."""

LAYOUT = """set -e
mount -t tmpfs -o mode=755 tmpfs {root}
cd {root}
mkdir upper work root
chmod 755 . upper root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p run/lock run/courier
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi
ip link set lo up
rm -f usr/sbin/policy-rc.d etc/systemd/system/*.wants/*.service etc/systemd/system/*.wants/*.timer
for name in {off}; do ln -sf /dev/null etc/systemd/system/systemd-$name.service; done
ln -sf /dev/null etc/systemd/system/console-getty.service
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
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0

    def start(self) -> None:
        """Boot, and wait until its first services run."""
        self.root.mkdir(parents=True, exist_ok=True)
        init = f"{SYSTEMD} --system --unit=multi-user.target" if self.systemd else REAPER
        script = LAYOUT.format(
            root=shlex.quote(str(self.root)), off=" ".join(OFF), init=init, archives=APART / "archives"
        )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "--pid",
                    "--net",
                    "--uts",
                    "--ipc",
                    "--fork",
                    "--kill-child",
                    "sh",
                    "-c",
                    script,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_up, "the machine is up")

    def stop(self) -> None:
        """End all that runs in it."""
        if self._process is not None:
            # Without its first process nothing of it is left.
            if self._init:
                subprocess.run(["kill", "-KILL", str(self._init)], check=False, capture_output=True)
            end(self._process)
            self._process = None

    def run(self, *words: str, check: bool = True, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in it; its output and complaints come together."""
        done = subprocess.run(
            [
                *("nsenter", "-t", str(self._init), "-m", "-p", "-n", "-u", "-i", "-r", "-w", "--"),
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

    def _journal(self) -> str:
        return self.run("journalctl", "-n", "40", "--no-pager", check=False).stdout if self.systemd else ""

    def _is_up(self) -> bool:
        process = self._process
        assert process is not None
        assert process.poll() is None, self.log.read_text()[-3000:]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if not children:
            return False
        self._init = int(children[0])
        command = Path(f"/proc/{self._init}/cmdline").read_bytes()
        if not self.systemd:
            return command.startswith(b"bash")
        if not command.startswith(SYSTEMD.encode()):
            return False
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")
