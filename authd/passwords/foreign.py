"""Forms that neither Courier nor crypt(3) knows, by passlib's API as shipped by libpass.

::

    {PBKDF2} {PBKDF2-SHA256} {PBKDF2-SHA512}, $pbkdf2…$    passlib's own
    {ARGON2} {ARGON2I} {ARGON2ID}, $argon2…$               argon2
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

ARGON2_SCHEMES = (b"{ARGON2}", b"{ARGON2I}", b"{ARGON2ID}", b"{ARGON2D}")
"""Dovecot's names in front of an argon2 hash."""

_LIBRARY_SCHEMES = (
    "ldap_pbkdf2_sha1",
    "ldap_pbkdf2_sha256",
    "ldap_pbkdf2_sha512",
    "pbkdf2_sha1",
    "pbkdf2_sha256",
    "pbkdf2_sha512",
    "argon2",
)

PREFIXES = (b"{PBKDF2", b"$pbkdf2", b"$argon2", *ARGON2_SCHEMES)


_PREFIX = re.compile(b"|".join(map(re.escape, PREFIXES)), re.IGNORECASE)


@cache
def _context() -> Any:
    # Imported at first use: it takes 50 ms that a daemon with other hashes need not spend.
    from passlib.context import CryptContext  # noqa: PLC0415

    return CryptContext(schemes=_LIBRARY_SCHEMES)


def matches(password: bytes, stored: bytes) -> bool | None:
    """Tell whether `password` is the one behind `stored`; ``None`` where it can't be told from such a hash."""
    hashed = _library_form(stored)
    if hashed is None:
        return None
    try:
        result: bool = _context().verify(password, hashed)
    except (ValueError, TypeError):
        # What the library raises for a hash that it does not know, or that is cut off or locked.
        return None
    return result


def make_like(password: bytes, stored: bytes) -> bytes | None:
    """Return `password` hashed by the scheme of `stored`; ``None`` where it is not one of these."""
    hashed = _library_form(stored)
    if hashed is None:
        return None
    name = _context().identify(hashed)
    if name is None:
        return None
    # Dovecot's name in front is kept; {PBKDF2…} is part of the library's own form.
    return stored[: -len(hashed)] + make(password, name)


def make(password: bytes, name: str) -> bytes:
    """Return `password` hashed by the library's scheme `name`."""
    hashed: str = _context().handler(name).hash(password)
    return hashed.encode()


def _library_form(stored: bytes) -> bytes | None:
    """Return `stored` as the library spells it; ``None`` where it begins with none of `PREFIXES`."""
    match = _PREFIX.match(stored)
    if match is None:
        return None
    if match[0].upper() in ARGON2_SCHEMES:
        return stored[match.end() :]
    end = stored.find(b"}") + 1
    return stored[:end].upper() + stored[end:]
