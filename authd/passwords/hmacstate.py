"""Passwords kept as the two states that HMAC (RFC 2104) begins with, as userdb's ``hmac-md5pw`` fields have them.

Who knows the states can answer any challenge, and so can the server that checks the answer, but neither tells the password.
Python's hashlib can't begin in the middle; libcrypto's functions for single digests can.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
from ctypes import c_uint
from dataclasses import dataclass
from functools import cache
from typing import Literal

LIBRARIES = ("libcrypto.so.3", "libcrypto.so.1.1")

_INNER, _OUTER = b"\x36", b"\x5c"

HMAC_BLOCK = 64
"""Bytes that each of `DIGESTS` takes at once."""


@dataclass(frozen=True, slots=True)
class _Digest:
    """How libcrypto names a digest, and how many words of 32 bits its state has.

    :param byteorder: of those words, as the digest puts them out.
    """

    name: str
    words: int
    byteorder: Literal["little", "big"]

    @property
    def size(self) -> int:
        """Bytes of a state."""
        return self.words * 4


DIGESTS = {"md5": _Digest("MD5", 4, "little"), "sha1": _Digest("SHA1", 5, "big"), "sha256": _Digest("SHA256", 8, "big")}
"""Digests by the names that ``cram-…`` and ``hmac-…pw`` have for them."""


class HmacUnavailable(RuntimeError):
    """The machine has no libcrypto that knows these functions."""


class _Context(ctypes.Structure):
    """The beginning of MD5_CTX, SHA_CTX and SHA256_CTX, which have their state first, and room for the rest of the longest."""

    _fields_ = (("state", c_uint * 8), ("rest", c_uint * 32))


@cache
def _library() -> ctypes.CDLL:
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise HmacUnavailable(f"none of {', '.join(LIBRARIES)} is on this machine")


def hmac_state(password: bytes, digest: str) -> str:
    """Return what a ``hmac-…pw`` field has for `password`: the outer state, then the inner one, in hexadecimal.

    :param digest: one of `DIGESTS`.
    :raises KeyError: if it is another.
    :raises HmacUnavailable: if this machine can't.
    """
    key = hashlib.new(digest, password).digest() if len(password) > HMAC_BLOCK else password
    key = key.ljust(HMAC_BLOCK, b"\0")
    states = []
    for pad in (_OUTER, _INNER):
        context = _Context()
        _call(digest, "Init", ctypes.byref(context))
        block = bytes(byte ^ pad[0] for byte in key)
        _call(digest, "Update", ctypes.byref(context), block, len(block))
        states.append(_state_of(context, DIGESTS[digest]))
    return b"".join(states).hex()


def hmac_from_state(state: str | bytes, digest: str, message: bytes) -> bytes | None:
    """Return the HMAC of `message` under the password that `state` was made from; ``None`` if it is not a state of `digest`."""
    known = DIGESTS[digest]
    size = known.words * 4
    try:
        states = bytes.fromhex(state.decode("ascii") if isinstance(state, bytes) else state)
    except ValueError:
        return None
    if len(states) != 2 * size:
        return None
    inner = _continued(digest, states[size:], message)
    return _continued(digest, states[:size], inner)


def verify_hmac_state(state: bytes, digest: str, challenge: bytes, response: bytes) -> bool:
    """Tell whether `response`, in hexadecimal, is the answer to `challenge` of who knows the password."""
    wanted = hmac_from_state(state, digest, challenge)
    try:
        given = bytes.fromhex(response.decode("ascii"))
    except ValueError:
        return False
    return wanted is not None and hmac.compare_digest(wanted, given)


def _continued(digest: str, state: bytes, message: bytes) -> bytes:
    """Return the digest of a first block, which led to `state`, and `message`."""
    known = DIGESTS[digest]
    context = _Context()
    pointer = ctypes.byref(context)
    _call(digest, "Init", pointer)
    # The block is counted by giving one, and its effect is replaced.
    _call(digest, "Update", pointer, bytes(HMAC_BLOCK), HMAC_BLOCK)
    for number in range(known.words):
        word = state[4 * number : 4 * number + 4]
        context.state[number] = int.from_bytes(word, known.byteorder)
    _call(digest, "Update", pointer, message, len(message))
    result = ctypes.create_string_buffer(known.words * 4)
    _call(digest, "Final", result, pointer)
    return result.raw


def _state_of(context: _Context, known: _Digest) -> bytes:
    return b"".join(word.to_bytes(4, known.byteorder) for word in context.state[: known.words])


def _call(digest: str, step: str, *arguments: object) -> None:
    function = getattr(_library(), f"{DIGESTS[digest].name}_{step}", None)
    if function is None:
        raise HmacUnavailable(f"libcrypto has no {DIGESTS[digest].name}_{step}")
    converted = [ctypes.c_size_t(argument) if isinstance(argument, int) else argument for argument in arguments]
    if function(*converted) != 1:
        raise HmacUnavailable(f"libcrypto refuses {DIGESTS[digest].name}_{step}")
