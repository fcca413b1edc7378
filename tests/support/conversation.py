"""A conversation without a daemon: what a client sends in, what it is told out, answers from a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from authd.account import Account, Entry
from authd.outcome import Answer, Outcome, Reason, reject, tempfail
from authd.protocol.conversation import Conversation, Terms
from authd.protocol.request import Cram, Dropped, Enumerate, Login, Lookup, Rejected, Request

ACCOUNT = Account(b"user@example.org", 1000, 1001, b"/home/user", maildir=b"Mail\tdir", clear=b"secret")


class AllAccounts:
    """A listing of `entries` in one module, which may break off."""

    def __init__(self, entries: list[Entry], complete: bool = True) -> None:
        self._entries = entries
        self.complete = complete

    def blocks(self) -> Iterator[tuple[str, Iterator[Entry]]]:
        yield "authtest", iter(self._entries)


def terms(cram: bool = True, passwords: bool = True) -> Terms:
    """Return terms in which nothing is random."""
    return Terms(b"", passwords, 4711, lambda: cram, lambda size: bytes(range(size)))


def judge(request: Request) -> Answer | AllAccounts:
    """Know one account, whose password is ``secret``; be out of order for the user ``down``."""
    match request:
        case Rejected() | Dropped():
            return reject(Reason.REFUSED)
        case Enumerate():
            return AllAccounts([Entry(b"user@example.org", 1000, 1001, b"/home/user", b"", b"")])
        case Lookup() | Login() | Cram() if request.user == b"down":
            return tempfail(Reason.UNREACHABLE)
        case Lookup() | Login() if request.user in (b"user", b"us\ter"):
            if isinstance(request, Lookup) or request.password == b"secret":
                return Answer(Outcome.OK, Reason.FOUND, ACCOUNT)
        case _:
            pass
    return reject(Reason.WRONG_PASSWORD)


class Client:
    """Speaks with a conversation.

    :ivar requests: all that was asked.
    """

    def __init__(self, conversation: Conversation, answers: Callable[[Request], Answer | AllAccounts] = judge) -> None:
        self.conversation = conversation
        self.requests: list[Request] = []
        self._answers = answers

    def hear(self) -> bytes:
        """Have everything answered that is complete; return what the client is told."""
        heard = self.conversation.take_output()
        while (request := self.conversation.next_request()) is not None:
            self.requests.append(request)
            self.conversation.answer(request, self._answers(request))
            heard += self.conversation.take_output()
        return heard + self.conversation.take_output()

    def say(self, *pieces: bytes) -> bytes:
        """Send `pieces`; return what the client is told."""
        heard = b""
        for piece in pieces:
            self.conversation.receive(piece)
            heard += self.hear()
        return heard


def cut(data: bytes, size: int) -> list[bytes]:
    """Return `data` in pieces of `size`."""
    return [data[start : start + size] for start in range(0, len(data), size)]
