"""One client's connection, over a socket pair."""

from __future__ import annotations

import socket

from authd.protocol.dovecot_auth import DovecotAuthConversation
from authd.server.connection import Connection
from tests.support.conversation import terms

LOGINS = 2000


def test_what_is_said_while_the_client_reads_nothing_is_sent_too() -> None:
    """The socket is full; what the conversation says in the meantime comes after what is still to go."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        conversation = DovecotAuthConversation(terms())
        connection = Connection(ours.fileno(), conversation)
        assert connection.send()
        heard = theirs.recv(65536)
        assert heard.endswith(b"DONE\n")
        for number in range(1, LOGINS):
            conversation.receive(b"AUTH\t%d\tLOGIN\tservice=smtp\nCANCEL\t%d\n" % (number, number))
        assert conversation.next_request() is None
        assert not connection.send()
        conversation.receive(b"AUTH\t%d\tLOGIN\tservice=smtp\n" % LOGINS)
        assert conversation.next_request() is None
        heard = b""
        while not connection.send():
            heard += theirs.recv(65536)
        theirs.setblocking(False)
        heard += theirs.recv(1 << 20)
        assert heard.count(b"CONT\t") == LOGINS
        assert not conversation.closing


def test_a_client_that_is_gone() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    conversation = DovecotAuthConversation(terms())
    connection = Connection(ours.fileno(), conversation)
    theirs.close()
    assert connection.send()
    assert conversation.closing
    connection.receive()
    ours.detach()
    connection.close()
