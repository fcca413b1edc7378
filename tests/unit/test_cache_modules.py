"""While no account changes, a worker that caches replies as one that does not, whatever the modules go by."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authd import cache as cache_module
from authd.account import Account
from authd.cache import Cache, Generations
from authd.chain import Chain
from authd.config.authdaemonrc import parse
from authd.config.problem import ConfigError
from authd.modules.authpam import AuthPam
from authd.modules.authpipe import AuthPipe
from authd.modules.authshadow import AuthShadow
from authd.modules.base import TemporaryFailure
from authd.modules.inquiry import Inquiry
from authd.modules.registry import CLASSES, module_class
from authd.modules.systemaccounts import DAY_SECONDS, Shadow, SystemAccount
from authd.outcome import Answer, Outcome, Reason, reject
from authd.passwords import hash_password
from authd.protocol.authdaemond import AuthdaemondConversation
from authd.protocol.client import encode_login, encode_lookup
from authd.protocol.request import Login, Lookup
from authd.server.listing import AccountListing
from authd.server.responder import Responder
from authd.server.shortcuts import Shortcuts
from authd.together import settle_one
from tests.support.conversation import terms
from tests.support.stub import StubModule, surroundings

SETTINGS = parse('authmodulelist="authstub"\ndaemons=1\n', Path("authdaemonrc"))
TERMS = terms()
DAY = 100
"""Seconds after which `Dated` changes its mind."""
USERS = [b"ann", b"bob", b"none"]
PASSWORDS = [b"one", b"two"]
ADDRESSES = [b"", b"192.0.2.5", b"192.0.2.9"]
SERVICES = [b"imap", b"smtp"]
HASHES = {password: hash_password(password, "ssha") for password in PASSWORDS}


class Plain(StubModule):
    """Goes by service, user and password."""


class Circumspect(StubModule):
    """Lets in by the address, the service, the time and its tries; says nothing of the cache."""

    caches_lookups = False
    caches_logins = False

    def __init__(self, now: list[float], rule: int, *accounts: Account) -> None:
        super().__init__(*accounts, name=f"circumspect{rule}")
        self._now = now
        self._rule = rule

    def find(self, service: bytes, user: bytes) -> Account | None:
        return super().find(service, user) if self._lets_in(service, b"") else None

    def login(self, service: bytes, user: bytes, password: bytes, remote_ip: bytes = b"") -> Inquiry[Answer]:
        if not self._lets_in(service, remote_ip):
            return reject(Reason.NO_SUCH_USER if self._rule % 2 else Reason.WRONG_PASSWORD)
        account = StubModule.find(self, service, user)
        if account is None:
            return (yield from self.nobody(password))
        return (yield from self._compare(account, password))

    def _lets_in(self, service: bytes, remote_ip: bytes) -> bool:
        return hash((remote_ip, service, int(self._now[0]) % 3, self._rule)) % 2 == 0


class Gatekeeper(Circumspect):
    """The same at a login; a lookup goes by the name."""

    caches_lookups = True

    def find(self, service: bytes, user: bytes) -> Account | None:
        return StubModule.find(self, service, user)


class Dated(StubModule):
    """Lets accounts in on every other day."""

    def __init__(self, now: list[float], *accounts: Account) -> None:
        super().__init__(*accounts, name="dated")
        self._now = now

    def login(self, service: bytes, user: bytes, password: bytes, remote_ip: bytes = b"") -> Inquiry[Answer]:
        answer: Answer = yield from super().login(service, user, password, remote_ip)
        if answer.outcome is not Outcome.OK:
            return answer
        if int(self._now[0] // DAY) % 2:
            answer = reject(Reason.ACCOUNT_EXPIRED, answer.account)
        return replace(answer, max_age=DAY - self._now[0] % DAY)


class Flaky(StubModule):
    """Is down for some services."""

    login_tempfail = "fail"

    def find(self, service: bytes, user: bytes) -> Account | None:
        if service == b"smtp":
            raise TemporaryFailure(Reason.UNREACHABLE, "down")
        return super().find(service, user)


@dataclass(frozen=True)
class Event:
    kind: str
    user: bytes
    password: bytes
    address: bytes
    service: bytes
    later: float

    @property
    def said(self) -> bytes:
        request = (
            encode_lookup(self.service, self.user)
            if self.kind == "lookup"
            else encode_login(self.service, self.user, self.password)
        )
        return (b"TCPREMOTEIP=%b\n" % self.address if self.address else b"") + request


EVENTS = st.builds(
    Event,
    st.sampled_from(["login", "login", "lookup"]),
    st.sampled_from(USERS),
    st.sampled_from(PASSWORDS),
    st.sampled_from(ADDRESSES),
    st.sampled_from(SERVICES),
    st.sampled_from([0.0, 0.0, 1.0, DAY / 2, DAY]),
)
KINDS = st.tuples(st.sampled_from([Plain, Circumspect, Gatekeeper, Dated, Flaky]), st.integers(0, 5), st.integers(0, 3))


def account_of(user: bytes, password: bytes, number: int) -> Account:
    """Return an account that shows which module it is of, without a cleartext password, so that lookups are kept."""
    return Account(user, 1000 + number, 1000, b"/home", crypt=HASHES[password])


def module_of(number: int, kind: type[StubModule], rule: int, holds: int, now: list[float]) -> StubModule:
    accounts = [
        account_of(user, PASSWORDS[number % 2], number) for bit, user in enumerate(USERS[:2]) if holds >> bit & 1
    ]
    if issubclass(kind, Circumspect):
        return kind(now, rule, *accounts)
    return kind(now, *accounts) if issubclass(kind, Dated) else kind(*accounts, name=f"{kind.__name__}{number}")


def reply_of(responder: Responder, shortcuts: Shortcuts | None, said: bytes) -> bytes:
    """Return the reply to a client that says `said`, as the worker comes to it."""
    reply = shortcuts.reply_to(said) if shortcuts is not None else None
    if reply is not None:
        return reply
    conversation = AuthdaemondConversation(TERMS)
    conversation.receive(said)
    request = conversation.next_request()
    assert isinstance(request, Login | Lookup)
    answer = responder.respond(request, conversation)
    assert not isinstance(answer, AccountListing)
    answer = answer if isinstance(answer, Answer) else settle_one(answer)
    conversation.answer(request, answer)
    if shortcuts is not None:
        shortcuts.learn(said, request, answer, conversation)
    return conversation.output


IN = Event("login", b"ann", b"one", b"192.0.2.5", b"imap", 0.0)


@example(
    [(Circumspect, 0, 1)], [replace(IN, address=address, later=later) for later in (0, 1, 1) for address in ADDRESSES]
)
@example([(Dated, 0, 1)], [IN, replace(IN, later=DAY / 2), replace(IN, later=DAY / 2)])
@given(st.lists(KINDS, min_size=1, max_size=3), st.lists(EVENTS, min_size=2, max_size=25))
def test_a_cache_changes_no_reply(kinds: list[tuple[type[StubModule], int, int]], events: list[Event]) -> None:
    now = [1000.0 * DAY]
    chain = Chain([module_of(number, *kind, now) for number, kind in enumerate(kinds)], None, None)
    cache = Cache(Generations(), 10 * DAY, 10 * DAY, 10)
    cached, plain, shortcuts = Responder(chain, SETTINGS, cache), Responder(chain, SETTINGS), Shortcuts(cache, 10)
    with mock.patch.object(cache_module, "time") as time:
        time.monotonic.side_effect = lambda: now[0]
        for event in events:
            now[0] += event.later
            assert reply_of(cached, shortcuts, event.said) == reply_of(plain, None, event.said)


ASKED = Login(b"imap", b"ann", b"one")
OF_NOBODY = Login(b"imap", b"none", b"one")


@pytest.mark.parametrize(
    ("kinds", "cached", "known", "negative"),
    [
        ([Plain], (), True, True),
        ([Gatekeeper], (), False, False),
        # Behind a module that was not asked, and behind one that was.
        ([Plain, Gatekeeper], (), True, False),
        ([Gatekeeper, Plain], (), False, False),
        ([Gatekeeper], ("circumspect2",), True, True),
        ([Gatekeeper], ("authother",), False, False),
    ],
)
def test_what_is_kept(kinds: list[type[StubModule]], cached: tuple[str, ...], known: bool, negative: bool) -> None:
    modules = [module_of(0, kind, 2, 1, [0.0]) for kind in kinds]
    chain, cache = Chain(modules, None, None, cached), Cache(Generations(), 600, 600, 10)
    with mock.patch.object(Circumspect, "_lets_in", return_value=True):
        for request in (ASKED, OF_NOBODY):
            settle_one(cache.learn(request, chain.ask(request)))
    assert (cache.known(ASKED) is not None, cache.knows_nobody(OF_NOBODY)) == (known, negative)


def test_each_module_says_whether_its_answers_can_be_kept() -> None:
    """A name that is new here wants an answer to that; those that keep a login go by the password alone."""
    for library in ("ldap", "psycopg"):
        pytest.importorskip(library)
    kept = {}
    for name in CLASSES:
        kind = module_class(name, Path("authdaemonrc"))
        assert kind is not None
        kept[name] = (kind.caches_lookups, kind.caches_logins)
    assert kept == {
        # By its settings; see below.
        "authldap": (True, False),
        "authmysql": (True, True),
        "authpam": (True, False),
        "authpgsql": (True, True),
        "authpipe": (False, False),
        "authpwd": (True, True),
        "authshadow": (True, True),
        "authsqlite": (True, True),
        "authuserdb": (True, True),
    }


@pytest.mark.parametrize(("bind", "kept"), [("0", True), ("1", False)])
def test_what_a_server_decides_by_a_bind_is_not_kept(tmp_path: Path, bind: str, kept: bool) -> None:
    pytest.importorskip("ldap")
    kind = module_class("authldap", tmp_path / "authdaemonrc")
    assert kind is not None
    (tmp_path / "authldaprc").write_text(
        f"LDAP_URI ldap://127.0.0.1:1\nLDAP_BASEDN o=x\nLDAP_CRYPTPW x\nLDAP_AUTHBIND {bind}\n"
    )
    module = kind(replace(surroundings(), sysconfdir=tmp_path))
    assert (module.caches_lookups, module.caches_logins) == (True, kept)


def test_pam_is_never_remembered() -> None:
    with pytest.raises(ConfigError, match="logins by authpam depend on the mail client's address"):
        parse('authmodulelist="authpam"\ndaemons=1\nAUTHD_CACHE_MODULES="authpipe authpam"\n', Path("authdaemonrc"))


def test_modules_to_be_cached_are_among_the_modules() -> None:
    text = 'authmodulelist="authpipe"\ndaemons=1\nAUTHD_CACHE_MODULES="authpipe authpip"\n'
    settings = parse(text, Path("authdaemonrc"))
    assert settings.cache_modules == ("authpipe", "authpip")
    [remark] = settings.remarks
    assert "authpip is not in authmodulelist" in str(remark)


def test_the_chain_names_what_is_not_remembered() -> None:
    modules = [AuthShadow(surroundings()), AuthPipe(surroundings()), AuthPam(surroundings())]
    assert Chain(modules, None, None).uncached == ["authpipe", "authpam"]
    assert Chain(modules, None, None, ["authpipe"]).uncached == ["authpam"]


@pytest.mark.parametrize("shadow", [Shadow(HASHES[b"one"], 10, -1, 20_001), Shadow(HASHES[b"one"], 20_000, 0, -1)])
def test_a_shadow_login_is_kept_until_the_day_ends(shadow: Shadow, monkeypatch: pytest.MonkeyPatch) -> None:
    module = AuthShadow(surroundings())
    account = SystemAccount(b"ann", 1, 1, b"/h", crypt=shadow.password, shadow=shadow)
    monkeypatch.setattr(module, "find", lambda service, user: account)
    monkeypatch.setattr("authd.modules.authshadow.time.time", lambda: 20_000.0 * DAY_SECONDS + DAY_SECONDS - 7)
    answer = settle_one(module.login(b"imap", b"ann", b"one"))
    assert (answer.outcome, answer.max_age) == (Outcome.OK, 7)
    monkeypatch.setattr("authd.modules.authshadow.time.time", lambda: 20_001.0 * DAY_SECONDS + 1)
    assert settle_one(module.login(b"imap", b"ann", b"one")).outcome is Outcome.REJECT


def test_an_answer_stays_true_unless_it_says_otherwise() -> None:
    module = Plain(account_of(b"ann", b"one", 0))
    decision = settle_one(Chain([module], None, None).ask(ASKED))
    assert decision.max_age == math.inf
