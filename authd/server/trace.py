"""What ``DEBUG_LOGIN`` adds to the log about a request: 1 what is asked and what was found, 2 passwords too."""

from __future__ import annotations

from authd.account import Account
from authd.protocol.request import ChangePassword, Cram, Login, Lookup, Request
from authd.server.log import LOGGER, ip_field, quoted

LOG_PASSWORDS = 2
"""Value of ``DEBUG_LOGIN`` at which passwords are logged."""


def trace_request(request: Request, remote_ip: bytes, level: int) -> None:
    """Log what a client asks.

    :param level: ``DEBUG_LOGIN``.
    """
    match request:
        case Lookup():
            LOGGER.debug("received userid lookup request: %s", quoted(request.user))
        case Login() | Cram():
            kind = "login" if isinstance(request, Login) else f"cram-{request.digest}"
            LOGGER.debug("received auth request, service=%s, authtype=%s", quoted(request.service), kind)
        case ChangePassword():
            LOGGER.debug(
                "received password change request, service=%s, user=%s", quoted(request.service), quoted(request.user)
            )
        case _:
            pass
    if level >= LOG_PASSWORDS:
        match request:
            case Login():
                LOGGER.debug(
                    "LOGIN:%s username=%s, password=%s",
                    ip_field(remote_ip),
                    quoted(request.user),
                    quoted(request.password),
                )
            case ChangePassword():
                LOGGER.debug(
                    "PASSWD:%s username=%s, old password=%s, new password=%s",
                    ip_field(remote_ip),
                    quoted(request.user),
                    quoted(request.old),
                    quoted(request.new),
                )
            case _:
                pass


def trace_account(account: Account, level: int) -> None:
    """Log the account that a client gets; `level` as above."""

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
    if level >= LOG_PASSWORDS:
        LOGGER.debug("Authenticated: clearpasswd=%s, passwd=%s", shown(account.clear), shown(account.crypt))
