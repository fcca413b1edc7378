"""A private OpenLDAP server: own data directory, loopback port and Unix socket."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from tests.support.processes import Server, free_tcp_port, unix_socket_answers, wait_until

BASE = "o=example"
ADMIN = "cn=admin,o=example"
ADMIN_PASSWORD = "admin secret"

ATTRIBUTES = {
    "login": "caseIgnoreMatch",
    "handle": "caseIgnoreMatch",
    "crypt": "octetStringMatch",
    "clear": "octetStringMatch",
    "fullname": "caseIgnoreMatch",
    "uidnum": "caseIgnoreMatch",
    "gidnum": "caseIgnoreMatch",
    "homedir": "caseExactMatch",
    "maildir": "caseExactMatch",
    "quota": "caseExactMatch",
    "options": "caseExactMatch",
    "disableimap": "caseExactMatch",
    "delivery": "caseExactMatch",
}
"""Attributes of an account, and how each is compared."""

Entry = Mapping[str, bytes | Sequence[bytes]]


def _schema() -> str:
    text, octets = "1.3.6.1.4.1.1466.115.121.1.15", "1.3.6.1.4.1.1466.115.121.1.40"
    lines = []
    for number, (name, rule) in enumerate(ATTRIBUTES.items(), 1):
        syntax = octets if rule == "octetStringMatch" else text
        lines.append(f"attributetype ( 1.3.6.1.4.1.32473.1.{number} NAME '{name}' EQUALITY {rule} SYNTAX {syntax} )")
    names = " $ ".join([*ATTRIBUTES, "userPassword"])
    lines.append(f"objectclass ( 1.3.6.1.4.1.32473.2.1 NAME 'mailbox' SUP top STRUCTURAL MUST uid MAY ( {names} ) )")
    return "\n".join(lines)


class Slapd(Server):
    """One server in `root`. `port` stays the same over `stop` and `start`.

    :param lines: more lines for the server's configuration, before its database.
    :param overlays: lines behind its database.
    """

    def __init__(self, root: Path, *lines: str, scheme: str = "ldap", overlays: Sequence[str] = ()) -> None:
        self.root = root
        self.port = free_tcp_port()
        self.uri = f"{scheme}://127.0.0.1:{self.port}"
        self.socket = root / "ldapi"
        self._lines = lines
        self._overlays = overlays
        self.more: tuple[str, ...] = ()
        """Entries in LDIF, which `fill` puts beside those of accounts."""

    def _configure(self) -> None:
        (self.root / "data").mkdir(parents=True)
        self.root.chmod(0o755)
        configuration = f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
{_schema()}
loglevel none
modulepath /usr/lib/ldap
moduleload back_mdb
{chr(10).join(self._lines)}
database mdb
suffix "{BASE}"
rootdn "{ADMIN}"
rootpw "{ADMIN_PASSWORD}"
directory {self.root / "data"}
dbnosync
index login eq
access to attrs=userPassword by self write by anonymous auth by * none
access to * by self write by * read
{chr(10).join(self._overlays)}
"""
        (self.root / "slapd.conf").write_text(configuration)

    def fill(self, entries: Iterable[Entry]) -> None:
        """Put `entries` below `BASE` in place of all that was there; the server must not run."""
        for file in (self.root / "data").glob("*"):
            file.unlink()
        parts = [f"dn: {BASE}\nobjectClass: organization\no: example\n", *self.more]
        for number, entry in enumerate(entries):
            lines = [f"dn: uid={number},{BASE}", "objectClass: mailbox", f"uid: {number}"]
            for name, given in entry.items():
                values = [given] if isinstance(given, bytes) else given
                lines += [f"{name}:: {base64.b64encode(value).decode()}" for value in values]
            parts.append("\n".join(lines) + "\n")
        words = ["slapadd", "-q", "-f", str(self.root / "slapd.conf")]
        subprocess.run(words, input="\n".join(parts).encode(), check=True, capture_output=True)

    def make(self, entries: Iterable[Entry]) -> None:
        """Write the configuration and fill the directory."""
        self._configure()
        self.fill(entries)

    def start(self) -> None:
        """Start the server, made before, and wait until it accepts connections."""
        self.socket.unlink(missing_ok=True)
        # Its loop looks at every descriptor that it could have.
        words = ["prlimit", "--nofile=1024", "slapd", "-d", "0", "-f", str(self.root / "slapd.conf")]
        words += ["-h", f"{self.uri}/ ldapi://{quote(str(self.socket), safe='')}"]
        with (self.root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        process = self._process

        def ready() -> bool:
            assert process.poll() is None, (self.root / "server.log").read_text()[-2000:]
            return unix_socket_answers(self.socket)

        wait_until(ready, "slapd accepts connections")

    def modify(self, user: str, **values: str | None) -> None:
        """Set attributes of the account whose login is `user`; ``None`` removes one."""
        lines = [f"dn: {self.dn(user)}", "changetype: modify"]
        for name, value in values.items():
            lines.append(f"replace: {name}")
            if value is not None:
                lines.append(f"{name}:: {base64.b64encode(value.encode()).decode()}")
            lines.append("-")
        words = ["ldapmodify", "-x", "-H", self.uri, "-D", ADMIN, "-w", ADMIN_PASSWORD]
        subprocess.run(words, input="\n".join(lines).encode(), check=True, capture_output=True)

    def dn(self, user: str) -> str:
        """Return the name of the entry whose login is `user`."""
        words = ["ldapsearch", "-x", "-LLL", "-H", self.uri, "-b", BASE, f"(login={user})", "1.1"]
        found = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        return found.partition("dn: ")[2].split("\n")[0]
