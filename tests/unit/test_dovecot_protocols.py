"""Dovecot's two protocols without a socket."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.account import Account, Entry
from authd.outcome import Answer, Outcome, Reason, reject
from authd.protocol.dovecot import escape, line, unescape
from authd.protocol.dovecot_auth import MOST_EXCHANGES, DovecotAuthConversation
from authd.protocol.dovecot_userdb import DovecotUserdbConversation
from authd.protocol.request import Cram, Dropped, Login, Lookup, Rejected, Request
from tests.support.conversation import ACCOUNT, AllAccounts, Client, cut, terms

HELLO = (
    b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tCRAM-MD5\tdictionary\tactive\n"
    b"SPID\t4711\nCUID\t66051\nCOOKIE\t000102030405060708090a0b0c0d0e0f\nDONE\n"
)
OLD = b"VERSION\t1\t0\nCPID\t77\n"
NEW = b"VERSION\t1\t2\nCPID\t77\n"


def b64(text: bytes) -> bytes:
    return base64.b64encode(text)


def plain(number: int, user: bytes, password: bytes, authzid: bytes = b"") -> bytes:
    response = b64(b"\0".join([authzid, user, password]))
    return b"AUTH\t%d\tPLAIN\tservice=smtp\trip=192.0.2.1\tresp=%b\n" % (number, response)


def auth(cram: bool = True) -> Client:
    client = Client(DovecotAuthConversation(terms(cram)))
    hello = client.hear()
    assert hello == (HELLO if cram else HELLO.replace(b"MECH\tCRAM-MD5\tdictionary\tactive\n", b""))
    return client


def is_secured(client: Client) -> bool:
    return client.conversation.secured


@given(st.binary())
def test_escapes(value: bytes) -> None:
    escaped = escape(value)
    assert not set(escaped) & {0, 9, 10, 13}
    assert unescape(escaped) == value


@given(st.binary())
def test_unescaping_anything(value: bytes) -> None:
    assert len(unescape(value)) <= len(value)


@pytest.mark.parametrize("size", [1, 5, 10000])
@pytest.mark.parametrize("version", [OLD, NEW])
def test_plain(version: bytes, size: int) -> None:
    client = auth()
    said = version + plain(1, b"user", b"secret") + plain(2, b"user", b"wrong") + plain(3, b"user", b"secret", b"user")
    assert client.say(*cut(said, size)) == (
        b"OK\t1\tuser=user@example.org\nFAIL\t2\tuser=user\nOK\t3\tuser=user@example.org\n"
    )
    assert client.requests[0] == Login(b"smtp", b"user", b"secret")
    assert client.conversation.remote_ip == b"192.0.2.1"
    assert client.conversation.at_rest
    assert not client.conversation.closing


def test_plain_in_two_steps_and_login() -> None:
    """An empty ``resp=`` of an old client is none; the CONT of an empty challenge keeps its field."""
    client = auth()
    assert client.say(OLD, b"AUTH\t1\tPLAIN\tservice=smtp\tresp=\n") == b"CONT\t1\t\n"
    assert client.say(b"AUTH\t2\tlogin\tservice=smtp\tsecured\n") == b"CONT\t2\t" + b64(b"Username:") + b"\n"
    assert client.say(b"CONT\t1\t" + b64(b"\0user\0secret") + b"\n") == b"OK\t1\tuser=user@example.org\n"
    assert not is_secured(client)
    assert client.say(b"CONT\t2\t" + b64(b"us\ter") + b"\n") == b"CONT\t2\t" + b64(b"Password:") + b"\n"
    assert client.say(b"CONT\t2\t" + b64(b"wrong") + b"\n") == b"FAIL\t2\tuser=us\x01ter\n"
    assert is_secured(client)
    # A user name at once.
    assert client.say(b"AUTH\t3\tLOGIN\tprotocol=smtp\tresp=" + b64(b"user") + b"\n").startswith(b"CONT\t3\t")
    assert client.say(b"CONT\t3\t" + b64(b"secret") + b"\n") == b"OK\t3\tuser=user@example.org\n"


@pytest.mark.parametrize(("version", "reply"), [(NEW, b"FAIL\t1\n"), (OLD, b"CONT\t1\t\n")])
def test_an_empty_response(version: bytes, reply: bytes) -> None:
    assert auth().say(version, b"AUTH\t1\tPLAIN\tservice=smtp\tresp=\n") == reply
    assert auth().say(version, b"AUTH\t1\tPLAIN\tservice=smtp\tresp==\n") == b"FAIL\t1\n"


def test_cram_md5() -> None:
    client = auth()
    challenge = b"<000102030405060708090a0b0c0d0e0f@authd>"
    assert client.say(OLD, b"AUTH\t1\tCRAM-MD5\tservice=imap\n") == b"CONT\t1\t" + b64(challenge) + b"\n"
    digest = hmac.new(b"secret", challenge, hashlib.md5).hexdigest().encode()
    client.say(b"CONT\t1\t" + b64(b"a user " + digest) + b"\n")
    assert client.requests == [Cram(b"imap", b"a user", "md5", challenge, digest)]
    assert client.say(b"AUTH\t1\tCRAM-MD5\tservice=imap\tresp=YQ==\n") == b"FAIL\t1\n"
    assert client.say(b"AUTH\t1\tCRAM-MD5\tservice=imap\n", b"CONT\t1\t" + b64(b"nospace") + b"\n").endswith(
        b"FAIL\t1\n"
    )


def test_cram_md5_is_not_offered_without_cleartext() -> None:
    client = auth(cram=False)
    assert client.say(OLD, b"AUTH\t1\tCRAM-MD5\tservice=imap\n") == b"FAIL\t1\n"
    assert client.requests == [Rejected(b"imap", "mechanism that is not offered")]


def test_failures_have_codes() -> None:
    client = auth()
    assert client.say(OLD, b"AUTH\t1\tPLAIN\tservice=smtp\tresp=!!!!\n") == b"FAIL\t1\tcode=invalid_base64\n"
    assert client.say(plain(2, b"user", b"secret", b"root")) == b"FAIL\t2\tuser=user\tcode=authz_fail\n"
    assert client.say(plain(3, b"user", b"wrong")) == b"FAIL\t3\tuser=user\n"
    assert client.say(plain(3, b"user", b"secret\0")) == b"FAIL\t3\n"
    assert client.say(plain(4, b"", b"secret")) == b"FAIL\t4\n"
    assert client.say(plain(4, b"user", b"")) == b"FAIL\t4\tuser=user\n"
    assert client.say(b"CONT\t9\tYQ==\n") == b"FAIL\t9\n"
    assert client.say(plain(5, b"user", b"secret")) == b"OK\t5\tuser=user@example.org\n"
    disabled = Client(DovecotAuthConversation(terms()), lambda request: reject(Reason.DISABLED))
    disabled.hear()
    assert disabled.say(OLD, plain(1, b"user", b"secret")) == b"FAIL\t1\tuser=user\tcode=user_disabled\n"
    nameless = Client(
        DovecotAuthConversation(terms()), lambda request: Answer(Outcome.OK, Reason.FOUND, Account(None, 1, 1, b"/"))
    )
    nameless.hear()
    assert nameless.say(OLD, plain(1, b"a\tb", b"secret")) == b"OK\t1\tuser=a\x01tb\n"


def test_bad_base64_costs_nobody_else_anything() -> None:
    client = auth()
    client.say(OLD, b"AUTH\t2\tLOGIN\tservice=smtp\tresp=" + b64(b"user") + b"\n")
    assert client.say(b"AUTH\t1\tPLAIN\tservice=smtp\tresp=%%%\n") == b"FAIL\t1\tcode=invalid_base64\n"
    assert client.say(b"CONT\t2\t" + b64(b"secret") + b"\n") == b"OK\t2\tuser=user@example.org\n"


def test_a_temporary_failure_closes_on_old_clients_once_the_others_are_answered() -> None:
    client = auth()
    said = OLD + plain(1, b"user", b"secret") + plain(2, b"down", b"secret") + plain(3, b"user", b"wrong")
    assert client.say(said) == b"OK\t1\tuser=user@example.org\nFAIL\t3\tuser=user\n"
    assert client.conversation.closing


def test_a_temporary_failure_is_told_to_new_clients() -> None:
    client = auth()
    said = NEW + plain(2, b"down", b"secret") + plain(3, b"user", b"secret")
    assert client.say(said) == b"FAIL\t2\tuser=down\tcode=temp_fail\nOK\t3\tuser=user@example.org\n"
    assert not client.conversation.closing


@pytest.mark.parametrize(
    "said",
    [
        b"VERSION\t2\t0\n",
        b"VERSION\t1\n",
        b"VERSION\n",
        b"VERSION\tx\ty\n",
        b"NONSENSE\t1\n",
        b"AUTH\n",
        b"AUTH\t1\n",
        b"AUTH\t0\tPLAIN\tservice=smtp\n",
        b"AUTH\tx\tPLAIN\tservice=smtp\n",
        b"AUTH\t4294967296\tPLAIN\tservice=smtp\n",
        b"AUTH\t1\tPLAIN\n",
        b"AUTH\t-1\tPLAIN\tservice=smtp\n",
        b"AUTH\t1x\tPLAIN\tservice=smtp\n",
        b"AUTH\t1\tLOGIN\tservice=smtp\nAUTH\t01\tLOGIN\tservice=smtp\n",
        b"AUTH\t%b1\tPLAIN\tservice=smtp\n" % (b"1" * 16000),
        b"CONT\tx\tYQ==\n",
        b"CANCEL\tx\n",
        b"CPID\t5\n",
        b"VERSION\t1\t0\n",
        b"AUTH\t1\tPLAIN\tservice=smtp\tresp=YQ==\tnologin\n",
        b"AUTH\t1\tPLAIN\tservice=smtp\nAUTH\t1\tPLAIN\tservice=smtp\n",
        b"CONT\t1\n",
        b"CANCEL\n",
        b"\n",
        b"x" * 16385,
    ],
)
def test_clients_that_must_go(said: bytes) -> None:
    client = auth()
    client.say(OLD, said)
    assert isinstance(client.requests[-1], Dropped)
    assert client.conversation.closing
    assert client.say(plain(8, b"user", b"secret")) == b""


@pytest.mark.parametrize("service", [b"service=", b"service", b"service=\tprotocol=", b"protocol="])
def test_an_empty_service_is_refused_and_costs_the_others_nothing(service: bytes) -> None:
    """Which options count can't be known, so that even a right password is refused."""
    client = auth()
    client.say(OLD, b"AUTH\t2\tLOGIN\tservice=smtp\tresp=" + b64(b"user") + b"\n")
    assert client.say(b"AUTH\t1\tPLAIN\t%b\tresp=%b\n" % (service, b64(b"\0user\0secret"))) == b"FAIL\t1\n"
    assert client.say(b"AUTH\t1\tPLAIN\t%b\n" % service) == b"FAIL\t1\n"
    assert client.requests == [Rejected(b"", "AUTH with an empty service=")] * 2
    assert client.say(b"CONT\t2\t" + b64(b"secret") + b"\n") == b"OK\t2\tuser=user@example.org\n"


def test_an_id_is_a_number() -> None:
    client = auth()
    assert client.say(OLD, b"AUTH\t007\tLOGIN\tservice=smtp\n").startswith(b"CONT\t7\t")
    assert client.say(b"CONT\t0000000000007\t" + b64(b"user") + b"\n").startswith(b"CONT\t7\t")
    assert client.say(b"CANCEL\t07\n", b"CONT\t7\tYQ==\n", b"CONT\t0\tYQ==\n") == b"FAIL\t7\nFAIL\t0\n"


def test_a_response_is_all_that_follows_the_id() -> None:
    client = auth()
    for wrong in (b"=", b64(b"\0user\0secret") + b"\tmore"):
        client.say(OLD if not client.requests else b"", b"AUTH\t1\tPLAIN\tservice=smtp\n")
        assert client.say(b"CONT\t1\t%b\n" % wrong) == b"FAIL\t1\tcode=invalid_base64\n"


def test_a_refused_request_has_its_user_in_the_log_where_that_is_certain() -> None:
    client = auth()
    client.say(OLD, b"AUTH\t1\tPLAIN\tservice=smtp\tresp=" + b64(b"\0user\0sec\0ret") + b"\n")
    client.say(b"AUTH\t1\tPLAIN\tservice=smtp\tresp=" + b64(b"user\0secret") + b"\n")
    assert [request.user for request in client.requests if isinstance(request, Rejected)] == [b"user", b""]


@pytest.mark.parametrize("said", [b"CPID\n", b"CPID\t0\n", b"CPID\tx\n", b"VERSION\t1\t0\t0\n"])
def test_a_malformed_greeting(said: bytes) -> None:
    client = auth()
    client.say(said)
    assert client.conversation.closing


def test_cancelling_and_the_limit_of_exchanges() -> None:
    client = auth()
    client.say(OLD)
    for number in range(1, MOST_EXCHANGES + 1):
        client.say(b"AUTH\t%d\tLOGIN\tservice=smtp\n" % number)
    for _ in range(1000):
        assert client.say(b"CANCEL\t1\n", b"AUTH\t1\tLOGIN\tservice=smtp\n").startswith(b"CONT\t1\t")
    assert client.requests == []
    client.say(b"AUTH\t100000\tLOGIN\tservice=smtp\n")
    assert client.conversation.closing


def test_a_client_that_leaves() -> None:
    client = auth()
    client.say(OLD, b"AUTH\t1")
    assert not client.conversation.at_rest
    client.conversation.end()
    assert client.hear() == b""
    assert client.conversation.closing
    assert client.requests == []


LINES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([OLD, NEW, plain(1, b"user", b"secret"), b"CONT\t1\tYQ==\n", b"CONT\t1\t=\n", b"CANCEL\t1\n"]),
        st.builds(
            line,
            st.sampled_from([b"AUTH", b"CONT", b"USER", b"PASS", b"LIST", b"VERSION"]),
            st.sampled_from([b"1", b"2", b"0", b"", b"x"]),
            st.binary(max_size=12),
            st.binary(max_size=12),
        ),
    )
)


@given(LINES, st.booleans())
def test_anything_at_all(pieces: list[bytes], userdb: bool) -> None:
    conversation = DovecotUserdbConversation(terms()) if userdb else DovecotAuthConversation(terms())
    client = Client(conversation)
    client.hear()
    heard = client.say(*pieces)
    assert heard == b"" or heard.endswith(b"\n")
    known = (b"USER", b"PASS", b"LIST", b"DONE", b"NOTFOUND", b"FAIL") if userdb else (b"OK", b"FAIL", b"CONT")
    for told in heard.split(b"\n")[:-1]:
        assert told.split(b"\t")[0] in known
        assert b"secret" not in told


def userdb() -> Client:
    client = Client(DovecotUserdbConversation(terms()))
    assert client.hear() == b"VERSION\t1\t1\nSPID\t4711\n"
    return client


@pytest.mark.parametrize("size", [1, 9, 1000])
def test_users(size: int) -> None:
    client = userdb()
    said = (
        b"VERSION\t1\t0\nUSER\t1\tus\x01ter\tservice=lmtp\trip=192.0.2.3\n"
        b"USER\t2\tnobody\tservice=lmtp\nUSER\t3\tdown\tprotocol=lmtp\nPASS\t4\tuser\tservice=imap\nPASS\t5\tnobody\n"
    )
    assert client.say(*cut(said, size)) == (
        b"USER\t1\tuser@example.org\tuid=1000\tgid=1001\thome=/home/user\tmail=maildir:/home/user/Mail\x01tdir\n"
        b"NOTFOUND\t2\nFAIL\t3\nPASS\t4\tuser=user@example.org\nNOTFOUND\t5\n"
    )
    assert client.requests[0] == Lookup(b".", b"lmtp", b"us\ter")
    assert client.requests[2] == Lookup(b".", b"lmtp", b"down")
    assert client.conversation.at_rest


def test_what_maildrop_says_where_it_is_built_for_it() -> None:
    """It wants exactly these words, and stops at the first line that is none of them."""
    for user, reply in (
        (b"user", b"USER\t1\tuser@example.org\tuid=1000"),
        (b"nobody", b"NOTFOUND\t1\n"),
        (b"down", b"FAIL\t1\n"),
    ):
        assert userdb().say(b"VERSION\t1\t0\nUSER\t1\t%b\tservice=maildrop\n" % user).startswith(reply)


def test_lists() -> None:
    entries = [Entry(name, uid, 5, b"/", b"", b"") for name, uid in ((b"a@x", 5), (b"b\t@x", 5), (b"root", 0))]

    def answers(request: Request) -> Answer | AllAccounts:
        return AllAccounts(entries)

    client = Client(DovecotUserdbConversation(terms()), answers)
    client.hear()
    assert client.say(b"VERSION\t1\t1\nLIST\t1\t\n") == b"LIST\t1\ta@x\nLIST\t1\tb\x01t@x\nDONE\t1\t\n"
    assert client.say(b"LIST\t2\tuser=A*\tservice=x\n") == b"LIST\t2\ta@x\nDONE\t2\t\n"
    assert client.say(b"LIST\t3\tuser=?@x\n") == b"LIST\t3\ta@x\nDONE\t3\t\n"
    broken = Client(DovecotUserdbConversation(terms()), lambda request: AllAccounts(entries[:1], complete=False))
    broken.hear()
    assert broken.say(b"LIST\t1\n") == b"LIST\t1\ta@x\nDONE\t1\tfail\n"


@pytest.mark.parametrize(
    "said", [b"VERSION\t2\t0\n", b"NONSENSE\t1\n", b"USER\n", b"USER\t1\n", b"USER\tx\tuser\n", b"x" * 16385]
)
def test_userdb_clients_that_must_go(said: bytes) -> None:
    client = userdb()
    client.say(said)
    assert isinstance(client.requests[-1], Dropped)
    assert client.conversation.closing


def test_where_a_maildir_is() -> None:
    assert ACCOUNT.maildir_path == b"/home/user/Mail\tdir"
    assert Account(None, 1, 1, b"/h").maildir_path == b"/h/Maildir"
    assert Account(None, 1, 1, b"/h", maildir=b"/m/").maildir_path == b"/m/"


def test_a_client_that_does_not_greet_is_answered() -> None:
    assert auth().say(plain(1, b"user", b"secret")) == b"OK\t1\tuser=user@example.org\n"
