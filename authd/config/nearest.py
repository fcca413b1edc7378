"""The name that was meant, where one is not known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

CUTOFF = 0.7
"""How alike two names are, from 0 to 1, for one to count as a slip of the other."""


_PREFIX = re.compile(r"(authd|mysql|pgsql|sqlite|ldap)_")
"""Common parts of the names of one kind, which would make all of them alike."""


def nearest(name: str, known: Iterable[str], cutoff: float = CUTOFF) -> str | None:
    """Return the one of `known` that is most like `name`, whatever their case and prefixes; ``None`` if none is alike."""
    stems = {_stem(one): one for one in known}
    matches = get_close_matches(_stem(name), stems, n=1, cutoff=cutoff)
    return stems[matches[0]] if matches else None


def _stem(name: str) -> str:
    return _PREFIX.sub("", name.casefold(), count=1)


def suggestion(name: str, known: Iterable[str], cutoff: float = CUTOFF) -> str:
    """Return ``did you mean NAME? `` for the nearest of `known`, to put before a mend; empty if none is alike."""
    match = nearest(name, known, cutoff)
    return f"did you mean {match}? " if match is not None else ""
