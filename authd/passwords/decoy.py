"""Hashes that no password fits, and that cost what a given hash costs to check.

A password is checked against one where there is no hash of the user's own, so that the time does not tell why a login failed.
"""

from __future__ import annotations

import base64
import hashlib
import re

from authd.passwords import braces, foreign
from authd.passwords.crypt3 import gensalt
from authd.passwords.hashing import DEFAULT_COSTS, SCHEMES
from authd.passwords.verify import CRYPT_SCHEMES

_CHAR = rb"[./0-9A-Za-z]"
_SALT = rb"[^\x00-\x20!*:;\\$\x7f-\xff]"
_ROUNDS = rb"(?:rounds=[1-9]\d{3,8}\$)?"

_CRYPT_SETTINGS = (
    (re.compile(rb"\$1\$" + _SALT + rb"{0,8}\$"), 22),
    (re.compile(rb"\$2[abxy]\$(?:0[4-9]|[12]\d|3[01])\$" + _CHAR + rb"{22}"), 31),
    (re.compile(rb"\$5\$" + _ROUNDS + _SALT + rb"{0,16}\$"), 43),
    (re.compile(rb"\$6\$" + _ROUNDS + _SALT + rb"{0,16}\$"), 86),
    (re.compile(rb"\$g?y\$" + _CHAR + rb"+\$" + _CHAR + rb"{22}\$"), 43),
    (re.compile(rb"\$7\$" + _CHAR + rb"{33}\$"), 43),
    (re.compile(rb"\$sha1\$[1-9]\d*\$" + _CHAR + rb"{1,64}\$"), 28),
    (re.compile(rb"_" + _CHAR + rb"{8}(?=" + _CHAR + rb"{11}\Z)"), 11),
    (re.compile(_CHAR + rb"{2}(?=" + _CHAR + rb"{11}\Z)"), 11),
)
"""What crypt(3) needs of a hash to compute it, and the length of the digest behind that."""

_FOREIGN_SETTINGS = (
    (re.compile(rb"\{PBKDF2\}\d+\$"), b"A" * 22 + b"$" + b"A" * 27),
    (re.compile(rb"\{PBKDF2-SHA256\}\d+\$"), b"A" * 22 + b"$" + b"A" * 43),
    (re.compile(rb"\{PBKDF2-SHA512\}\d+\$"), b"A" * 22 + b"$" + b"A" * 86),
    (re.compile(rb"\$pbkdf2\$\d+\$"), b"A" * 22 + b"$" + b"A" * 27),
    (re.compile(rb"\$pbkdf2-sha256\$\d+\$"), b"A" * 22 + b"$" + b"A" * 43),
    (re.compile(rb"\$pbkdf2-sha512\$\d+\$"), b"A" * 22 + b"$" + b"A" * 86),
    (re.compile(rb"\$argon2(?:id|i|d)\$(?:v=\d+\$)?m=\d+,t=\d+,p=\d+\$"), b"A" * 22 + b"$" + b"A" * 43),
)
"""The same for passlib's forms: salt and digest behind the cost."""

_DEFAULTS = {
    "pbkdf2-sha256": b"{PBKDF2-SHA256}29000$",
    "pbkdf2-sha512": b"{PBKDF2-SHA512}25000$",
    "argon2": b"$argon2id$v=19$m=65536,t=3,p=4$",
}
"""Beginnings of the hashes that passlib makes by default."""

_LOCK = re.compile(rb"[!*]*(?:LK\*)?")
"""What usermod(8) and others put before a hash to lock its account."""


def decoy_like(stored: bytes) -> bytes | None:
    """Return a decoy of the scheme and cost of `stored`, which may be locked or cut off; ``None`` where these can't be told."""
    scheme, value = braces.split(_unlocked(stored))
    value = _unlocked(value)
    if scheme in braces.SCHEMES:
        # The name alone, or before a cut-off digest, costs nothing.
        return scheme + _digest(scheme) if braces.matches(b"", scheme, value) is not None else None
    if not scheme or scheme in CRYPT_SCHEMES:
        for pattern, length in _CRYPT_SETTINGS:
            if setting := pattern.match(value):
                return scheme + setting[0] + b"." * length
    # {PBKDF2…} is part of the library's form, Dovecot's {ARGON2…} stands before it.
    before = scheme if scheme in foreign.ARGON2_SCHEMES else b""
    for pattern, filler in _FOREIGN_SETTINGS:
        if setting := pattern.match(value if before else scheme + value):
            return before + setting[0] + filler
    return None


def is_computed(stored: bytes) -> bool:
    """Tell whether crypt(3) computes a hash for `stored`, so that a check takes its time even if it is cut off."""
    scheme, value = braces.split(stored)
    if scheme and scheme not in CRYPT_SCHEMES:
        return False
    return any(pattern.match(value) for pattern, _ in _CRYPT_SETTINGS)


def decoy_of(scheme: str, cost: int = 0) -> bytes:
    """Return a decoy of a scheme.

    :param scheme: a key of `SCHEMES`.
    :param cost: rounds or cost in its own terms; 0 for the default.
    :raises ValueError: if there is no such scheme or cost.
    """
    form = SCHEMES.get(scheme)
    if scheme in _DEFAULTS:
        begins = _DEFAULTS[scheme]
        if cost and scheme == "argon2":
            raise ValueError("argon2 takes no cost here")
        if cost:
            begins = begins[: begins.index(b"}") + 1] + b"%d$" % cost
        made = decoy_like(begins)
    elif isinstance(form, bytes):
        made = _decoy_of_crypt(form, cost)
    else:
        raise ValueError(f"no scheme {scheme}; use one of {', '.join(SCHEMES)}")
    if made is None:
        raise ValueError(f"no decoy of {scheme}")
    return made


def _decoy_of_crypt(form: bytes, cost: int) -> bytes | None:
    scheme, prefix = braces.split(form)
    if scheme in braces.SCHEMES:
        if cost:
            raise ValueError(f"{scheme.decode()} has no cost")
        return scheme + _digest(scheme)
    setting = gensalt(prefix, cost or DEFAULT_COSTS.get(prefix, 0))
    # crypt(3) puts the $ before the digest itself, where there is one.
    return decoy_like(scheme + setting + (b"" if prefix.startswith(b"$2") else b"." * 11 if not prefix else b"$"))


def _unlocked(stored: bytes) -> bytes:
    lock = _LOCK.match(stored)
    return stored[lock.end() :] if lock else stored


def _digest(scheme: bytes) -> bytes:
    if scheme == braces.MD5RAW:
        return b"0" * 32
    name, salt = (braces.PLAIN[scheme], 0) if scheme in braces.PLAIN else (braces.SALTED[scheme], braces.SALT_BYTES)
    return base64.b64encode(bytes(hashlib.new(name).digest_size + salt))
