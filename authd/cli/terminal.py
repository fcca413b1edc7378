"""Accounts as a terminal shows them: a control character in a value would act in place of being seen."""

from __future__ import annotations

import re
from typing import BinaryIO

_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
"""Control characters but for tab and line feed, those of UTF-8's second block included."""


def for_output(text: bytes, output: BinaryIO) -> bytes:
    """Return `text` as it goes to `output`: as it is, or on a terminal with its control characters escaped."""
    if not output.isatty():
        return text
    return _CONTROL.sub(lambda match: b"".join(b"\\x%02x" % byte for byte in match[0]), text)
