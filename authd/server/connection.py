"""One client's connection: a conversation, and what of it is still to go."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import socket

from authd.protocol.conversation import Conversation
from authd.server.shortcuts import Shortcuts

READ_SIZE = 16384
"""Bytes taken at once; more than any request has, so that what a client adds behind its request is taken as well."""

_accept4 = ctypes.CDLL(None, use_errno=True).accept4
_FLAGS = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_accept4.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]


def accept(listener: int) -> int | None:
    """Accept a client on a listening descriptor; return its descriptor, which does not block, or ``None`` if nobody waits.

    This is accept4(2).  A socket object for each client would cost as much as all else that is done for it.

    :raises OSError: as ``socket.accept``.
    """
    descriptor: int = _accept4(listener, None, None, _FLAGS)
    if descriptor >= 0:
        return descriptor
    number = ctypes.get_errno()
    if number == errno.EAGAIN:
        return None
    raise OSError(number, os.strerror(number))


def read(descriptor: int) -> bytes | None:
    """Return what a client has sent; ``None`` if nothing is there yet, nothing at all if it is gone."""
    try:
        return os.read(descriptor, READ_SIZE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


class Connection:
    """A connection with a client.

    :param descriptor: the accepted socket's; the connection closes it.
    :param conversation: what is said over it.
    :ivar deadline: when the client must have gone on, in seconds of the monotonic clock.
    :ivar waits: whether it is one of the worker's `Clients`.
    :ivar busy: whether what the client sent may hold more requests.
    :ivar shortcuts: is to learn the reply, with what the client said; ``None`` where it is not, or not that alone was said.
    :ivar closed: whether it is; its descriptor may be another client's by now.
    :ivar leaving: whether its last request was answered: it is let go of once nothing whole is left.
    """

    __slots__ = ("_unsent", "busy", "closed", "conversation", "deadline", "descriptor", "leaving", "shortcuts", "waits")

    def __init__(self, descriptor: int, conversation: Conversation) -> None:
        self.descriptor = descriptor
        self.conversation = conversation
        self.deadline = math.inf
        self.waits = False
        self.busy = False
        self.closed = False
        self.leaving = False
        self.shortcuts: tuple[Shortcuts, bytes] | None = None
        self._unsent: bytes | memoryview = b""

    def receive(self) -> None:
        """Put what is there into the conversation; a client that is gone has ended it."""
        data = read(self.descriptor)
        if data is not None:
            self.shortcuts = None
            self.hear(data)

    def hear(self, data: bytes) -> None:
        """Put `data` into the conversation; nothing at all is the end."""
        if data:
            self.conversation.receive(data)
        else:
            self.conversation.end()

    def send(self) -> bool:
        """Send what the conversation has to say; tell whether all of it is sent, or never can be."""
        while True:
            unsent = self._unsent or self.conversation.take_output()
            if not unsent:
                return True
            try:
                sent = os.write(self.descriptor, unsent)
            except BlockingIOError:
                self._unsent = unsent
                return False
            except OSError:
                self._unsent = b""
                self.conversation.closing = True
                return True
            self._unsent = memoryview(unsent)[sent:] if sent < len(unsent) else b""

    def close(self) -> None:
        """Close."""
        self.closed = True
        os.close(self.descriptor)

    def close_unheard(self) -> None:
        """Close, though the client may be saying something.

        Bytes that were not read would make the kernel tell the client of an error in place of the end.
        """
        read(self.descriptor)
        self.close()
