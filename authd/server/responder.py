"""A request into its answer, and one line in the log about it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from authd.account import Account, Entry, disables, merge_options
from authd.chain import Chain, Decision, Step
from authd.config.authdaemonrc import DaemonSettings
from authd.modules.base import TemporaryFailure
from authd.modules.inquiry import Inquiry
from authd.outcome import Answer, Outcome, Reason, reject
from authd.protocol.conversation import Conversation
from authd.protocol.request import ChangePassword, Cram, Dropped, Enumerate, Login, Lookup, Rejected, Request
from authd.server.log import LOGGER, NOTICE, quoted, write_line

LOG_PASSWORDS = 2
"""Value of ``DEBUG_LOGIN`` at which passwords are logged too."""


class Responder:
    """Answers requests by asking the chain.

    :param chain: the modules.
    :param settings: for ``DEFAULTOPTIONS`` and ``DEBUG_LOGIN``.
    """

    def __init__(self, chain: Chain, settings: DaemonSettings) -> None:
        self._chain = chain
        self.default_options = settings.default_options
        self._debug = settings.debug_login

    @property
    def has_cleartext(self) -> bool:
        """Whether some module has cleartext passwords, which CRAM needs."""
        return self._chain.has_cleartext

    def respond(self, request: Request, conversation: Conversation) -> Inquiry[Answer | AccountListing]:
        """Answer `request`.

        :param conversation: where it came from: says whom it is about and what is for us to decide.
        """
        remote_ip = conversation.remote_ip
        if self._debug:
            self._trace_request(request, remote_ip)
        match request:
            case Lookup():
                return self._judge("lookup", request, (yield from self._chain.lookup(request)), conversation)
            case Login():
                decision = yield from self._chain.login(request, conversation.login_tempfail)
                return self._judge("login", request, decision, conversation)
            case Cram():
                what = f"cram-{request.digest}"
                return self._judge(what, request, (yield from self._chain.cram(request)), conversation)
            case ChangePassword():
                return self._judge("passwd", request, (yield from self._chain.change_password(request)), conversation)
            case Enumerate():
                return AccountListing(self._chain, remote_ip)
            case Rejected():
                user = f" user={quoted(request.user)}" if request.user else ""
                LOGGER.log(
                    NOTICE,
                    "request: result=reject service=%s%s%s reason=%s",
                    quoted(request.service),
                    user,
                    _ip(remote_ip),
                    quoted(request.problem.encode()),
                )
                return reject(Reason.REFUSED)
            case Dropped():
                LOGGER.info("request: result=dropped%s reason=%s", _ip(remote_ip), quoted(request.problem.encode()))
                return reject(Reason.REFUSED)

    def close(self) -> None:
        """Give the modules' connections back."""
        self._chain.close()

    def _judge(
        self, what: str, request: Lookup | Login | Cram | ChangePassword, decision: Decision, conversation: Conversation
    ) -> Answer:
        """Make one answer of what the modules said, and write the line about it."""
        step = decision.decisive
        account = step.answer.account if decision.outcome is Outcome.OK else None
        if account is not None and conversation.enforces_options:
            options = merge_options(account.options, self.default_options)
            if disables(options, request.service, conversation.secured):
                step = Step(step.module, reject(Reason.DISABLED, account))
                decision = Decision(Outcome.REJECT, (*decision.steps[:-1], step))
        _log_decision(what, request, decision.outcome, step, conversation.remote_ip)
        if self._debug and account is not None and not isinstance(request, ChangePassword):
            self._trace_account(account)
        return Answer(decision.outcome, step.answer.reason, account)

    def _trace_request(self, request: Request, remote_ip: bytes) -> None:
        match request:
            case Lookup():
                LOGGER.debug("received userid lookup request: %s", quoted(request.user))
            case Login() | Cram():
                kind = "login" if isinstance(request, Login) else f"cram-{request.digest}"
                LOGGER.debug("received auth request, service=%s, authtype=%s", quoted(request.service), kind)
            case ChangePassword():
                LOGGER.debug(
                    "received password change request, service=%s, user=%s",
                    quoted(request.service),
                    quoted(request.user),
                )
            case _:
                pass
        if self._debug >= LOG_PASSWORDS:
            match request:
                case Login():
                    LOGGER.debug(
                        "LOGIN:%s username=%s, password=%s",
                        _ip(remote_ip),
                        quoted(request.user),
                        quoted(request.password),
                    )
                case ChangePassword():
                    LOGGER.debug(
                        "PASSWD:%s username=%s, old password=%s, new password=%s",
                        _ip(remote_ip),
                        quoted(request.user),
                        quoted(request.old),
                        quoted(request.new),
                    )
                case _:
                    pass

    def _trace_account(self, account: Account) -> None:
        def shown(value: bytes | None) -> str:
            return "<null>" if value is None else quoted(value)

        LOGGER.debug(
            "Authenticated: sysusername=%s, sysuserid=%d, sysgroupid=%d, homedir=%s, address=%s, fullname=%s, "
            "maildir=%s, quota=%s, options=%s",
            shown(account.username),
            account.uid,
            account.gid,
            shown(account.home),
            shown(account.address),
            shown(account.name),
            shown(account.maildir),
            shown(account.quota),
            shown(account.options),
        )
        if self._debug >= LOG_PASSWORDS:
            LOGGER.debug("Authenticated: clearpasswd=%s, passwd=%s", shown(account.clear), shown(account.crypt))


class AccountListing:
    """All accounts, as they come; one line in the log when they have.

    :ivar complete: whether they came to their end.
    """

    def __init__(self, chain: Chain, remote_ip: bytes) -> None:
        self._chain = chain
        self._remote_ip = remote_ip
        self._count = 0
        self._failed = False
        self.complete = False

    def blocks(self) -> Iterator[tuple[str, Iterator[Entry]]]:
        """Yield each module's name and accounts, up to the first that fails."""
        for module, entries in self._chain.enumerate():
            yield module, self._guarded(module, entries)
            if self._failed:
                return
        self.complete = True
        LOGGER.info("enumerate: result=ok accounts=%d%s", self._count, _ip(self._remote_ip))

    def _guarded(self, module: str, entries: Iterator[Entry]) -> Iterator[Entry]:
        try:
            for entry in entries:
                self._count += 1
                yield entry
        except TemporaryFailure as failure:
            self._failed = True
            LOGGER.warning(
                "enumerate: result=tempfail module=%s%s reason=%s",
                module,
                _ip(self._remote_ip),
                quoted(str(failure).encode()),
            )


_LEVELS = {Outcome.OK: logging.INFO, Outcome.REJECT: NOTICE, Outcome.TEMPFAIL: logging.WARNING}


def _log_decision(
    what: str, request: Lookup | Login | Cram | ChangePassword, outcome: Outcome, step: Step, remote_ip: bytes
) -> None:
    """Write the one line of a finished request; its fields are described in docs/log.md."""
    answer = step.answer
    # What could not be told is a warning also where the client is told no.
    level = logging.WARNING if answer.outcome is Outcome.TEMPFAIL else _LEVELS[outcome]
    write_line(
        level,
        f"{what}: result={outcome.value} module={step.module or '-'} service={quoted(request.service)} "
        f"user={quoted(request.user)}{_ip(remote_ip)} reason={quoted(answer.describe().encode())}",
    )


def _ip(remote_ip: bytes) -> str:
    return f" ip={quoted(remote_ip)}" if remote_ip else ""
