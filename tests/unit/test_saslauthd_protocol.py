"""saslauthd's protocol without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.protocol.request import Dropped, Login, Rejected, Request
from authd.protocol.saslauthd import FIELD_LIMIT, SaslauthdConversation
from tests.support.conversation import Client, cut, terms


def counted(*fields: bytes) -> bytes:
    return b"".join(len(field).to_bytes(2, "big") + field for field in fields)


def client() -> Client:
    return Client(SaslauthdConversation(terms()))


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("fields", "request_", "reply"),
    [
        ((b"user", b"secret", b"imap", b""), Login(b"imap", b"user", b"secret"), b"\0\x02OK"),
        ((b"user", b"wrong", b"imap", b""), Login(b"imap", b"user", b"wrong"), b"\0\x02NO"),
        ((b"user", b"secret", b"smtp", b"a.org"), Login(b"smtp", b"user@a.org", b"secret"), b"\0\x02NO"),
        ((b"down", b"secret", b"smtp", b""), Login(b"smtp", b"down", b"secret"), b""),
        ((b"", b"secret", b"smtp", b""), Rejected(b"smtp", "empty user name or password"), b"\0\x02NO"),
        ((b"user", b"", b"smtp", b""), Rejected(b"smtp", "empty user name or password", b"user"), b"\0\x02NO"),
        ((b"user", b"secret\0", b"smtp", b""), Rejected(b"smtp", "NUL in user name or password", b"user"), b"\0\x02NO"),
        ((b"user", b"s\nq", b"smtp", b""), Login(b"smtp", b"user", b"s\nq"), b"\0\x02NO"),
    ],
)
def test_requests(fields: tuple[bytes, ...], request_: Request, reply: bytes, size: int) -> None:
    one = client()
    assert one.say(*cut(counted(*fields), size)) == reply
    assert one.requests == [request_]
    assert one.conversation.closing


def test_the_address_of_newer_clients() -> None:
    one = client()
    assert one.say(counted(b"user", b"secret", b"imap", b"", b"192.0.2.7;4711")) == b"\0\x02OK"
    assert one.conversation.remote_ip == b"192.0.2.7"


def test_limits() -> None:
    one = client()
    assert one.say(counted(b"user", b"x" * FIELD_LIMIT, b"imap", b"")) == b"\0\x02NO"
    one = client()
    assert one.say((FIELD_LIMIT + 1).to_bytes(2, "big")) == b""
    assert one.requests == [Dropped(f"string of more than {FIELD_LIMIT} bytes")]
    assert one.conversation.closing


def test_a_client_that_leaves() -> None:
    one = client()
    assert one.say(counted(b"user", b"secret", b"imap")) == b""
    one.conversation.end()
    assert one.hear() == b""
    assert one.requests == [Dropped("connection closed by the client")]
    assert one.conversation.closing
    assert not one.conversation.at_rest


@given(st.lists(st.binary(max_size=40)))
def test_anything_at_all(pieces: list[bytes]) -> None:
    one = client()
    heard = one.say(*pieces)
    assert heard in (b"", b"\0\x02OK", b"\0\x02NO")
    assert len(one.requests) <= 1
    assert "secret" not in repr(Login(b"imap", b"user", b"secret"))
