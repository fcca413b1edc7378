"""Make what is stored from a password."""

from __future__ import annotations

import re
from contextlib import suppress

from authd.passwords import braces, foreign
from authd.passwords.crypt3 import crypt, gensalt
from authd.passwords.verify import CRYPT_SCHEMES

SCHEMES: dict[str, bytes | str] = {
    "sha512-crypt": b"$6$",
    "sha256-crypt": b"$5$",
    "md5-crypt": b"$1$",
    "bcrypt": b"$2b$",
    "yescrypt": b"$y$",
    "crypt": b"",
    "md5": b"{MD5}",
    "md5raw": b"{MD5RAW}",
    "sha1": b"{SHA}",
    "sha256": b"{SHA256}",
    "sha512": b"{SHA512}",
    "ssha": b"{SSHA}",
    "ssha256": b"{SSHA256}",
    "ssha512": b"{SSHA512}",
    "blf-crypt": b"{BLF-CRYPT}$2b$",
    "pbkdf2-sha256": "ldap_pbkdf2_sha256",
    "pbkdf2-sha512": "ldap_pbkdf2_sha512",
    "argon2": "argon2",
}
"""Names of the schemes that can be made.  A value of bytes begins the hash; text is passlib's name."""

DEFAULT_SCHEME = "sha512-crypt"
"""Scheme of a new password where none is asked for: known to every crypt(3) of today, and to Courier."""

DEFAULT_COSTS = {b"$2b$": 10}
"""Costs of new hashes where crypt(3)'s own default is too cheap: its bcrypt default of 5 dates from 1999."""

FALLBACK_SCHEME = "ssha"
"""Scheme of a changed password where the old one tells nothing; Courier's choice."""


def hash_password(password: bytes, scheme: str = DEFAULT_SCHEME) -> bytes:
    """Return `password` hashed.

    :param scheme: a key of `SCHEMES`.
    :raises ValueError: if there is no such scheme, or the system's crypt(3) lacks it.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"no scheme {scheme}; use one of {', '.join(SCHEMES)}")
    form = SCHEMES[scheme]
    if isinstance(form, str):
        return foreign.make(password, form)
    return _make(password, form)


def hash_like(password: bytes, stored: bytes | None) -> bytes:
    """Return `password` hashed by the scheme, and at the cost, of the hash `stored`.

    Where that can't be made, because there is no old hash or it is of an unknown scheme, the new one is ``{SSHA}``.
    """
    if stored and (made := foreign.make_like(password, stored)) is not None:
        return made
    form = _form_of(stored or b"")
    if form is not None:
        # A cost that the old hash claims and crypt(3) refuses is as good as none.
        with suppress(ValueError):
            return _make(password, *form)
    return hash_password(password, FALLBACK_SCHEME)


def _make(password: bytes, form: bytes, cost: int = 0) -> bytes:
    scheme, prefix = braces.split(form)
    made = braces.make(password, scheme)
    if made is not None:
        return made
    hashed = crypt(password, gensalt(prefix, cost or DEFAULT_COSTS.get(prefix, 0)))
    if hashed is None:
        raise ValueError("this system's crypt(3) refuses the password")
    return scheme + hashed


def _form_of(stored: bytes) -> tuple[bytes, int] | None:
    """Return how to make a hash like `stored`: what it begins with, and its cost; ``None`` if unknown."""
    scheme, value = braces.split(stored)
    if scheme in braces.SCHEMES:
        return scheme, 0
    if scheme and scheme not in CRYPT_SCHEMES:
        return None
    method = re.match(rb"\$(?:1|2[aby]|5|6|y)\$", value)
    if method is None:
        return None
    prefix = b"$2b$" if method[0].startswith(b"$2") else method[0]
    cost = re.match(rb"\$2[aby]\$(\d\d)\$|\$[56]\$rounds=(\d{4,7})\$", value)
    return scheme + prefix, int(cost[1] or cost[2]) if cost else 0
