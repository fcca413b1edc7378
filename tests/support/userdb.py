"""The accounts as a userdb has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from authd.passwords.crypt3 import crypt
from authd.passwords.hmacstate import hmac_state
from tests.support.accounts import COLUMNS, ROWS
from tests.support.courier import in_namespace

NAMES = {
    "password": "systempw",
    "name": "gecos",
    "uidnumber": "uid",
    "gidnumber": "gid",
    "homedir": "home",
    "maildir": "mail",
    "quota": "quota",
    "options": "options",
}
"""What columns are called in a userdb; ``clearpwd`` becomes what CRAM needs."""


def _made(password: bytes, salt: str = "$1$abcdefgh") -> str:
    hashed = crypt(password, salt.encode())
    assert hashed is not None
    return hashed.decode()


HASH = _made(b"secret")

OTHERS = (
    f"perservice@example.org\thome=/s|uid=1|gid=2|systempw={_made(b'system')}|imappw={_made(b'imap')}|pop3pw={_made(b'pop3')}",
    f"smtponly@example.org\thome=/s|uid=1|gid=2|esmtppw={_made(b'esmtp')}",
    f"states@example.org\thome=/s|uid=1|gid=2|options=a=1|gecos=S|quota=1S|hmac-md5pw={hmac_state(b'secret', 'md5')}|"
    f"hmac-sha1pw={hmac_state(b'secret', 'sha1')}|hmac-sha256pw={hmac_state(b'secret', 'sha256')}",
    f"own@example.org\thome=/s|uid=1|gid=2|systempw={_made(b'secret')}|hmac-md5pw={hmac_state(b'secret', 'md5')}|"
    f"imap-hmac-md5pw={hmac_state(b'imap', 'md5')}",
    "badstate@example.org\thome=/s|uid=1|gid=2|hmac-md5pw=zz|hmac-sha1pw=00",
    "noid@example.org\thome=/s|systempw=x",
    "nohomefield@example.org\tuid=1|gid=2|systempw=x",
    "emptyhome@example.org\thome=|uid=1|gid=2|systempw=x",
    "noequals@example.org\thome=/s|uid=1|gid=2|shell|systempw=x",
    "repeated@example.org\thome=/s|home=/t|uid=1|uid=2|gid=2|systempw=x",
    "odd=name@example.org\thome=/s|uid=1|gid=2|mail=a=b|options=x=1",
    "1000=\tuser@example.org",
)


def text() -> str:
    """Return the userdb of all accounts that one can have, each once."""
    lines = ["# accounts", ""]
    seen = set()
    for values in ROWS:
        row = dict(zip(COLUMNS, values, strict=True))
        name = row["username"]
        texts = [str(value) for value in values if value is not None]
        if not name or name in seen or any(character in text for text in texts for character in "|\n\t"):
            continue
        seen.add(name)
        fields = [f"{NAMES[column]}={row[column]}" for column in NAMES if row[column] not in (None, "")]
        if row["clearpwd"]:
            password = row["clearpwd"].encode()
            fields.append(f"hmac-md5pw={hmac_state(password, 'md5')}")
            if not row["password"]:
                fields.append(f"systempw={_made(password)}")
        lines.append(f"{name}\t{'|'.join(fields)}")
    return "\n".join([*lines, *OTHERS, ""])


def write(etc: Path, content: str | None = None) -> Path:
    """Write the text of a userdb into `etc`."""
    file = etc / "userdb"
    if file.is_dir():
        shutil.rmtree(file)
    file.touch(mode=0o600)
    file.write_text(text() if content is None else content)
    return file


def compile_with_courier(root: Path, etc: Path) -> None:
    """Have Courier's ``makeuserdb`` compile the userdb in `etc`."""
    (root / "run").mkdir(exist_ok=True)
    subprocess.run(in_namespace(etc, root / "run", ["/usr/sbin/makeuserdb"]), check=True, capture_output=True)
