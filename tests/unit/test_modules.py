"""What all modules share, and the chain that asks them."""

from __future__ import annotations

import hmac
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from authd import together
from authd.account import Account
from authd.chain import Chain
from authd.config.problem import ConfigError
from authd.modules.authmysql import AuthMysql
from authd.modules.authsqlite import sqlite_real
from authd.modules.base import TemporaryFailure
from authd.modules.registry import CLASSES, FILES, UnknownModules, make_modules, module_class
from authd.numbers import atoi, unsigned
from authd.outcome import Outcome, Reason
from authd.passwords import Verdict, hash_password, verify
from authd.protocol.request import ChangePassword, Cram, Login, Lookup
from authd.together import settle_one
from tests.support.stub import StubModule, surroundings

HASHED = Account(b"hashed", 1, 1, b"/h", crypt=hash_password(b"secret", "md5-crypt"), clear=b"other")
CLEAR = Account(b"clear", 1, 1, b"/h", clear=b"secret")
NEITHER = Account(b"neither", 1, 1, b"/h")
BROKEN = Account(b"broken", 1, 1, b"/h", crypt=b"!")


@pytest.fixture
def module() -> StubModule:
    return StubModule(HASHED, CLEAR, NEITHER, BROKEN)


@pytest.mark.parametrize(
    ("user", "password", "outcome", "reason"),
    [
        (b"hashed", b"secret", Outcome.OK, Reason.PASSWORD_MATCHES),
        (b"hashed", b"other", Outcome.REJECT, Reason.WRONG_PASSWORD),
        (b"clear", b"secret", Outcome.OK, Reason.PASSWORD_MATCHES),
        (b"clear", b"wrong", Outcome.REJECT, Reason.WRONG_PASSWORD),
        (b"neither", b"", Outcome.REJECT, Reason.NO_PASSWORD),
        (b"broken", b"!", Outcome.REJECT, Reason.UNUSABLE_HASH),
        (b"nobody", b"secret", Outcome.REJECT, Reason.NO_SUCH_USER),
    ],
)
def test_logins(module: StubModule, user: bytes, password: bytes, outcome: Outcome, reason: Reason) -> None:
    answer = settle_one(module.login(b"imap", user, password))
    assert (answer.outcome, answer.reason) == (outcome, reason)
    if outcome is Outcome.OK:
        assert answer.account is not None
        assert answer.account.clear == password


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (b"clear", Reason.PASSWORD_MATCHES),
        (b"hashed", Reason.WRONG_PASSWORD),
        (b"neither", Reason.NO_CLEARTEXT),
        (b"nobody", Reason.NO_SUCH_USER),
    ],
)
def test_cram(module: StubModule, user: bytes, reason: Reason) -> None:
    response = hmac.new(b"secret", b"<1>", "md5").hexdigest().encode()
    assert settle_one(module.cram(b"imap", user, "md5", b"<1>", response)).reason is reason


def test_a_changed_password_is_hashed_like_the_old(module: StubModule) -> None:
    assert settle_one(module.change_password(b"imap", b"hashed", b"wrong", b"new")).reason is Reason.WRONG_PASSWORD
    assert module.stored == []
    assert settle_one(module.change_password(b"imap", b"hashed", b"secret", b"new")).reason is Reason.PASSWORD_CHANGED
    password, hashed = module.stored[0]
    assert password == b"new"
    assert hashed.startswith(b"$1$")
    assert verify(b"new", hashed) is Verdict.MATCH


def test_an_unknown_user_costs_what_a_wrong_password_costs(module: StubModule, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function is called with a hash of the same kind, so that the time tells nothing."""
    calls: list[bytes] = []

    def counting(password: bytes, stored: bytes) -> Verdict:
        calls.append(stored[:3])
        return verify(password, stored)

    monkeypatch.setattr(together, "verify", counting)
    settle_one(module.login(b"imap", b"nobody", b"x"))
    settle_one(module.login(b"imap", b"hashed", b"x"))
    settle_one(module.login(b"imap", b"nobody", b"x"))
    settle_one(module.change_password(b"imap", b"nobody", b"x", b"y"))
    assert calls == [b"$6$", b"$1$", b"$1$", b"$1$"]


def test_a_backend_that_is_down_is_neither_a_success_nor_a_reject() -> None:
    module = StubModule(CLEAR, down=True)
    answers = [
        settle_one(inquiry).decisive.answer
        for inquiry in (
            chain(module).ask(Lookup(b".", b"s", b"clear")),
            chain(module).ask(Login(b"s", b"clear", b"secret")),
            chain(module).ask(Cram(b"s", b"clear", "md5", b"", b"")),
            chain(module).ask(ChangePassword(b"s", b"clear", b"secret", b"new")),
        )
    ]
    assert {answer.outcome for answer in answers} == {Outcome.TEMPFAIL}
    assert {answer.describe() for answer in answers} == {"database unreachable: stub is down"}


LOGIN = Login(b"imap", b"clear", b"secret")


def chain(*modules: StubModule, tempfail: str | None = None) -> Chain:
    return Chain(modules, tempfail, None)


def test_a_reject_goes_on_and_a_success_stops() -> None:
    first, second, third = StubModule(name="a"), StubModule(CLEAR, name="b"), StubModule(CLEAR, name="c")
    decision = settle_one(chain(first, second, third).ask(LOGIN))
    assert (decision.outcome, [step.module for step in decision.steps]) == (Outcome.OK, ["a", "b"])
    assert third.asked == 0


@pytest.mark.parametrize(
    ("own", "setting", "outcome", "asked"),
    [
        ("close", None, Outcome.TEMPFAIL, 0),
        ("fail", None, Outcome.OK, 1),
        ("close", "fail", Outcome.OK, 1),
        ("fail", "close", Outcome.TEMPFAIL, 0),
    ],
)
def test_a_temporary_failure_at_a_login_is_a_matter_of_settings(
    own: str, setting: str | None, outcome: Outcome, asked: int
) -> None:
    first, second = StubModule(name="a", down=True), StubModule(CLEAR, name="b")
    first.login_tempfail = own  # type: ignore[assignment, misc]
    assert settle_one(chain(first, second, tempfail=setting).ask(LOGIN)).outcome is outcome
    assert second.asked == asked


@pytest.mark.parametrize("tempfail", [None, "fail", "close"])
def test_any_other_temporary_failure_stops(tempfail: str | None) -> None:
    def asked(request: Lookup | Cram | ChangePassword) -> tuple[Outcome, int]:
        first, second = StubModule(name="a", down=True), StubModule(CLEAR, name="b")
        first.login_tempfail = "fail"  # type: ignore[misc]
        return settle_one(chain(first, second, tempfail=tempfail).ask(request)).outcome, second.asked

    assert asked(Lookup(b".", b"imap", b"clear")) == (Outcome.TEMPFAIL, 0)
    assert asked(Cram(b"imap", b"clear", "md5", b"", b"")) == (Outcome.TEMPFAIL, 0)
    # A change is made by whoever can make it.
    assert asked(ChangePassword(b"imap", b"clear", b"secret", b"new")) == (Outcome.OK, 1)
    assert asked(ChangePassword(b"imap", b"nobody", b"secret", b"new")) == (Outcome.REJECT, 1)


def test_a_lookup_may_name_its_module() -> None:
    first, second = StubModule(CLEAR, name="a"), StubModule(name="b")
    assert settle_one(chain(first, second).ask(Lookup(b"a", b"imap", b"clear"))).outcome is Outcome.OK
    assert (
        settle_one(chain(first, second).ask(Lookup(b"b", b"imap", b"clear"))).decisive.answer.reason
        is Reason.NO_SUCH_USER
    )
    assert (
        settle_one(chain(first, second).ask(Lookup(b"c", b"imap", b"clear"))).decisive.answer.reason is Reason.NO_MODULE
    )


def test_the_decisive_step_is_the_one_that_explains_most() -> None:
    known, unknown, down = (
        StubModule(CLEAR, name="known"),
        StubModule(name="unknown"),
        StubModule(name="down", down=True),
    )
    wrong = Login(b"imap", b"clear", b"wrong")
    assert settle_one(chain(known, unknown).ask(wrong)).decisive.module == "known"
    assert settle_one(chain(unknown, known).ask(wrong)).decisive.module == "known"
    assert settle_one(chain(down, known, unknown, tempfail="fail").ask(wrong)).decisive.module == "down"
    # Who succeeded is told, whoever was down before.
    assert settle_one(chain(down, known, tempfail="fail").ask(LOGIN)).decisive.module == "known"
    assert settle_one(chain().ask(wrong)).decisive.answer.reason is Reason.NOT_ASKED


def test_the_chain_closes_its_modules() -> None:
    module = StubModule()
    chain(module).close()
    assert module.closed


def test_unknown_modules_are_left_out_and_told() -> None:
    told: list[str] = []
    with pytest.raises(UnknownModules, match=", ".join(CLASSES)):
        make_modules(["authnone"], surroundings(told))
    assert told == [
        "/nonexistent/authdaemonrc: authmodulelist: there is no module authnone; there are " + ", ".join(CLASSES)
    ]
    told.clear()
    with pytest.raises(UnknownModules):
        make_modules(["authmysq"], surroundings(told))
    assert "there is no module authmysq; did you mean authmysql? there are" in told[0]
    told.clear()
    with pytest.raises(UnknownModules):
        make_modules(["authvchkpw"], surroundings(told))
    assert "authd has no module authvchkpw; take it out, or ask your own program by authpipe; there are" in told[0]


LIBRARIES = {"authldap": "ldap", "authpgsql": "psycopg"}
"""Modules whose library is an extra, and what it is imported as."""


@pytest.mark.parametrize("name", CLASSES)
def test_each_module_is_loaded_by_its_name(name: str) -> None:
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name])
    module = module_class(name, Path("authdaemonrc"))
    assert module is not None
    assert module.name == name


@pytest.mark.parametrize("name", FILES)
def test_a_module_without_its_file_can_not_tell(tmp_path: Path, name: str) -> None:
    """As with Courier: the others serve, and nobody is unknown to it."""
    told: list[str] = []
    around = replace(surroundings(told), sysconfdir=tmp_path)
    userdb, out = make_modules(["authuserdb", name], around)
    assert (userdb.name, out.name) == ("authuserdb", name)
    file = tmp_path / FILES[name]
    assert told == [
        f"{tmp_path}/authdaemonrc: authmodulelist: {name}: {file} is missing, so that whatever it is asked is a temporary "
        f"failure; create it, or take {name} out"
    ]
    decision = settle_one(Chain([userdb, out], None, None).ask(Lookup(b".", b"imap", b"user")))
    assert decision.outcome is Outcome.TEMPFAIL
    assert decision.decisive.answer.detail == f"{file} is missing"
    assert list(out.check()) == []
    with pytest.raises(TemporaryFailure):
        next(out.enumerate())
    with pytest.raises(ConfigError, match=f"{FILES[name]}: can't be read|pip install"):
        make_modules([name, "authnone"], around)


@pytest.mark.parametrize(
    ("text", "as_int", "as_unsigned"),
    [
        (b"", 0, 0),
        (b"5", 5, 5),
        (b" \t5", 5, 5),
        (b"5x", 5, 5),
        (b"x5", 0, 0),
        (b"-1", -1, 2**32 - 1),
        (b"+7", 7, 7),
        (b"007", 7, 7),
        (b"4294967296", 0, 2**32 - 1),
        (b"4294967338", 42, 2**32 - 1),
        (b"2147483648", -(2**31), 2**31),
        (b"9" * 30, -1, 2**32 - 1),
        (b"-" + b"9" * 30, 0, 2**32 - 1),
        (b"9" * 10000, -1, 2**32 - 1),
        (b"0x10", 0, 0),
        (b"--5", 0, 0),
        (b"- 5", 0, 0),
        (b"1.9", 1, 1),
    ],
)
def test_numbers_are_read_as_c_and_cpp_read_them(text: bytes, as_int: int, as_unsigned: int) -> None:
    assert atoi(text) == as_int
    assert unsigned(text) == as_unsigned


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5, b"1.5"), (1.0, b"1.0"), (-3.0, b"-3.0"), (1e20, b"1.0e+20"), (1.5e-7, b"1.5e-07"), (0.1, b"0.1")],
)
def test_reals_as_sqlite_writes_them(value: float, text: bytes) -> None:
    assert sqlite_real(value) == text


def test_a_driver_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MySQLdb", "MySQLdb.cursors"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"AUTHD_MYSQL_DRIVER.*pip install 'authd\[mysqlclient\]'"):
        AuthMysql(replace(surroundings(), mysql_driver="mysqlclient"))
