"""Numbers read out of text as C and C++ read them: whatever follows the digits is ignored, and nothing is an error."""

from __future__ import annotations

import re

MAX_UID = 2**32 - 1

_NUMBER = re.compile(rb"[ \t\n\v\f\r]*([+-]?)0*([0-9]*)")

_WHOLE_NUMBER = re.compile(rb"[ \t\n\v\f\r]*[+-]?[0-9]+")

_SAFE_DIGITS = 10
"""Fewer digits than this fit 32 bits."""

_ENOUGH_DIGITS = 20
"""This many significant digits overflow 64 bits already; Python itself refuses several thousand."""


def atoi(text: bytes) -> int:
    """Return the number that `text` begins with, as C's ``atoi`` does on a 64-bit machine; 0 if there is none.

    What does not fit 64 bits saturates, and of the result 32 bits are kept, with a sign.
    """
    negative, magnitude = _parts(text)
    value = max(-(2**63), min(2**63 - 1, -magnitude if negative else magnitude))
    return (value + 2**31) % 2**32 - 2**31


def unsigned(text: bytes | None) -> int:
    """Return the number that `text` begins with, as a C++ stream reads an ``unsigned int``; 0 if there is none.

    What does not fit 32 bits saturates; a negative number counts from 2**32 downwards.
    """
    if text and text.isdigit() and len(text) < _SAFE_DIGITS:
        # As nearly all are; the expression takes five times as long.
        return int(text)
    negative, magnitude = _parts(text or b"")
    if magnitude > MAX_UID:
        return MAX_UID
    return -magnitude % (MAX_UID + 1) if negative else magnitude


def whole_unsigned(text: bytes) -> int | None:
    """Return the number that all of `text` is, blanks before it aside, as a C++ stream reads an ``unsigned int``.

    :returns: ``None`` if it is none, or does not fit 32 bits; a negative number counts from 2**32 downwards.
    """
    negative, magnitude = _parts(text)
    if not _WHOLE_NUMBER.fullmatch(text) or magnitude > MAX_UID:
        return None
    return -magnitude % (MAX_UID + 1) if negative else magnitude


def _parts(text: bytes) -> tuple[bool, int]:
    match = _NUMBER.match(text)
    sign, digits = match.groups() if match is not None else (b"", b"")
    return sign == b"-", int(digits[:_ENOUGH_DIGITS] or b"0")
