"""Dovecot 2.3 and 2.4 take logins, homes and maildirs from authd: by the Lua script, and by their own userdb protocol."""

from __future__ import annotations

import imaplib
import os
import poplib
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import opened, require
from tests.support.daemon import Authd
from tests.support.dovecot import PROGRAMS, TRIXIE, Dovecot
from tests.support.extmail import seed_files
from tests.support.howto import block, setting
from tests.support.mailboxes import OTHER, OWNER, USER, deliver_by_lmtp, make_mailboxes, message
from tests.support.mariadb import MariaDB
from tests.support.sysconf import changed, edit

SCRIPT = Path(__file__).parents[2] / "conf" / "dovecot" / "authd.lua"


@pytest.fixture(scope="module", params=["2.3", "2.4"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def base(version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    require(*(PROGRAMS if version == "2.3" else [f"{TRIXIE}/usr/sbin/dovecot", "nsenter", "unshare"]))
    return opened(tmp_path_factory.mktemp("dovecot"))


@pytest.fixture(scope="module")
def mailbox(mariadb: MariaDB, base: Path) -> Path:
    mailbox = make_mailboxes(mariadb, base)
    os.chown(mailbox, OWNER, OWNER)
    return mailbox


@pytest.fixture(scope="module")
def rc(mariadb: MariaDB, base: Path, mailbox: Path) -> str:
    seed_files(base / "etc", base / "run", mariadb.socket, daemons=3)
    content = (base / "etc" / "authmysqlrc").read_text().replace("/var/mailbox/", f"{mailbox}/")
    return changed(content, MYSQL_AUXOPTIONS_FIELD="options", MYSQL_CLEAR_PWFIELD="clearpwd")


@pytest.fixture(scope="module")
def authd(base: Path, rc: str) -> Iterator[Authd]:
    listen = setting("dovecot", "AUTHD_LISTEN").replace("/run/courier/authdaemon", str(base / "run"))
    with (base / "etc" / "authdaemonrc").open("a") as file:
        file.write(f'AUTHD_LISTEN="{listen} dovecot-auth:auth"\nAUTHD_LOGIN_TEMPFAIL="close"\n')
    edit(base / "etc" / "authmysqlrc", rc)
    with Authd(base / "etc", base / "run") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def dovecot(authd: Authd, base: Path, version: str) -> Iterator[Dovecot]:
    script = base / "authd.lua"
    content = SCRIPT.read_text()
    assert content.count('"/run/courier/authdaemon/socket"') == 1
    script.write_text(content.replace("/run/courier/authdaemon", str(authd.run)))
    settings = block("dovecot", "/etc/dovecot/local.conf", f"Dovecot {version}", lua=script)
    with Dovecot(base / "dovecot", settings, version == "2.4") as server:
        yield server


def log_in(dovecot: Dovecot, user: str, password: str) -> imaplib.IMAP4:
    session = imaplib.IMAP4("127.0.0.1", dovecot.imap, timeout=60)
    session.login(user, password)
    return session


def refusal(dovecot: Dovecot, user: str, password: str) -> str:
    session = imaplib.IMAP4("127.0.0.1", dovecot.imap, timeout=60)
    with pytest.raises(imaplib.IMAP4.error) as refused:
        session.login(user, password)
    session.shutdown()
    return str(refused.value)


def set_options(server: MariaDB, options: str) -> None:
    server.execute(f"UPDATE extmail.mailbox SET options='{options}' WHERE username='{OTHER}'")


def test_delivered_by_lmtp_and_read_by_imap_and_pop3(dovecot: Dovecot, mailbox: Path, authd: Authd) -> None:
    deliver_by_lmtp(dovecot.lmtp, message("hello"))
    new = mailbox / "example.org" / "user0" / "Maildir" / "new"
    (delivered,) = new.iterdir()
    assert (delivered.stat().st_uid, delivered.stat().st_gid) == (OWNER, OWNER)
    imap = log_in(dovecot, USER, "extmail")
    assert imap.select("INBOX") == ("OK", [b"1"])
    assert b"Subject: hello" in repr(imap.fetch("1", "(BODY[HEADER])")).encode()
    imap.logout()
    pop3 = poplib.POP3("127.0.0.1", dovecot.pop3, timeout=60)
    pop3.user(USER)
    pop3.pass_("extmail")
    assert pop3.stat()[0] == 1
    assert b"Subject: hello" in pop3.retr(1)[1]
    pop3.quit()
    for service in ("imap", "pop3"):
        line = f'login: result=ok module=authmysql service="{service}" user="{USER}" ip="127.0.0.1"'
        assert line in authd.logged()
    assert f'lookup: result=ok module=authmysql service="lmtp" user="{USER}"' in authd.logged()


def test_wrong_passwords_and_unknown_users(dovecot: Dovecot) -> None:
    for user, password in ((USER, "wrong"), ("nobody@example.org", "extmail"), (USER, "extmail\tx"), ('"a b"', "x")):
        assert "AUTHENTICATIONFAILED" in refusal(dovecot, user, password)
    pop3 = poplib.POP3("127.0.0.1", dovecot.pop3, timeout=60)
    pop3.user(USER)
    with pytest.raises(poplib.error_proto, match="AUTH"):
        pop3.pass_("wrong")
    pop3.close()
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="User doesn't exist"):
        deliver_by_lmtp(dovecot.lmtp, message("to nobody", "nobody@example.org"))


def test_options_are_enforced(dovecot: Dovecot, mariadb: MariaDB) -> None:
    try:
        for options, works in (
            ("disableimap=1", False),
            ("wbnodsn=1,disableimap=1", False),
            ("disableinsecureimap=1", True),  # 127.0.0.1 counts as secured with Dovecot
            ("disablepop3=1,disableimap=0", True),
        ):
            set_options(mariadb, options)
            if works:
                log_in(dovecot, OTHER, "extmail").logout()
            else:
                refusal(dovecot, OTHER, "extmail")
        set_options(mariadb, "disablepop3=1")
        pop3 = poplib.POP3("127.0.0.1", dovecot.pop3, timeout=60)
        pop3.user(OTHER)
        with pytest.raises(poplib.error_proto):
            pop3.pass_("extmail")
        pop3.close()
    finally:
        set_options(mariadb, "")


def test_options_are_enforced_whatever_a_service_is_called(dovecot: Dovecot, authd: Authd, mariadb: MariaDB) -> None:
    """By the script, and by Dovecot's own protocols."""

    def can_log_in(service: str, *words: str) -> bool:
        return dovecot.doveadm("auth", "test", *words, "-x", f"service={service}", OTHER, "extmail")[0] == 0

    try:
        set_options(mariadb, "disablesmtp=1,disablesieve=1,disableimap=1")
        for words in ((), ("-a", f"{authd.run}/auth")):
            for service in ("submission", "SMTP", "managesieve", "imap-urlauth", "imaps"):
                assert not can_log_in(service, *words), (service, words)
            for service in ("pop3", "lmtp", "pop"):
                assert can_log_in(service, *words), (service, words)
        looked_up = {
            service: dovecot.doveadm("auth", "lookup", "-a", f"{authd.run}/userdb", "-x", f"service={service}", OTHER)[
                0
            ]
            for service in ("imap", "pop3")
        }
        assert looked_up == {"imap": 67, "pop3": 0}
    finally:
        set_options(mariadb, "")


def test_an_outage_is_temporary(dovecot: Dovecot, mariadb: MariaDB) -> None:
    mariadb.stop()
    try:
        assert "UNAVAILABLE" in refusal(dovecot, USER, "extmail")
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="451"):
            deliver_by_lmtp(dovecot.lmtp, message("later"))
    finally:
        mariadb.start()
    log_in(dovecot, USER, "extmail").logout()


def test_no_daemon_is_temporary(dovecot: Dovecot, authd: Authd) -> None:
    authd.stop()
    try:
        assert "UNAVAILABLE" in refusal(dovecot, USER, "extmail")
        assert "socket: " in dovecot.logged()
    finally:
        authd.start()
    log_in(dovecot, USER, "extmail").logout()


def told(said: str) -> dict[str, str]:
    """Return the fields of an account that doveadm shows; 2.4 has an empty one more."""
    lines = [line.split("\t") for line in said.splitlines()]
    return {name: value for name, value in lines if value and name != "field"}


def user0(mailbox: Path) -> dict[str, str]:
    """Return what doveadm says of an account."""
    home = f"{mailbox}/example.org/user0"
    return {"uid": "2525", "gid": "2525", "home": home, "mail": f"maildir:{home}/Maildir/"}


def test_doveadm_by_the_script(dovecot: Dovecot, mailbox: Path) -> None:
    status, said = dovecot.doveadm("user", USER)
    assert (status, told(said)) == (0, user0(mailbox))
    assert dovecot.doveadm("user", "nobody@example.org")[0] == 67
    status, said = dovecot.doveadm("user", "*")
    assert (status, sorted(said.split())) == (
        0,
        ["postmaster@extmail.org", *(f"user{number}@example.org" for number in range(5))],
    )
    assert dovecot.doveadm("auth", "test", USER, "extmail")[0] == 0
    assert dovecot.doveadm("auth", "test", USER, "wrong")[0] == 77


@pytest.fixture(scope="module")
def by_userdb(authd: Authd, base: Path, version: str) -> Iterator[Dovecot]:
    """A Dovecot whose LMTP asks authd itself, and nothing else."""
    settings = block("dovecot", "/etc/dovecot/conf.d/20-lmtp.conf", run=authd.run)
    with Dovecot(base / "userdb", settings, version == "2.4") as server:
        yield server


def test_lmtp_by_the_userdb_protocol(by_userdb: Dovecot, mailbox: Path, mariadb: MariaDB) -> None:
    deliver_by_lmtp(by_userdb.lmtp, message("by userdb", OTHER))
    (delivered,) = (mailbox / "example.org" / "user1" / "Maildir" / "new").iterdir()
    assert b"Subject: by userdb" in delivered.read_bytes()
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="User doesn't exist"):
        deliver_by_lmtp(by_userdb.lmtp, message("to nobody", "nobody@example.org"))
    mariadb.stop()
    try:
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="451"):
            deliver_by_lmtp(by_userdb.lmtp, message("later", OTHER))
    finally:
        mariadb.start()
    deliver_by_lmtp(by_userdb.lmtp, message("again", OTHER))


def test_doveadm_by_the_userdb_protocol(by_userdb: Dovecot, authd: Authd, mailbox: Path) -> None:
    ask = ("-o", f"auth_socket_path={authd.run}/userdb", "user")
    status, said = by_userdb.doveadm(*ask, USER)
    assert (status, told(said)) == (0, user0(mailbox))
    assert by_userdb.doveadm(*ask, "nobody@example.org")[0] == 67
    status, said = by_userdb.doveadm(*ask, "user?@*")
    assert (status, sorted(said.split())) == (0, [f"user{number}@example.org" for number in range(5)])
    status, said = by_userdb.doveadm("auth", "lookup", "-a", f"{authd.run}/userdb", USER)
    assert status == 0, said
    assert USER in said
    assert "extmail\n" not in said
    assert by_userdb.doveadm("auth", "lookup", "-a", f"{authd.run}/userdb", "nobody@example.org")[0] == 67


def test_dovecot_s_own_client_of_the_auth_protocol(dovecot: Dovecot, authd: Authd, mariadb: MariaDB) -> None:
    """doveadm says that it is of version 1.2 or later, and so is told of a temporary failure."""

    def try_login(user: str, password: str) -> tuple[int, str]:
        return dovecot.doveadm("auth", "test", "-a", f"{authd.run}/auth", "-x", "rip=192.0.2.44", user, password)

    status, said = try_login(USER, "extmail")
    assert (status, f"user={USER}" in said) == (0, True), said
    assert f'service="doveadm" user="{USER}" ip="192.0.2.44" reason="password matches"' in authd.logged()
    assert try_login(USER, "wrong")[0] == 77
    assert try_login("nobody@example.org", "extmail")[0] == 77
    mariadb.stop()
    try:
        status, said = try_login(USER, "extmail")
        assert (status != 0, "code=temp_fail" in said) == (True, True), said
    finally:
        mariadb.start()


def test_the_version_that_the_readme_names(dovecot: Dovecot, version: str) -> None:
    del dovecot
    command = ["dovecot", "--version"] if version == "2.3" else ["chroot", TRIXIE, "dovecot", "--version"]
    named = {"2.3": "2.3.19.1", "2.4": "2.4.1"}[version]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith(named)
    assert named in (SCRIPT.parents[2] / "README.md").read_text()


def test_the_userdb_socket_is_root_s(authd: Authd) -> None:
    assert (authd.run / "userdb").stat().st_mode & 0o777 == 0o600
