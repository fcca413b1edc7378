"""A private Dovecot: own configuration, run directory and loopback ports.

Debian 12's has its imap and pop3 from packages unpacked apart; Debian 13's is in a chroot of its own.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.apart import apart
from tests.support.namespace import with_mounts
from tests.support.processes import Service, end, free_tcp_port, tcp_port_answers, wait_until

PROGRAMS = (
    "dovecot",
    "doveadm",
    "/usr/lib/dovecot/lmtp",
    "/usr/lib/dovecot/modules/auth/libauthdb_lua.so",
    "/usr/lib/x86_64-linux-gnu/lua/5.4/socket/unix.so",
    *(apart(f"/usr/lib/dovecot/{name}") for name in ("imap", "imap-login", "pop3", "pop3-login")),
)

COMMON = """protocols = imap pop3 lmtp
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
listen = 127.0.0.1
ssl = no
auth_failure_delay = 0
auth_mechanisms = plain login
first_valid_uid = 500
mail_max_userip_connections = 100
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
}}
service anvil {{
  # No delay that grows with the number of wrong passwords.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@example.org
}}
"""

OLDER = """disable_plaintext_auth = no
"""

NEWER = """dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
auth_allow_cleartext = yes
mail_driver = maildir
"""

TRIXIE = apart("/trixie")

UNPACKED = (
    *("imap", "imap-login", "imap-hibernate", "imap-urlauth", "imap-urlauth-login", "imap-urlauth-worker"),
    *("pop3", "pop3-login"),
)


class Dovecot(Service):
    """One Dovecot in `root`.

    :param settings: more of dovecot.conf, such as a how-to has it.
    :param newer: whether it is Debian 13's.
    """

    def __init__(self, root: Path, settings: str, newer: bool = False) -> None:
        self.root = root
        self._newer = newer
        self.imap, self.pop3 = free_tcp_port(), free_tcp_port()
        self.lmtp = root / "run" / "lmtp"
        self.log = root / "dovecot.log"
        self.configuration = root / "dovecot.conf"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Write the configuration, start, and wait for the ports."""
        self.root.mkdir(parents=True, exist_ok=True)
        common = COMMON.format(root=self.root, imap=self.imap, pop3=self.pop3)
        programs = "".join(
            f"service {name} {{\n  executable = {apart('/usr/lib/dovecot')}/{name}\n}}\n" for name in UNPACKED
        )
        parts = (NEWER, common) if self._newer else (common, OLDER, programs)
        self.configuration.write_text("".join(parts) + self._settings)
        command = ["dovecot", "-F", "-c", str(self.configuration)]
        if self._newer:
            # What the test has is in the chroot at the same place, and only as long as this runs.
            base = str(self.root.parent)
            mounts = {f"{TRIXIE}{base}": Path(base), f"{TRIXIE}/dev": Path("/dev"), f"{TRIXIE}/proc": Path("/proc")}
            command = with_mounts(mounts, ["chroot", TRIXIE, *command])
        with (self.root / "start.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, "Dovecot answers")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def doveadm(self, *words: str) -> tuple[int, str]:
        """Run doveadm; return its exit status and what it said."""
        assert self._process is not None
        where = ["nsenter", "-t", str(self._process.pid), "-m", "-r", "--"] if self._newer else []
        command = [*where, "doveadm", "-c", str(self.configuration), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def logged(self) -> str:
        """Return all that it has logged."""
        return "".join(log.read_text() for log in (self.root / "start.log", self.log) if log.exists())

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.logged()
        return all(map(tcp_port_answers, (self.imap, self.pop3))) and self.lmtp.exists()
