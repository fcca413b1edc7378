"""The accounts of the benchmark, and what is asked about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from authd.passwords import hash_password
from tests.bench.load import Exchange
from tests.support.extmail import EXTMAIL_HASH, EXTMAIL_PASSWORD, fill_with
from tests.support.mariadb import MariaDB
from tests.support.wire import login, pre

SERVICE = "smtp"

DOMAIN = "example.org"


@dataclass(frozen=True, slots=True)
class Kind:
    """Accounts whose passwords are hashed in the same way.

    :param name: of the hash, as in the results.
    :param stored: the hash that all of them have.
    """

    name: str
    count: int
    stored: bytes

    def name_of(self, number: int) -> str:
        """Return what the login of one of them has before its domain."""
        return f"{self.name}-{number % self.count}"

    def some(self, count: int) -> list[str]:
        """Return the names of `count` of them, from all over the table, none next to another."""
        step = max(7, self.count // count)
        return [self.name_of(number * step) for number in range(count)]


@cache
def kinds() -> dict[str, Kind]:
    """Return the kinds of accounts by their names; their salts are random, but the same for whoever asks."""
    password = EXTMAIL_PASSWORD.encode()
    return {
        kind.name: kind
        for kind in (
            Kind("md5-crypt", 10_000, EXTMAIL_HASH.encode()),
            Kind("ssha", 1_000, hash_password(password, "ssha")),
            Kind("sha512-crypt", 1_000, hash_password(password, "sha512-crypt")),
            Kind("bcrypt", 1_000, hash_password(password, "bcrypt")),
        )
    }


def fill(server: MariaDB) -> None:
    """Make the first users' database anew, with the accounts of all kinds."""
    fill_with(
        server,
        (
            (kind.name_of(number), DOMAIN, kind.stored.decode())
            for kind in kinds().values()
            for number in range(kind.count)
        ),
    )


def fill_many(server: MariaDB, kind: Kind) -> None:
    """Make the first users' database anew, with the accounts of one kind, however many."""
    fill_with(server, ())
    with server.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mailbox (username, uid, password, name, maildir, homedir, quota, netdiskquota, domain) "
            f"SELECT CONCAT(n, '@{DOMAIN}'), n, %s, CONCAT(%s, '-', seq), CONCAT('{DOMAIN}/', n, '/Maildir/'), "
            f"CONCAT('{DOMAIN}/', n), '104857600S', '52428800S', '{DOMAIN}' "
            f"FROM (SELECT seq, CONCAT(%s, '-', seq) AS n FROM seq_0_to_{kind.count - 1}) AS names",
            (kind.stored.decode(), kind.name.title(), kind.name),
        )


def expected(name: str, stored: bytes, password: str = "") -> bytes:
    """Return the reply about an account; a login's has the password that was given."""
    lines = [
        "UID=2525",
        "GID=2525",
        f"HOME=/var/mailbox/{DOMAIN}/{name}",
        f"ADDRESS={name}@{DOMAIN}",
        f"NAME={name.title()}",
        f"MAILDIR=/var/mailbox/{DOMAIN}/{name}/Maildir/",
        f"PASSWD={stored.decode()}",
        *([f"PASSWD2={password}"] if password else []),
        ".\n",
    ]
    return "\n".join(lines).encode()


def lookups(kind: Kind, count: int = 1000) -> list[Exchange]:
    """Return PRE requests about accounts of `kind`."""
    return [Exchange(pre(f"{name}@{DOMAIN}", SERVICE), expected(name, kind.stored)) for name in kind.some(count)]


def logins(kind: Kind, count: int = 1000) -> list[Exchange]:
    """Return logins with the right password."""
    return [
        Exchange(login(f"{name}@{DOMAIN}", EXTMAIL_PASSWORD, SERVICE), expected(name, kind.stored, EXTMAIL_PASSWORD))
        for name in kind.some(count)
    ]


def wrong_logins(kind: Kind, count: int = 1000) -> list[Exchange]:
    """Return logins with a wrong password."""
    return [Exchange(login(f"{name}@{DOMAIN}", "not it", SERVICE), b"FAIL\n") for name in kind.some(count)]
