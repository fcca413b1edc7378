"""Decoys of one module: what a password is checked against where the user has no hash.

The table is in memory that the workers share.  It has one decoy for each form (scheme and cost) among the module's accounts,
and how many accounts, of a sample, have it.  An unknown user gets one of them by a keyed hash of the name: the same name costs
the same each time, and unknown names cost what known ones do on the whole.
"""

from __future__ import annotations

import math
import mmap
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from authd.passwords import form_of
from authd.passwords.decoy import decoy_like, decoy_of

CLEAR = b""
"""The decoy of a cleartext password, whose comparison takes no time."""

SLOTS = 32
"""Forms that a table has room for."""

SLOT_BYTES = 256

ENOUGH = 4096
"""Accounts after which more of a form that is known change nothing."""

EVERY = 64
"""Of the logins after that, the share that is looked at for a form that is new."""

_VERSION, _SAMPLED, _TOTAL, _HEAD = range(4)

_CHECK_BYTES = 8

_KEY = os.urandom(32)
"""Of this start; made before the fork, the same after a reload."""

DEFAULT = decoy_of("sha512-crypt")
"""The decoy of a module of whose hashes nothing is known."""


class Decoys:
    """Made before the workers are forked.

    :param fixed: schemes and costs to use in place of what is learned.
    :raises ValueError: if the system has no such scheme or cost.
    """

    def __init__(self, fixed: Sequence[tuple[str, int]] = ()) -> None:
        counts = 8 * (_HEAD + SLOTS)
        memory = self._memory = memoryview(mmap.mmap(-1, counts + SLOTS * SLOT_BYTES))
        self._head = memory[: 8 * _HEAD].cast("Q")
        self._weights = memory[8 * _HEAD : counts].cast("Q")
        self._entries = memory[counts:]
        self._version = -1
        self._slots: dict[bytes, int] = {}
        self._decoys: dict[int, bytes] = {}
        self._seen = 0
        self._fixed = bool(fixed)
        if fixed:
            self.put(CLEAR if scheme == "clear" else decoy_of(scheme, cost) for scheme, cost in fixed)

    @property
    def is_sampled(self) -> bool:
        """Whether a worker has put a sample into the table, or the decoys are fixed."""
        return self._head[_SAMPLED] != 0

    @property
    def is_thin(self) -> bool:
        """Whether it rests on few accounts, so that each more is worth a look."""
        return not self._fixed and self._head[_TOTAL] < ENOUGH

    def put(self, decoys: Iterable[bytes]) -> None:
        """Fill the table with the decoys of a sample of accounts, one for each account; an empty one leaves what was learned."""
        counts: Counter[bytes] = Counter()
        first: dict[bytes, bytes] = {}
        for decoy in decoys:
            form = _form(decoy)
            counts[form] += 1
            first.setdefault(form, decoy)
        self._head[_SAMPLED] = 1
        if not counts:
            return
        slot = 0
        for form, count in counts.most_common():
            if slot < SLOTS and self._write(slot, first[form]):
                self._weights[slot] = count
                slot += 1
        for rest in range(slot, SLOTS):
            self._weights[rest] = 0
        self._head[_TOTAL] = sum(self._weights)
        self._publish()

    def renew(self) -> None:
        """Have the next sample taken, since the accounts are others; what there is stays until then."""
        if not self._fixed:
            self._head[_SAMPLED] = 0

    def inherit(self, other: Decoys) -> None:
        """Begin with what `other` has learned, as the same module did before a reload; a sample is taken anew."""
        if not self._fixed and not other._fixed:
            self._memory[:] = other._memory
            self.renew()

    def learn(self, stored: bytes | None) -> None:
        """Note that an account has the hash `stored`, or, for ``None``, a cleartext password."""
        self._seen += 1
        if self._fixed or (self._seen % EVERY and self._head[_TOTAL] >= ENOUGH):
            return
        form = _form(CLEAR) if stored is None else form_of(stored)
        self._refresh()
        slot = self._slots.get(form)
        if slot is None:
            decoy = CLEAR if stored is None else decoy_like(stored) or _blurred(stored)
            # The same scheme may be spelt otherwise.
            slot = self._slots.get(_form(decoy))
            if slot is None:
                slot = self._add(decoy)
            if slot is not None:
                self._slots[form] = slot
        if slot is not None and self._head[_TOTAL] < ENOUGH:
            self._weights[slot] += 1
            self._head[_TOTAL] += 1

    def draw(self, user: bytes) -> bytes:
        """Return the decoy of a user who has no hash; `CLEAR` for none.  Equal names, by any collation, get the same."""
        self._refresh()
        decoys = self._decoys
        if len(decoys) <= 1:
            return next(iter(decoys.values()), DEFAULT)
        name = _folded(user)

        def distance(slot: int) -> float:
            # Weighted rendezvous hashing: names keep their decoy while the weights of others change.
            digest = blake2b(_form(decoys[slot]) + b"\0" + name, digest_size=7, key=_KEY).digest()
            return -math.log((int.from_bytes(digest) + 1) / 2**56) / max(1, self._weights[slot])

        return decoys[min(decoys, key=distance)]

    def _add(self, decoy: bytes) -> int | None:
        """Put a decoy of a new form into a free slot and return that; ``None`` if there is none."""
        slot = next((slot for slot in range(SLOTS) if not self._weights[slot]), None)
        if slot is None or not self._write(slot, decoy):
            return None
        self._weights[slot] = 1
        self._publish()
        self._refresh()
        return slot

    def _write(self, slot: int, decoy: bytes) -> bool:
        """Write an entry, if it fits; its digest tells readers of one that two workers wrote at once."""
        entry = _digest(decoy) + len(decoy).to_bytes(2, "big") + decoy
        if len(entry) > SLOT_BYTES:
            return False
        start = slot * SLOT_BYTES
        self._entries[start : start + len(entry)] = entry
        return True

    def _publish(self) -> None:
        self._head[_VERSION] = int.from_bytes(os.urandom(7))

    def _refresh(self) -> None:
        version = self._head[_VERSION]
        if version == self._version:
            return
        self._version = version
        self._slots, self._decoys = {}, {}
        for slot in range(SLOTS):
            if not self._weights[slot]:
                continue
            entry = bytes(self._entries[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES])
            size = int.from_bytes(entry[_CHECK_BYTES : _CHECK_BYTES + 2], "big")
            decoy = entry[_CHECK_BYTES + 2 : _CHECK_BYTES + 2 + size]
            form = _form(decoy)
            # Two workers that learn one form at once take two slots; the first counts.
            if entry[:_CHECK_BYTES] == _digest(decoy) and form not in self._slots:
                self._slots[form] = slot
                self._decoys[slot] = decoy


def _digest(decoy: bytes) -> bytes:
    return blake2b(decoy, digest_size=_CHECK_BYTES).digest()


def _form(decoy: bytes) -> bytes:
    return form_of(decoy) if decoy else b"clear"


def _blurred(stored: bytes) -> bytes:
    """Return a hash of a form that only crypt(3) knows, its digest made another."""
    return stored[:-12] + b"." * min(12, len(stored))


def _folded(name: bytes) -> bytes:
    """Return the same for all names that a database may take for equal, by letters' case, accents or blanks."""
    if name.isascii():
        return b"".join(name.lower().split())
    text = unicodedata.normalize("NFKD", name.decode("utf-8", "replace")).casefold()
    return "".join("".join(one for one in text if not unicodedata.combining(one)).split()).encode("utf-8", "replace")
