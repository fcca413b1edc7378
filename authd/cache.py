"""What was learned lately, so that the database need not be asked again.  Off unless ``AUTHD_CACHE_TTL`` or its kin turn it on.

Each worker has its own; what makes all of them forget at once is a table of generations in memory that they share.  No password
is kept: a login is recognised by the HMAC of its password under a key that lives as long as the daemon and is in no file, and
where that differs the database is asked.  An account with a cleartext password is not kept for lookups, whose replies have it.
"""

from __future__ import annotations

import hmac
import mmap
import os
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Final

from authd.account import Account
from authd.chain import Decision, Step
from authd.modules.inquiry import Inquiry
from authd.outcome import Answer, Outcome, Reason
from authd.protocol.request import ChangePassword, Cram, Login, Lookup

SLOTS = 4096
"""Users who share a slot are forgotten together."""

LATEST = SLOTS
EVERYBODY = SLOTS + 1


class Generations:
    """Tells whether something was learned before its account changed, in any worker; made before the fork.

    A generation is a random number, not a count: whoever writes one makes it a new one, also where two write at once.
    """

    def __init__(self) -> None:
        self._table = memoryview(mmap.mmap(-1, 8 * (SLOTS + 2))).cast("Q")

    @staticmethod
    def slot(user: bytes) -> int:
        """Return the slot of a user; spellings that differ in the case of letters have the same."""
        # Python's own hash is keyed by a random number, the same in all workers since they are forked.
        return hash(user.lower()) % SLOTS

    @property
    def latest(self) -> int:
        """The last generation that began, whoever's it is."""
        return self._table[LATEST]

    def of(self, slot: int, other: int) -> int:
        """Return what stays the same as long as no generation of either slot begins."""
        table = self._table
        return table[slot] + table[other] + table[EVERYBODY]

    def begin(self, *users: bytes) -> None:
        """Have all workers forget `users`."""
        self._begin(map(self.slot, users))

    def begin_all(self) -> None:
        """Have all workers forget everything."""
        self._begin([EVERYBODY])

    def _begin(self, slots: Iterable[int]) -> None:
        # `latest` first: see `Cache.learn`, which looks at it last.
        for slot in (LATEST, *slots):
            self._table[slot] = int.from_bytes(os.urandom(7))


@dataclass(slots=True)
class Known:
    """Something that was learned.

    :param step: what decided.
    :param slots: of the user as asked for, and of the account's address.
    :param generation: of those, when it was learned.
    :param mac: of the password that was right.
    :ivar until: when it is too old, in seconds of the monotonic clock.
    """

    step: Step
    slots: tuple[int, int]
    generation: int
    mac: bytes = field(default=b"", repr=False)
    until: float = 0.0

    def holds(self, generations: Generations) -> bool:
        """Tell whether it is neither too old nor of a generation before."""
        return self.until > time.monotonic() and self.generation == generations.of(*self.slots)

    def agrees(self, answer: Answer) -> bool:
        """Tell whether `answer` says the same, but for the password that was given."""
        own, its = self.step.answer.account, answer.account
        if answer.outcome is not self.step.answer.outcome or own is None or its is None:
            return answer.outcome is self.step.answer.outcome is Outcome.REJECT
        return _without_clear(own) == _without_clear(its)


class Table:
    """A bounded number of things known, each for the same time; the oldest goes first.

    :param seconds: the time; 0 to keep nothing.
    :param size: the number.
    """

    def __init__(self, seconds: float, size: int, generations: Generations) -> None:
        self._seconds = seconds
        self._size = size
        self._generations = generations
        # An ordinary dictionary looks for its first entry past all that were deleted before it.
        self._known: OrderedDict[Hashable, Known] = OrderedDict()

    def get(self, key: Hashable) -> Known | None:
        """Return what is known by `key`, if it is neither too old nor of a generation before."""
        known = self._known.get(key)
        if known is None or known.holds(self._generations):
            return known
        self.drop(key)
        return None

    def put(self, key: Hashable, known: Known, asked: float, max_age: float) -> None:
        """Keep something, in place of what was known by `key`.

        :param asked: when it was asked for, in seconds of the monotonic clock; it may have been so since then.
        :param max_age: seconds after which it must go before its time.
        """
        self.drop(key)
        if not self._seconds:
            return
        # Nearly all live equally long, so that the first is the next to go; of the others `get` sees that their time is up.
        while self._known:
            first = next(iter(self._known))
            if len(self._known) < self._size and self._known[first].until > asked:
                break
            self.drop(first)
        known.until = asked + min(self._seconds, max_age)
        self._known[key] = known

    def drop(self, key: Hashable) -> None:
        """Forget what is known by `key`, whoever else has it."""
        known = self._known.pop(key, None)
        if known is not None:
            known.until = 0.0


class Cache:
    """What one worker knows.

    :param generations: shared by all workers.
    :param seconds: how long an account is known.
    :param negative_seconds: how long it is known that there is none.
    :param size: how many of each.
    """

    def __init__(self, generations: Generations, seconds: float, negative_seconds: float, size: int) -> None:
        self.size: Final = size
        self._generations = generations
        self._accounts = Table(seconds, size, generations)
        # Apart, so that a flood of unknown users can't displace those that there are.
        self._nobodies = Table(negative_seconds, size, generations)
        self._key = os.urandom(32)

    def recall(self, request: Lookup | Login | Cram | ChangePassword) -> Decision | None:
        """Return the decision on `request` where it is known; a login's only with the password that was right."""
        if not isinstance(request, Lookup | Login):
            return None
        known = self.known(request)
        return None if known is None else self.decision(request, known)

    def known(self, request: Lookup | Login) -> Known | None:
        """Return what decides `request`."""
        key = _key(request)
        known = self._accounts.get(key)
        if isinstance(request, Lookup):
            return known or self._nobodies.get(key)
        if known is None or not hmac.compare_digest(known.mac, self._mac_of(request)):
            return None
        return known

    def decision(self, request: Lookup | Login, known: Known) -> Decision:
        """Return the decision on `request` by what is known."""
        step = known.step
        account = step.answer.account
        if isinstance(request, Login) and account is not None:
            step = Step(step.module, Answer(Outcome.OK, step.answer.reason, account.with_clear(request.password)))
        return Decision(step.answer.outcome, (step,), cached=True)

    def holds(self, known: Known) -> bool:
        """Tell whether something that was known still is."""
        return known.holds(self._generations)

    def mac(self, said: bytes) -> bytes:
        """Return what a client said can be recognised by, in this process and for as long as it lives."""
        return blake2b(said, key=self._key).digest()

    def knows_nobody(self, request: Login) -> bool:
        """Tell whether it is known that there is no such user.

        No decision is returned, since its time would tell: the password has to be checked against something all the same.
        """
        return self._nobodies.get(_key(request)) is not None

    def learn(self, request: Lookup | Login | Cram | ChangePassword, inquiry: Inquiry[Decision]) -> Inquiry[Decision]:
        """Run the inquiry about `request`, and keep what can be kept of its decision, or forget what it has changed."""
        if isinstance(request, ChangePassword):
            return (yield from self._change(request, inquiry))
        since, asked = self._generations.latest, time.monotonic()
        decision = yield from inquiry
        if not isinstance(request, Cram):
            self._keep(request, decision, since, asked)
        return decision

    def forget(self, user: bytes | None) -> None:
        """Have all workers forget a user, or, for ``None``, everything."""
        if user is None:
            self._generations.begin_all()
        else:
            self._generations.begin(user)

    def _keep(self, request: Lookup | Login, decision: Decision, since: int, asked: float) -> None:
        """Keep a decision that was asked for at the time `asked`, when `since` was the latest generation."""
        key = _key(request)
        outcomes = [step.answer.outcome for step in decision.steps]
        step = decision.decisive
        account = step.answer.account
        slot = self._generations.slot(request.user)
        if decision.outcome is Outcome.OK and account is not None:
            if Outcome.TEMPFAIL in outcomes or decision.max_age <= 0 or (isinstance(request, Lookup) and account.clear):
                self._accounts.drop(key)
                return
            slots = (slot, slot if account.address is None else self._generations.slot(account.address))
            mac = self._mac_of(request) if isinstance(request, Login) else b""
            account = account.with_clear(None if mac else account.clear)
            bare = Step(step.module, replace(step.answer, account=account))
            learned = Known(bare, slots, self._generations.of(*slots), mac)
            self._put(self._accounts, key, learned, since, asked, decision.max_age)
            return
        known = self._accounts.get(key)
        if known is not None and not _still_holds(known, step):
            self._accounts.drop(key)
        if (
            decision.max_age > 0
            and decision.steps
            and all(step.answer.reason is Reason.NO_SUCH_USER for step in decision.steps)
        ):
            slots = (slot, slot)
            learned = Known(step, slots, self._generations.of(*slots))
            self._put(self._nobodies, key, learned, since, asked, decision.max_age)

    def _put(self, table: Table, key: Hashable, known: Known, since: int, asked: float, max_age: float) -> None:
        """Keep what is known in one of the tables, and so not in the other, unless somebody's generation began meanwhile."""
        # A password that was changed while the database was asked has begun a generation before it changed a slot's: either
        # it shows here, or the slot's differs from now on.
        if self._generations.latest == since:
            self._accounts.drop(key)
            self._nobodies.drop(key)
            table.put(key, known, asked, max_age)

    def _change(self, request: ChangePassword, inquiry: Inquiry[Decision]) -> Inquiry[Decision]:
        """Run the inquiry that may change a password, and forget the account unless it is certain that it did not."""
        decision = None
        try:
            decision = yield from inquiry
            return decision
        finally:
            if decision is None or decision.outcome is not Outcome.REJECT:
                account = decision.decisive.answer.account if decision is not None else None
                if account is None or account.address is None:
                    # Whose it is by the database's own spelling is not known.
                    self._generations.begin_all()
                else:
                    self._generations.begin(request.user, account.address)

    def _mac_of(self, request: Login) -> bytes:
        return hmac.digest(self._key, request.user + b"\0" + request.password, "sha256")


def _key(request: Lookup | Login) -> Hashable:
    if isinstance(request, Login):
        return (request.service, request.user)
    return (request.authlist, request.service, request.user)


def _still_holds(known: Known, step: Step) -> bool:
    """Tell whether an account is as it was known, as far as a reject shows: it was found, with the same hash."""
    account = step.answer.account
    return step.answer.outcome is Outcome.TEMPFAIL or (
        account is not None and bool(account.crypt) and _without_clear(account) == known.step.answer.account
    )


def _without_clear(account: Account) -> Account:
    return account.with_clear(None)
