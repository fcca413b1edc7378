"""ExtMail's accounts with real maildirs, and mail in them."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from pathlib import Path

from tests.support.extmail import fill_extmail
from tests.support.mariadb import MariaDB

OWNER = 2525
"""The uid and gid that the first users' configuration gives every account."""

USER = "user0@example.org"
OTHER = "user1@example.org"


def make_mailboxes(server: MariaDB, root: Path) -> Path:
    """Make accounts, and the directory that their homes are to be in; return it.

    Besides the columns that ExtMail has, there is one with options.
    """
    fill_extmail(server, 5)
    server.execute(
        "ALTER TABLE extmail.mailbox ADD options varchar(255) NOT NULL DEFAULT ''",
        "CREATE TABLE extmail.alias (address varchar(255) PRIMARY KEY, goto text, active smallint DEFAULT 1) ENGINE=MyISAM",
        "INSERT INTO extmail.alias VALUES ('info@example.org', 'user0@example.org', 1)",
        "UPDATE extmail.mailbox SET clearpwd='extmail' WHERE username LIKE 'user%'",
    )
    mailbox = root / "mailbox"
    mailbox.mkdir(mode=0o755)
    return mailbox


def message(subject: str, to: str = USER, size: int = 100) -> EmailMessage:
    """Return a message."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "sender@example.org", to, subject
    mail.set_content("All work and no play.\n" * (size // 22 + 1))
    return mail


def deliver_by_lmtp(socket: Path, mail: EmailMessage) -> None:
    """Hand a message over by LMTP; raise what smtplib raises for a refusal."""
    with smtplib.LMTP(str(socket), timeout=60) as session:
        session.send_message(mail)
