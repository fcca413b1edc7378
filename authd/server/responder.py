"""A request into the bytes of its reply, and one line in the log about it."""

from __future__ import annotations

import logging

from authd.account import Account
from authd.chain import Chain, Decision
from authd.config.authdaemonrc import DaemonSettings
from authd.modules.base import TemporaryFailure
from authd.outcome import Outcome
from authd.protocol.reply import END, FAIL, NOTHING, OK, account_reply, entry_line, enumeration_heading
from authd.protocol.request import ChangePassword, Cram, Dropped, Enumerate, Login, Lookup, Rejected, Request
from authd.server.log import LOGGER, NOTICE, quoted

LOG_PASSWORDS = 2
"""Value of ``DEBUG_LOGIN`` at which passwords are logged too."""


class Responder:
    """Answers requests by asking the chain.

    :param chain: the modules.
    :param settings: for ``DEFAULTOPTIONS`` and ``DEBUG_LOGIN``.
    """

    def __init__(self, chain: Chain, settings: DaemonSettings) -> None:
        self._chain = chain
        self._default_options = settings.default_options
        self._debug = settings.debug_login

    def respond(self, request: Request, remote_ip: bytes) -> bytes:
        """Return the whole reply to `request`.

        :param remote_ip: the mail client's address as the server said it, or empty.
        """
        if self._debug:
            self._trace_request(request, remote_ip)
        match request:
            case Lookup():
                return self._account("lookup", request, self._chain.lookup(request), remote_ip)
            case Login():
                return self._account("login", request, self._chain.login(request), remote_ip)
            case Cram():
                return self._account(f"cram-{request.digest}", request, self._chain.cram(request), remote_ip)
            case ChangePassword():
                decision = self._chain.change_password(request)
                _log_decision("passwd", request, decision, remote_ip)
                return OK if decision.outcome is Outcome.OK else FAIL
            case Enumerate():
                return self._enumerate(remote_ip)
            case Rejected():
                LOGGER.log(
                    NOTICE,
                    "request: result=reject service=%s%s reason=%s",
                    quoted(request.service),
                    _ip(remote_ip),
                    quoted(request.problem.encode()),
                )
                return FAIL
            case Dropped():
                LOGGER.info("request: result=dropped%s reason=%s", _ip(remote_ip), quoted(request.problem.encode()))
                return NOTHING

    def close(self) -> None:
        """Give the modules' connections back."""
        self._chain.close()

    def _account(self, what: str, request: Lookup | Login | Cram, decision: Decision, remote_ip: bytes) -> bytes:
        _log_decision(what, request, decision, remote_ip)
        if decision.outcome is Outcome.TEMPFAIL:
            return NOTHING
        account = decision.steps[-1].answer.account if decision.outcome is Outcome.OK else None
        if account is None:
            return FAIL
        if self._debug:
            self._trace_account(account)
        return account_reply(account, self._default_options)

    def _enumerate(self, remote_ip: bytes) -> bytes:
        reply = bytearray()
        count = 0
        for module, entries in self._chain.enumerate():
            reply += enumeration_heading(module)
            try:
                for entry in entries:
                    reply += entry_line(entry, self._default_options)
                    count += 1
            except TemporaryFailure as failure:
                LOGGER.warning(
                    "enumerate: result=tempfail module=%s%s reason=%s",
                    module,
                    _ip(remote_ip),
                    quoted(str(failure).encode()),
                )
                # Without its last line the list says that it is not all there is.
                return bytes(reply)
        LOGGER.info("enumerate: result=ok accounts=%d%s", count, _ip(remote_ip))
        return bytes(reply + END)

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


_LEVELS = {Outcome.OK: logging.INFO, Outcome.REJECT: NOTICE, Outcome.TEMPFAIL: logging.WARNING}


def _log_decision(
    what: str, request: Lookup | Login | Cram | ChangePassword, decision: Decision, remote_ip: bytes
) -> None:
    """Write the one line of a finished request; its fields are described in docs/log.md."""
    step = decision.decisive
    LOGGER.log(
        _LEVELS[max(decision.outcome, step.answer.outcome, key=_SEVERITY.index)],
        "%s: result=%s module=%s service=%s user=%s%s reason=%s",
        what,
        decision.outcome.value,
        step.module or "-",
        quoted(request.service),
        quoted(request.user),
        _ip(remote_ip),
        quoted(step.answer.describe().encode()),
    )


_SEVERITY = (Outcome.OK, Outcome.REJECT, Outcome.TEMPFAIL)


def _ip(remote_ip: bytes) -> str:
    return f" ip={quoted(remote_ip)}" if remote_ip else ""
