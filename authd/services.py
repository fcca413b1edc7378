"""The services that users log in to, by the names that mail servers have for them."""

from __future__ import annotations

SERVICES: dict[str, tuple[str, ...]] = {
    "imap": (
        "imap4",
        "imaps",
        "imapd",
        "imapd-ssl",
        "imap-login",
        "imap-hibernate",
        "imap-urlauth",
        "imap-urlauth-login",
        "imap-urlauth-worker",
    ),
    "pop3": ("pop", "pops", "pop3s", "pop3d", "pop3d-ssl", "pop3-login"),
    "smtp": (
        "smtps",
        "ssmtp",
        "smtpd",
        "esmtp",
        "esmtps",
        "esmtpd",
        "esmtpd-msa",
        "esmtpd-ssl",
        "msa",
        "submission",
        "submissions",
        "submission-login",
    ),
    "lmtp": ("lmtps", "lmtpd"),
    "sieve": ("managesieve", "managesieve-login", "timsieved"),
    "nntp": ("nntps", "nntpd"),
    "http": ("https", "httpd"),
    "webmail": ("sqwebmail", "extmail"),
}
"""The service that an option such as ``disableimap`` names, and its other names.

A name such as ``imaps`` does not make a connection encrypted: what counts is what the mail server tells of it.
"""

_NAMED = {name.encode(): service.encode() for service, names in SERVICES.items() for name in (service, *names)}


def names_in_options(service: bytes) -> set[bytes]:
    """Return what options about `service` have in their names: its own name, and that of the service that it is.

    Upper and lower case are the same in a name of `SERVICES`.
    """
    named = service.lower()
    return {service, named, _NAMED.get(named, named)}
