"""One client's connection: what has come so far, and what is still to go."""

from __future__ import annotations

import socket
from contextlib import suppress

from authd.protocol.parser import RequestParser
from authd.protocol.request import Dropped, Request

READ_SIZE = 16384
"""Bytes taken at once; more than any request has, so that what a client adds behind its request is taken as well."""


class Connection:
    """A non-blocking connection that carries one request and its reply.

    :param peer: the accepted socket.
    """

    __slots__ = ("_parser", "_unsent", "deadline", "peer")

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.deadline = 0.0
        self._parser = RequestParser()
        self._unsent: bytes | memoryview = b""

    @property
    def remote_ip(self) -> bytes:
        """The mail client's address, if the server told it."""
        return self._parser.remote_ip

    def receive(self) -> Request | None:
        """Read what is there; return the request if it is complete, ``None`` if more must come.

        A client that is gone before its request is complete is `Dropped`.
        """
        try:
            data = self.peer.recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return Dropped("connection lost")
        if not data:
            return Dropped("connection closed by the client")
        return self._parser.receive(data)

    def send(self, reply: bytes) -> bool:
        """Begin to send `reply`; tell whether all of it is sent, or never can be."""
        self._unsent = reply
        return self.send_more()

    def send_more(self) -> bool:
        """Send what is left; tell whether all of it is sent, or never can be."""
        while self._unsent:
            try:
                sent = self.peer.send(self._unsent)
            except BlockingIOError:
                return False
            except OSError:
                return True
            self._unsent = memoryview(self._unsent)[sent:]
        return True

    def close(self) -> None:
        """Close.  Bytes that were not read would make the kernel tell the client of an error in place of the end."""
        with suppress(OSError):
            self.peer.recv(READ_SIZE)
        self.peer.close()
