"""The accounts of the benchmark, and what is asked about them."""

from __future__ import annotations

from dataclasses import dataclass

from authd.passwords import hash_password
from tests.bench.load import Exchange
from tests.support.extmail import EXTMAIL_HASH, EXTMAIL_PASSWORD, INSERT, TABLE
from tests.support.mariadb import MariaDB
from tests.support.wire import login, pre

SERVICE = "smtp"

BCRYPT_COST = 10


@dataclass(frozen=True, slots=True)
class Kind:
    """Accounts whose passwords are hashed in the same way.

    :param name: of the hash, as in the results.
    :param stored: the hash that all of them have.
    """

    name: str
    count: int
    stored: bytes

    def user(self, number: int) -> str:
        """Return the login of one of them."""
        return f"{self.name}-{number % self.count}@example.org"


def kinds() -> dict[str, Kind]:
    """Return the kinds of accounts by their names."""
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


def fill(server: MariaDB, wanted: dict[str, Kind]) -> None:
    """Make the first users' database anew, with the accounts of all kinds."""
    server.execute(
        "DROP DATABASE IF EXISTS extmail",
        "CREATE DATABASE extmail CHARACTER SET utf8mb3",
        "CREATE OR REPLACE USER extmail@localhost IDENTIFIED BY 'extmail'",
        "GRANT SELECT, UPDATE ON extmail.* TO extmail@localhost",
    )
    with server.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        for kind in wanted.values():
            users = [kind.user(number) for number in range(kind.count)]
            cursor.executemany(
                INSERT,
                [
                    (user, user, kind.stored, user.title(), f"example.org/{user}/Maildir/", f"example.org/{user}", "x")
                    for user in users
                ],
            )


def expected(user: str, stored: bytes, password: str = "") -> bytes:
    """Return the reply about an account; a login's has the password that was given."""
    lines = [
        b"UID=2525",
        b"GID=2525",
        b"HOME=/var/mailbox/example.org/%b" % user.encode(),
        b"ADDRESS=%b" % user.encode(),
        b"NAME=%b" % user.title().encode(),
        b"MAILDIR=/var/mailbox/example.org/%b/Maildir/" % user.encode(),
        b"PASSWD=%b" % stored,
    ]
    if password:
        lines.append(b"PASSWD2=%b" % password.encode())
    return b"\n".join([*lines, b".\n"])


def lookups(kind: Kind, count: int = 1000) -> list[Exchange]:
    """Return PRE requests about accounts of `kind`."""
    return [
        Exchange(pre(user, SERVICE), expected(user, kind.stored))
        for user in (kind.user(number * 7) for number in range(count))
    ]


def logins(kind: Kind, count: int = 1000) -> list[Exchange]:
    """Return logins with the right password."""
    return [
        Exchange(login(user, EXTMAIL_PASSWORD, SERVICE), expected(user, kind.stored, EXTMAIL_PASSWORD))
        for user in (kind.user(number * 7) for number in range(count))
    ]


def wrong_logins(kind: Kind, count: int = 1000) -> list[Exchange]:
    """Return logins with a wrong password."""
    return [Exchange(login(kind.user(number * 7), "not it", SERVICE), b"FAIL\n") for number in range(count)]
