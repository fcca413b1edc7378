"""NUL, line feed and tab in accounts and in requests: no reply has more than the account, no such name is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.account import Account, Entry, until_end, until_listed_end
from authd.chain import Chain
from authd.modules.authpam import AuthPam
from authd.modules.inquiry import Check, Inquiry
from authd.modules.pamtransaction import PamCheck
from authd.outcome import Answer, Outcome, Reason
from authd.protocol.authdaemond import AuthdaemondConversation
from authd.protocol.client import decode_account, decode_enumeration
from authd.protocol.conversation import Conversation
from authd.protocol.dovecot_auth import DovecotAuthConversation
from authd.protocol.dovecot_userdb import DovecotUserdbConversation
from authd.protocol.reply import account_reply, entry_line, enumeration_heading
from authd.protocol.request import ChangePassword, Cram, Login, Lookup
from authd.protocol.saslauthd import SaslauthdConversation
from authd.server.cuts import MAX_WARNINGS, Cuts
from authd.server.log import LOGGER
from authd.together import settle_one
from tests.support.conversation import terms
from tests.support.stub import StubModule, surroundings
from tests.support.wire import auth

TEXTS = ("username", "home", "address", "name", "maildir", "quota", "options", "crypt", "clear")

anything = st.binary(max_size=20) | st.text("ab=,.\0\n\r\tUID0", max_size=20).map(str.encode)
accounts = st.builds(
    Account,
    address=st.none() | anything,
    uid=st.integers(1, 2**32 - 1),
    gid=st.integers(1, 2**32 - 1),
    home=anything,
    username=st.none() | anything,
    name=st.none() | anything.map(lambda name: name.replace(b",", b"")),
    maildir=st.none() | anything,
    quota=st.none() | anything,
    options=st.none() | anything,
    crypt=st.none() | anything,
    clear=st.none() | anything,
    tells_uid=st.just(True),
)


def cut(account: Account, name: str) -> bytes | None:
    value: bytes | None = getattr(account, name)
    return None if value is None else until_end(value)


@given(accounts, st.booleans())
def test_a_reply_has_the_account_and_nothing_else(account: Account, clear_is_given: bool) -> None:
    for told in (account, Cuts().account(account, b"u", "m", clear_is_given)):
        reply = account_reply(told, b"")
        lines = reply.split(b"\n")
        assert lines[-2:] == [b".", b""]
        assert b"\0" not in reply
        # Options that are empty are not told.
        expected = {name: cut(account, name) for name in TEXTS}
        expected["options"] = expected["options"] or None
        decoded = decode_account(reply)
        assert decoded is not None
        assert {name: getattr(decoded, name) for name in TEXTS} == expected
        assert (decoded.uid, decoded.gid) == (account.uid, account.gid)
        assert len(lines) == 2 + 2 + sum(value is not None for value in expected.values())


@given(accounts, anything)
def test_the_options_of_all_are_never_cut_off(account: Account, defaults: bytes) -> None:
    account.options, account.maildir = b"a=1\nx", b"m\n"
    whole = Cuts().account(account, b"u", "m", clear_is_given=False)
    for one in (account, whole):
        decoded = decode_account(account_reply(one, until_end(b"z=2" + defaults)))
        assert decoded is not None
        assert (decoded.options or b"").startswith(b"a=1,z=2")


@given(st.builds(Entry, anything, st.integers(1, 9), st.integers(1, 9), anything, anything, anything), anything)
def test_a_line_of_an_enumeration_is_one_account(entry: Entry, defaults: bytes) -> None:
    for listed in (entry, Cuts().entry(entry, "m")):
        line = entry_line(listed, b"z=1," + defaults)
        assert (line.count(b"\t"), line.count(b"\n"), line.count(b"\0")) == (5, 1, 0)
        if b"#" in line:
            continue
        (decoded,) = decode_enumeration(line + b".\n")
        assert (decoded.uid, decoded.gid) == (entry.uid, entry.gid)
        assert decoded.address == until_listed_end(entry.address)
        assert (decoded.home, decoded.maildir) == (until_listed_end(entry.home), until_listed_end(entry.maildir))


def test_the_heading_of_an_enumeration_is_one_line() -> None:
    assert enumeration_heading("auth\nroot\t1\t1") == b"# auth\n\n"
    assert enumeration_heading("authx\t1\t1\t/") == b"# authx\n\n"


def test_warnings_are_one_an_account_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(LOGGER, "warning", lambda text, *values: said.append(text % values))
    cuts = Cuts()
    account = Account(b"u", 1, 1, b"/h\nsecretive", clear=b"hunter2\n", crypt=b"hunter3\n")
    for _ in range(3):
        cuts.account(account, b'u"', "authx", clear_is_given=False)
    cuts.account(account, b"other", "authx", clear_is_given=True)
    cuts.account(Account(b"u", 1, 1, b"/h"), b"fine", "authx", clear_is_given=False)
    assert said == [
        'cut: module=authx user="u\\"" fields=HOME,PASSWD,PASSWD2 reason="NUL or line feed"',
        'cut: module=authx user="other" fields=HOME,PASSWD reason="NUL or line feed"',
    ]
    for number in range(MAX_WARNINGS + 10):
        cuts.account(account, b"%d" % number, "authx", clear_is_given=False)
    assert len(cuts._warned) <= MAX_WARNINGS


class Greedy(StubModule):
    """Has an account for every name, as a back end may that ends a name at NUL or passes over what it can't print."""

    def find(self, service: bytes, user: bytes) -> Account | None:
        self.asked += 1
        return Account(user, 1, 1, b"/h", clear=b"secret")


def steps(inquiry: Inquiry[object]) -> Iterator[object]:
    """Yield what `inquiry` needs, answering each need with None."""
    try:
        need = next(inquiry)
        while True:
            yield need
            need = inquiry.send(None)
    except StopIteration:
        return


BAD_NAMES = st.builds(
    lambda before, byte, after: before + byte + after,
    st.binary(max_size=5),
    st.sampled_from([b"\0", b"\n", b"\t"]),
    st.binary(max_size=5),
)


@given(BAD_NAMES)
def test_no_module_sees_such_a_name(user: bytes) -> None:
    module = Greedy()
    chain = Chain([module], None, None)
    for request in (
        Lookup(b".", b"imap", user),
        Lookup(b"authstub", b"imap", user),
        Login(b"imap", user, b"secret"),
        Cram(b"imap", user, "md5", b"c", b"r"),
        ChangePassword(b"imap", user, b"secret", b"new"),
    ):
        decision = settle_one(chain.ask(request))
        assert decision.outcome is Outcome.REJECT
        assert decision.decisive.answer.reason is Reason.NO_SUCH_USER
    assert module.asked == 0
    assert module.stored == []


@pytest.mark.parametrize(
    "request_",
    [
        Lookup(b".", b"im\0ap", b"user"),
        Login(b"im\nap", b"user", b"secret"),
        Login(b"imap", b"user", b"secret\0"),
        ChangePassword(b"imap", b"user", b"sec\0ret", b"new"),
        ChangePassword(b"imap", b"user", b"secret", b"ne\0w"),
    ],
)
def test_nor_such_a_service_or_password(request_: Lookup | Login | ChangePassword) -> None:
    module = Greedy()
    decision = settle_one(Chain([module], None, None).ask(request_))
    assert (decision.outcome, decision.decisive.answer.reason) == (Outcome.REJECT, Reason.REFUSED)
    assert (module.asked, module.stored) == (0, [])


def test_such_a_login_costs_what_an_unknown_user_costs() -> None:
    chain = Chain([StubModule(), StubModule(name="other")], None, None)
    for request in (Login(b"imap", b"us\0er", b"x"), ChangePassword(b"imap", b"us\ter", b"x", b"y")):
        checks = [need for need in steps(chain.ask(request)) if isinstance(need, Check)]
        assert [check.password for check in checks] == [b"x", b"x"]


def test_other_control_characters_are_for_the_back_end_to_judge() -> None:
    for user in (b"us\rer", b"us\x01er", b"\xff", b"us er"):
        assert settle_one(Chain([Greedy()], None, None).ask(Lookup(b".", b"imap", user))).outcome is Outcome.OK


CONVERSATIONS: list[tuple[type[Conversation], bytes]] = [
    (AuthdaemondConversation, b"PRE . imap user\0x\n"),
    (AuthdaemondConversation, b"PRE . imap user\nx\n"),
    (AuthdaemondConversation, b"PASSWD imap\tuser\told\tne\0w\n"),
    (AuthdaemondConversation, b"PASSWD imap\tuser\told\tne\nw\n"),
    (AuthdaemondConversation, b"PASSWD imap\tus\ter\told\tnew\n"),
    (AuthdaemondConversation, auth(b"imap\nlogin\n\nuser\nsecret\n")),
    (AuthdaemondConversation, auth(b"imap\nlogin\nuser\nsecret\0")),
    (AuthdaemondConversation, auth(b"imap\nlogin\nuser\nsecret\n\0x\n")),
    (AuthdaemondConversation, auth(b"imap\ncram-md5\nPDEyM0Bob3N0Pg==\ndXNlcgB4IGFi\n")),
    (DovecotAuthConversation, b"VERSION\t1\t2\nAUTH\t1\tPLAIN\tservice=imap\tresp=AHVzCWVyAHNlY3JldA==\n"),
    (DovecotAuthConversation, b"VERSION\t1\t2\nAUTH\t1\tLOGIN\tservice=imap\tresp=dXMKZXI=\nCONT\t1\tc2VjcmV0\n"),
    (DovecotUserdbConversation, b"VERSION\t1\t1\nUSER\t1\tus\x01nx\tservice=lmtp\n"),
    (DovecotUserdbConversation, b"VERSION\t1\t1\nUSER\t1\tus\x010x\tservice=lmtp\n"),
    (DovecotUserdbConversation, b"VERSION\t1\t1\nUSER\t1\tus\0x\tservice=lmtp\n"),
    (SaslauthdConversation, b"\0\5us\0er\0\6secret\0\4imap\0\0"),
    (SaslauthdConversation, b"\0\5us\ner\0\6secret\0\4imap\0\0"),
    (SaslauthdConversation, b"\0\5us\ter\0\6secret\0\4imap\0\0"),
    (SaslauthdConversation, b"\0\4user\0\6secret\0\4imap\0\3a\tb"),
]


@pytest.mark.parametrize(("kind", "said"), CONVERSATIONS)
def test_no_protocol_finds_such_a_user(kind: type[Conversation], said: bytes) -> None:
    module = Greedy()
    chain = Chain([module], None, None)
    conversation = kind(terms())
    conversation.take_output()
    conversation.receive(said)
    told = b""
    while (request := conversation.next_request()) is not None:
        answer = Answer(Outcome.REJECT, Reason.REFUSED)
        if isinstance(request, Lookup | Login | Cram | ChangePassword):
            decision = settle_one(chain.ask(request))
            answer = Answer(decision.outcome, decision.decisive.answer.reason, decision.decisive.answer.account)
        conversation.answer(request, answer)
        told += conversation.take_output()
    told += conversation.take_output()
    assert re.fullmatch(rb"(CONT\t1\t\S*\n)?(FAIL(\t.*)?|NOTFOUND\t1)\n|\0\x02NO", told)
    assert module.asked == 0


@pytest.mark.parametrize("address", [b"192.0.2.1\0new", b"192.0.2.1\0", b"\0a\0b"])
def test_an_address_is_no_new_password_to_pam(monkeypatch: pytest.MonkeyPatch, address: bytes) -> None:
    """Dovecot's ``rip=`` and saslauthd's fields can carry a NUL."""
    asked: list[PamCheck] = []
    module = AuthPam(surroundings())
    monkeypatch.setattr(module, "ask_each", asked.extend)
    answer = settle_one(module.login(b"imap", b"user", b"password", address))
    assert (answer.outcome, answer.reason, asked) == (Outcome.REJECT, Reason.REFUSED, [])
