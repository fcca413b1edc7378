"""Replies to what was asked before, word for word, while the cache holds the account: most of the way is spared.

It is the cache that knows; a shortcut is the way from a request's bytes to the reply's, without all that lies between.  What a
client said is recognised by its HMAC, and a login's password is taken from there when the reply is put together, so that none is
kept here either.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from authd.cache import Cache, Known
from authd.outcome import Answer
from authd.protocol.conversation import Conversation
from authd.protocol.request import Login, Lookup, Request
from authd.server.listing import AccountListing
from authd.server.log import write_line
from authd.server.report import line_about


@dataclass(slots=True)
class Shortcut:
    """The reply to one request.

    :param known: what it is by.
    :param level, line: what the log says of it.
    :param head, tail: the reply before and behind the password.
    :param start, end: where the password is in the request; the same where the reply has none.
    """

    known: Known
    level: int
    line: str
    head: bytes = field(repr=False)
    tail: bytes = field(repr=False)
    start: int
    end: int


class Shortcuts:
    """What one worker can say at once to clients of one listener, whose connections carry one request.

    :param cache: what it is by.
    :param size: how many requests it knows at most; the oldest goes first.
    """

    def __init__(self, cache: Cache, size: int) -> None:
        self._cache = cache
        self._size = size
        self._known: OrderedDict[bytes, Shortcut] = OrderedDict()

    def reply_to(self, said: bytes) -> bytes | None:
        """Return the reply to a client who said just that, and log it; ``None`` if it has to be asked for."""
        shortcut = self._known.get(self._cache.mac(said))
        if shortcut is None or not self._cache.holds(shortcut.known):
            return None
        write_line(shortcut.level, shortcut.line)
        return b"%b%b%b" % (shortcut.head, said[shortcut.start : shortcut.end], shortcut.tail)

    def learn(self, said: bytes, request: Request, answer: Answer | AccountListing, conversation: Conversation) -> None:
        """Take note of the reply to `request`, which was all that a client said, if it is what the cache knows.

        :param answer: what the reply says; not what the cache knows where somebody else learned that meanwhile.
        :param conversation: about to give the reply.
        """
        if not isinstance(request, Lookup | Login) or not isinstance(answer, Answer):
            return
        known = self._cache.known(request)
        if known is None or not known.agrees(answer):
            return
        reply = conversation.output
        head, tail, start, end = reply, b"", 0, 0
        if isinstance(request, Login):
            field = b"\nPASSWD2=%b\n" % request.password
            if reply.count(field) > 1:
                return
            before, found, behind = reply.partition(field)
            if found:
                start = said.find(request.password)
                end = start + len(request.password)
                head, tail = before + b"\nPASSWD2=", b"\n" + behind
        level, line = line_about(request, self._cache.decision(request, known), conversation.remote_ip)
        mac = self._cache.mac(said)
        self._known.pop(mac, None)
        while len(self._known) >= self._size:
            self._known.popitem(last=False)
        self._known[mac] = Shortcut(known, level, line, head, tail, start, end)
