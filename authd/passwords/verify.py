"""Check a password against what is stored.

::

    {MD5} {MD5RAW} {SHA} {SHA256} {SHA512} {SSHA} {SSHA256} {SSHA512}     braces.py
    {PBKDF2…} {ARGON2…} $pbkdf2…$ $argon2…$                               foreign.py
    {CRYPT} {BLF-CRYPT} {SHA256-CRYPT} {SHA512-CRYPT} {MD5-CRYPT} {DES-CRYPT}, or none     crypt(3)

Comparisons take the same time wherever the difference is.  No stored value makes any of this raise.
"""

from __future__ import annotations

import hmac
import re
from enum import Enum

from authd.passwords import braces, foreign
from authd.passwords.crypt3 import crypt

CRYPT_SCHEMES = (b"{CRYPT}", b"{BLF-CRYPT}", b"{SHA256-CRYPT}", b"{SHA512-CRYPT}", b"{MD5-CRYPT}", b"{DES-CRYPT}")
"""Names in front of a hash that crypt(3) checks: Courier's, then Dovecot's."""


class Verdict(Enum):
    """What a check found."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNUSABLE = "unusable"
    """The stored value is no hash that is known: locked, cut off, or of an unknown scheme. No password matches it."""


def verify(password: bytes, stored: bytes) -> Verdict:
    """Check `password` against the hash `stored`."""
    scheme, value = braces.split(stored)
    matched = braces.matches(password, scheme, value)
    if matched is None:
        matched = foreign.matches(password, stored)
    if matched is None:
        if scheme and scheme not in CRYPT_SCHEMES:
            return Verdict.UNUSABLE
        computed = crypt(password, value)
        if computed is None or len(computed) != len(value):
            # A hash of another length than its own setting gives was cut off, or has something behind it.
            return Verdict.UNUSABLE
        matched = hmac.compare_digest(computed, value)
    return Verdict.MATCH if matched else Verdict.MISMATCH


_FORM = re.compile(
    rb"(?:(?i:\{PBKDF2[^}]*\})|\$pbkdf2[^$]*\$|\$sha1\$)\d+\$"
    rb"|\$7\$.{11}|_[./0-9A-Za-z]{4}"
    rb"|(?:\{[^}]*\})?(?:\$2[abxy]\$\d\d\$|\$g?y\$[^$]*\$|\$argon2[^$]*\$(?:[^$]*=[^$]*\$)*|\$[^$]*\$(?:rounds=\d+\$)?)?"
)


def form_of(stored: bytes) -> bytes:
    """Return what `stored` begins with, up to the salt: the scheme, and its cost as far as that is written there."""
    match = _FORM.match(stored)
    return match[0] if match else b""


def verify_clear(password: bytes, stored: bytes) -> Verdict:
    """Check `password` against the cleartext `stored`."""
    return Verdict.MATCH if hmac.compare_digest(password, stored) else Verdict.MISMATCH


def verify_cram(clear: bytes, digest: str, challenge: bytes, response: bytes) -> Verdict:
    """Check the response of CRAM (RFC 2195) against the cleartext password.

    :param digest: hash in hashlib's terms.
    :param response: the client's HMAC in hexadecimal, of either case.
    """
    expected = hmac.new(clear, challenge, digest).hexdigest().encode()
    return Verdict.MATCH if hmac.compare_digest(expected, response.lower()) else Verdict.MISMATCH
