"""A private Postfix: own configuration, queue and loopback port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.support.processes import Service, end, free_tcp_port, tcp_port_answers, wait_until

QUEUES = (
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "maildrop",
    "pid",
    "private",
    "public",
    "saved",
    "trace",
)

MASTER_PROGRAM = "/usr/lib/postfix/sbin/master"

MASTER = """127.0.0.1:{port} inet n - {chroot} - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
"""

MAIN = """compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/mail.log
maillog_file_prefixes = {root}
myhostname = mail.example.org
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_error_sleep_time = 0
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
"""


class Postfix(Service):
    """One Postfix in `root`.

    :param main: lines of main.cf, such as a how-to has them.
    :param master: lines of master.cf, likewise.
    :param files: further files of its configuration directory.
    :param chroot: whether smtpd is locked into the queue directory.
    """

    def __init__(
        self, root: Path, main: str, master: str = "", files: Mapping[str, str] | None = None, chroot: bool = False
    ) -> None:
        self.root = root
        self.etc = root / "etc"
        self.queue = root / "queue"
        self.port = free_tcp_port()
        self.log = root / "mail.log"
        self.main = main
        self._master = master
        self._files = files or {}
        self._chroot = chroot
        self._process: subprocess.Popen[bytes] | None = None

    def lay_out(self) -> None:
        """Make the directories, for those who must be in them before the start."""
        for directory in ("etc", "etc/sasl", "queue", *(f"queue/{name}" for name in QUEUES), "data"):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        for directory in ("data", *(f"queue/{name}" for name in QUEUES if name != "pid")):
            shutil.chown(self.root / directory, "postfix")
        for directory in ("public", "maildrop"):
            shutil.chown(self.queue / directory, "postfix", "postdrop")
        for directory, mode in (("maildrop", 0o730), ("public", 0o710), ("private", 0o700)):
            (self.queue / directory).chmod(mode)

    def start(self) -> None:
        """Write the configuration, start, and wait for the SMTP port."""
        self.lay_out()
        (self.etc / "main.cf").write_text(MAIN.format(root=self.root) + self.main)
        chroot = "y" if self._chroot else "n"
        (self.etc / "master.cf").write_text(MASTER.format(port=self.port, chroot=chroot) + self._master)
        for name, content in self._files.items():
            (self.etc / name).write_text(content)
        with (self.root / "start.log").open("ab") as log:
            self._process = subprocess.Popen(
                [MASTER_PROGRAM, "-c", str(self.etc), "-d"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        wait_until(self._answers, "Postfix answers")

    def stop(self) -> None:
        """End the master and the processes of its group."""
        if self._process is not None:
            group = self._process.pid
            end(self._process)
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)
            self._process = None

    def _answers(self) -> bool:
        process = self._process
        assert process is not None
        assert process.poll() is None, (self.root / "start.log").read_text() + self.logged()
        return tcp_port_answers(self.port)

    def logged(self) -> str:
        """Return all that it has logged."""
        return self.log.read_text() if self.log.exists() else ""
