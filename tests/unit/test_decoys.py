"""The time of a rejected login tells nothing of the account: each costs a check against a hash of the same form."""

from __future__ import annotations

import mmap
import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authd import together
from authd.account import Account
from authd.chain import Chain
from authd.config import authdaemonrc
from authd.config.problem import ConfigError
from authd.modules import authshadow
from authd.modules.authshadow import AuthShadow
from authd.modules.authsqlite import AuthSqlite
from authd.modules.authuserdb import AuthUserdb
from authd.modules.base import SAMPLE_AGAIN_SECONDS, Module, TemporaryFailure
from authd.modules.decoys import CLEAR, DEFAULT, ENOUGH, EVERY, SLOTS, Decoys
from authd.modules.systemaccounts import Shadow, SystemAccount
from authd.outcome import Outcome, Reason
from authd.passwords import SCHEMES, Verdict, form_of, hash_password, verify
from authd.passwords.crypt3 import crypt, gensalt
from authd.passwords.decoy import decoy_like, decoy_of, is_computed
from authd.passwords.hmacstate import hmac_state
from authd.protocol.request import ChangePassword, Login
from authd.together import settle_one
from authd.userdb.build import build
from tests.support.accounts import fill_sqlite, row
from tests.support.stub import StubModule, surroundings
from tests.support.sysconf import sqliterc

MD5 = hash_password(b"secret", "md5-crypt")
SSHA = hash_password(b"secret", "ssha")
SHA512 = hash_password(b"secret", "sha512-crypt")


def _hashed(setting: bytes) -> bytes:
    hashed = crypt(b"secret", setting)
    assert hashed is not None
    return hashed


BCRYPT = _hashed(gensalt(b"$2b$", 4))
ROUNDS = _hashed(b"$6$rounds=1500$abcdefgh$")
MADE = [hash_password(b"secret", scheme) for scheme in SCHEMES]
MORE = [_hashed(setting) for setting in (b"$6$rounds=1000$a$", b"$5$rounds=2000$a$", b"_J9..abcd", b"$sha1$99$abc$")]

NO_DIGEST = [
    b"{SSHA}",
    SSHA[:-5],
    b"{ssha512}" + SSHA[6:],
    b"{SSHA}*",
    b"{SHA}",
    b"{MD5}x",
    b"{MD5RAW}*",
    b"{CRYPT}",
    b"{BLF-CRYPT}",
    b"{PBKDF2-SHA256}",
    b"{ARGON2ID}",
]
"""The name of a scheme, and no hash of it behind."""


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The forms of the hashes that passwords were checked against."""
    forms: list[bytes] = []

    def spy(password: bytes, stored: bytes) -> Verdict:
        verdict = verify(password, stored)
        # A hash that crypt(3) refuses at once costs nothing, and leads to a second check.
        if verdict is not Verdict.UNUSABLE or is_computed(stored):
            forms.append(form_of(stored))
        return verdict

    monkeypatch.setattr(together, "verify", spy)
    return forms


@pytest.mark.parametrize("stored", [*MADE, *MORE], ids=lambda stored: stored[:12].decode())
def test_a_decoy_costs_what_the_hash_costs_and_fits_nothing(stored: bytes) -> None:
    decoy = decoy_like(stored)
    assert decoy is not None
    assert form_of(decoy) == form_of(stored)
    assert len(decoy) == len(stored)
    assert verify(b"secret", decoy) is Verdict.MISMATCH
    for locked in (b"!" + stored, b"!!" + stored, b"*" + stored, b"*LK*" + stored):
        assert verify(b"secret", locked) is not Verdict.MATCH
        assert decoy_like(locked) == decoy


@pytest.mark.parametrize("stored", MADE[:5], ids=lambda stored: stored[:12].decode())
def test_a_hash_that_was_cut_off_tells_its_cost(stored: bytes) -> None:
    assert is_computed(stored[:-5])
    assert form_of(decoy_like(stored[:-5]) or b"") == form_of(stored)
    assert verify(b"secret", stored[:-5]) is Verdict.UNUSABLE


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"!",
        b"*",
        b"x",
        b"NP",
        b"*LK*",
        b"{FOO}bar",
        b"$2b$99$" + b"a" * 53,
        b"$9$a$b",
        b"$y$",
        b"locked",
        *NO_DIGEST,
    ],
)
def test_what_tells_no_cost_has_no_decoy(stored: bytes) -> None:
    assert decoy_like(stored) is None
    assert not is_computed(stored)
    assert verify(b"secret", stored) is Verdict.UNUSABLE


@given(
    stored=st.binary(max_size=80),
    start=st.sampled_from([b"", b"$6$", b"$2b$05$", b"{SSHA}", b"$1$", b"{CRYPT}$5$", b"$y$j9T$"]),
)
@settings(max_examples=300)
def test_any_decoy_can_be_checked(stored: bytes, start: bytes) -> None:
    decoy = decoy_like(start + stored)
    assert decoy is None or verify(b"x", decoy) is Verdict.MISMATCH


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_decoy_of_each_scheme(scheme: str) -> None:
    assert form_of(decoy_of(scheme)) == form_of(MADE[list(SCHEMES).index(scheme)])


def test_costs_of_decoys() -> None:
    assert decoy_of("bcrypt", 12).startswith(b"$2b$12$")
    assert decoy_of("sha512-crypt", 9000).startswith(b"$6$rounds=9000$")
    assert decoy_of("pbkdf2-sha256", 999).startswith(b"{PBKDF2-SHA256}999$")
    for scheme, cost in (("bcrypt", 99), ("ssha", 1), ("argon2", 1), ("nosuch", 0)):
        with pytest.raises(ValueError, match=r"."):
            decoy_of(scheme, cost)


@pytest.mark.parametrize(
    ("stored", "other"),
    [
        (b"{PBKDF2-SHA256}29000$a$b", b"{PBKDF2-SHA256}90000$a$b"),
        (b"$pbkdf2-sha256$29000$a$b", b"$pbkdf2-sha256$90000$a$b"),
        (b"$7$CU..../....abc$x", b"$7$DU..../....abc$x"),
        (b"$sha1$100$abc$x", b"$sha1$900$abc$x"),
        (b"_J9..abcdx", b"_K9..abcdx"),
        (b"$y$j9T$a$x", b"$y$jAT$a$x"),
        (b"$argon2id$v=19$m=8,t=1,p=1$a$x", b"$argon2id$v=19$m=8,t=2,p=1$a$x"),
    ],
)
def test_a_form_has_the_cost(stored: bytes, other: bytes) -> None:
    assert form_of(stored) != form_of(other)


class Sampled(StubModule):
    """A module that tells of its hashes."""

    def sample(self) -> Iterable[tuple[bytes | None, bytes | None]]:
        if self.down:
            raise TemporaryFailure(Reason.UNREACHABLE)
        return [(account.crypt, account.clear) for account in self.accounts.values()]


def account(name: str, crypt: bytes | None, clear: bytes | None = None) -> Account:
    return Account(name.encode(), 1, 1, b"/h", crypt=crypt, clear=clear)


OF_ONE_COST = [
    account("ann", BCRYPT),
    account("locked", b"!" + BCRYPT),
    account("starred", b"*" + BCRYPT),
    account("cut", BCRYPT[:-4]),
    account("bang", b"!"),
    account("x", b"x"),
    account("empty", b""),
    account("null", None),
    account("scheme", b"{FOO}bar"),
    account("bad cost", b"$2b$99$" + BCRYPT[7:]),
    *(account(f"no digest {number}", stored) for number, stored in enumerate(NO_DIGEST)),
]


@pytest.mark.parametrize("password", [b"wrong", b""])
@pytest.mark.parametrize(
    "user", [*(str((one.address or b"").decode()) for one in OF_ONE_COST), "nobody", "ANN", "nöbody"]
)
def test_each_reject_costs_one_check_of_the_same_form(checked: list[bytes], user: str, password: bytes) -> None:
    """The first login of a fresh worker, too."""
    module = Sampled(*OF_ONE_COST)
    answer = settle_one(module.login(b"imap", user.encode(), password))
    assert (answer.outcome, checked) == (Outcome.REJECT, [b"$2b$04$"])
    answer = settle_one(module.change_password(b"imap", user.encode(), password, b"new"))
    assert (answer.outcome, checked) == (Outcome.REJECT, [b"$2b$04$"] * 2)


def test_no_locked_account_opens() -> None:
    module = Sampled(*OF_ONE_COST)
    for one in OF_ONE_COST[1:]:
        answer = settle_one(module.login(b"imap", one.address or b"", b"secret"))
        assert answer.outcome is Outcome.REJECT
        assert answer.reason in (Reason.UNUSABLE_HASH, Reason.NO_PASSWORD)


def test_a_negative_entry_and_the_modules_behind_cost_the_same(checked: list[bytes]) -> None:
    first, second = Sampled(*OF_ONE_COST, name="a"), Sampled(account("bob", ROUNDS), name="b")
    chain = Chain([first, second], None, None)
    for request in (
        Login(b"imap", b"ann", b"wrong"),
        Login(b"imap", b"nobody", b"wrong"),
        Login(b"imap", b"bob", b"wrong"),
    ):
        settle_one(chain.ask(request))
    settle_one(chain.reject_nobody(Login(b"imap", b"nobody", b"wrong")))
    settle_one(chain.ask(ChangePassword(b"imap", b"nobody", b"wrong", b"new")))
    assert checked == [b"$2b$04$", b"$6$rounds=1500$"] * 5


def test_a_table_of_cleartext_passwords_is_instant(checked: list[bytes]) -> None:
    module = Sampled(account("ann", None, b"secret"), account("bob", b"", b"secret"))
    for user in (b"ann", b"nobody", b"bob", b"other"):
        settle_one(module.login(b"imap", user, b"wrong"))
    assert checked == []


def test_unknown_users_of_a_mixed_table_cost_what_the_known_ones_cost(checked: list[bytes]) -> None:
    kinds = [(MD5, 50), (SSHA, 30), (ROUNDS, 20)]
    accounts = [account(f"{kind[:4]!r}{number}", kind) for kind, count in kinds for number in range(count)]
    module = Sampled(*accounts)
    names = [b"nobody%d@example.org" % number for number in range(600)]
    for name in names:
        settle_one(module.login(b"imap", name, b"x"))
    first = list(checked)
    shares = Counter(first)
    for kind, count in kinds:
        assert 0.7 * count < 100 * shares[form_of(kind)] / len(names) < 1.4 * count
    checked.clear()
    # The same in another worker, and for the same account by another spelling.
    for name in names:
        settle_one(module.login(b"imap", name.upper() + b" ", b"x"))
    assert checked == first


def test_what_one_worker_learned_all_know(checked: list[bytes]) -> None:
    module = StubModule(account("ann", BCRYPT))
    child = os.fork()
    if child == 0:
        try:
            settle_one(module.login(b"imap", b"ann", b"wrong"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    settle_one(module.login(b"imap", b"nobody", b"wrong"))
    assert checked == [b"$2b$04$"]


def test_a_sample_that_can_not_be_had_is_taken_later(checked: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    module = Sampled(*OF_ONE_COST)
    taken: list[float] = []

    def sample() -> Iterable[tuple[bytes | None, bytes | None]]:
        taken.append(now[0])
        if len(taken) == 1:
            raise TemporaryFailure(Reason.UNREACHABLE)
        return [(BCRYPT, None)]

    monkeypatch.setattr(module, "sample", sample)
    for _ in range(3):
        settle_one(module.login(b"imap", b"nobody", b"wrong"))
        settle_one(module.login(b"imap", b"nobody", b"wrong"))
        now[0] += SAMPLE_AGAIN_SECONDS
    assert taken == [1000.0, 1000.0 + SAMPLE_AGAIN_SECONDS]
    assert checked == [form_of(DEFAULT)] * 2 + [b"$2b$04$"] * 4


def test_a_sample_that_is_refused_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    module = Sampled(*OF_ONE_COST)
    module._surroundings = surroundings(told)
    taken: list[None] = []

    def sample() -> Iterable[tuple[bytes | None, bytes | None]]:
        taken.append(None)
        raise TemporaryFailure(Reason.QUERY_FAILED, "SELECT denied")

    monkeypatch.setattr(module, "sample", sample)
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in range(3):
        settle_one(module.login(b"imap", b"nobody", b"wrong"))
        now[0] += SAMPLE_AGAIN_SECONDS
    assert (len(taken), len(told)) == (1, 1)
    assert "SELECT denied" in told[0]
    assert "AUTHD_DECOY_HASH" in told[0]


def test_a_failure_that_is_the_accounts_costs_a_check_too(
    checked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """authmysql rejects a login of an account whose uid is 0."""
    module = Sampled(*OF_ONE_COST)
    module.login_tempfail = "fail"  # type: ignore[misc]
    settle_one(module.login(b"imap", b"nobody", b"x"))

    def find(service: bytes, user: bytes) -> Account | None:
        raise TemporaryFailure(Reason.BAD_UID)

    monkeypatch.setattr(module, "find", find)
    decision = settle_one(Chain([module], None, None).ask(Login(b"imap", b"uid0", b"x")))
    assert decision.outcome is Outcome.REJECT
    assert checked == [b"$2b$04$"] * 2


class TestTable:
    """What the workers share."""

    def test_nothing_known(self) -> None:
        decoys = Decoys()
        said = [(decoys.is_sampled, decoys.draw(b"x"))]
        decoys.put([])
        said.append((decoys.is_sampled, decoys.draw(b"x")))
        assert said == [(False, DEFAULT), (True, DEFAULT)]

    def test_fixed_ones_stay(self) -> None:
        decoys = Decoys([("bcrypt", 5)])
        decoys.learn(MD5)
        decoys.renew()
        assert decoys.is_sampled
        assert {form_of(decoys.draw(b"%d" % number)) for number in range(50)} == {b"$2b$05$"}

    def test_after_a_reload_it_begins_with_what_it_had(self) -> None:
        before, after, fixed = Decoys(), Decoys(), Decoys([("ssha", 0)])
        before.put([])
        before.learn(BCRYPT)
        for table in (after, fixed):
            table.inherit(before)
        assert [form_of(table.draw(b"x")) for table in (after, fixed)] == [b"$2b$04$", b"{SSHA}"]
        # A sample that has nothing takes nothing away.
        assert not after.is_sampled
        after.put([])
        assert form_of(after.draw(b"x")) == b"$2b$04$"
        before.learn(MD5)
        assert {form_of(after.draw(b"%d" % number)) for number in range(99)} == {b"$2b$04$"}

    def test_more_forms_than_it_has_room_for(self) -> None:
        decoys = Decoys()
        for number in range(2 * SLOTS):
            decoys.learn(b"$6$rounds=%d$abc$" % (1000 + number) + b"." * 86)
        decoys.learn(b"{X}" + b"y" * 1000)
        drawn = {form_of(decoys.draw(b"%d" % number)) for number in range(2000)}
        assert len(drawn) == SLOTS

    def test_one_scheme_in_two_spellings_is_one(self) -> None:
        decoys = Decoys()
        for _ in range(3 * SLOTS):
            decoys.learn(b"{ssha}" + SSHA[6:])
        decoys.learn(MD5)
        assert {form_of(decoys.draw(b"%d" % number)) for number in range(500)} == {b"{SSHA}", b"$1$"}

    def test_a_form_that_is_new_after_many_logins_is_learned(self) -> None:
        decoys = Decoys()
        decoys.put([decoy_like(MD5) or b""] * ENOUGH)
        for _ in range(EVERY):
            decoys.learn(BCRYPT)
        decoys.put([CLEAR])
        assert decoys.draw(b"x") == CLEAR
        decoys.learn(BCRYPT)
        decoys.learn(None)
        assert {decoys.draw(b"%d" % number) for number in range(100)} == {CLEAR, decoy_like(BCRYPT)}

    def test_most_names_keep_their_form_when_another_comes(self) -> None:
        decoys = Decoys()
        decoys.put([decoy_like(MD5) or b""] * 50 + [decoy_like(SSHA) or b""] * 50)
        before = [decoys.draw(b"%d" % number) for number in range(500)]
        for _ in range(10):
            decoys.learn(BCRYPT)
        after = [decoys.draw(b"%d" % number) for number in range(500)]
        assert all(new == old or form_of(new) == b"$2b$04$" for old, new in zip(before, after, strict=True))

    def test_an_entry_that_was_written_by_two_at_once_is_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[mmap.mmap] = []
        real = mmap.mmap
        monkeypatch.setattr(mmap, "mmap", lambda *arguments: made.append(real(*arguments)) or made[-1])  # type: ignore[func-returns-value]
        decoys, other = Decoys(), Decoys()
        decoys.put([decoy_like(BCRYPT) or b""])
        content = bytes(made[0])
        place = content.index(b"$2b$")
        made[0][place + 10] = ord("X")
        assert decoys.draw(b"x") == DEFAULT
        assert other.draw(b"x") == DEFAULT


class TestSamples:
    """What the modules tell of their hashes before the first login."""

    def first_unknown(self, module: Module, checked: list[bytes]) -> list[bytes]:
        answer = settle_one(module.login(b"imap", b"nobody@default.example", b"wrong"))
        assert answer.reason is Reason.NO_SUCH_USER
        return checked

    def test_sqlite(self, tmp_path: Path, checked: list[bytes]) -> None:
        fill_sqlite(
            tmp_path / "a.db",
            [row(f"user{n}@default.example", password=BCRYPT.decode(), clearpwd="") for n in range(20)],
        )
        (tmp_path / "authsqliterc").write_text(sqliterc(tmp_path / "a.db"))
        module = AuthSqlite(replace(surroundings(), sysconfdir=tmp_path))
        assert self.first_unknown(module, checked) == [b"$2b$04$"]
        # Names that are looked up by the same login are one.
        assert module.login_name(b"bob") == module.login_name(b"bob@default.example")

    def test_a_clause_has_no_sample_and_lookups_tell(self, tmp_path: Path, checked: list[bytes]) -> None:
        fill_sqlite(tmp_path / "a.db", [row("user@default.example", password=BCRYPT.decode(), clearpwd="")])
        clause = (
            "SELECT username, password, '', uidnumber, gidnumber, homedir FROM mailbox "
            "WHERE username = '$(local_part)@$(domain)'"
        )
        (tmp_path / "authsqliterc").write_text(sqliterc(tmp_path / "a.db") + f"SQLITE_SELECT_CLAUSE {clause}\n")
        module = AuthSqlite(replace(surroundings(), sysconfdir=tmp_path))
        assert settle_one(module.lookup(b"imap", b"user@default.example")).outcome is Outcome.OK
        assert self.first_unknown(module, checked) == [b"$2b$04$"]

    def test_userdb(self, tmp_path: Path, checked: list[bytes]) -> None:
        source = tmp_path / "userdb"
        source.touch(mode=0o600)
        source.write_bytes(
            b"a\thome=/a|uid=1|gid=1|imappw=%b\nb\thome=/a|uid=1|gid=1|hmac-md5pw=00|systempw=%b\n" % (BCRYPT, BCRYPT)
            + b"c\thome=/a|uid=1|gid=1|hmac-md5pw=%b\n" % hmac_state(b"secret", "md5").encode()
        )
        build(source)
        module = AuthUserdb(replace(surroundings(), sysconfdir=tmp_path))
        assert self.first_unknown(module, checked) == [b"$2b$04$"]
        for user in (b"c", b"nobody", b"b"):
            settle_one(module.change_password(b"imap", user, b"wrong", b"new"))
        assert checked == [b"$2b$04$"] * 4

    def test_shadow(self, tmp_path: Path, checked: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
        shadow = tmp_path / "shadow"
        shadow.write_bytes(b"root:*:1::::::\nann:%b:1::::::\nbob:!%b:1::::::\n\n" % (BCRYPT, BCRYPT))
        monkeypatch.setattr(authshadow, "SHADOW", shadow)
        module = AuthShadow(surroundings())
        assert self.first_unknown(module, checked) == [b"$2b$04$"]

        def find(service: bytes, user: bytes) -> Account:
            hashed = b"!" + BCRYPT
            return SystemAccount(user, 1, 1, b"/", crypt=hashed, shadow=Shadow(hashed, 1, -1, -1))

        monkeypatch.setattr(module, "find", find)
        assert settle_one(module.login(b"imap", b"bob", b"secret")).reason is Reason.LOCKED
        assert checked == [b"$2b$04$"] * 2


def test_a_reload_keeps_what_was_learned(checked: list[bytes]) -> None:
    before, after = Chain([StubModule(account("ann", BCRYPT))], None, None), Chain([StubModule()], None, None)
    settle_one(before.ask(Login(b"imap", b"ann", b"x")))
    after.inherit(before.decoys)
    settle_one(after.ask(Login(b"imap", b"nobody", b"x")))
    assert checked == [b"$2b$04$"] * 2


def test_the_setting(tmp_path: Path) -> None:
    def parsed(value: str) -> authdaemonrc.DaemonSettings:
        return authdaemonrc.parse(f'authmodulelist="authpwd"\nAUTHD_DECOY_HASH="{value}"\n', tmp_path / "authdaemonrc")

    assert parsed("bcrypt:12  sha512-crypt").decoys == (("bcrypt", 12), ("sha512-crypt", 0))
    assert parsed("").decoys == ()
    assert set(authdaemonrc.DECOY_SCHEMES) == {*SCHEMES, "clear"}
    for value in ("nosuch", "bcrypt:", "bcrypt:x", "bcrypt:0"):
        with pytest.raises(ConfigError, match="AUTHD_DECOY_HASH"):
            parsed(value)
    with pytest.raises(ConfigError, match=r"authdaemonrc: AUTHD_DECOY_HASH: .*of cost 99"):
        AuthShadow(replace(surroundings(), decoys=(("bcrypt", 99),)))
