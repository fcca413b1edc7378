"""A private Postfix: own configuration, queue and loopback port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support.processes import Service, end, free_tcp_port, wait_until

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

MASTER = """127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
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
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_error_sleep_time = 0
"""

# What the first users of authd have in this file, but for the paths.
SMTPD_CONF = """pwcheck_method: authdaemond
log_level: 3
mech_list: PLAIN LOGIN
authdaemond_path: {socket}
"""


class Postfix(Service):
    """One Postfix in `root` that checks passwords by Cyrus SASL on `authdaemond_socket`."""

    def __init__(self, root: Path, authdaemond_socket: Path) -> None:
        self.root = root
        self.port = free_tcp_port()
        self.log = root / "mail.log"
        self._socket = authdaemond_socket
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Lay out the directories, start, and wait for the SMTP port."""
        for directory in ("etc", "etc/sasl", "queue", *(f"queue/{name}" for name in QUEUES), "data"):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        for directory in ("data", *(f"queue/{name}" for name in QUEUES if name != "pid")):
            shutil.chown(self.root / directory, "postfix")
        for directory in ("public", "maildrop"):
            shutil.chown(self.root / "queue" / directory, "postfix", "postdrop")
            (self.root / "queue" / directory).chmod(0o730 if directory == "maildrop" else 0o710)
        (self.root / "etc" / "main.cf").write_text(MAIN.format(root=self.root))
        (self.root / "etc" / "master.cf").write_text(MASTER.format(port=self.port))
        (self.root / "etc" / "sasl" / "smtpd.conf").write_text(SMTPD_CONF.format(socket=self._socket))
        with (self.root / "start.log").open("ab") as log:
            self._process = subprocess.Popen(
                [MASTER_PROGRAM, "-c", str(self.root / "etc"), "-d"],
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
        assert process.poll() is None, (self.root / "start.log").read_text() + self._log()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def _log(self) -> str:
        return self.log.read_text() if self.log.exists() else ""
