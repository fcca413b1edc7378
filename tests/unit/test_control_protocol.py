"""The control socket's protocol without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.outcome import Answer, Outcome, Reason
from authd.protocol.control import LINE_LIMIT, ControlConversation, encode_flush
from authd.protocol.request import Dropped, Flush, Request
from tests.support.conversation import Client, terms

FLUSHED = Answer(Outcome.OK, Reason.FLUSHED)


def request_in(*pieces: bytes, ended: bool = False) -> tuple[Request | None, bytes]:
    """Return what a conversation makes of what a client says, and its reply."""
    client = Client(ControlConversation(terms()), lambda request: FLUSHED)
    reply = client.say(*pieces)
    if ended:
        client.conversation.end()
        reply += client.hear()
    if not client.requests:
        return None, reply
    [request] = client.requests
    assert client.conversation.closing
    return request, reply


@given(
    st.none() | st.binary(min_size=1, max_size=LINE_LIMIT - 6).filter(lambda user: b"\n" not in user),
    st.integers(0, 20),
)
def test_what_is_encoded_is_understood(user: bytes | None, cut: int) -> None:
    said = encode_flush(user)
    assert request_in(said[:cut], said[cut:]) == (Flush(user), b"OK\n")
    assert request_in(said[:-1]) == (None, b"")


def test_a_newline_is_no_part_of_a_user() -> None:
    with pytest.raises(ValueError, match="a newline can't be sent"):
        encode_flush(b"a\nb")


@given(st.binary(max_size=100), st.booleans())
def test_anything_at_all(said: bytes, ended: bool) -> None:
    request, reply = request_in(said, ended=ended)
    assert (reply == b"OK\n") == isinstance(request, Flush)
    assert ended is False or request is not None


@pytest.mark.parametrize("said", [b"FLUSH \n", b"flush\n", b"FLUSHED\n", b"\n", b"x" * (LINE_LIMIT + 1)])
def test_what_is_no_request(said: bytes) -> None:
    request, reply = request_in(said)
    assert isinstance(request, Dropped)
    assert reply == b""
