"""A private Active Directory domain of Samba's, which serves LDAP alone, on an address of its own."""

from __future__ import annotations

import random
import socket
import subprocess
from pathlib import Path

from tests.support.processes import Server, end, wait_until

BASE = "DC=ad,DC=example,DC=org"
ADMIN_PASSWORD = "Admin.Secret9"
PASSWORD = "Old.Secret9"

_DIRECTORIES = {
    "private dir": "private",
    "state directory": "state",
    "cache directory": "cache",
    "lock directory": "lock",
    "pid directory": "run",
    "binddns dir": "dns",
    "ncalrpc dir": "ncalrpc",
}


class Samba(Server):
    """One domain in `root`.  The ports of LDAP are fixed, so that the address is what is its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = f"127.{random.randint(65, 126)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self._configuration = root / "smb.conf"

    def make(self) -> None:
        """Write the configuration and provision the domain."""
        places = {name: self.root / directory for name, directory in _DIRECTORIES.items()}
        for place in [*places.values(), self.root / "sysvol", self.root / "netlogon"]:
            place.mkdir(parents=True)
        lines = [f"{name} = {place}" for name, place in places.items()]
        self._configuration.write_text(
            "\n".join(
                [
                    "[global]",
                    "netbios name = DC1",
                    "realm = AD.EXAMPLE.ORG",
                    "workgroup = AD",
                    "server role = active directory domain controller",
                    "server services = ldap",
                    # Otherwise the password before opens the account for an hour.
                    "old password allowed period = 0",
                    f"interfaces = {self.address}/8",
                    "bind interfaces only = yes",
                    f"log file = {self.root}/log",
                    *lines,
                    f"[sysvol]\npath = {self.root}/sysvol",
                    f"[netlogon]\npath = {self.root}/netlogon\n",
                ]
            )
        )
        words = ["domain", "provision", "--realm=AD.EXAMPLE.ORG", "--domain=AD", "--server-role=dc", "--host-name=DC1"]
        words += ["--dns-backend=NONE", f"--adminpass={ADMIN_PASSWORD}", f"--host-ip={self.address}"]
        self._run("samba-tool", *words, f"--configfile={self._configuration}")

    def tool(self, *words: str) -> None:
        """Run samba-tool(8) on the domain's files."""
        database = f"{self.root}/private/sam.ldb"
        self._run("samba-tool", *words, f"--configfile={self._configuration}", "-H", database)

    def add(self, user: str, *more: str) -> None:
        """Add a user with the password `PASSWORD`."""
        mail = f"--mail-address={user}@ad.example.org"
        self.tool(
            "user", "create", user, PASSWORD, mail, "--uid-number=7", "--gid-number=8", f"--unix-home=/{user}", *more
        )

    def dn(self, user: str) -> str:
        """Return the name of a user's entry."""
        return f"CN={user},CN=Users,{BASE}"

    def start(self) -> None:
        """Start the server, made before, and wait until it accepts connections with and without TLS."""
        with (self.root / "server.log").open("ab") as log:
            words = [
                "samba",
                "--interactive",
                "--model=single",
                "--debug-stdout",
                f"--configfile={self._configuration}",
            ]
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log)
        process = self._process

        def ready() -> bool:
            assert process.poll() is None, (self.root / "server.log").read_text()[-2000:]
            return all(_answers(self.address, port) for port in (389, 636))

        wait_until(ready, "samba accepts connections")

    def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            assert self._process.stdin is not None
            end(self._process)
            self._process.stdin.close()
            self._process = None

    def _run(self, *words: str) -> None:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True
