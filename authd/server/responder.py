"""A request into its answer, and one line in the log about it."""

from __future__ import annotations

import logging

from authd.account import disables, merge_options, until_end
from authd.cache import Cache
from authd.chain import Chain, Decision, Step
from authd.config.authdaemonrc import DaemonSettings
from authd.modules.inquiry import Inquiry
from authd.outcome import Answer, Outcome, Reason, reject
from authd.protocol.conversation import Conversation
from authd.protocol.request import ChangePassword, Cram, Dropped, Enumerate, Flush, Login, Lookup, Rejected, Request
from authd.server.cuts import Cuts
from authd.server.listing import AccountListing
from authd.server.log import LOGGER, NOTICE, ip_field, quoted, write_line
from authd.server.report import line_about
from authd.server.trace import trace_account, trace_request


class Responder:
    """Answers requests by what is known, or by asking the chain.

    :param chain: the modules.
    :param settings: for ``DEFAULTOPTIONS`` and ``DEBUG_LOGIN``.
    :param cache: what was learned lately; ``None`` to ask anew each time.
    """

    def __init__(self, chain: Chain, settings: DaemonSettings, cache: Cache | None = None) -> None:
        self._chain = chain
        self._cache = cache
        self.default_options = until_end(settings.default_options)
        self._cuts = Cuts()
        self._debug = settings.debug_login

    @property
    def cache(self) -> Cache | None:
        """What was learned lately, where it may be told without a trace of the way."""
        return self._cache if not self._debug else None

    @property
    def has_cleartext(self) -> bool:
        """Whether some module has cleartext passwords, which CRAM needs."""
        return self._chain.has_cleartext

    def respond(self, request: Request, conversation: Conversation) -> Answer | AccountListing | Inquiry[Answer]:
        """Return the answer to `request`, or the inquiry that comes to it where the modules have to be asked.

        :param conversation: where it came from: says whom it is about and what is for us to decide.
        """
        if self._debug:
            trace_request(request, conversation.remote_ip, self._debug)
        match request:
            case Lookup() | Login() | Cram() | ChangePassword():
                decision = self._cache.recall(request) if self._cache is not None else None
                return (
                    self._ask(request, conversation)
                    if decision is None
                    else self._judge(request, decision, conversation)
                )
            case Enumerate():
                return AccountListing(self._chain, conversation.remote_ip, self._cuts)
            case Flush():
                return self._flush(request)
            case Rejected():
                user = f" user={quoted(request.user)}" if request.user else ""
                LOGGER.log(
                    NOTICE,
                    "request: result=reject service=%s%s%s reason=%s",
                    quoted(request.service),
                    user,
                    ip_field(conversation.remote_ip),
                    quoted(request.problem.encode()),
                )
                return reject(Reason.REFUSED)
            case Dropped():
                ip, problem = ip_field(conversation.remote_ip), quoted(request.problem.encode())
                level = logging.DEBUG if request.unsaid else logging.INFO
                LOGGER.log(level, "request: result=dropped%s reason=%s", ip, problem)
                return reject(Reason.REFUSED)

    def close(self) -> None:
        """Give the modules' connections back."""
        self._chain.close()

    def _ask(self, request: Lookup | Login | Cram | ChangePassword, conversation: Conversation) -> Inquiry[Answer]:
        """Ask the chain, and let the cache learn from it."""
        cache = self._cache
        if cache is None:
            decision = yield from self._chain.ask(request, conversation.login_tempfail, conversation.remote_ip)
        elif isinstance(request, Login) and cache.knows_nobody(request):
            decision = yield from self._chain.reject_nobody(request)
        else:
            decision = yield from cache.learn(
                request, self._chain.ask(request, conversation.login_tempfail, conversation.remote_ip)
            )
        return self._judge(request, decision, conversation)

    def _judge(
        self, request: Lookup | Login | Cram | ChangePassword, decision: Decision, conversation: Conversation
    ) -> Answer:
        """Make one answer of what the modules said, and write the line about it."""
        step = decision.decisive
        account = step.answer.account if decision.outcome is Outcome.OK else None
        if account is not None and conversation.enforces_options:
            options = merge_options(account.options, self.default_options)
            if disables(options, request.service, conversation.secured):
                step = Step(step.module, reject(Reason.DISABLED, account))
                decision = Decision(Outcome.REJECT, (*decision.steps[:-1], step), decision.cached)
        write_line(*line_about(request, decision, conversation.remote_ip))
        if account is not None:
            # Options were enforced as they are; a cut must not take one away.
            account = self._cuts.account(account, request.user, step.module, isinstance(request, Login))
        if self._debug and account is not None and not isinstance(request, ChangePassword):
            trace_account(account, self._debug)
        return Answer(decision.outcome, step.answer.reason, account)

    def _flush(self, request: Flush) -> Answer:
        if self._cache is not None:
            self._cache.forget(request.user)
        LOGGER.info("flush: result=ok user=%s", quoted(request.user) if request.user is not None else "*")
        return Answer(Outcome.OK, Reason.FLUSHED)
