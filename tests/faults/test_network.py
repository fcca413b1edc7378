"""Nobody gets another's account, whatever the network between authd and its server makes of answers."""

from __future__ import annotations

import importlib.util
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authd.account import Account
from authd.modules.authmysql import AuthMysql
from authd.modules.base import Module, Surroundings, TemporaryFailure
from authd.modules.registry import make_modules
from tests.conftest import REQUIRED, opened, require
from tests.support.accounts import INSERT, fill, fill_postgres, row
from tests.support.mariadb import MariaDB
from tests.support.network import Mangle, Network, Repeating, as_it_is, doubled, doubled_late
from tests.support.postgres import Postgres
from tests.support.slapd import Slapd
from tests.support.stub import surroundings
from tests.support.sysconf import changed, ldaprc, mysqlrc, pgsqlrc

USERS = 200

ROWS = [row(f"u{number}@network.example", homedir=f"home{number}") for number in range(USERS)]
CLAUSE = (
    "SELECT username, password, clearpwd, uidnumber, gidnumber, concat('/var/mailbox/', homedir) "
    "FROM mailbox WHERE username = '$(local_part)@$(domain)'"
)


class Site(ABC):
    """A back end whose server is behind a bad network.

    :param clause: whether accounts are found by the administrator's own query.
    """

    name: str

    def __init__(self, etc: Path, port: int, clause: bool, driver: str = "pymysql") -> None:
        self.network = Network(port, *self.questions)
        self.module: Module
        self.said: list[str] = []
        self._etc = etc
        self._clause = clause
        self._driver = driver

    questions: tuple[bytes, ...] = (b"SELECT",)
    rounds = 1
    """Of lookups of every user, alone and in batches."""

    @abstractmethod
    def rc(self, port: int) -> str:
        """Return the module's file."""

    @contextmanager
    def running(self) -> Iterator[Site]:
        with self.network:
            (self._etc / f"{self.name}rc").write_text(self.rc(self.network.port))
            told: Surroundings = replace(
                surroundings(self.said), sysconfdir=self._etc, timeout=1, mysql_driver=self._driver
            )
            [self.module] = make_modules([self.name], told)
            try:
                yield self
            finally:
                self.module.close()


class Mysql(Site):
    name = "authmysql"
    rounds = 8

    def rc(self, port: int) -> str:
        where: dict[str, str | None] = {"MYSQL_SERVER": "127.0.0.1", "MYSQL_SOCKET": None, "MYSQL_PORT": str(port)}
        if self._clause:
            where["MYSQL_SELECT_CLAUSE"] = CLAUSE
        return changed(mysqlrc(Path("/")), **where)


class Pgsql(Site):
    name = "authpgsql"

    def rc(self, port: int) -> str:
        return changed(pgsqlrc(port), **({"PGSQL_SELECT_CLAUSE": CLAUSE} if self._clause else {}))


class Ldap(Site):
    name = "authldap"
    questions = (b"network.example",)

    def rc(self, port: int) -> str:
        return ldaprc(f"ldap://127.0.0.1:{port}").replace("LDAP_TIMEOUT\t\t5", "LDAP_TIMEOUT\t\t1")


@pytest.fixture(scope="module")
def mysql_port(mariadb: MariaDB) -> int:
    fill(mariadb)
    with mariadb.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.executemany(INSERT, ROWS)
    return mariadb.port


@pytest.fixture(scope="module")
def pgsql_port(postgres: Postgres) -> int:
    fill_postgres(postgres)
    with postgres.connect() as connection:
        connection.cursor().executemany(INSERT.encode(), ROWS)
    return postgres.port


@pytest.fixture(scope="module")
def ldap_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    require("slapd", "slapadd")
    server = Slapd(opened(tmp_path_factory.mktemp("slapd")) / "server")
    server.make(
        {
            "login": f"u{number}@network.example".encode(),
            "homedir": f"home{number}".encode(),
            "uidnum": b"1000",
            "gidnum": b"1001",
        }
        for number in range(USERS)
    )
    with server:
        yield server.port


Make = Callable[[pytest.FixtureRequest, Path, bool], Site]


def _pymysql(request: pytest.FixtureRequest, etc: Path, clause: bool) -> Site:
    return Mysql(etc, request.getfixturevalue("mysql_port"), clause)


def _mysqlclient(request: pytest.FixtureRequest, etc: Path, clause: bool) -> Site:
    return Mysql(etc, request.getfixturevalue("mysql_port"), clause, "mysqlclient")


def _psycopg(request: pytest.FixtureRequest, etc: Path, clause: bool) -> Site:
    return Pgsql(etc, request.getfixturevalue("pgsql_port"), clause)


def _ldap(request: pytest.FixtureRequest, etc: Path, clause: bool) -> Site:
    return Ldap(etc, request.getfixturevalue("ldap_port"), clause)


def _needs(name: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(name) is None and not os.environ.get(REQUIRED)
    return pytest.mark.skipif(missing, reason=f"needs {name}; make setup installs it")


SITES = [
    pytest.param((_pymysql, False), id="pymysql"),
    pytest.param((_pymysql, True), id="pymysql-clause"),
    pytest.param((_mysqlclient, False), id="mysqlclient", marks=_needs("MySQLdb")),
    pytest.param((_mysqlclient, True), id="mysqlclient-clause", marks=_needs("MySQLdb")),
    pytest.param((_psycopg, False), id="psycopg", marks=_needs("psycopg")),
    pytest.param((_psycopg, True), id="psycopg-clause", marks=_needs("psycopg")),
    pytest.param((_ldap, False), id="ldap", marks=_needs("ldap")),
]


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    make, clause = request.param
    with make(request, tmp_path, clause).running() as made:
        yield made


Finding = Account | TemporaryFailure | None


def _is_right(finding: Finding, number: int) -> bool:
    """Tell whether a user got its account, and not a temporary failure; the account of another fails the test."""
    if isinstance(finding, TemporaryFailure):
        return False
    assert finding is not None
    assert finding.home == b"/var/mailbox/home%d" % number
    return True


def _user(number: int) -> tuple[bytes, bytes]:
    return b"imap", b"u%d@network.example" % number


def _find(site: Site, number: int) -> Finding:
    try:
        return site.module.find(*_user(number))
    except TemporaryFailure as failure:
        return failure


def _alone(site: Site, order: list[int]) -> int:
    """Look up users one by one; return how many got their account."""
    return sum(_is_right(_find(site, number), number) for number in order)


def _in_batches(site: Site, order: list[int]) -> int:
    """Look up users in batches of all sizes; return how many got their account."""
    right, size = 0, 1
    while order:
        some, order = order[:size], order[size:]
        findings = site.module.find_each([_user(number) for number in some])
        right += sum(map(_is_right, findings, some))
        size = size % 40 + 1
    return right


@pytest.mark.parametrize("mangle", [doubled, doubled_late])
def test_every_answer_twice(site: Site, mangle: Mangle) -> None:
    site.network.mangle = mangle
    order = list(range(USERS))
    right = 0
    for turn in range(site.rounds):
        random.Random(turn).shuffle(order)
        right += _alone(site, order) + _in_batches(site, order)
    assert site.network.changed > USERS
    # What comes twice is thrown away with its connection, and costs no request.
    assert right == 2 * site.rounds * USERS
    site.network.mangle = as_it_is
    assert _alone(site, order) == USERS


def test_an_answer_comes_again_in_front_of_the_next(site: Site) -> None:
    """A library may take the one for the answer, and throw the other away."""
    site.network.mangle = Repeating(b"/var/mailbox/")
    assert _alone(site, list(range(USERS))) == USERS
    site.network.mangle = as_it_is
    assert _alone(site, list(range(USERS))) == USERS


@pytest.mark.parametrize("mangle", [doubled, doubled_late])
def test_nobody_is_there_because_another_is(site: Site, mangle: Mangle) -> None:
    """An answer without rows is another's as well as one with rows."""
    site.network.mangle = mangle
    for number in range(100):
        assert _is_right(_find(site, number), number)
        assert site.module.find(b"imap", b"nobody%d@network.example" % number) is None


def test_the_rest_of_an_answer_does_not_come(site: Site) -> None:
    """The next one must not begin in the middle."""
    order = list(range(20))
    assert _alone(site, order) == 20
    for size in (1, 60):
        cut = 0

        def once(answer: bytes, size: int = size) -> tuple[bytes, bytes]:
            nonlocal cut
            cut += 1
            return (answer[:-size], answer[-size:]) if cut == 1 else (answer, b"")

        site.network.mangle = once
        _is_right(_find(site, 0), 0)
        assert _alone(site, order) == 20


def test_garbled_answers(site: Site) -> None:
    """Bytes that change on the way, such as a length, shift nothing into another's account."""
    state: dict[str, Any] = {}

    def garbled(answer: bytes) -> tuple[bytes, bytes]:
        at, byte = state["at"] % len(answer), state["byte"]
        return answer[:at] + bytes([byte]) + answer[at + 1 :], b""

    @settings(max_examples=30)
    @given(at=st.integers(0, 700), byte=st.integers(0, 255), number=st.integers(0, USERS - 2), batch=st.booleans())
    def check(at: int, byte: int, number: int, batch: bool) -> None:
        state.update(at=at, byte=byte)
        site.network.mangle = garbled
        numbers = [number, number + 1][: 1 + batch]
        for finding, asked in zip(site.module.find_each(list(map(_user, numbers))), numbers, strict=True):
            # What was changed may be the account's own; another's is not near enough to be got by one byte.
            if isinstance(finding, Account):
                others = {b"u%d@network.example" % other for other in range(USERS) if other != asked}
                assert finding.username not in others or _differs_by_one(finding.username, asked)
        site.network.mangle = as_it_is
        assert _is_right(_find(site, number), number)

    check()


def _differs_by_one(login: bytes | None, asked: int) -> bool:
    wanted = b"u%d@network.example" % asked
    return login is not None and len(login) == len(wanted) and sum(map(int.__ne__, login, wanted)) == 1


@pytest.mark.parametrize(
    "error", [AssertionError, IndexError, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit]
)
def test_any_exception_drops_the_connection(
    mysql_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    with Mysql(tmp_path, mysql_port, clause=False).running() as site:
        assert isinstance(site.module, AuthMysql)
        assert _is_right(_find(site, 1), 1)
        cursors = "pymysql.cursors.Cursor.fetchall"
        before = site.module._database._connection

        def broken(cursor: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(cursors, broken)
            with pytest.raises(TemporaryFailure if issubclass(error, Exception) else error):
                site.module.find(*_user(2))
        assert _is_right(_find(site, 3), 3)
        assert site.module._database._connection is not before
