"""PAM stacks and system accounts of a test's own, in a mount namespace."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from authd.passwords.crypt3 import crypt

STACKS = {
    "imap": "auth required pam_unix.so nodelay\naccount required pam_unix.so\npassword required pam_unix.so sha512\n",
    "deny": "auth required pam_deny.so\naccount required pam_deny.so\n",
    "accountdeny": "auth required pam_permit.so\naccount required pam_deny.so\n",
    "permit": "auth required pam_permit.so\naccount required pam_permit.so\n",
    "broken": "auth required pam_nosuch.so\naccount required pam_permit.so\n",
    "other": "auth required pam_deny.so\naccount required pam_deny.so\n",
    "stuck": "auth required pam_exec.so /bin/sleep 3600\naccount required pam_permit.so\n",
    "refused": "auth required pam_exec.so /bin/false\naccount required pam_permit.so\n",
}
"""Files of /etc/pam.d."""


def _hashed() -> str:
    hashed = crypt(b"secret", b"$6$rounds=1000$abc")
    assert hashed is not None
    return hashed.decode()


HASH = _hashed()

PASSWD = f"""usera:x:2001:2002:User A,Room 1,,:/home/usera:/bin/sh
locked:x:2002:2002:L:/home/l:/bin/sh
expired:x:2003:2002::/home/e:/bin/sh
old:x:2004:2002::/home/o:/bin/sh
mustchange:x:2010:2002::/home/m:/bin/sh
zeroid:x:0:0:root2:/root:/bin/sh
inpasswd:{HASH}:2006:2002::/home/i:/bin/false
noshadow:x:2007:2002::/h:
nopassword::2008:2002::/h:
system:x:99:99::/h:
star:x:2012:2002::/h:
bang:x:2013:2002::/h:
cut:x:2014:2002::/h:
user@example.org:x:2011:2002::/h:
"""
SHADOW = f"""usera:{HASH}:19000:0:99999:7:::
locked:!{HASH}:19000:0:99999:7:::
expired:{HASH}:19000:0:99999:7::10000:
old:{HASH}:10000:0:10:7:3::
mustchange:{HASH}:0:0:99999:7:::
zeroid:{HASH}:19000:0:99999:7:::
system:{HASH}:19000::::::
star:*:19000:0:99999:7:::
bang:!!:19000:0:99999:7:::
cut:{HASH[:-1]}:19000:0:99999:7:::
user@example.org:{HASH}:19000::::::
"""
USERS = tuple(line.partition(":")[0] for line in PASSWD.splitlines())


class System:
    """An /etc of the test's own: a copy of the machine's below `root`, with these accounts and stacks in it."""

    def __init__(self, root: Path) -> None:
        self.etc = root / "system"
        shutil.copytree("/etc", self.etc, symlinks=True)
        pam = self.etc / "pam.d"
        shutil.rmtree(pam)
        pam.mkdir()
        for name, stack in STACKS.items():
            (pam / name).write_text(stack)
        self._files = {"passwd": _system_lines("passwd") + PASSWD, "shadow": _system_lines("shadow") + SHADOW}
        self.write()

    def write(self) -> None:
        """Write the accounts as they are at first."""
        for name, content in self._files.items():
            file = self.etc / name
            file.write_text(content)
            file.chmod(0o644 if name == "passwd" else 0o600)

    @property
    def mounts(self) -> dict[str, Path]:
        """What `with_mounts` takes."""
        return {"/etc": self.etc}

    @property
    def prefix(self) -> tuple[str, ...]:
        """What goes before a command that is to run on it."""
        return ("unshare", "-m", "sh", "-c", f'mount --bind {shlex.quote(str(self.etc))} /etc && exec "$@"', "sh")


def _system_lines(name: str) -> str:
    return (Path("/etc") / name).read_text()
