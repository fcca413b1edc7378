"""Each code of the real PAM keeps its meaning in the log, and has Courier's reply."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from authd.chain import Decision, Step
from authd.outcome import Outcome, Reason, reject
from authd.protocol.request import Login
from authd.server.report import line_about
from tests.conftest import opened, require
from tests.support.courier import DAEMON
from tests.support.daemon import Authd
from tests.support.fail2ban import as_syslog, matched
from tests.support.logged import asked
from tests.support.pair import Pair
from tests.support.pam import System
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import exchange, login, passwd

AUTHENTICATE = {
    "open_err": "tempfail module's configuration is broken",
    "symbol_err": "tempfail module's configuration is broken",
    "service_err": "tempfail PAM can't tell",
    "system_err": "tempfail PAM can't tell",
    "buf_err": "tempfail PAM can't tell",
    "perm_denied": "reject access denied",
    "auth_err": "reject wrong password",
    "cred_insufficient": "tempfail no right to check passwords",
    "authinfo_unavail": "tempfail PAM can't tell",
    "user_unknown": "reject no such user",
    "maxtries": "reject too many tries",
    "new_authtok_reqd": "reject password must be changed",
    "acct_expired": "reject account has expired",
    "session_err": "tempfail PAM can't tell",
    "cred_unavail": "tempfail PAM can't tell",
    "cred_expired": "reject password has expired",
    "cred_err": "tempfail PAM can't tell",
    "no_module_data": "tempfail module's configuration is broken",
    "conv_err": "tempfail PAM can't tell",
    "authtok_err": "tempfail PAM can't tell",
    "authtok_recover_err": "tempfail PAM can't tell",
    "authtok_lock_busy": "tempfail PAM can't tell",
    "authtok_disable_aging": "tempfail PAM can't tell",
    "try_again": "tempfail PAM can't tell",
    # PAM's own answer where no module has one.
    "ignore": "reject access denied",
    "abort": "tempfail PAM can't tell",
    "authtok_expired": "reject password has expired",
    "module_unknown": "tempfail module's configuration is broken",
    "bad_item": "tempfail module's configuration is broken",
    "conv_again": "tempfail PAM can't tell",
    "incomplete": "tempfail PAM can't tell",
}
"""What a code of pam_authenticate(3) ends in."""

ACCOUNT = {**AUTHENTICATE, "auth_err": "reject access denied", "user_unknown": "reject access denied"}
"""What one of pam_acct_mgmt(3) does, which is asked once the password was found right."""

_REFUSED = (
    "perm_denied auth_err user_unknown maxtries new_authtok_reqd acct_expired ignore cred_expired authtok_err "
    "authtok_recover_err authtok_expired"
)
CHANGE = AUTHENTICATE | dict.fromkeys(_REFUSED.split(), "reject password not changed")
"""What one of pam_chauthtok(3) does."""


def stack(*lines: str) -> str:
    """Return a file of /etc/pam.d."""
    return "".join(f"{line}\n" for line in lines)


UNIX, ALLOWED = "auth required pam_unix.so nodelay", "account required pam_unix.so"
PERMIT = ("auth required pam_permit.so", "account required pam_permit.so")
FAILLOCK = "deny=3 dir=/etc/faillock"
STACKS = {
    **{f"auth-{name}": stack(f"auth required pam_debug.so auth={name}", PERMIT[1]) for name in AUTHENTICATE},
    **{f"acct-{name}": stack(PERMIT[0], f"account required pam_debug.so acct={name}") for name in ACCOUNT},
    **{f"change-{name}": stack(*PERMIT, f"password required pam_debug.so chauthtok={name}") for name in CHANGE},
    "time": stack(UNIX, "account required pam_time.so conffile=/etc/never", ALLOWED),
    "access": stack(UNIX, "account required pam_access.so accessfile=/etc/nobody.access"),
    "group": stack(UNIX, "auth required pam_succeed_if.so quiet uid > 60000", ALLOWED),
    "closed": stack(UNIX, "account required pam_nologin.so file=/etc/closed"),
    "shut": stack("auth required pam_nologin.so file=/etc/closed", UNIX, ALLOWED),
    "common": stack(
        "auth [success=1 default=ignore] pam_unix.so nodelay",
        "auth requisite pam_deny.so",
        "auth required pam_permit.so",
        ALLOWED,
    ),
    "echo": stack("auth required pam_echo.so Good morning", UNIX, ALLOWED),
    "included": stack("@include deny"),
    "included-twice": stack("auth include included", "account substack included"),
    "beside": stack("auth optional pam_env.so", "auth optional pam_faildelay.so delay=0", "auth requisite pam_deny.so"),
    "misspelt": stack("auth requird pam_unix.so nodelay", ALLOWED),
    "misspelt-account": stack(UNIX, "account requird pam_unix.so"),
    "garbage": stack("pam_unix.so", UNIX, ALLOWED),
    "lost": stack("# this one", "auth \\\n include nowhere", ALLOWED),
    "elsewhere": stack("auth required pam_unix.so nodelay", "auth required pam_userdb.so db=/etc/none", ALLOWED),
    "fails": stack(
        f"auth required pam_faillock.so preauth silent {FAILLOCK}",
        "auth [success=1 default=bad] pam_unix.so nodelay",
        f"auth [default=die] pam_faillock.so authfail {FAILLOCK}",
        ALLOWED,
    ),
}
"""Files of /etc/pam.d."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> System:
    require("unshare", "/usr/lib/x86_64-linux-gnu/security/pam_debug.so")
    system = System(opened(tmp_path_factory.mktemp("etc")))
    for name, stack in STACKS.items():
        (system.etc / "pam.d" / name).write_text(stack)
    (system.etc / "never").write_text("*;*;*;!Al0000-2400\n")
    (system.etc / "nobody.access").write_text("-:ALL:ALL\n")
    (system.etc / "closed").write_text("The mail is moved to another machine\nuntil Sunday.\n")
    return system


@pytest.fixture(scope="module")
def pair(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("pair"))
    write_authdaemonrc(root / "etc", root / "authd", "authpam")
    with Pair(root, root / "etc", root / "authd", system) as both:
        yield both


@pytest.mark.parametrize(("phase", "meanings"), [("auth", AUTHENTICATE), ("acct", ACCOUNT)])
def test_each_code_of_a_login_has_its_reason(pair: Pair, phase: str, meanings: dict[str, str]) -> None:
    found = {}
    for name in meanings:
        request = login("usera", "wrong", f"{phase}-{name}")
        courier = exchange(pair.courier.socket, request)
        reply, found[name], detail = asked(pair.authd, request)
        assert (name, reply) == (name, courier)
        if found[name] not in ("reject wrong password", "reject no such user"):
            function = "pam_authenticate" if phase == "auth" else "pam_acct_mgmt"
            assert re.fullmatch(rf"{function}: [\w ,()/*';-]+ \(\d+\)(: (auth|acct)={name})?", detail), detail
    assert found == meanings


def test_each_code_of_a_change_has_its_reason(pair: Pair) -> None:
    found = {}
    for name in CHANGE:
        reply, found[name], detail = asked(
            pair.authd, passwd("imap", "usera", "x", "y").replace(b"imap", b"change-" + name.encode())
        )
        assert reply == b"FAIL\n"
        assert detail.startswith("pam_chauthtok: ")
    assert found == CHANGE


BROKEN = "tempfail module's configuration is broken"
RULES = [
    # user, password, service, reason, a part of the detail
    ("usera", "wrong", "imap", "reject wrong password", ""),
    ("nosuch", "wrong", "imap", "reject no such user", ""),
    ("usera", "wrong", "common", "reject wrong password", ""),
    ("nosuch", "wrong", "common", "reject no such user", ""),
    ("usera", "secret", "time", "reject access denied", "pam_acct_mgmt: Permission denied (6)"),
    ("usera", "secret", "access", "reject access denied", "pam_acct_mgmt: Permission denied (6)"),
    ("usera", "wrong", "access", "reject wrong password", ""),
    (
        "usera",
        "secret",
        "group",
        "reject access denied",
        "the password is right; pam_authenticate: Authentication failure (7)",
    ),
    ("usera", "wrong", "group", "reject wrong password", ""),
    ("usera", "secret", "closed", "reject access denied", "The mail is moved to another machine until Sunday."),
    ("usera", "secret", "shut", "reject access denied", "The mail is moved to another machine until Sunday."),
    ("usera", "wrong", "shut", "reject wrong password", ""),
    ("noshadow", "wrong", "shut", "reject access denied", "The mail is moved"),
    ("usera", "wrong", "echo", "reject wrong password", ""),
    ("locked", "secret", "imap", "reject account is locked", "the password is right"),
    ("locked", "wrong", "imap", "reject wrong password", ""),
    ("expired", "secret", "imap", "reject account has expired", "pam_acct_mgmt: User account has expired (13)"),
    ("mustchange", "secret", "imap", "reject password must be changed", "(12): "),
    ("old", "secret", "imap", "reject password has expired", "(27)"),
    ("usera", "secret", "deny", "reject access denied", "the password is right"),
    ("usera", "wrong", "deny", "reject access denied", "/etc/pam.d/deny refuses all"),
    ("usera", "secret", "accountdeny", "reject access denied", "pam_acct_mgmt: Authentication failure (7)"),
    (
        "usera",
        "wrong",
        "nosuch",
        "reject access denied",
        "/etc/pam.d/other refuses all, and /etc/pam.d/nosuch is not there",
    ),
    ("usera", "wrong", "included", "reject access denied", "/etc/pam.d/included refuses all"),
    ("nosuch", "wrong", "included-twice", "reject access denied", "/etc/pam.d/included-twice refuses all"),
    ("usera", "wrong", "beside", "reject access denied", "/etc/pam.d/beside refuses all"),
    ("usera", "secret", "misspelt", BROKEN, "/etc/pam.d/misspelt:1: requird is no control"),
    ("usera", "secret", "misspelt-account", BROKEN, "/etc/pam.d/misspelt-account:2: requird is no control"),
    ("usera", "secret", "garbage", BROKEN, "/etc/pam.d/garbage:1: pam_unix.so is no type of modules"),
    ("usera", "secret", "lost", BROKEN, "/etc/pam.d/lost:2: nowhere, which it includes, is not there"),
    ("star", "wrong", "imap", "reject account is locked", "pam_authenticate: Authentication failure (7)"),
    ("star", "wrong", "common", "reject account is locked", "pam_authenticate: Authentication failure (7)"),
    ("bang", "wrong", "imap", "reject account is locked", "pam_authenticate: Authentication failure (7)"),
    ("nopassword", "wrong", "imap", "reject no password stored", "pam_authenticate: Authentication failure (7)"),
    ("cut", "wrong", "imap", "reject stored hash can't be used", "pam_authenticate: Authentication failure (7)"),
    # A module that has passwords of its own may have one for the account.
    ("star", "wrong", "elsewhere", "reject wrong password", ""),
    ("usera", "secret", "broken", "tempfail module's configuration is broken", "Module is unknown (28)"),
    ("nosuch", "x", "permit", "reject no such user", "getpwnam(3) finds no account"),
]


@pytest.mark.parametrize(
    ("user", "password", "service", "reason", "part"), RULES, ids=[" ".join(rule[:3]) for rule in RULES]
)
def test_rules_of_the_real_modules(pair: Pair, user: str, password: str, service: str, reason: str, part: str) -> None:
    request = login(user, password, service)
    courier = exchange(pair.courier.socket, request)
    reply, found, detail = asked(pair.authd, request)
    assert (reply, found) == (courier, reason), detail
    assert part in detail if part else detail == ""


def test_a_user_whom_faillock_locked_gave_no_wrong_password(pair: Pair) -> None:
    """With ``silent``, as is usual, pam_faillock says no more than AUTH_ERR."""
    found = [
        asked(pair.authd, login("usera", password, "fails"))[1] for password in ("wrong",) * 3 + ("secret", "wrong")
    ]
    assert found == ["reject wrong password"] * 3 + ["reject access denied", "reject wrong password"]


def without_root(system: System, root: Path) -> Authd:
    """Return a daemon that runs as a user whom nothing lets read the shadow file."""
    write_authdaemonrc(root / "etc", root / "run", "authpam", AUTHD_USER="nobody")
    daemon = Authd(root / "etc", root / "run")
    daemon.start(prefix=system.prefix)
    return daemon


@pytest.mark.parametrize("service", ["imap", "common"])
def test_who_may_not_read_the_shadow_file_says_so(system: System, root: Path, service: str) -> None:
    daemon = without_root(system, root)
    try:
        for password in ("secret", "wrong"):
            reply, found, detail = asked(daemon, login("usera", password, service))
            assert (reply, found) == (b"FAIL\n", "tempfail no right to check passwords")
            assert "this process may not read /etc/shadow: run the daemon as root" in detail
        # Of a hash in /etc/passwd it can tell.
        assert exchange(daemon.socket, login("inpasswd", "secret", service)).startswith(b"USERNAME=inpasswd\n")
        assert asked(daemon, login("inpasswd", "wrong", service))[1] == "reject wrong password"
    finally:
        daemon.stop()


def test_a_service_without_any_file_is_told(tmp_path_factory: pytest.TempPathFactory, root: Path) -> None:
    system = System(opened(tmp_path_factory.mktemp("etc")))
    (system.etc / "pam.d" / "other").unlink()
    write_authdaemonrc(root / "etc", root / "run", "authpam")
    with Pair(root, root / "etc", root / "run", system) as pair:
        request = login("usera", "secret", "nosuch")
        courier = exchange(pair.courier.socket, request)
        reply, found, detail = asked(pair.authd, request)
        assert (reply, found) == (courier, "tempfail module's configuration is broken")
        assert detail.startswith("pam_start: Critical error - immediate abort (26)")


def test_an_outage_is_a_temporary_failure_to_the_client(system: System, root: Path) -> None:
    """With AUTHD_LOGIN_TEMPFAIL="close" the client sees which codes say nothing of the user."""
    write_authdaemonrc(root / "etc", root / "run", "authpam", AUTHD_LOGIN_TEMPFAIL="close")
    daemon = Authd(root / "etc", root / "run")
    daemon.start(prefix=system.prefix)
    try:
        for phase, meanings in (("auth", AUTHENTICATE), ("acct", ACCOUNT)):
            for name, said in meanings.items():
                reply = exchange(daemon.socket, login("usera", "x", f"{phase}-{name}"))
                assert (name, reply) == (name, b"" if said.startswith("tempfail") else b"FAIL\n")
    finally:
        daemon.stop()


def test_who_must_change_a_password_can(pair: Pair, system: System) -> None:
    try:
        assert exchange(pair.authd.socket, passwd("imap", "mustchange", "wrong", "newpass99X")) == b"FAIL\n"
        assert exchange(pair.authd.socket, passwd("imap", "mustchange", "secret", "newpass99X")) == b"OK\n"
        assert exchange(pair.authd.socket, login("mustchange", "newpass99X")).startswith(b"USERNAME=mustchange\n")
        assert exchange(pair.authd.socket, passwd("imap", "expired", "secret", "newpass99X")) == b"FAIL\n"
    finally:
        system.write()


def test_fail2ban_bans_for_wrong_passwords_and_unknown_users_alone(pair: Pair, root: Path) -> None:
    require("fail2ban-regex")
    before = len(pair.authd.logged())
    address = b"TCPREMOTEIP=192.0.2.9\n"
    banned = 0
    for user, password, service, reason, part in RULES:
        exchange(pair.authd.socket, address + login(user, password, service))
        banned += reason in ("reject wrong password", "reject no such user") and not part
    for name in AUTHENTICATE:
        exchange(pair.authd.socket, address + login("usera", "x", f"auth-{name}"))
        exchange(pair.authd.socket, address + login("usera", "x", f"acct-{name}"))
    banned += 2
    assert matched(root, as_syslog(pair.authd.logged()[before:].splitlines())) == banned


@pytest.mark.parametrize("detail", ["", "pam_authenticate: Authentication failure (7)"])
def test_fail2ban_bans_for_no_other_reason(root: Path, detail: str) -> None:
    require("fail2ban-regex")
    request = Login(b"imap", b"usera", b"x")
    decisions = {
        reason: Decision(Outcome.REJECT, (Step("authpam", reject(reason, detail=detail)),)) for reason in Reason
    }
    lines = {reason: line_about(request, decision, b"192.0.2.9")[1] for reason, decision in decisions.items()}
    expected = 0 if detail else 2
    assert matched(root, as_syslog(list(lines.values()))) == expected
    assert matched(root, as_syslog([lines[Reason.WRONG_PASSWORD], lines[Reason.NO_SUCH_USER]])) == expected
