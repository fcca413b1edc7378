"""authpgsql: the real Courier and authd give the same bytes for the same requests."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.conftest import opened, require
from tests.support.accounts import ROWS, fill_postgres
from tests.support.courier import DAEMON
from tests.support.pair import Pair, change_and_look, crumbs, whole
from tests.support.postgres import Postgres
from tests.support.requests import hand_made
from tests.support.sysconf import changed, edit, pgsqlrc, write_authdaemonrc
from tests.support.wire import exchange, login, passwd, pre


@pytest.fixture(scope="module")
def pair(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON)
    fill_postgres(postgres)
    root = opened(tmp_path_factory.mktemp("pair"))
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", "authpgsql")
    (etc / "authpgsqlrc").write_text(pgsqlrc(postgres.port))
    with Pair(root, etc, root / "authd") as both:
        yield both


@pytest.fixture
def rc(pair: Pair, postgres: Postgres) -> Iterator[str]:
    """The usual authpgsqlrc, which is put back afterwards."""
    content = pgsqlrc(postgres.port)
    yield content
    edit(pair.etc / "authpgsqlrc", content)


def _changes_something(request: bytes) -> bool:
    """Tell whether a password change succeeds, since accounts may lack an id or a home here."""
    return request.startswith(b"PASSWD") and any(name in request for name in (b"nouid@", b"nogid@", b"nullhome@"))


@pytest.mark.parametrize("feed", [whole, crumbs])
def test_replies_are_the_same(pair: Pair, feed: object) -> None:
    assert callable(feed)
    different = []
    for request in hand_made():
        if not _changes_something(request):
            courier, authd = pair.ask(*feed(request))
            if courier != authd:
                different.append((request[:200], courier, authd))
    assert different == []


NUMBERS = (
    "0",
    "-1",
    "7 ",
    " 5",
    "\t5",
    "",
    "007",
    "-0",
    "1 x",
    "0x10",
    "4294967295",
    "4294967296",
    "-4294967295",
    "-4294967296",
)


@pytest.mark.parametrize("number", NUMBERS)
def test_ids_are_read_the_same(pair: Pair, postgres: Postgres, number: str) -> None:
    for column in ("uidnumber", "gidnumber"):
        postgres.execute(f"UPDATE mailbox SET {column} = '{number}' WHERE username = 'dot.@example.org'")
        for request in (pre("dot.@example.org"), login("dot.@example.org", "secret"), b"ENUMERATE\n"):
            courier, authd = pair.ask(request)
            assert authd == courier
        postgres.execute(f"UPDATE mailbox SET {column} = '1000' WHERE username = 'dot.@example.org'")


SELECT = "SELECT {} FROM mailbox WHERE username = '$(local_part)@$(domain)' AND '$(service)' <> 'x'"
BY_PARTS = SELECT.format("username,password,clearpwd,uidnumber,gidnumber,homedir")
LITERALS = {
    "escapes": "E'it\\'s\\x2c\\101\\n\\u00e4$(service)' = U&'it''s,A\\000a\\00e4$(service)'",
    "escapes alone": "E'\\t\\'' <> E'\\\\' AND '\\' <> '$(domain)'",
    "unicode": "U&'\\0075$(domain)' = 'u$(domain)' AND U&'d!0061ta' UESCAPE '!' = 'data'",
    "dollars": "$$it's $(service)$$ = 'it''s $(service)' AND $t$ $$ ' $t$ = ' $$ '' '",
    "tagged": "$q$x$(service)$q$ <> 'y' AND $q$--$q$ = '--'",
    "national": "N'$(service)  ' = '$(service)'",
    "hexadecimal": "X'1f' = B'00011111' AND '$(service)' <> ''",
    "casts": "'$(service)'::text <> 'x'::varchar AND '1'::int = 1 AND $$1$$::int = 1",
    "cast of a made one": "('2020-01-0' || '1')::date = '2020-01-01' AND '$(service)x'::varchar(2) <> 'x'",
    "any type": "concat('$(service)', '@') <> concat('', '$(domain)x') AND '$(service)' IS NOT NULL",
    "postfix null tests": "'$(service)' NOTNULL AND NOT '$(domain)' ISNULL",
    "halves of a character": "E'\\uD83D\\uDE00$(service)' = U&'\\D83D\\DE00$(service)'",
    "formatted": "format('%s-%s', '$(service)', 'x$(domain)') LIKE '%-x%' AND count_of('$(domain)')",
    "case": "CASE '$(service)' WHEN 'imap' THEN true ELSE false END",
    "insensitive": "label = 'ANN@$(service)'",
    "padded": "padded = '$(service) '",
    "chosen": "chosen = '$(service)'",
    "number": "number = '1$(service)'",
    "no blanks": "'$(service)'LIKE'%'AND'x$(service)'LIKE'x%'",
    "nested comment": "/* it's /* '$(domain)' */ $(domain) */ true",
    "comment": "true -- it's $(domain)",
    "comment without a blank": "true --it's $(domain)",
    "hash": "1 # 2 = 3 AND '$(service)' <> ''",
    "marks of drivers": "'%s :x ? %(domain)s' <> '$(service)' AND 7 % 2 = 1 AND '{\"a\":1}'::jsonb ? 'a'",
    "backslash": "'\\$(domain)' LIKE '\\\\%'",
}
SETTINGS: dict[str, dict[str, str | None]] = {
    "no domain": {"DEFAULT_DOMAIN": None},
    "where": {"PGSQL_WHERE_CLAUSE": "options = '' AND name LIKE 'Some%'"},
    "literals": {"PGSQL_UID_FIELD": "2525", "PGSQL_GID_FIELD": "'2526'", "PGSQL_QUOTA_FIELD": "NULL"},
    "integers": {"PGSQL_UID_FIELD": "CASE WHEN uidnumber = '1000' THEN 1000 ELSE 7 END"},
    "clear only": {"PGSQL_CRYPT_PWFIELD": None},
    "crypt only": {"PGSQL_CLEAR_PWFIELD": None},
    "no options": {"PGSQL_AUXOPTIONS_FIELD": None, "PGSQL_NAME_FIELD": None, "PGSQL_QUOTA_FIELD": None},
    "no maildir": {"PGSQL_MAILDIR_FIELD": None, "PGSQL_DEFAULTDELIVERY": None},
    "latin1": {"PGSQL_CHARACTER_SET": "LATIN1"},
    "unknown character set": {"PGSQL_CHARACTER_SET": "FOO"},
    "empty character set": {"PGSQL_CHARACTER_SET": ""},
    "select": {
        "PGSQL_SELECT_CLAUSE": SELECT.format(
            "username,password,clearpwd,uidnumber,gidnumber,homedir,maildir,quota,name,options"
        )
    },
    "select six columns": {
        "PGSQL_SELECT_CLAUSE": SELECT.format("username,password,clearpwd,uidnumber,gidnumber,homedir")
    },
    "select five columns": {"PGSQL_SELECT_CLAUSE": SELECT.format("username,password,clearpwd,uidnumber,gidnumber")},
    "select with a percent sign": {
        "PGSQL_SELECT_CLAUSE": SELECT.format("username,password,clearpwd,1,2,homedir") + " AND name LIKE 'S%'"
    },
    "select by number and text": {
        "PGSQL_SELECT_CLAUSE": "SELECT username,password,clearpwd,1,2,homedir FROM mailbox "
        "WHERE username = '$(local_part)' || '@' || '$(domain)' AND length('$(local_part)') > 1"
    },
    "no such column": {"PGSQL_HOME_FIELD": "nosuch"},
    "no such table": {"PGSQL_USER_TABLE": "nosuch"},
    "by parts": {"PGSQL_SELECT_CLAUSE": "SELECT '$(local_part)','','secret',1,2,'/home/$(domain)'"},
    "chatty": {"PGSQL_SELECT_CLAUSE": "SELECT '$(local_part)','','secret',1,2,'/h','','','$(service)' -- '$(domain)"},
}


@pytest.fixture(scope="module", autouse=True)
def _typed(postgres: Postgres, pair: Pair) -> None:
    """Columns of types that a literal takes and an expression does not."""
    postgres.execute(
        "CREATE EXTENSION citext",
        "CREATE TYPE choice AS ENUM ('imap', 'pop3')",
        "ALTER TABLE mailbox ADD label citext DEFAULT 'ann@imap', ADD padded char(9) DEFAULT 'imap', "
        "ADD chosen choice DEFAULT 'imap', ADD number varchar(9) DEFAULT '1imap'",
        "CREATE FUNCTION count_of(text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
    )


@pytest.mark.parametrize("name", LITERALS)
def test_literals_find_the_same(pair: Pair, rc: str, name: str) -> None:
    edit(pair.etc / "authpgsqlrc", changed(rc, PGSQL_SELECT_CLAUSE=f"{BY_PARTS} AND {LITERALS[name]}"))
    for user in ("user@example.org", "it's@example.org", "back\\slash@example.org", "umläut@example.org", "nobody"):
        courier, authd = pair.ask(pre(user))
        assert authd == courier, user
    assert exchange(pair.authd.socket, pre("user@example.org")).startswith(b"UID=")


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_mean_the_same(pair: Pair, rc: str, settings: dict[str, str | None]) -> None:
    edit(pair.etc / "authpgsqlrc", changed(rc, **settings))
    for request in (
        pre("user@example.org"),
        pre("user"),
        pre("it's@example.org"),
        pre("back\\slash@example.org"),
        pre("umläut@example.org"),
        pre("umläut@example.org".encode("latin1")),
        pre("eightbit@example.org"),
        pre("nulls@example.org"),
        pre("nobody"),
        pre("postmaster@extmail.org", "courier"),
        login("user@example.org", "secret"),
        login("both@example.org", "extmail"),
        login("both@example.org", "clear"),
        pre("twice@example.org"),
        login("nohome@example.org", "secret"),
    ):
        courier, authd = pair.ask(request)
        assert authd == courier, request


@pytest.mark.parametrize(
    "clause",
    [
        None,
        "SELECT username,uidnumber,gidnumber,homedir,maildir,options FROM mailbox WHERE username LIKE 'n%'",
        "SELECT username,uidnumber,gidnumber,homedir,maildir FROM mailbox WHERE username LIKE 'n%'",
        "SELECT username,uidnumber,gidnumber FROM mailbox WHERE username LIKE 'n%'",
    ],
)
def test_enumerations_list_the_same(pair: Pair, rc: str, clause: str | None) -> None:
    edit(pair.etc / "authpgsqlrc", changed(rc, PGSQL_ENUMERATE_CLAUSE=clause))
    courier, authd = pair.ask(b"ENUMERATE\n")
    assert authd == courier


CHANGE = (
    "UPDATE mailbox SET clearpwd='$(newpass)', password='$(newpass_crypt)' WHERE username='$(local_part)@$(domain)'"
    " AND '$(service)'=''"
)


@pytest.mark.parametrize("clause", [None, CHANGE])
@pytest.mark.parametrize(
    ("user", "old", "new"),
    [
        ("user@example.org", "secret", "n'ew"),
        ("user@example.org", "secret", "n\\ew%s"),
        ("md5crypt@hash.example", "secret", "new"),
        ("sha@hash.example", "secret", "new"),
        ("user@example.org", "wrong", "new"),
        ("nobody@example.org", "a", "b"),
    ],
)
def test_password_changes_are_the_same(
    pair: Pair, rc: str, postgres: Postgres, clause: str | None, user: str, old: str, new: str
) -> None:
    edit(pair.etc / "authpgsqlrc", changed(rc, PGSQL_CHPASS_CLAUSE=clause))
    results = []
    for socket in (pair.courier.socket, pair.authd.socket):
        results.append(change_and_look(socket, user, old, new))
        original = next((row for row in ROWS if row[0] == user), (user, None, None))
        with postgres.connect() as connection:
            connection.execute("UPDATE mailbox SET password=%s, clearpwd=%s WHERE username=%s", (*original[1:3], user))
    assert results[1] == results[0]


def test_the_older_settings_of_the_connection_work(pair: Pair, rc: str, postgres: Postgres) -> None:
    """Courier 0.71 knows the connection string alone; builds before it had these."""
    settings = {"HOST": "127.0.0.1", "PORT": str(postgres.port), "USERNAME": "extmail", "PASSWORD": "extmail"}
    content = changed(rc.replace("\\\n", " "), PGSQL_CONNECTION=None)
    edit(pair.etc / "authpgsqlrc", changed(content, **{f"PGSQL_{name}": value for name, value in settings.items()}))
    assert exchange(pair.authd.socket, login("user@example.org", "secret")).endswith(b"\n.\n")
    assert f"{pair.etc}/authpgsqlrc was edited and is in force" in pair.authd.logged()


class TestDeliberateDifferences:
    """Each of these is explained in docs/compatibility.md."""

    @pytest.mark.parametrize(
        "condition",
        [
            *(
                "X'$(domain)' = B'1'",
                "B'$(domain)' = B'1'",
                "date '$(domain)' > now()",
                '"$(domain)" = 1',
                "$1 = '$(domain)'",
            ),
            *(
                "U&'d!0061$(domain)' UESCAPE '!' <> ''",
                "$t$ $(domain)",
                "E'$(domain)\\'",
                "true /* /* */ $(domain)",
                "N'$(domain",
            ),
        ],
    )
    def test_what_can_not_be_bound_is_refused(self, pair: Pair, rc: str, condition: str) -> None:
        before = exchange(pair.authd.socket, pre("user@example.org"))
        logged = len(pair.authd.logged())
        clause = SELECT.format("username,password,clearpwd,1,2,homedir") + f" AND {condition}"
        edit(pair.etc / "authpgsqlrc", changed(rc, PGSQL_SELECT_CLAUSE=clause))
        assert exchange(pair.authd.socket, pre("user@example.org")) == before
        assert re.search(r"authpgsqlrc:\d+: PGSQL_SELECT_CLAUSE: .*; .*stay in force", pair.authd.logged()[logged:])

    @pytest.mark.parametrize("name", ["PGSQL_WHERE_CLAUSE", "PGSQL_QUOTA_FIELD", "PGSQL_DEFAULTDELIVERY"])
    def test_no_value_of_ours_becomes_a_setting_s_parameter(self, pair: Pair, rc: str, name: str) -> None:
        before = exchange(pair.authd.socket, pre("user@example.org"))
        logged = len(pair.authd.logged())
        edit(pair.etc / "authpgsqlrc", changed(rc, **{name: "$1 <> 'x'"}))
        assert exchange(pair.authd.socket, pre("user@example.org")) == before
        assert f"{name}: $ stands for a parameter" in pair.authd.logged()[logged:]

    def test_values_stay_what_they_are_in_literals_with_escapes(self, pair: Pair, rc: str) -> None:
        """Courier pastes a value there that the server then unescapes, or that ends the literal."""
        columns = "username,password,clearpwd,uidnumber,gidnumber,homedir"
        clause = f"SELECT {columns} FROM mailbox WHERE username = E'$(local_part)@$(domain)'"
        edit(pair.etc / "authpgsqlrc", changed(rc, PGSQL_SELECT_CLAUSE=clause))
        courier, authd = pair.ask(pre("back\\slash@example.org"))
        assert courier == b"FAIL\n"
        assert authd.startswith(b"UID=")
        clause = f"SELECT {columns} FROM mailbox WHERE username = $$$(local_part)@$(domain)$$"
        edit(pair.etc / "authpgsqlrc", changed(rc, PGSQL_SELECT_CLAUSE=clause))
        courier, authd = pair.ask(pre("it's@example.org"))
        assert courier == b"FAIL\n"
        assert authd.startswith(b"UID=")
        courier, authd = pair.ask(pre("$$ OR $$a$$=$$a@$$"))
        assert authd == b"FAIL\n"

    def test_services_are_bound(self, pair: Pair, rc: str) -> None:
        """Courier pastes the service into the clause as it is."""
        clause = SELECT.format("username,password,clearpwd,uidnumber,gidnumber,homedir")
        edit(pair.etc / "authpgsqlrc", changed(rc, PGSQL_SELECT_CLAUSE=clause))
        courier, authd = pair.ask(pre("user@example.org", "it's"))
        assert courier == b""
        assert authd.endswith(b"\n.\n")

    def test_change_clauses_are_bound(self, pair: Pair, rc: str) -> None:
        """Courier pastes the login into this clause as it is."""
        edit(pair.etc / "authpgsqlrc", changed(rc, PGSQL_CHPASS_CLAUSE=CHANGE))
        for socket, expected in ((pair.courier.socket, b"FAIL\n"), (pair.authd.socket, b"OK\n")):
            assert exchange(socket, passwd("imap", "it's@example.org", "secret", "secret")) == expected

    def test_a_failing_enumeration_is_not_finished(self, pair: Pair, rc: str) -> None:
        edit(pair.etc / "authpgsqlrc", changed(rc, PGSQL_ENUMERATE_CLAUSE="SELECT nosuch FROM mailbox"))
        courier, authd = pair.ask(b"ENUMERATE\n")
        assert courier == b"# authpgsql\n\n.\n"
        assert authd == b"# authpgsql\n\n"

    def test_a_change_that_matched_nothing_is_no_success(self, pair: Pair, rc: str) -> None:
        edit(pair.etc / "authpgsqlrc", changed(rc, PGSQL_CHPASS_CLAUSE=CHANGE + " AND 1=0"))
        courier, authd = pair.ask(passwd("imap", "user@example.org", "secret", "new"))
        assert (courier, authd) == (b"OK\n", b"FAIL\n")
