"""One client's connection: a conversation, and what of it is still to go."""

from __future__ import annotations

import math
import socket
from contextlib import suppress

from authd.protocol.conversation import Conversation

READ_SIZE = 16384
"""Bytes taken at once; more than any request has, so that what a client adds behind its request is taken as well."""


class Connection:
    """A non-blocking connection with a client.

    :param peer: the accepted socket.
    :param conversation: what is said over it.
    :ivar deadline: when the client must have gone on, in seconds of the monotonic clock.
    :ivar busy: whether what the client sent may hold more requests.
    :ivar leaving: whether its last request was answered: it is let go of once nothing whole is left.
    """

    __slots__ = ("_unsent", "busy", "conversation", "deadline", "leaving", "peer")

    def __init__(self, peer: socket.socket, conversation: Conversation) -> None:
        self.peer = peer
        self.conversation = conversation
        self.deadline = math.inf
        self.busy = False
        self.leaving = False
        self._unsent: bytes | memoryview = b""

    def receive(self) -> None:
        """Put what is there into the conversation; a client that is gone has ended it."""
        try:
            data = self.peer.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.conversation.receive(data)
        else:
            self.conversation.end()

    def send(self) -> bool:
        """Send what the conversation has to say; tell whether all of it is sent, or never can be."""
        while True:
            if not self._unsent:
                self._unsent = self.conversation.take_output()
                if not self._unsent:
                    return True
            try:
                sent = self.peer.send(self._unsent)
            except BlockingIOError:
                return False
            except OSError:
                self._unsent = b""
                self.conversation.closing = True
                return True
            self._unsent = memoryview(self._unsent)[sent:]

    def close(self) -> None:
        """Close.  Bytes that were not read would make the kernel tell the client of an error in place of the end."""
        with suppress(OSError):
            self.peer.recv(READ_SIZE)
        self.peer.close()
