"""The wire protocol without a wire: every request whole, byte by byte, and with more behind it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.account import Account, Entry, merge_options
from authd.protocol.client import (
    ReplyError,
    decode_account,
    decode_enumeration,
    encode_login,
    encode_lookup,
    encode_passwd,
)
from authd.protocol.parser import RequestParser
from authd.protocol.reply import account_reply, entry_line
from authd.protocol.request import ChangePassword, Cram, Dropped, Enumerate, Login, Lookup, Rejected, Request
from tests.support.wire import auth


def parse(pieces: Iterable[bytes]) -> tuple[Request | None, RequestParser]:
    """Feed `pieces` until there is a request."""
    parser = RequestParser()
    for piece in pieces:
        request = parser.receive(piece)
        if request is not None:
            return request, parser
    return None, parser


def every_way(data: bytes) -> list[list[bytes]]:
    return [[data], [data[i : i + 1] for i in range(len(data))], [data + b"more\nPRE . imap x\n"], [data[:3], data[3:]]]


CASES: list[tuple[bytes, Request]] = [
    (b"PRE . imap user@example.org\n", Lookup(b".", b"imap", b"user@example.org")),
    (b"PRE   authmysql   imap   user\n", Lookup(b"authmysql", b"imap", b"user")),
    (b"PRE . imap \n", Lookup(b".", b"imap", b"")),
    (b"PRE . imap two words\n", Lookup(b".", b"imap", b"two words")),
    (auth(b"imap\nlogin\nuser\nsecret\n"), Login(b"imap", b"user", b"secret")),
    (b"A=1\nTCPREMOTEIP=192.0.2.1\n" + auth(b"imap\nlogin\nuser\nsecret\n"), Login(b"imap", b"user", b"secret")),
    (auth(b"imap\ncram-md5\nPDE+\ndXNlciBhYmM=\n"), Cram(b"imap", b"user", "md5", b"<1>", b"abc")),
    (auth(b"imap\nlogin\nuser\nsecret\nmore\n"), Rejected(b"imap", "newline in user name or password", b"user")),
    (auth(b"imap\nlogin\nus\0er\nsecret\n"), Rejected(b"imap", "NUL in user name or password", b"us")),
    (auth(b"imap\nlogin\nuser\n"), Rejected(b"imap", "empty user name or password", b"user")),
    (auth(b"imap\nplain\nuser\nx"), Rejected(b"imap", "unknown authentication type")),
    (b"PASSWD imap\tuser\told\tnew\n", ChangePassword(b"imap", b"user", b"old", b"new")),
    (b"PASSWD imap\tuser\told\tn\x01ew\n", Rejected(b"imap", "control byte in PASSWD", b"user")),
    (b"PASSWD imap\tus\ter\told\tnew\n", Rejected(b"imap", "tab in user name or password", b"us")),
    (b"ENUMERATE\n", Enumerate()),
    (b"ENUMERATE whatever\n", Enumerate()),
    (b"NOTHING\n", Dropped("unknown command NOTHING")),
    (b"\n", Dropped("unknown command of 0 bytes")),
    (b"PRE . imap\n", Dropped("PRE with fewer than three fields")),
    (b"PASSWD imap\tuser\told\n", Dropped("PASSWD with fewer than four fields")),
    (b"AUTH -1\n", Dropped("AUTH length not within 0 to 8191")),
    (b"AUTH 8192\n", Dropped("AUTH length not within 0 to 8191")),
    (b"AUTH 10\nimap\nlogin", Dropped("AUTH body with fewer than three fields")),
    (b"x" * 8191, Dropped("line of more than 8190 bytes")),
]


@pytest.mark.parametrize(("data", "expected"), CASES, ids=[repr(data[:40]) for data, _ in CASES])
def test_requests(data: bytes, expected: Request) -> None:
    for pieces in every_way(data):
        assert parse(pieces)[0] == expected


def test_a_request_that_is_not_complete_is_none_yet() -> None:
    for data, _ in CASES[:12]:
        assert parse([data[: len(data) // 2]])[0] is None


def test_the_address_is_kept_for_the_log_and_cut() -> None:
    assert parse([b"TCPREMOTEIP=2001:db8::1\nPRE . imap x\n"])[1].remote_ip == b"2001:db8::1"
    assert parse([b"TCPREMOTEIP=" + b"9" * 100 + b"\nPRE . imap x\n"])[1].remote_ip == b"9" * 39


@given(st.lists(st.binary(max_size=3000), max_size=8))
def test_anything_is_a_request_or_nothing_yet(pieces: list[bytes]) -> None:
    """The one invariant: no bytes make the parser raise, and the pieces they come in make no difference."""
    together, _ = parse([b"".join(pieces)])
    apart, _ = parse(pieces)
    assert isinstance(together, Request | None)
    assert apart == together


fields = st.binary(min_size=1, max_size=50).filter(
    lambda value: not set(value) & set(range(0x20)) and not value.startswith(b" ")
)
words = fields.filter(lambda value: b" " not in value)


@given(words, fields)
def test_lookups_round_trip(service: bytes, user: bytes) -> None:
    assert parse([encode_lookup(service, user)])[0] == Lookup(b".", service, user)


@given(words, fields, fields)
def test_logins_round_trip(service: bytes, user: bytes, password: bytes) -> None:
    assert parse([encode_login(service, user, password)])[0] == Login(service, user, password)


@given(words, fields, fields, fields)
def test_password_changes_round_trip(service: bytes, user: bytes, old: bytes, new: bytes) -> None:
    assert parse([encode_passwd(service, user, old, new)])[0] == ChangePassword(service, user, old, new)


def test_what_can_not_be_sent_is_refused() -> None:
    with pytest.raises(ValueError, match="newline"):
        encode_login(b"imap", b"us\ner", b"x")
    with pytest.raises(ValueError, match="control"):
        encode_passwd(b"imap", b"user", b"a\tb", b"c")


accounts = st.builds(
    Account,
    address=st.none() | fields,
    uid=st.integers(1, 2**32 - 1),
    gid=st.integers(1, 2**32 - 1),
    home=fields,
    username=st.none() | fields,
    name=st.none() | fields.filter(lambda value: b"," not in value),
    maildir=st.none() | fields,
    quota=st.none() | fields,
    options=st.none() | fields,
    crypt=st.none() | fields,
    clear=st.none() | fields,
)


@given(accounts)
def test_accounts_round_trip(account: Account) -> None:
    assert decode_account(account_reply(account, b"")) == account


def test_an_account_on_the_wire() -> None:
    account = Account(b"u@d", 1, 2, b"/h", b"u", b"Name, of one", b"/m", b"1S", b"a=1", b"{X}y", b"z")
    assert account_reply(account, b"a=2,b=3") == (
        b"USERNAME=u\nUID=1\nGID=2\nHOME=/h\nADDRESS=u@d\nNAME=Name\nMAILDIR=/m\nQUOTA=1S\n"
        b"PASSWD={X}y\nPASSWD2=z\nOPTIONS=a=1,b=3\n.\n"
    )
    assert account_reply(Account(None, 0, 0, b""), b"") == b"UID=0\nGID=0\nHOME=\n.\n"
    assert account_reply(Account(None, 1, 1, b"/h\0x"), b"") == b"UID=1\nGID=1\nHOME=/h\n.\n"


@pytest.mark.parametrize("reply", [b"", b"UID=1\n", b"UID=1\nGID=1\nHOME=/h\n", b"garbage"])
def test_cut_replies_are_errors(reply: bytes) -> None:
    with pytest.raises(ReplyError):
        decode_account(reply)
    with pytest.raises(ReplyError):
        list(decode_enumeration(reply))


@pytest.mark.parametrize("reply", [b".", b"u\t1\t2\t/h\t/m\t\n."])
def test_a_last_line_without_its_end_is_none(reply: bytes) -> None:
    with pytest.raises(ReplyError):
        list(decode_enumeration(reply))


@given(st.binary(max_size=300))
def test_any_reply_is_an_account_a_reject_or_an_error(reply: bytes) -> None:
    try:
        assert isinstance(decode_account(reply), Account | None)
        list(decode_enumeration(reply))
    except ReplyError:
        pass


def test_enumerations() -> None:
    entry = Entry(b"u", 1, 2, b"/h", b"/m", b"a=1")
    line = entry_line(entry, b"b=2")
    assert line == b"u\t1\t2\t/h\t/m\ta=1,b=2\n"
    reply = b"# authx\n\n" + line + b"root\t0\t0\t/r\t\t\nshort\t1\n.\nignored\t1\t1\t/\t\t\n"
    assert list(decode_enumeration(reply)) == [Entry(b"u", 1, 2, b"/h", b"/m", b"a=1,b=2")]


options = st.lists(st.sampled_from([b"a=1", b"a=2", b"b", b"b=3", b"", b"=x", b" c=1"]), max_size=5).map(b",".join)


@given(options, options)
def test_an_accounts_own_options_win(own: bytes, defaults: bytes) -> None:
    merged = merge_options(own, defaults) or b""
    if not own:
        assert merged == defaults
        return
    assert merged.startswith(own)
    keys = [option.partition(b"=")[0] for option in merged.split(b",") if option]
    assert {option.partition(b"=")[0] for option in defaults.split(b",") if option} <= set(keys)
    added = [option.partition(b"=")[0] for option in merged[len(own) :].split(b",") if option]
    assert len(added) == len(set(added))
    assert not set(added) & {option.partition(b"=")[0] for option in own.split(b",") if option}


def test_no_secret_is_in_a_repr() -> None:
    shown = repr(
        [
            Login(b"imap", b"user", b"hunter2"),
            ChangePassword(b"imap", b"user", b"hunter2", b"hunter3"),
            Cram(b"imap", b"user", "md5", b"c", b"hunter2"),
            Account(b"u", 1, 1, b"/h", crypt=b"hunter2", clear=b"hunter3"),
        ]
    )
    assert "hunter" not in shown
