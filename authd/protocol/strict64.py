"""Base64 as the protocols carry it."""

from __future__ import annotations

import base64
import re

_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
"""Whole groups with their padding; Python's own decoder is lenient about what follows the padding."""


def decode_base64(text: bytes) -> bytes | None:
    """Return what `text` encodes, or ``None`` if it is not base64 to the letter."""
    return base64.b64decode(text) if _BASE64.fullmatch(text) else None
