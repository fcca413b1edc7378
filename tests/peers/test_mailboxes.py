"""The first users' whole mail system.

In by SMTP after a login, into the maildir that Postfix finds in the database, and out by courier-imap and courier-pop; and by
maildrop in Postfix's place.
"""

from __future__ import annotations

import base64
import hmac
import imaplib
import os
import poplib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.courier import in_namespace
from tests.support.courier_mail import PROGRAMS, CourierServer
from tests.support.daemon import Authd, command
from tests.support.extmail import seed_files
from tests.support.howto import block
from tests.support.mailboxes import OTHER, OWNER, USER, make_mailboxes, message
from tests.support.mariadb import MariaDB
from tests.support.postfix import MASTER_PROGRAM, Postfix
from tests.support.processes import wait_until
from tests.support.smtp import connect, try_login
from tests.support.sysconf import changed, edit

MAILDROP = "/usr/bin/maildrop"

EX_NOUSER = 67
EX_TEMPFAIL = 75


@dataclass
class Site:
    """One mail system."""

    authd: Authd
    postfix: Postfix
    imap: CourierServer
    pop3: CourierServer
    mailbox: Path
    run: Path

    def maildir(self, user: str) -> Path:
        """Return where a user's mail is."""
        name, _, domain = user.partition("@")
        return self.mailbox / domain / name / "Maildir"

    def mail_of(self, user: str) -> list[Path]:
        """Return a user's messages, read or not."""
        return sorted(path for name in ("new", "cur") for path in (self.maildir(user) / name).glob("*"))

    def maildrop(self, user: str, mail: bytes) -> tuple[int, str]:
        """Deliver a message by ``maildrop -d``; return its exit status and complaints."""
        done = subprocess.run(
            in_namespace(self.authd.etc, self.run, [MAILDROP, "-d", user]),
            input=mail,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr.decode()


@pytest.fixture(scope="module")
def mail_site(mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require("postfix", MASTER_PROGRAM, "/usr/lib/postfix/postfix-mysql.so", MAILDROP, *PROGRAMS)
    base = opened(tmp_path_factory.mktemp("mailboxes"))
    mailbox = make_mailboxes(mariadb, base)
    os.chown(mailbox, OWNER, OWNER)
    run = base / "run"
    seed_files(base / "etc", run / "authdaemon", mariadb.socket, daemons=3)
    rc = (base / "etc" / "authmysqlrc").read_text().replace("/var/mailbox/", f"{mailbox}/")
    rc = changed(rc, MYSQL_AUXOPTIONS_FIELD="options", MYSQL_CLEAR_PWFIELD="clearpwd", MYSQL_QUOTA_FIELD="quota")
    edit(base / "etc" / "authmysqlrc", rc)
    with (base / "etc" / "authdaemonrc").open("a") as file:
        file.write('AUTHD_LOGIN_TEMPFAIL="close"\n')
    authd = Authd(base / "etc", run / "authdaemon")
    smtpd = block("postfix", "/etc/postfix/sasl/smtpd.conf", run=authd.run)
    maps = [f"mysql_virtual_{name}_maps.cf" for name in ("domains", "mailbox", "alias")]
    files = {name: block("mailboxes", f"/etc/postfix/{name}", mysql=mariadb.socket) for name in maps}
    etc = base / "postfix" / "etc"
    main = block("postfix", "/etc/postfix/main.cf").replace("smtpd_recipient", "smtpd_relay") + block(
        "mailboxes", "/etc/postfix/main.cf", mailbox=mailbox, etc_postfix=etc
    )
    postfix = Postfix(base / "postfix", main, files={"sasl/smtpd.conf": smtpd, **files})
    imap, pop3 = (CourierServer(kind, base, base / "etc", run) for kind in ("imap", "pop3"))
    with authd, postfix, imap, pop3:
        yield Site(authd, postfix, imap, pop3, mailbox, run)


@pytest.fixture
def imap(mail_site: Site) -> Iterator[imaplib.IMAP4]:
    session = imaplib.IMAP4("127.0.0.1", mail_site.imap.port, timeout=60)
    yield session
    session.shutdown()


@pytest.fixture
def pop3(mail_site: Site) -> Iterator[poplib.POP3]:
    session = poplib.POP3("127.0.0.1", mail_site.pop3.port, timeout=60)
    yield session
    session.close()


@pytest.fixture
def delivered(mail_site: Site) -> Site:
    """A system in which the user has mail, handed over by SMTP after a login."""
    if not mail_site.mail_of(USER):
        with connect(mail_site.postfix.port) as session:
            assert try_login(session, "PLAIN", OTHER, "extmail") == 235
            session.send_message(message("hello"))
        wait_until(
            lambda: mail_site.mail_of(USER) != [], f"a message is delivered: {mail_site.postfix.logged()[-2000:]}"
        )
    return mail_site


def test_delivered_by_postfix(delivered: Site) -> None:
    (new,) = delivered.mail_of(USER)
    assert b"Subject: hello" in new.read_bytes()
    assert (new.stat().st_uid, new.stat().st_gid) == (OWNER, OWNER)


def test_an_alias_and_a_recipient_that_there_is_not(delivered: Site) -> None:
    with connect(delivered.postfix.port) as session:
        assert try_login(session, "LOGIN", OTHER, "extmail") == 235
        session.mail("sender@example.org")
        assert session.rcpt("nobody@example.org")[0] == 550
        assert session.rcpt("info@example.org")[0] == 250


def test_nobody_relays_without_a_login(delivered: Site) -> None:
    with connect(delivered.postfix.port) as session:
        session.mail("sender@example.org")
        assert session.rcpt("somebody@elsewhere.example")[0] == 554


@pytest.mark.parametrize("method", ["login", "login_cram_md5"])
def test_read_by_imap(delivered: Site, imap: imaplib.IMAP4, method: str) -> None:
    assert getattr(imap, method)(USER, "extmail")[0] == "OK"
    assert imap.select("INBOX", readonly=True) == ("OK", [b"1"])
    assert b"Subject: hello" in repr(imap.fetch("1", "(BODY.PEEK[HEADER])")).encode()
    assert f'user="{USER}" ip="::ffff:127.0.0.1" reason="password matches"' in delivered.authd.logged()


def cram_md5(session: poplib.POP3, user: str, password: str) -> bytes:
    """POP3's CRAM-MD5, which poplib does not have."""
    challenge = base64.b64decode(session._shortcmd("AUTH CRAM-MD5").removeprefix(b"+ "))  # type: ignore[attr-defined]
    digest = hmac.new(password.encode(), challenge, "md5").hexdigest()
    answer: bytes = session._shortcmd(base64.b64encode(f"{user} {digest}".encode()).decode())  # type: ignore[attr-defined]
    return answer


@pytest.mark.parametrize("cram", [False, True])
def test_read_by_pop3(delivered: Site, pop3: poplib.POP3, cram: bool) -> None:
    if cram:
        assert cram_md5(pop3, USER, "extmail").startswith(b"+OK")
    else:
        pop3.user(USER)
        pop3.pass_("extmail")
    assert pop3.stat()[0] == 1
    assert b"Subject: hello" in pop3.retr(1)[1]
    service = 'service="pop3" user="user0@example.org" ip="::ffff:127.0.0.1" reason="password matches"'
    assert service in delivered.authd.logged()


@pytest.mark.parametrize("method", ["login", "login_cram_md5"])
def test_imap_refuses_a_wrong_password(imap: imaplib.IMAP4, method: str) -> None:
    with pytest.raises(imaplib.IMAP4.error, match="Login failed"):
        getattr(imap, method)(USER, "wrong")


def test_pop3_refuses_a_wrong_password(pop3: poplib.POP3) -> None:
    pop3.user(USER)
    with pytest.raises(poplib.error_proto, match="Login failed"):
        pop3.pass_("wrong")


def test_services_that_are_disabled(mail_site: Site, mariadb: MariaDB, imap: imaplib.IMAP4, pop3: poplib.POP3) -> None:
    """authd vouches for the password, and the servers obey the account's options."""
    user = "user3@example.org"
    make_maildir(mail_site.maildir(user))
    mariadb.execute(f"UPDATE extmail.mailbox SET options='disableimap=1,disablepop3=1' WHERE username='{user}'")
    with pytest.raises(imaplib.IMAP4.abort, match="IMAP access disabled for this account"):
        # courier-imap says OK to the password, and goodbye.
        raise_after_login(imap, user)
    pop3.user(user)
    with pytest.raises(poplib.error_proto, match="disabled"):
        pop3.pass_("extmail")
    assert f'login: result=ok module=authmysql service="imap" user="{user}"' in mail_site.authd.logged()


def test_an_outage_is_no_wrong_password(mail_site: Site, mariadb: MariaDB, imap: imaplib.IMAP4) -> None:
    mariadb.stop()
    try:
        with pytest.raises((imaplib.IMAP4.error, imaplib.IMAP4.abort), match="Temporary problem"):
            imap.login(USER, "extmail")
    finally:
        mariadb.start()


def test_maildrop_delivers(mail_site: Site) -> None:
    user = "user2@example.org"
    make_maildir(mail_site.maildir(user))
    assert mail_site.maildrop(user, message("dropped", user).as_bytes()) == (0, "")
    (new,) = mail_site.mail_of(user)
    assert b"Subject: dropped" in new.read_bytes()
    assert (new.stat().st_uid, new.stat().st_gid) == (OWNER, OWNER)


def test_maildrop_honours_the_quota(mail_site: Site, mariadb: MariaDB) -> None:
    user = "user4@example.org"
    mariadb.execute(f"UPDATE extmail.mailbox SET quota='5000S' WHERE username='{user}'")
    make_maildir(mail_site.maildir(user))
    assert mail_site.maildrop(user, message("small", user).as_bytes())[0] == 0
    status, said = mail_site.maildrop(user, message("large", user, 10000).as_bytes())
    assert (status, "quota" in said) == (EX_TEMPFAIL, True)
    assert len(mail_site.mail_of(user)) == 1


def test_maildrop_and_nobody(mail_site: Site) -> None:
    assert mail_site.maildrop("nobody@example.org", message("lost").as_bytes())[0] == EX_NOUSER


def test_maildrop_alone_takes_an_outage_for_an_unknown_user(mail_site: Site, mariadb: MariaDB) -> None:
    """Debian's does, whatever the daemon says or does; that is why the how-to has ``authd deliver`` before it."""
    mail = message("lost").as_bytes()
    mariadb.stop()
    try:
        assert mail_site.maildrop(USER, mail)[0] == EX_NOUSER
    finally:
        mariadb.start()


def test_deliver_by_maildrop(mail_site: Site, mariadb: MariaDB) -> None:
    """The line of the how-to: delivered, nobody there, database down, daemon down."""
    line = block("maildrop", "/etc/postfix/master.cf").rpartition("argv=")[2].strip()

    def deliver(user: str) -> tuple[int, str]:
        words = line.replace("${recipient}", user).replace("/usr/bin/authd", command("authd")).split()
        words[2:2] = ["--socket", "/run/courier/authdaemon/socket"]
        done = subprocess.run(
            in_namespace(mail_site.authd.etc, mail_site.run, words),
            input=message("delivered").as_bytes(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr.decode()

    before = len(mail_site.mail_of(OTHER))
    make_maildir(mail_site.maildir(OTHER))
    assert deliver(OTHER) == (0, "")
    assert len(mail_site.mail_of(OTHER)) == before + 1
    assert deliver("nobody@example.org") == (EX_NOUSER, "nobody@example.org: no such user\n")
    mariadb.stop()
    try:
        assert deliver(OTHER) == (EX_TEMPFAIL, f"{OTHER}: the daemon can't tell now; its log says why\n")
    finally:
        mariadb.start()
    mail_site.authd.stop()
    try:
        assert deliver(OTHER)[0] == EX_TEMPFAIL
    finally:
        mail_site.authd.start()
    assert len(mail_site.mail_of(OTHER)) == before + 1


def raise_after_login(imap: imaplib.IMAP4, user: str) -> None:
    """Log in and select; raise what imaplib raises for a server that says goodbye."""
    imap.login(user, "extmail")
    imap.select("INBOX")


def make_maildir(maildir: Path) -> None:
    """Make a maildir that maildrop, unlike Postfix, does not make itself."""
    for name in ("new", "cur", "tmp"):
        (maildir / name).mkdir(parents=True)
    for path in (*maildir.parents[:2], maildir, *maildir.iterdir()):
        os.chown(path, OWNER, OWNER)
