"""A mail program that logs in by SMTP."""

from __future__ import annotations

import smtplib
from typing import Any

from tests.support import passwords


def connect(port: int) -> smtplib.SMTP:
    """Return a session on a loopback port, greeted."""
    session = smtplib.SMTP("127.0.0.1", port, "client.example.org", timeout=60)
    session.ehlo()
    return session


def try_login(session: smtplib.SMTP, mechanism: str, user: str, password: str) -> int:
    """Log in with one mechanism; return the server's code."""
    assert mechanism in session.esmtp_features["auth"].split()
    passwords.use(password)
    session.user, session.password = user, password
    methods: dict[str, Any] = {
        "PLAIN": session.auth_plain,
        "LOGIN": session.auth_login,
        "CRAM-MD5": session.auth_cram_md5,
    }
    try:
        return session.auth(mechanism, methods[mechanism])[0]
    except smtplib.SMTPAuthenticationError as refusal:
        return int(refusal.smtp_code)


def login_code(port: int, mechanism: str, user: str, password: str) -> int:
    """Log in in a session of its own; return the server's code."""
    with connect(port) as session:
        return try_login(session, mechanism, user, password)
