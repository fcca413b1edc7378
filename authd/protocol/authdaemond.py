"""Courier's own protocol: one request a connection; the server answers and closes."""

from __future__ import annotations

from typing import ClassVar

from authd.outcome import Answer, Outcome
from authd.protocol.conversation import Conversation, Listing, Terms
from authd.protocol.parser import RequestParser
from authd.protocol.reply import FAIL, NOTHING, OK, account_reply, enumeration_reply
from authd.protocol.request import (
    CLOSED_EARLY,
    NOTHING_SAID,
    ChangePassword,
    Dropped,
    Lookup,
    Rejected,
    Request,
)


class AuthdaemondConversation(Conversation):
    """See ``parser.py`` for what a client says, and ``reply.py`` for what it is told."""

    __slots__ = ("_parser", "_request")

    login_tempfail: ClassVar[None] = None
    shortcuts = True
    enforces_options = False

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._parser = RequestParser()
        self._request: Request | None = None

    def receive(self, data: bytes) -> None:
        if self._request is None:
            request = self._parser.receive(data)
            self.remote_ip = self._parser.remote_ip
            surplus = self._parser.surplus
            if surplus and isinstance(request, (Lookup, ChangePassword)) and surplus.strip(b"\r\n"):
                # The line feed was part of what the client asked about; the account is not the one that it believes in.
                request = Rejected(request.service, "line feed in the line", request.user)
            self._request = request

    def end(self) -> None:
        if self._request is None:
            self._request = NOTHING_SAID if self._parser.is_empty else CLOSED_EARLY

    def next_request(self) -> Request | None:
        return None if self.closing else self._request

    def answer(self, request: Request, answer: Answer | Listing) -> None:
        self.closing = True
        self._output = self._reply(request, answer)

    def _reply(self, request: Request, answer: Answer | Listing) -> bytes:
        terms = self._terms
        if not isinstance(answer, Answer):
            return enumeration_reply(answer, terms.default_options)
        if isinstance(request, ChangePassword):
            return OK if answer.outcome is Outcome.OK else FAIL
        if answer.outcome is Outcome.TEMPFAIL or isinstance(request, Dropped):
            return NOTHING
        if answer.outcome is Outcome.REJECT or answer.account is None:
            return FAIL
        return account_reply(answer.account, terms.default_options, terms.passwords)
