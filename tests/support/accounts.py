"""Accounts that are odd in every way that tables of real sites are, and a few that are not."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from authd.passwords.crypt3 import crypt
from tests.support.extmail import EXTMAIL_HASH
from tests.support.mariadb import MariaDB
from tests.support.postgres import Postgres

SECRET = b"secret"
COLUMNS = (
    "username",
    "password",
    "clearpwd",
    "name",
    "uidnumber",
    "gidnumber",
    "homedir",
    "maildir",
    "quota",
    "options",
    "delivery",
)

TABLE = """CREATE TABLE mailbox (
    username varchar(255), password varchar(255), clearpwd varchar(255), name varchar(255),
    uidnumber varchar(40), gidnumber varchar(40), homedir varchar(255), maildir varchar(255),
    quota varchar(255), options varchar(255), delivery varchar(255))"""


def row(username: str | None, **values: Any) -> tuple[Any, ...]:
    """Return one row; what is not given is as ordinary as can be."""
    ordinary: dict[str, Any] = {
        "password": "",
        "clearpwd": "secret",
        "name": "Some Body",
        "uidnumber": "1000",
        "gidnumber": "1001",
        "homedir": "example.org/user",
        "maildir": "example.org/user/Maildir/",
        "quota": "104857600S",
        "options": "",
        "delivery": "",
    }
    return (username, *({**ordinary, **values}[column] for column in COLUMNS[1:]))


def _digest(name: str, salt: bytes = b"") -> str:
    return base64.b64encode(hashlib.new(name, SECRET + salt).digest() + salt).decode()


def _crypt(setting: str) -> str:
    hashed = crypt(SECRET, setting.encode())
    assert hashed is not None
    return hashed.decode()


COURIER_HASHES = {
    "des": _crypt("ab"),
    "md5crypt": _crypt("$1$abcdefgh"),
    "md5crypt-short-salt": _crypt("$1$abc"),
    "md5crypt-no-salt": _crypt("$1$$"),
    "bcrypt": _crypt("$2b$04$abcdefghijklmnopqrstuu"),
    "sha256crypt": _crypt("$5$rounds=1000$abc"),
    "sha512crypt": _crypt("$6$rounds=1000$abc"),
    "sha512crypt-default": _crypt("$6$abcdefgh"),
    "yescrypt": _crypt("$y$j8T$abcdefgh"),
    "md5": "{MD5}" + _digest("md5"),
    "md5-lower": "{md5}" + _digest("md5"),
    "md5raw": "{MD5RAW}" + hashlib.md5(SECRET).hexdigest(),
    "sha": "{SHA}" + _digest("sha1"),
    "sha256": "{SHA256}" + _digest("sha256"),
    "sha512": "{SHA512}" + _digest("sha512"),
    "ssha": "{SSHA}" + _digest("sha1", b"salt"),
    "ssha-mixed": "{SsHa}" + _digest("sha1", b"salt"),
    "crypt-md5": "{CRYPT}" + _crypt("$1$abcdefgh"),
    "crypt-sha512-lower": "{crypt}" + _crypt("$6$rounds=1000$abc"),
    "crypt-des": "{CRYPT}" + _crypt("ab"),
}
"""Hashes of `SECRET` that Courier verifies, by a name that makes a login."""

BROKEN_HASHES = {
    "locked": "!",
    "starred": "*",
    "locked-hash": "!" + _crypt("$6$rounds=1000$abc"),
    "cut-off": "$6$abc$",
    "cut-short": _crypt("$1$abcdefgh")[:-4],
    "one-letter": "x",
    "unknown-scheme": "{FOO}bar",
    "cleartext": "secret",
    "plain-scheme": "{PLAIN}secret",
    "md5-unpadded": "{MD5}" + _digest("md5").rstrip("="),
    "md5-tail": "{MD5}" + _digest("md5") + "x",
    "md5-blank": "{MD5} " + _digest("md5"),
    "md5-hex": "{MD5}" + hashlib.md5(SECRET).hexdigest(),
    "md5raw-upper": "{MD5RAW}" + hashlib.md5(SECRET).hexdigest().upper(),
    "sha-empty": "{SHA}",
    "ssha-empty": "{SSHA}",
    "ssha-garbage": "{SSHA}@@@@",
    "ssha-unsalted": "{SSHA}" + _digest("sha1"),
    "leading-blank": " " + _crypt("$1$abcdefgh"),
    "trailing-blank": _crypt("$1$abcdefgh") + " ",
    "long-salt": "$1$abcdefghIJKL$" + _crypt("$1$abcdefgh").split("$")[3],
    "brace": "{",
    "empty-scheme": "{}x",
    "eight-bit": "\xe9\xe8",
    "sha1-name": "{SHA1}" + _digest("sha1"),
}
"""Stored values that no password opens."""

AUTHD_HASHES = {
    "ssha8": "{SSHA}" + _digest("sha1", b"saltsalt"),
    "ssha256": "{SSHA256}" + _digest("sha256", b"salt"),
    "ssha512": "{SSHA512}" + _digest("sha512", b"saltsalt"),
    "blf-crypt": "{BLF-CRYPT}" + _crypt("$2b$04$abcdefghijklmnopqrstuu"),
    "sha512-crypt": "{SHA512-CRYPT}" + _crypt("$6$rounds=1000$abc"),
}
"""Hashes of `SECRET` that authd verifies and Courier does not."""

ODD_NAMES = (
    "it's@example.org",
    "back\\slash@example.org",
    'double"quote@example.org',
    "per%cent%s@example.org",
    "semi;colon--@example.org",
    "sp ace@example.org",
    "umläut@example.org",
    "$(domain)@example.org",
    "a@b@example.org",
    "colon:user@example.org",
    "bare",
    "UPPER@Example.ORG",
    "{brace}@example.org",
    "hash#tag@example.org",
    "eq=ual@example.org",
    "名前@example.org",
    "dot.@example.org",
    "`tick`@example.org",
)

ROWS: tuple[tuple[Any, ...], ...] = (
    row(
        "postmaster@extmail.org",
        password=EXTMAIL_HASH,
        clearpwd="extmail",
        name="PostMaster, the one",
        homedir="extmail.org/postmaster",
        maildir="extmail.org/postmaster/Maildir/",
        options="disableimap=0,x=1",
        delivery="| /usr/bin/deliver",
    ),
    row("user@example.org"),
    row("nouid@example.org", uidnumber="0"),
    row("nogid@example.org", gidnumber="0"),
    row("nohome@example.org", homedir=""),
    row("nullhome@example.org", homedir=None),
    row("nulls@example.org", password=None, name=None, maildir=None, quota=None, options=None, delivery=None),
    row("empties@example.org", password="", name="", maildir="", quota="", options="", delivery=""),
    row("nopassword@example.org", password=None, clearpwd=None),
    row("emptypassword@example.org", password="", clearpwd=""),
    row("both@example.org", password=EXTMAIL_HASH, clearpwd="clear"),
    row("negative@example.org", uidnumber="-1", gidnumber="-2"),
    row("trailing@example.org", uidnumber="12ab", gidnumber="7 "),
    row("letters@example.org", uidnumber="abc"),
    row("hexadecimal@example.org", gidnumber="0x10"),
    row("fraction@example.org", uidnumber="1.9", gidnumber=" 5"),
    row("plus@example.org", uidnumber="+5", gidnumber="007"),
    row("huge@example.org", uidnumber="4294967297", gidnumber="99999999999999999999"),
    row("largest@example.org", uidnumber="4294967295", gidnumber="2147483648"),
    row("hugenegative@example.org", uidnumber="-4294967295", gidnumber="-99999999999999999999"),
    row("minuszero@example.org", uidnumber="-0"),
    row("nulluid@example.org", uidnumber=None),
    row("emptyuid@example.org", uidnumber="", gidnumber=""),
    row(
        "eightbit@example.org",
        name="Jürgen Müller",
        homedir="jürgen",
        maildir="jürgen/Maildir/",
        quota="ä",
        options="o=ö",
    ),
    row("commas@example.org", name=",nothing before it"),
    row("options@example.org", options="a=1,b,c=,=d, e=1,a=2,,wbnodsn=1"),
    row("option@example.org", options="disablepop3=1"),
    row("twice@example.org", clearpwd="first", homedir="first"),
    row("twice@example.org", clearpwd="second", homedir="second"),
    row("long@example.org", name="n" * 255, quota="q" * 255, options="o=" + "o" * 250),
    row("quotes@example.org", clearpwd='it\'s "quoted" \\ %s'),
    row("longpassword@example.org", clearpwd="p" * 255),
    row("unshared@example.org", options="disableshared=1"),
    row("shared@example.org", options="disableshared=0"),
    row("user@default.example"),
    row("", homedir="nameless"),
    row(None, homedir="null name"),
    *(row(name) for name in ODD_NAMES),
    *(
        row(f"{name}@hash.example", password=hashed, clearpwd="")
        for name, hashed in (COURIER_HASHES | BROKEN_HASHES).items()
    ),
)

FORGING_ROWS = (
    row("name@forge.example", name="x\nUID=0\nGID=0"),
    row("home@forge.example", homedir="h\n/root"),
    row("maildir@forge.example", maildir="m\nHOME=/root"),
    row("quota@forge.example", quota="1S\nUID=0"),
    row("options@forge.example", options="a=1\nUID=0,b=2"),
    row("clear@forge.example", clearpwd="secret\nUID=0"),
    row("crypt@forge.example", password=_crypt("$1$abcdefgh") + "\nUID=0", clearpwd="secret"),
    row("end@forge.example", name="x\n.\nUID=0"),
)
"""Accounts that have a value with a line feed, each in one field."""

TABBED_ROWS = (
    row("tab\tname@forge.example"),
    row("tabs@forge.example", homedir="h\t0\t0", maildir="m\tx", options="a=1\tb", name="a\tb"),
)
"""Accounts with tabs, which are ordinary bytes in a reply, and separate the fields of an enumeration."""

AUTHD_ROWS = tuple(row(f"{name}@hash.example", password=hashed, clearpwd="") for name, hashed in AUTHD_HASHES.items())

INSERT = f"INSERT INTO mailbox ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"


def fill(server: MariaDB) -> None:
    """Make the ``extmail`` database anew, with all accounts."""
    server.execute(
        "DROP DATABASE IF EXISTS extmail",
        "CREATE DATABASE extmail CHARACTER SET utf8mb4",
        "CREATE OR REPLACE USER extmail@localhost IDENTIFIED BY 'extmail'",
        "CREATE OR REPLACE USER extmail@'127.0.0.1' IDENTIFIED BY 'extmail'",
        "GRANT SELECT, UPDATE ON extmail.* TO extmail@localhost",
        "GRANT SELECT, UPDATE ON extmail.* TO extmail@'127.0.0.1'",
    )
    with server.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.executemany(INSERT, ROWS)


def fill_postgres(server: Postgres) -> None:
    """Make the ``extmail`` database anew, with all accounts."""
    server.execute(
        "DROP DATABASE IF EXISTS extmail WITH (FORCE)",
        "DROP ROLE IF EXISTS extmail",
        "CREATE DATABASE extmail",
        "CREATE ROLE extmail LOGIN PASSWORD 'extmail'",
        database="template1",
    )
    with server.connect() as connection:
        connection.execute(TABLE.encode())
        connection.execute("CREATE INDEX login ON mailbox (username)")
        connection.execute("GRANT SELECT, UPDATE ON mailbox TO extmail")
        connection.cursor().executemany(INSERT.encode(), ROWS)


LDAP_NAMES = {
    "username": "login",
    "password": "crypt",
    "clearpwd": "clear",
    "name": "fullname",
    "uidnumber": "uidnum",
    "gidnumber": "gidnum",
}
"""What columns are called in the directory, where that is not the same."""


def _ldap_entries() -> list[dict[str, bytes]]:
    """Return the accounts as a directory can have them: without what is empty."""
    entries = []
    for values in ROWS:
        entry = {
            LDAP_NAMES.get(column, column): str(value).encode()
            for column, value in zip(COLUMNS, values, strict=True)
            if value not in (None, "")
        }
        if "login" in entry:
            entries.append(entry)
    return entries


LDAP_ENTRIES = _ldap_entries()


def fill_sqlite(database: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Make the SQLite file `database` anew, with `rows` in columns that have no type."""
    database.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"CREATE TABLE mailbox ({', '.join(COLUMNS)})")
        connection.execute("CREATE INDEX login ON mailbox (username)")
        connection.executemany(f"INSERT INTO mailbox VALUES ({', '.join('?' * len(COLUMNS))})", rows)
        connection.commit()
