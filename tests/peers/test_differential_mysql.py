"""authmysql: the real Courier and authd give the same bytes for the same requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.accounts import AUTHD_ROWS, COURIER_HASHES, INSERT, ODD_NAMES, ROWS
from tests.support.mariadb import MariaDB
from tests.support.pair import Pair, change_and_look, crumbs, halves, whole
from tests.support.requests import GOOD, hand_made
from tests.support.sysconf import write_authdaemonrc
from tests.support.wire import auth, exchange, login, passwd, pre

REQUESTS = hand_made()

SURPLUS_FIELDS = auth(b"imap\nlogin\n" + GOOD + b"\nextmail\nextra\n")


def test_there_are_enough_requests_by_hand() -> None:
    assert len(REQUESTS) >= 400


@pytest.mark.parametrize("feed", [whole, halves, crumbs])
def test_replies_are_the_same(pair: Pair, feed: object) -> None:
    assert callable(feed)
    different = []
    for request in REQUESTS:
        courier, authd = pair.ask(*feed(request))
        if courier != authd:
            different.append((request[:200], courier, authd))
    assert different == []


@pytest.mark.parametrize(
    "defaults",
    [
        "disableimap=1",
        "a=1",
        "a=1,b=2",
        "a",
        "e=5",
        " e=5",
        "=z",
        "d=9,d=8",
        ",a=7,,q",
        "wbnodsn=0,disablepop3=0",
        "A=1",
        "a =1",
    ],
)
def test_default_options_are_merged_the_same(pair: Pair, defaults: str) -> None:
    pair.stop()
    write_authdaemonrc(pair.etc, pair.authd.run, DEFAULTOPTIONS=defaults)
    pair.start()
    try:
        for user in (
            "options@example.org",
            "option@example.org",
            "nulls@example.org",
            "postmaster@extmail.org",
            "nobody",
        ):
            courier, authd = pair.ask(pre(user))
            assert authd == courier
        courier, authd = pair.ask(b"ENUMERATE\n")
        assert authd == courier
    finally:
        pair.stop()
        write_authdaemonrc(pair.etc, pair.authd.run)
        pair.start()


def _reset(server: MariaDB, user: str) -> None:
    original = next(row for row in ROWS if row[0] == user)
    with server.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE mailbox SET password=%s, clearpwd=%s WHERE username=%s", (*original[1:3], user))


KEPT_BY_COURIER = (
    "md5crypt",
    "md5",
    "md5-lower",
    "md5raw",
    "sha",
    "sha256",
    "sha512",
    "ssha",
    "ssha-mixed",
    "des",
    "crypt-des",
)


def _changes() -> Iterator[tuple[str, str, str]]:
    for name in KEPT_BY_COURIER:
        yield f"{name}@hash.example", "secret", "new one"
    for new in ("new", "n'ew", 'n"ew', "n\\ew", "n%sew", "$(domain)", "näw", "n\x7few", "  ", "x" * 200):
        yield "user@example.org", "secret", new
    yield "both@example.org", "extmail", "changed"
    yield "quotes@example.org", 'it\'s "quoted" \\ %s', "plain"
    for name in ODD_NAMES:
        if "\t" not in name:
            yield name, "secret", "changed"
    yield "user@example.org", "wrong", "new"
    yield "user@example.org", "secret", "x" * 300
    yield "nobody@example.org", "a", "b"


@pytest.mark.parametrize(("user", "old", "new"), list(_changes()))
def test_password_changes_are_the_same(pair: Pair, extmail: MariaDB, user: str, old: str, new: str) -> None:
    known = any(row[0] == user for row in ROWS)
    results = []
    for socket in (pair.courier.socket, pair.authd.socket):
        if known:
            _reset(extmail, user)
        results.append(change_and_look(socket, user, old, new))
    if known:
        _reset(extmail, user)
    assert results[1] == results[0]


def test_every_hash_of_courier_opens(pair: Pair) -> None:
    for name in COURIER_HASHES:
        assert exchange(pair.authd.socket, login(f"{name}@hash.example", "secret")).endswith(b"\n.\n"), name


# What Hypothesis makes: pieces of requests, put together as clients would and as they should not.

_users = st.one_of(
    st.sampled_from([row[0].encode() for row in ROWS if row[0]]),
    st.binary(max_size=40).map(lambda value: value.replace(b"\n", b"")),
    st.text(max_size=20).map(lambda value: value.encode("utf-8", "ignore").replace(b"\n", b"")),
)
_services = st.one_of(st.sampled_from([b"imap", b"pop3", b"courier", b""]), st.binary(max_size=10))
_passwords = st.one_of(st.sampled_from([b"secret", b"extmail", b"first", b"clear", b""]), st.binary(max_size=30))
_blanks = st.sampled_from([b" ", b"  ", b"", b"\t", b"   "])
_lookup = st.builds(
    lambda a, b, c, m, s, u: b"PRE" + a + m + b + s + c + u + b"\n",
    _blanks,
    _blanks,
    _blanks,
    st.sampled_from([b".", b"authmysql", b"authfoo", b""]),
    _services,
    _users,
)
_body = st.builds(
    lambda s, t, fields: b"\n".join([s, t, *fields]),
    _services,
    st.sampled_from([b"login", b"login", b"login", b"cram-md5", b"cram-sha1", b"plain", b""]),
    st.lists(st.one_of(_users, _passwords), max_size=2),
)
_login = st.builds(
    lambda body, off, end: b"AUTH %d\n" % (len(body) + off) + body + end,
    _body,
    st.sampled_from([0, 0, 0, 0, 1, -1, 3]),
    st.sampled_from([b"", b"\n", b"x", b"\n\n"]),
)
# The old password is never the right one, so that nothing changes between the two daemons' turns.
_passwd = st.builds(
    lambda s, u, o, n, t: b"PASSWD " + b"\t".join([s, u, b"!" + o, n]) + t + b"\n",
    _services,
    _users,
    _passwords,
    _passwords,
    st.sampled_from([b"", b"\t", b"\textra", b"\r"]),
)
_metadata = st.lists(
    st.one_of(st.sampled_from([b"TCPREMOTEIP=192.0.2.1\n", b"A=B\n", b"=\n"]), st.binary(max_size=20)), max_size=2
).map(b"".join)
_requests = st.builds(
    lambda metadata, request: metadata + request,
    _metadata,
    st.one_of(_lookup, _login, _login, _passwd, st.binary(max_size=60)),
)


def _has_surplus_fields(request: bytes) -> bool:
    """Tell whether a login has more fields than it needs, which authd alone refuses."""
    _, found, body = request.partition(b"\nlogin\n")
    return bool(found) and sum(1 for field in body.partition(b"\0")[0].split(b"\n") if field) > 2


@settings(max_examples=1500, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(request=_requests, cut=st.integers(0, 80))
def test_made_up_requests_are_answered_the_same(pair: Pair, request: bytes, cut: int) -> None:
    if _has_surplus_fields(request):
        return
    courier, authd = pair.ask(request[:cut], request[cut:])
    assert authd == courier


def test_a_newline_in_a_login_is_refused(pair: Pair) -> None:
    """Deliberate difference: surplus fields."""
    courier, authd = pair.ask(SURPLUS_FIELDS)
    assert courier.startswith(b"UID=1000\n")
    assert authd == b"FAIL\n"


def test_more_hashes_open(pair: Pair, extmail: MariaDB) -> None:
    """Deliberate difference: forms that Courier rejects."""
    with extmail.connect(database="extmail") as connection, connection.cursor() as cursor:
        cursor.executemany(INSERT, AUTHD_ROWS)
    for user, *_ in AUTHD_ROWS:
        courier, authd = pair.ask(login(user, "secret"))
        assert courier == b"FAIL\n", user
        assert authd.endswith(b"\n.\n"), user


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("bcrypt", b"$2b$04$"),
        ("sha256crypt", b"$5$rounds=1000$"),
        ("sha512crypt", b"$6$rounds=1000$"),
        ("yescrypt", b"$y$"),
        ("crypt-md5", b"{CRYPT}$1$"),
        ("crypt-sha512-lower", b"{CRYPT}$6$"),
    ],
)
def test_a_changed_password_keeps_a_modern_scheme(pair: Pair, extmail: MariaDB, name: str, kept: bytes) -> None:
    """Deliberate difference: Courier goes back to ``{SSHA}``."""
    user = f"{name}@hash.example"
    for socket, start in ((pair.courier.socket, b"{SSHA}"), (pair.authd.socket, kept)):
        _reset(extmail, user)
        assert exchange(socket, passwd("imap", user, "secret", "new")) == b"OK\n"
        assert b"\nPASSWD=" + start in exchange(socket, pre(user))
        assert exchange(socket, login(user, "new")).endswith(b"\n.\n")
    _reset(extmail, user)
