"""The part of a mistyped line that may be shown: nothing that may be a password."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SECRET = re.compile(r"pass|pw|secret|key", re.IGNORECASE)
"""Parts of the names of settings with secrets, mistyped or not."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def known_word(text: str, known: Iterable[str]) -> str:
    """Return the word that `text` begins with if it is one of `known`, else an empty string."""
    match = _WORD.match(text.strip())
    return match[0] if match is not None and match[0] in set(known) else ""


def before_secret(text: str) -> str:
    """Return `text` up to the first name in it that may be a secret's, whose value may follow, with ``...`` for the rest."""
    for word in re.finditer(r"[^\s=:,;\"']+", text):
        if _SECRET.search(word[0]):
            # A long word that only has such a name in it may be the name and the secret together.
            return f"{text[: word.start()]}..."
    return text


_USER_AND_PASSWORD = re.compile(r"[^\s'\"(:]*:[^\s'\"]*@")


def without_password(text: str) -> str:
    """Return `text` with ``...`` for all that stands in front of a host, which has a password where a URI was meant."""
    return _USER_AND_PASSWORD.sub("...@", text)
