"""Courier's ``{SCHEME}`` forms and their salted relatives, by hashlib.

::

    {MD5} {SHA} {SHA256} {SHA512}   base64 of the digest
    {MD5RAW}                        lower-case hexadecimal of the MD5 digest
    {SSHA} {SSHA256} {SSHA512}      base64 of digest(password + salt) + salt

The names are case-insensitive.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os

PLAIN = {b"{MD5}": "md5", b"{SHA}": "sha1", b"{SHA256}": "sha256", b"{SHA512}": "sha512"}
SALTED = {b"{SSHA}": "sha1", b"{SSHA256}": "sha256", b"{SSHA512}": "sha512"}
MD5RAW = b"{MD5RAW}"

SCHEMES = frozenset({*PLAIN, *SALTED, MD5RAW})
"""All schemes that are checked and made here."""

SALT_BYTES = 4
"""Length of a new salt: the only one that Courier reads."""


def split(stored: bytes) -> tuple[bytes, bytes]:
    """Return the ``{SCHEME}`` of `stored` in upper case and the rest; an empty scheme where there is none."""
    end = stored.find(b"}") + 1
    if not stored.startswith(b"{") or not end:
        return b"", stored
    return stored[:end].upper(), stored[end:]


def matches(password: bytes, scheme: bytes, value: bytes) -> bool | None:
    """Tell whether `password` is the one behind `value`.

    :returns: ``None`` where the scheme is not one of these, or `value` is not a digest of it.
    """
    if scheme in SALTED:
        return _salted_matches(password, SALTED[scheme], value)
    if scheme in PLAIN:
        computed = _digest(PLAIN[scheme], password)
    elif scheme == MD5RAW:
        computed = hashlib.md5(password).hexdigest().encode()
    else:
        return None
    return hmac.compare_digest(computed, value) if len(value) == len(computed) else None


def make(password: bytes, scheme: bytes) -> bytes | None:
    """Return `password` hashed, its scheme in front; ``None`` where the scheme is not one of these."""
    if scheme in PLAIN:
        return scheme + _digest(PLAIN[scheme], password)
    if scheme == MD5RAW:
        return scheme + hashlib.md5(password).hexdigest().encode()
    if scheme in SALTED:
        salt = os.urandom(SALT_BYTES)
        return scheme + base64.b64encode(hashlib.new(SALTED[scheme], password + salt).digest() + salt)
    return None


def _digest(name: str, password: bytes) -> bytes:
    return base64.b64encode(hashlib.new(name, password).digest())


def _salted_matches(password: bytes, name: str, value: bytes) -> bool | None:
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    size = hashlib.new(name).digest_size
    digest, salt = decoded[:size], decoded[size:]
    if not salt:
        # It would be {SHA} under a name that promises more; Courier refuses it too.
        return None
    return hmac.compare_digest(hashlib.new(name, password + salt).digest(), digest)
