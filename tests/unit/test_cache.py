"""Whatever the order of events, the cache says nothing that was not so a moment ago, and forgets when it is told to."""

from __future__ import annotations

import gc
import hmac
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authd import cache as cache_module
from authd.account import Account
from authd.cache import Cache, Generations
from authd.chain import Chain
from authd.config.authdaemonrc import parse
from authd.modules.base import TemporaryFailure
from authd.modules.inquiry import Ask, Check, Find, Inquiry
from authd.outcome import Answer, Outcome, Reason
from authd.passwords import hash_password, verify
from authd.protocol.authdaemond import AuthdaemondConversation
from authd.protocol.client import decode_account, encode_login, encode_lookup, encode_passwd
from authd.protocol.request import ChangePassword, Cram, Flush, Login, Lookup
from authd.server.listing import AccountListing
from authd.server.responder import Responder
from authd.server.shortcuts import Shortcuts
from authd.together import settle_one
from tests.support.conversation import terms
from tests.support.stub import StubModule

SECONDS = 10
NEGATIVE_SECONDS = 4
SETTINGS = parse('authmodulelist="authstub"\ndaemons=2\n', Path("authdaemonrc"))
TERMS = terms()

PASSWORDS = [b"one", b"two", b"three", b"four", b"five"]
HASHES = {password: hash_password(password, "ssha") for password in PASSWORDS}
USERS = [b"hashed", b"HASHED", b"alias", b"clear", b"none"]
Asked = Lookup | Login | Cram | ChangePassword


def login_of(user: bytes) -> bytes:
    """Return the login that the database has for what a client calls a user."""
    return {b"alias": b"hashed"}.get(user.lower(), user.lower())


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
    # A mock in its place would be made anew at each step, which takes longer than all else.
    with mock.patch.object(cache_module, "time", SimpleNamespace(monotonic=lambda: now[0])):
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
    need: Find | Ask | Check | None = None
    finding: object = None
    found: bool = field(default=False)


class Database(StubModule):
    """A module whose logins are equal whatever the case, as MySQL's are, and where a user has an alias.

    :param changed: is told of each password that was changed.
    """

    def __init__(self, changed: Callable[[bytes, bytes], None], *accounts: Account) -> None:
        super().__init__(*accounts)
        self._changed = changed

    def find(self, service: bytes, user: bytes) -> Account | None:
        return super().find(service, login_of(user))

    def set_password(self, service: bytes, user: bytes, password: bytes, hashed: bytes) -> bool:
        login = login_of(user)
        self.accounts[login] = account_of(login, password)
        self._changed(login, password)
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
        states = self.history[login_of(user)]
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
        begun, forgotten, down = (self.now[0], self.event), self.forgotten[login_of(user)], self.database.down
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
                self.shortcuts[asking.worker].learn(asking.said, request, answer, conversation)
        elif answer.outcome is not Outcome.REJECT and asking.found:
            self.has_to_be_forgotten(login_of(request.user))

    def explain(self, request: Asked, reply: bytes, begun: tuple[float, int], forgotten: float, was_down: bool) -> None:
        """See that a reply was right at some time that it may be of."""
        if was_down and not reply:
            return
        account = decode_account(reply)
        user = login_of(request.user)
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


NOW, BEFORE = 0, 1
ASKED = (Events.ask, 0, b"hashed", NOW, "login", False)
LOGGED_IN = (Events.ask, 0, b"hashed", NOW, "login", True)
BY_ALIAS = (Events.ask, 0, b"alias", NOW, "login", True)
TRIED_FORMER = (Events.ask, 0, b"hashed", BEFORE, "login", True)
TRIED_FORMER_BY_ALIAS = (Events.ask, 0, b"alias", BEFORE, "login", True)
CHANGED = (Events.ask, 1, b"hashed", NOW, "passwd", True)
CHANGED_BY_ALIAS = (Events.ask, 1, b"alias", NOW, "passwd", True)
CHANGED_BEHIND = (Events.change_behind_their_backs, b"hashed")
GOES_ON = (Events.go_on, 0)
WAITED = (Events.wait, 6.0)
ASKED_1 = (Events.ask, 1, b"hashed", NOW, "login", False)
LOGGED_IN_1 = (Events.ask, 1, b"hashed", NOW, "login", True)
DOWN, UP = (Events.outage, True), (Events.outage, False)
FLUSHED = (Events.flush, b"hashed", 1)


@settings(max_examples=400)
@example([LOGGED_IN, CHANGED, TRIED_FORMER])
@example([LOGGED_IN, LOGGED_IN, CHANGED, TRIED_FORMER])
@example([LOGGED_IN, CHANGED_BEHIND, FLUSHED, TRIED_FORMER])
@example([BY_ALIAS, CHANGED, TRIED_FORMER_BY_ALIAS])
@example([BY_ALIAS, CHANGED_BEHIND, FLUSHED, TRIED_FORMER_BY_ALIAS])
@example([LOGGED_IN, CHANGED_BY_ALIAS, TRIED_FORMER])
@example([ASKED, GOES_ON, CHANGED, GOES_ON, GOES_ON, TRIED_FORMER])
@example([ASKED, GOES_ON, CHANGED_BEHIND, FLUSHED, GOES_ON, GOES_ON, TRIED_FORMER])
@example([LOGGED_IN, CHANGED_BEHIND, WAITED, TRIED_FORMER, WAITED, TRIED_FORMER])
@example([ASKED, GOES_ON, CHANGED_BEHIND, WAITED, GOES_ON, GOES_ON, WAITED, TRIED_FORMER])
@example([LOGGED_IN_1, ASKED_1, DOWN, GOES_ON, UP, WAITED, LOGGED_IN_1, GOES_ON, LOGGED_IN_1])
@example([ASKED_1, DOWN, GOES_ON, UP, LOGGED_IN_1, GOES_ON, LOGGED_IN_1])
@given(st.lists(st.one_of(ASK, ASK, ASK, GO_ON, HAPPENING), min_size=30, max_size=90))
def test_whatever_the_order_of_events(happens: list[tuple[Callable[..., None], Any]]) -> None:
    events = Events()
    for event, *values in happens:
        event(events, *values)


def referred_to(start: object) -> Iterator[object]:
    """Yield all that an object leads to, but for classes, modules and functions."""
    seen: set[int] = set()
    left = [start]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        yield one
        left += gc.get_referents(one)


@pytest.mark.parametrize("user", [b"hashed", b"clear", b"both"])
def test_no_password_is_kept(user: bytes) -> None:
    password = b"a password that is " + b"nowhere else"
    account = Account(
        user,
        1000,
        1000,
        b"/home",
        crypt=None if user == b"clear" else hash_password(password, "ssha"),
        clear=None if user == b"hashed" else password,
    )
    module = StubModule(account)
    cache = Cache(Generations(), 600, 600, 10)
    responder, shortcuts = Responder(Chain([module], None, None), SETTINGS, cache), Shortcuts(cache, 10)
    for said in (encode_login(b"imap", user, password), encode_lookup(b"imap", user)):
        conversation = AuthdaemondConversation(TERMS)
        conversation.receive(said)
        request = conversation.next_request()
        assert request is not None
        inquiry = responder.respond(request, conversation)
        assert isinstance(inquiry, Generator)
        answer = settle_one(inquiry)
        conversation.answer(request, answer)
        shortcuts.learn(said, request, answer, conversation)
        remembered = isinstance(request, Login) or user == b"hashed"
        assert (shortcuts.reply_to(said) == conversation.output) == remembered
    module.accounts.clear()
    kept = list(referred_to((cache, shortcuts)))
    assert any(user == one for one in kept)
    assert not any(password in one for one in kept if isinstance(one, bytes))
    assert not any(password.decode() in one for one in kept if isinstance(one, str))


def test_an_empty_cleartext_password_is_told_again() -> None:
    """Courier's authsqlite tells of empty fields."""
    account = account_of(b"hashed", b"one")
    account.clear = b""
    responder = Responder(Chain([StubModule(account)], None, None), SETTINGS, Cache(Generations(), 600, 600, 10))
    replies = []
    for _ in range(2):
        conversation = AuthdaemondConversation(TERMS)
        request = Lookup(b".", b"imap", b"hashed")
        answer = responder.respond(request, conversation)
        assert not isinstance(answer, AccountListing)
        conversation.answer(request, answer if isinstance(answer, Answer) else settle_one(answer))
        replies.append((isinstance(answer, Answer), conversation.output))
    assert [at_once for at_once, _ in replies] == [False, True]
    assert replies[0][1] == replies[1][1]
    assert b"\nPASSWD2=\n" in replies[0][1]


def test_the_oldest_goes_first() -> None:
    module = StubModule(*(account_of(b"%d" % number, b"one") for number in range(5)))
    cache = Cache(Generations(), 600, 600, 3)
    chain = Chain([module], None, None)
    requests = [Login(b"imap", b"%d" % number, b"one") for number in range(5)]
    requests += [Login(b"imap", b"x%d" % number, b"one") for number in range(5)]
    for request in requests:
        settle_one(cache.learn(request, chain.ask(request)))
    assert [cache.known(request) is not None for request in requests[:5]] == [False, False, True, True, True]
    # Those who are nobody are counted apart.
    assert [cache.knows_nobody(request) for request in requests[5:]] == [False, False, True, True, True]


@pytest.mark.parametrize("down", ["a", "b"])
def test_what_an_outage_had_a_part_in_is_not_kept(down: str) -> None:
    """With AUTHD_LOGIN_TEMPFAIL="fail" the next module is asked, and the first might have said something else."""
    modules = [
        StubModule(name="a", down=down == "a"),
        StubModule(account_of(b"hashed", b"one"), name="b", down=down == "b"),
    ]
    cache = Cache(Generations(), 600, 600, 10)
    request = Login(b"imap", b"hashed", b"one")
    settle_one(cache.learn(request, Chain(modules, "fail", None).ask(request)))
    assert cache.known(request) is None
    assert not cache.knows_nobody(request)


def test_cram_is_never_remembered() -> None:
    cache = Cache(Generations(), 600, 600, 10)
    chain = Chain([StubModule(account_of(b"clear", b"one"))], None, None)
    challenge = b"<challenge>"
    response = hmac.new(b"one", challenge, "md5").hexdigest().encode()
    request = Cram(b"imap", b"clear", "md5", challenge, response)
    assert settle_one(cache.learn(request, chain.ask(request))).outcome is Outcome.OK
    assert cache.recall(request) is None
