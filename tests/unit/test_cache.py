"""Whatever the order of events, the cache says nothing that was not so a moment ago, and forgets when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from authd import cache as cache_module
from authd.account import Account
from authd.cache import Cache, Generations
from authd.chain import Chain
from authd.config.authdaemonrc import parse
from authd.modules.base import TemporaryFailure
from authd.modules.inquiry import Check, Find, Inquiry
from authd.outcome import Answer, Outcome, Reason
from authd.passwords import hash_password, verify
from authd.protocol.authdaemond import AuthdaemondConversation
from authd.protocol.client import decode_account, encode_login, encode_lookup, encode_passwd
from authd.protocol.conversation import Terms
from authd.protocol.request import ChangePassword, Cram, Flush, Login, Lookup
from authd.server.listing import AccountListing
from authd.server.responder import Responder
from authd.server.shortcuts import Shortcuts
from tests.support.stub import StubModule

SECONDS = 10
NEGATIVE_SECONDS = 4
SETTINGS = parse('authmodulelist="authstub"\ndaemons=2\n', Path("authdaemonrc"))
TERMS = Terms(b"", True, 1, lambda: True, lambda count: b"x" * count)

PASSWORDS = [b"one", b"two", b"three", b"four", b"five"]
HASHES = {password: hash_password(password, "ssha") for password in PASSWORDS}
USERS = [b"hashed", b"HASHED", b"clear", b"none"]
Asked = Lookup | Login | Cram | ChangePassword


def account_of(user: bytes, password: bytes) -> Account:
    return Account(
        user,
        1000,
        1000,
        b"/home",
        crypt=None if user == b"clear" else HASHES[password],
        clear=None if user == b"hashed" else password,
    )


@contextmanager
def clock(now: list[float]) -> Iterator[None]:
    """Have the cache go by the time in `now`."""
    with mock.patch.object(cache_module, "time") as time:
        time.monotonic.side_effect = lambda: now[0]
        yield


@dataclass
class State:
    """What an account was for a while.

    :param end: number of the event that ended it.
    :param ended: the time of that.
    """

    password: bytes | None
    end: float = float("inf")
    ended: float = float("inf")


@dataclass
class Asking:
    """A request under way.

    :param begun: the time of its beginning, and the number of the last event before.
    :param forgotten: number of the last event before it after which its user had to be forgotten.
    """

    request: Asked
    said: bytes
    worker: int
    begun: tuple[float, int]
    forgotten: float
    was_down: bool
    inquiry: Inquiry[Answer] | None = None
    need: Find | Check | None = None
    finding: object = None
    found: bool = field(default=False)


class Database(StubModule):
    """A module whose logins are equal whatever the case, as MySQL's are.

    :param changed: is told of each password that was changed.
    """

    def __init__(self, changed: Callable[[bytes, bytes], None], *accounts: Account) -> None:
        super().__init__(*accounts)
        self._changed = changed

    def find(self, service: bytes, user: bytes) -> Account | None:
        return super().find(service, user.lower())

    def set_password(self, service: bytes, user: bytes, password: bytes, hashed: bytes) -> bool:
        self.accounts[user.lower()] = account_of(user.lower(), password)
        self._changed(user.lower(), password)
        if self.down:
            raise TemporaryFailure(Reason.UNREACHABLE, "it was changed, but nobody was told")
        return True


class Events:
    """Two workers, requests under way in them, and an administrator who changes passwords behind their backs."""

    def __init__(self) -> None:
        self.now = [1000.0]
        self.event = 0
        users = (b"hashed", b"clear")
        self.database = Database(self.become, *(account_of(user, b"one") for user in users))
        self.history = {user: [State(b"one")] for user in users} | {b"none": [State(None)]}
        self.forgotten = dict.fromkeys(self.history, 0)
        generations = Generations()
        chain = Chain([self.database], None, None)
        caches = [Cache(generations, SECONDS, NEGATIVE_SECONDS, 4) for _ in range(2)]
        self.workers = [Responder(chain, SETTINGS, cache) for cache in caches]
        self.shortcuts = [Shortcuts(cache, 4) for cache in caches]
        self.under_way: list[Asking] = []
        self.passwords = 0

    def become(self, user: bytes, password: bytes | None) -> None:
        """Note that an account is another from now on."""
        self.event += 1
        last = self.history[user][-1]
        last.end, last.ended = self.event, self.now[0]
        self.history[user].append(State(password))

    def next_password(self) -> bytes:
        """Return a password that no account had lately."""
        self.passwords += 1
        return PASSWORDS[self.passwords % len(PASSWORDS)]

    def has_to_be_forgotten(self, *users: bytes) -> None:
        """Note that what was so up to now must not be told to who asks from now on."""
        for user in users:
            self.forgotten[user] = self.event

    def ask(self, worker: int, user: bytes, ago: int, kind: str, at_once: bool) -> None:
        """Ask for an account, with its password, or with the one that it had so many changes ago."""
        states = self.history[user.lower()]
        password = states[max(0, len(states) - 1 - ago)].password or PASSWORDS[0]
        said = encode_login(b"imap", user, password)
        if kind == "lookup":
            said = encode_lookup(b"imap", user)
        elif kind == "passwd":
            said = encode_passwd(b"imap", user, password, self.next_password())
        conversation = AuthdaemondConversation(TERMS)
        conversation.receive(said)
        request = conversation.next_request()
        assert isinstance(request, Asked)
        begun, forgotten, down = (self.now[0], self.event), self.forgotten[user.lower()], self.database.down
        with clock(self.now):
            reply = self.shortcuts[worker].reply_to(said)
            if reply is not None:
                self.explain(request, reply, begun, forgotten, was_down=False)
                return
            answer = self.workers[worker].respond(request, conversation)
        assert not isinstance(answer, AccountListing)
        if isinstance(answer, Answer):
            self.ended(Asking(request, said, worker, begun, forgotten, down), answer)
            return
        asking = Asking(request, said, worker, begun, forgotten, down, answer)
        self.under_way.append(asking)
        self.take_on(asking)
        while at_once and asking in self.under_way:
            self.take_on(asking)

    def go_on(self, which: int) -> None:
        if self.under_way:
            self.take_on(self.under_way[which % len(self.under_way)])

    def take_on(self, asking: Asking) -> None:
        """Take a request one step further: let the database look, let it tell, or let a password be checked."""
        if isinstance(asking.need, Find) and not asking.found:
            asking.found = True
            try:
                asking.finding = self.database.find(asking.need.service, asking.need.user)
            except TemporaryFailure as failure:
                asking.finding = failure
            return
        inquiry, finding = asking.inquiry, asking.finding
        assert inquiry is not None
        if isinstance(asking.need, Check):
            finding = verify(asking.need.password, asking.need.stored)
        with clock(self.now):
            try:
                if isinstance(finding, Exception):
                    asking.need = inquiry.throw(finding)
                else:
                    asking.need = inquiry.send(finding)
            except StopIteration as end:
                self.under_way.remove(asking)
                self.ended(asking, end.value)

    def ended(self, asking: Asking, answer: Answer) -> None:
        request = asking.request
        conversation = AuthdaemondConversation(TERMS)
        conversation.answer(request, answer)
        if not isinstance(request, ChangePassword):
            self.explain(request, conversation.output, asking.begun, asking.forgotten, asking.was_down)
            with clock(self.now):
                self.shortcuts[asking.worker].learn(asking.said, request, conversation)
        elif answer.outcome is not Outcome.REJECT and asking.found:
            self.has_to_be_forgotten(request.user.lower())

    def explain(self, request: Asked, reply: bytes, begun: tuple[float, int], forgotten: float, was_down: bool) -> None:
        """See that a reply was right at some time that it may be of."""
        if was_down and not reply:
            return
        account = decode_account(reply)
        user = request.user.lower()
        time, event = begun
        now = [state.password for state in self.history[user] if state.end > event]
        # Only of an account that was found, or that was not there, is anything remembered; never that a password was wrong.
        seconds = SECONDS if account else NEGATIVE_SECONDS
        lately = [
            state.password for state in self.history[user] if state.end > forgotten and state.ended > time - seconds
        ]
        if isinstance(request, Lookup):
            assert account in [password and account_of(user, password) for password in now + lately]
            return
        assert isinstance(request, Login)
        if account is None:
            assert None in lately or any(password != request.password for password in now)
        else:
            assert request.password in now + lately
            assert account == account_of(user, request.password).with_clear(request.password)

    def change_behind_their_backs(self, user: bytes) -> None:
        password = self.next_password()
        self.become(user, password)
        self.database.accounts[user] = account_of(user, password)

    def remove_behind_their_backs(self) -> None:
        self.become(b"none", None)
        self.database.accounts.pop(b"none", None)

    def flush(self, user: bytes | None, worker: int) -> None:
        self.workers[worker].respond(Flush(user), AuthdaemondConversation(TERMS))
        self.has_to_be_forgotten(*([user.lower()] if user is not None else self.forgotten))

    def wait(self, seconds: float) -> None:
        self.now[0] += seconds

    def outage(self, down: bool) -> None:
        self.database.down = down
        for asking in self.under_way:
            asking.was_down |= down


WORKER = st.integers(0, 1)
KNOWN = st.sampled_from([b"hashed", b"clear", b"none"])

ASK = st.tuples(
    st.just(Events.ask),
    WORKER,
    st.sampled_from(USERS),
    st.sampled_from([0, 0, 1, 1, 2]),
    st.sampled_from(["login", "login", "login", "lookup", "passwd"]),
    st.sampled_from([True, True, False]),
)
HAPPENING = st.one_of(
    st.tuples(st.just(Events.change_behind_their_backs), KNOWN),
    st.tuples(st.just(Events.change_behind_their_backs), KNOWN),
    st.tuples(st.just(Events.remove_behind_their_backs)),
    st.tuples(st.just(Events.flush), st.sampled_from([None, b"hashed", b"clear", b"none"]), WORKER),
    st.tuples(st.just(Events.wait), st.sampled_from([3.0, 6.0])),
    st.tuples(st.just(Events.outage), st.booleans()),
)
GO_ON = st.tuples(st.just(Events.go_on), st.integers(0, 100))


@settings(max_examples=400)
@given(st.lists(st.one_of(ASK, ASK, ASK, GO_ON, HAPPENING), min_size=30, max_size=90))
def test_whatever_the_order_of_events(happens: list[tuple[Callable[..., None], Any]]) -> None:
    events = Events()
    for event, *values in happens:
        event(events, *values)
