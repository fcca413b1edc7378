"""A private Exim: own configuration, spool and loopback port; its user is there in its own namespace alone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.apart import apart
from tests.support.namespace import with_mounts
from tests.support.processes import Service, end, free_tcp_port, tcp_port_answers, wait_until

EXIM = apart("/usr/sbin/exim4")
EXAMPLES = Path(apart("/etc/exim4/conf.d/auth/30_exim4-config_examples"))
"""The authenticators that Debian ships, each line of them a comment."""

UID = 2527

CONFIGURATION = """AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes
primary_hostname = mail.example.org
spool_directory = {root}/spool
log_file_path = {root}/%slog
pid_file_path = {root}/exim.pid
exim_user = Debian-exim
exim_group = Debian-exim
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
tls_advertise_hosts =
auth_advertise_hosts = *
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = acl_rcpt

begin acl
acl_rcpt:
  accept authenticated = *
  deny

begin authenticators
{authenticators}
"""


def example(*names: str) -> str:
    """Return some of Debian's authenticators, uncommented."""
    found = []
    for name in names:
        lines = EXAMPLES.read_text().splitlines()
        start = lines.index(f"# {name}:")
        kept: list[str] = []
        for line in lines[start:]:
            if not line.startswith("# ") or (kept and re.fullmatch(r"# \w+:", line)):
                break
            kept.append(line.removeprefix("# "))
        found.append("\n".join(kept))
    return "\n\n".join(found) + "\n"


class Exim(Service):
    """One Exim in `root`.

    :param authenticators: that part of its configuration.
    :param mounts: what of its file system is replaced.
    """

    def __init__(self, root: Path, authenticators: str, mounts: Mapping[str, Path]) -> None:
        self.root = root
        self.port = free_tcp_port()
        self._authenticators = authenticators
        self._mounts = mounts
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Write the configuration, start, and wait for the SMTP port."""
        (self.root / "spool").mkdir(parents=True)
        self.root.chmod(0o777)
        (self.root / "spool").chmod(0o777)
        configuration = self.root / "exim.conf"
        configuration.write_text(
            CONFIGURATION.format(root=self.root, port=self.port, authenticators=self._authenticators)
        )
        # Exim takes a configuration that others could write to for a trap.
        configuration.chmod(0o644)
        users = {"/etc/passwd": f"Debian-exim:x:{UID}:{UID}::/:/bin/false\n", "/etc/group": f"Debian-exim:x:{UID}:\n"}
        mounts = dict(self._mounts)
        for file, line in users.items():
            mounts[file] = self.root / Path(file).name
            mounts[file].write_text(Path(file).read_text() + line)
        command = with_mounts(mounts, [EXIM, "-C", str(configuration), "-bdf"])
        with (self.root / "start.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, "Exim answers")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def logged(self) -> str:
        """Return all that it has logged."""
        return "".join(log.read_text() for log in sorted(self.root.glob("*log")))

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.logged()
        return tcp_port_answers(self.port)
