"""What a client can ask, as immutable values.

Passwords are left out of every repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field

EVERY_MODULE = b"."
"""The ``authlist`` of a ``PRE`` that means all modules."""


@dataclass(slots=True)
class Lookup:
    """``PRE``: find an account without a password."""

    authlist: bytes
    service: bytes
    user: bytes


@dataclass(slots=True)
class Login:
    """``AUTH`` of type ``login``: find an account and check its password."""

    service: bytes
    user: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cram:
    """``AUTH`` of type ``cram-…``: check a keyed digest of a challenge.

    :param digest: name of the hash in `hashlib`'s terms: md5, sha1 or sha256.
    :param challenge: what the server had sent to the mail client.
    :param response: hexadecimal HMAC that the mail client answered.
    """

    service: bytes
    user: bytes
    digest: str
    challenge: bytes
    response: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """``PASSWD``: replace an account's password."""

    service: bytes
    user: bytes
    old: bytes = field(repr=False)
    new: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enumerate:
    """``ENUMERATE``: list all accounts."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Forget what is known of a user, or, for ``None``, of all."""

    user: bytes | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A request that is answered with a reject without asking anybody."""

    service: bytes
    problem: str
    user: bytes = b""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A request that is not answered at all: the connection closes.

    :param unsaid: whether the client said nothing at all, as a probe of whether the daemon is there does.
    """

    problem: str
    unsaid: bool = False


CLOSED_EARLY = Dropped("connection closed by the client")
"""The client closed in the middle of a request."""

NOTHING_SAID = Dropped("connection closed by the client before a request", unsaid=True)


def is_user_name(name: bytes) -> bool:
    """Tell whether `name` can be a user's.

    A NUL, tab or line feed separates the fields of some protocol, so that what is behind it would be lost or be another field.
    """
    # Every request is asked; a translation costs half of three scans.
    return len(name.translate(None, b"\0\n\t")) == len(name)


Request = Lookup | Login | Cram | ChangePassword | Enumerate | Flush | Rejected | Dropped
