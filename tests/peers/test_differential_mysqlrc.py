"""authmysqlrc: both daemons make the same of every way to write it, and pick up every edit.

The files are edited under the running daemons, so that each case also shows that an edit needs no restart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.conftest import opened, require
from tests.support.courier import DAEMON
from tests.support.mariadb import MariaDB
from tests.support.pair import Pair
from tests.support.sysconf import changed, edit, mysqlrc, write_authdaemonrc
from tests.support.wire import exchange, login, passwd, pre

USER = "user@example.org"
LOOKUP = pre(USER)
COLUMNS = "username,password,clearpwd,uidnumber,gidnumber,homedir,maildir,quota,name,options"
SELECT = f"SELECT {COLUMNS} FROM mailbox WHERE username="
BY_PARTS = f"{SELECT}'$(local_part)@$(domain)'"
LIST = "SELECT username,uidnumber,gidnumber,homedir,maildir,options FROM mailbox WHERE username LIKE 'n%' ORDER BY username"
ENUMERATE = b"ENUMERATE\n"

ODD_USERS = (
    USER,
    "user",
    "it's@example.org",
    "back\\slash@example.org",
    'double"quote@example.org',
    "a@b@example.org",
    "$(domain)@example.org",
    "$(local_part)",
    "nobody@example.org",
    "@",
    "user@",
    "@default.example",
    "per%cent%s@example.org",
    "umläut@example.org",
    "' OR ''='",
)


def _inserted(text: str) -> dict[str, str]:
    """Return the settings that put `text` into the file in place of the quota's line."""
    return {"MYSQL_QUOTA_FIELD": f"''\n{text}\n#"}


SYNTAX: dict[str, dict[str, str | None]] = {
    "first of two": {"MYSQL_QUOTA_FIELD": "'a'\nMYSQL_QUOTA_FIELD 'b'"},
    "continued": {"MYSQL_QUOTA_FIELD": "concat('a', \\\n   'b')   "},
    "continued after blanks": {"MYSQL_QUOTA_FIELD": "concat('a', \\   \n   'b')"},
    "continued within a literal": {"MYSQL_QUOTA_FIELD": "'a  \\\n   b'"},
    "continued without a blank": {"MYSQL_QUOTA_FIELD": "'a\\\nb'"},
    "continued twice": {"MYSQL_QUOTA_FIELD": "concat('a', \\\n 'b', \\\n 'c')"},
    "continued over an empty line": {"MYSQL_QUOTA_FIELD": "concat('a', \\\n\n 'b')"},
    "continued remark": {"MYSQL_QUOTA_FIELD": None, "#": "remark \\\nMYSQL_QUOTA_FIELD 'q'"},
    "indented": {"MYSQL_QUOTA_FIELD": None, "  \t MYSQL_QUOTA_FIELD\t\t ": "'l'  \t"},
    "indented remark": {"MYSQL_QUOTA_FIELD": None, "   # MYSQL_QUOTA_FIELD": "'x'"},
    "lower case": {"MYSQL_QUOTA_FIELD": None, "mysql_quota_field": "'x'"},
    "equals sign": {"MYSQL_QUOTA_FIELD": None, "MYSQL_QUOTA_FIELD='x'": ""},
    "longer name": {"MYSQL_QUOTA_FIELD": None, "MYSQL_QUOTA_FIELDX": "'x'"},
    "carriage return": {"MYSQL_QUOTA_FIELD": "'x'\r"},
    "behind the marker": {"MYSQL_QUOTA_FIELD": None, "##NAME: MARKER:0\nMYSQL_QUOTA_FIELD": "'x'"},
    "hash in a literal": {"MYSQL_QUOTA_FIELD": "'a#b'"},
    "eight bits": {"MYSQL_QUOTA_FIELD": "'ä'"},
    "percent": {"MYSQL_QUOTA_FIELD": "'100%s %(x)s %%'"},
    "colon": {"MYSQL_QUOTA_FIELD": "':user :x ::y'"},
    "question mark": {"MYSQL_QUOTA_FIELD": "'? ?'"},
    "port with a remark": {"MYSQL_PORT": "0(the port)"},
    "port with a remark behind a blank": {"MYSQL_PORT": "0 (the port)"},
    "no server but a socket": {"MYSQL_SERVER": None},
}

FIELDS: dict[str, dict[str, str | None]] = {
    "literal ids": {"MYSQL_UID_FIELD": "2525", "MYSQL_GID_FIELD": "2525"},
    "uid 0": {"MYSQL_UID_FIELD": "0"},
    "gid empty": {"MYSQL_GID_FIELD": "''"},
    "home empty": {"MYSQL_HOME_FIELD": "''"},
    "home null": {"MYSQL_HOME_FIELD": "NULL"},
    "numbers": {"MYSQL_NAME_FIELD": "1.50", "MYSQL_QUOTA_FIELD": "1e3", "MYSQL_AUXOPTIONS_FIELD": "date('2020-01-02')"},
    "blobs": {"MYSQL_NAME_FIELD": "x'00ff41'", "MYSQL_QUOTA_FIELD": "cast('q' as binary)"},
    "only crypt": {"MYSQL_CLEAR_PWFIELD": None},
    "only clear": {"MYSQL_CRYPT_PWFIELD": None},
    "no optional ones": {
        "MYSQL_NAME_FIELD": None,
        "MYSQL_MAILDIR_FIELD": None,
        "MYSQL_QUOTA_FIELD": None,
        "MYSQL_AUXOPTIONS_FIELD": None,
        "MYSQL_DEFAULTDELIVERY_FIELD": None,
    },
    "where": {"MYSQL_WHERE_CLAUSE": "uidnumber='1000'"},
    "where nobody": {"MYSQL_WHERE_CLAUSE": "uidnumber='5'"},
    "where with or": {"MYSQL_WHERE_CLAUSE": "uidnumber='5' OR 1"},
    "no default domain": {"DEFAULT_DOMAIN": None},
    "default domain empty": {"DEFAULT_DOMAIN": ""},
    "default domain under another name": {"DEFAULT_DOMAIN": None, "MYSQL_DEFAULT_DOMAIN": "default.example"},
    "delivery under another name": {"MYSQL_DEFAULTDELIVERY_FIELD": None, "MYSQL_DEFAULTDELIVERY": "delivery"},
    "unknown column": {"MYSQL_QUOTA_FIELD": "nosuch"},
    "unknown table": {"MYSQL_USER_TABLE": "nosuch"},
    "aggregated options": {"MYSQL_AUXOPTIONS_FIELD": 'CONCAT("disableimap=",uidnumber,",x=",\'y\')'},
    "latin1": {"MYSQL_CHARACTER_SET": "latin1"},
    "gbk": {"MYSQL_CHARACTER_SET": "gbk"},
    "unknown character set": {"MYSQL_CHARACTER_SET": "nosuch"},
}

CLAUSES: dict[str, dict[str, str | None]] = {
    "by parts": {"MYSQL_SELECT_CLAUSE": BY_PARTS},
    "by parts without a default domain": {"MYSQL_SELECT_CLAUSE": BY_PARTS, "DEFAULT_DOMAIN": None},
    "bare": {"MYSQL_SELECT_CLAUSE": f"{SELECT}concat('$(local_part)','@',\"$(domain)\") and '$(service)'='imap'"},
    "within": {
        "MYSQL_SELECT_CLAUSE": f"{SELECT}substr('x$(local_part)@$(domain)y', 2, "
        "char_length('$(local_part)$(domain)')+1)"
    },
    "like": {
        "MYSQL_SELECT_CLAUSE": f"SELECT {COLUMNS} FROM mailbox WHERE username LIKE 'use_@%' "
        "AND username='$(local_part)@$(domain)'"
    },
    "unknown variable": {"MYSQL_SELECT_CLAUSE": f"{SELECT}'$(local_part)@$(domain)$(foo)'"},
    "capital variable": {"MYSQL_SELECT_CLAUSE": f"{SELECT}'$(LOCAL_PART)@$(domain)'"},
    "variable with blanks": {"MYSQL_SELECT_CLAUSE": f"{SELECT}'$( local_part )@$(domain)'"},
    "variable of another clause": {"MYSQL_SELECT_CLAUSE": f"{SELECT}'$(local_part)@$(domain)$(newpass)'"},
    "dollars": {
        "MYSQL_SELECT_CLAUSE": f"{SELECT}'$(local_part)@$(domain)' AND '$'='$' AND '$$(domain)'=concat('$','$(domain)')"
    },
    "escaped quotes": {
        "MYSQL_SELECT_CLAUSE": f"{SELECT}'$(local_part)@$(domain)' AND 'it''s\\'$(service)'='it''s\\'imap'"
    },
    "escaped dollar": {"MYSQL_SELECT_CLAUSE": f"{SELECT}'$(local_part)@$(domain)' AND '\\\\$(service)'='\\\\imap'"},
    "double quotes": {
        "MYSQL_SELECT_CLAUSE": f'{SELECT}"$(local_part)@$(domain)" AND "it\'s ""$(service)"="it\'s ""imap"'
    },
    "comment": {"MYSQL_SELECT_CLAUSE": f"{SELECT}'$(local_part)@$(domain)' /* it's for $(domain) */ AND 1"},
    "trailing comment": {"MYSQL_SELECT_CLAUSE": f"{SELECT}'$(local_part)@$(domain)' -- it's for $(domain)"},
    "introducer": {"MYSQL_SELECT_CLAUSE": f"{SELECT}_utf8mb4'$(local_part)@$(domain)'"},
    "introducer and a blank": {
        "MYSQL_SELECT_CLAUSE": f"{SELECT}_utf8mb4 '$(local_part)@$(domain)' AND _latin1'$(service)'='imap'"
    },
    "introducer of bytes": {"MYSQL_SELECT_CLAUSE": f"{BY_PARTS} AND _binary'$(service)' <> 'IMAP'"},
    "literals that follow each other": {
        "MYSQL_SELECT_CLAUSE": f"{SELECT}'$(local_part)' '@' \"$(domain)\" '' AND 'a' '$(service)'='aimap'"
    },
    "hexadecimal": {"MYSQL_SELECT_CLAUSE": f"{BY_PARTS} AND X'696d6170'='$(service)' AND b'1'=1 AND 0x31='1'"},
    "no blanks": {"MYSQL_SELECT_CLAUSE": f"{BY_PARTS}AND'$(service)'LIKE'imap'AND'x$(service)'LIKE'%imap'"},
    "comment that is run": {
        "MYSQL_SELECT_CLAUSE": f"{SELECT}'$(local_part)@$(domain)' /*!40000 AND '$(service)'='imap' */"
    },
    "comment that MariaDB runs": {"MYSQL_SELECT_CLAUSE": f"{BY_PARTS} /*M!50000 AND 'x$(service)'='xpop3' */"},
    "comment that is not run": {"MYSQL_SELECT_CLAUSE": f"{BY_PARTS} /*!990000 AND '$(service)'='nosuch' */"},
    "hint": {"MYSQL_SELECT_CLAUSE": BY_PARTS.replace("SELECT", "SELECT /*+ NO_ICP(`mailbox`) '$(domain)' */", 1)},
    "comment with another's beginning": {"MYSQL_SELECT_CLAUSE": f"{BY_PARTS} /* /* '$(domain)' */ AND 1"},
    "comment of a hash": {"MYSQL_SELECT_CLAUSE": f"{BY_PARTS} # it's '$(domain)"},
    "two minus signs": {"MYSQL_SELECT_CLAUSE": f"{BY_PARTS} AND 1--1=2"},
    "comment marks in literals": {"MYSQL_SELECT_CLAUSE": f"{BY_PARTS} AND '-- $(domain)' <> '/* # */'"},
    "typed": {"MYSQL_SELECT_CLAUSE": f"{BY_PARTS} AND DATE'2020-01-02' < DATE '2020-01-03'"},
    "marks of drivers": {
        "MYSQL_SELECT_CLAUSE": f"{BY_PARTS} AND '%s :x ? %(domain)s $1' <> '$(service)' AND 7 % 2 = 1"
    },
    "six columns": {
        "MYSQL_SELECT_CLAUSE": "SELECT username,password,clearpwd,uidnumber,gidnumber,homedir FROM mailbox "
        "WHERE username='$(local_part)@$(domain)'"
    },
    "five columns": {
        "MYSQL_SELECT_CLAUSE": "SELECT username,password,clearpwd,uidnumber,gidnumber FROM mailbox "
        "WHERE username='$(local_part)@$(domain)'"
    },
    "eleven columns": {
        "MYSQL_SELECT_CLAUSE": f"SELECT {COLUMNS},'eleven' FROM mailbox WHERE username='$(local_part)@$(domain)'"
    },
    "many rows": {"MYSQL_SELECT_CLAUSE": f"SELECT {COLUMNS} FROM mailbox ORDER BY username DESC"},
    "null login": {"MYSQL_SELECT_CLAUSE": BY_PARTS.replace("username,", "NULL,", 1)},
    "empty login": {"MYSQL_SELECT_CLAUSE": BY_PARTS.replace("username,", "'',", 1)},
    "syntax error": {"MYSQL_SELECT_CLAUSE": "SELEC 1"},
}

BOUND = (
    "introducer",
    "national",
    "literals",
    "hexadecimal",
    "no blanks",
    "comment",
    "hint",
    "two minus",
    "typed",
    "marks",
)


ENUMERATIONS: dict[str, dict[str, str | None]] = {
    "clause": {"MYSQL_ENUMERATE_CLAUSE": LIST},
    "five columns": {"MYSQL_ENUMERATE_CLAUSE": LIST.replace(",options", "")},
    "three columns": {"MYSQL_ENUMERATE_CLAUSE": LIST.replace(",homedir,maildir,options", "")},
    "seven columns": {"MYSQL_ENUMERATE_CLAUSE": LIST.replace(",options", ",options,'x'")},
    "nulls": {
        "MYSQL_ENUMERATE_CLAUSE": "SELECT NULL,'1','1','h',NULL,NULL UNION ALL SELECT 'x','1','1','h','m',NULL "
        "UNION ALL SELECT '','1','1','h','m',NULL"
    },
    "nobody": {"MYSQL_ENUMERATE_CLAUSE": LIST.replace("'n%'", "'no such'")},
    "service": {"MYSQL_ENUMERATE_CLAUSE": LIST.replace("LIKE 'n%'", "LIKE 'n%' AND '$(service)'='enumerate'")},
    "failing": {"MYSQL_ENUMERATE_CLAUSE": "SELECT nosuch FROM mailbox"},
    "where": {"MYSQL_WHERE_CLAUSE": "uidnumber='1000'"},
}


@pytest.fixture
def rc(extmail: MariaDB, pair: Pair) -> Iterator[str]:
    """The usual authmysqlrc, which is put back afterwards."""
    content = mysqlrc(extmail.socket)
    yield content
    edit(pair.etc / "authmysqlrc", content)


def _same(pair: Pair, *requests: bytes) -> None:
    for request in requests:
        courier, authd = pair.ask(request)
        assert authd == courier, request


@pytest.mark.parametrize("settings", [*SYNTAX.values(), *FIELDS.values()], ids=[*SYNTAX, *FIELDS])
def test_settings_mean_the_same(pair: Pair, rc: str, settings: dict[str, str | None]) -> None:
    edit(pair.etc / "authmysqlrc", changed(rc, **settings))
    _same(
        pair,
        LOOKUP,
        pre("user"),
        pre("nulls@example.org"),
        pre("postmaster@extmail.org", "courier"),
        pre("user", "courier"),
        pre("eightbit@example.org"),
        pre("umläut@example.org"),
        login(USER, "secret"),
        login("both@example.org", "extmail"),
        login("both@example.org", "clear"),
        login(USER, "wrong"),
        ENUMERATE,
    )
    if exchange(pair.authd.socket, LOOKUP):
        # A login that no row can have is unknown to authd even while queries fail.
        _same(pair, pre(b"uml\xe4ut@example.org"))


@pytest.mark.parametrize("settings", CLAUSES.values(), ids=CLAUSES)
def test_select_clauses_find_the_same(pair: Pair, rc: str, settings: dict[str, str | None]) -> None:
    edit(pair.etc / "authmysqlrc", changed(rc, **settings))
    _same(
        pair,
        *(pre(user) for user in ODD_USERS),
        pre(USER, "courier"),
        login(USER, "secret"),
        login(USER, "x"),
        pre(b"\xbf\x27@x"),
        login("user", "secret", "pop3"),
    )


def test_national_literals_find_the_same(pair: Pair, rc: str) -> None:
    """But for a name that is none in the character set, which makes the query fail for Courier."""
    clause = f"{SELECT}N'$(local_part)@$(domain)' AND n'$(service)'='imap'"
    edit(pair.etc / "authmysqlrc", changed(rc, MYSQL_SELECT_CLAUSE=clause))
    _same(pair, *(pre(user) for user in ODD_USERS))
    assert exchange(pair.courier.socket, LOOKUP).startswith(b"UID=")


@pytest.mark.parametrize("name", [name for name in CLAUSES if name.startswith(BOUND) and "not run" not in name])
def test_these_clauses_find_somebody(pair: Pair, rc: str, name: str) -> None:
    """What both fail at would be the same, too."""
    edit(pair.etc / "authmysqlrc", changed(rc, **CLAUSES[name]))
    service = "pop3" if name == "comment that MariaDB runs" else "imap"
    courier, authd = pair.ask(pre(USER, service))
    assert courier == authd
    assert authd.startswith(b"UID=")


@pytest.mark.parametrize("settings", ENUMERATIONS.values(), ids=ENUMERATIONS)
def test_enumerations_list_the_same(pair: Pair, rc: str, settings: dict[str, str | None]) -> None:
    edit(pair.etc / "authmysqlrc", changed(rc, **settings))
    _same(pair, ENUMERATE, b"ENUMERATE imap\n")


@pytest.mark.parametrize("new", ["new", "n'ew", "n\\ew", 'n"ew', "$(domain)", "%s", "nëw"])
def test_change_clauses_change_the_same(pair: Pair, rc: str, extmail: MariaDB, new: str) -> None:
    clause = (
        "UPDATE mailbox SET clearpwd='$(newpass)', password='$(newpass_crypt)', name='$(service)/$(local_part)/$(domain)' "
        "WHERE username='$(local_part)@$(domain)'"
    )
    edit(pair.etc / "authmysqlrc", changed(rc, MYSQL_CHPASS_CLAUSE=clause))
    results = []
    for socket in (pair.courier.socket, pair.authd.socket):
        results.append(
            (
                exchange(socket, passwd("imap", "user", "secret", new)),
                re.sub(rb"(?m)^PASSWD=\{SSHA\}.{32}$", b"PASSWD=*", exchange(socket, pre("user"))),
            )
        )
        extmail.execute(
            "UPDATE extmail.mailbox SET clearpwd='secret', password='', name='Some Body' "
            "WHERE username='user@default.example'"
        )
    assert results[0] == results[1]
    assert results[1][0] == b"OK\n"


BROKEN: dict[str, dict[str, str | None]] = {
    "port": {"MYSQL_PORT": "abc"},
    "no user": {"MYSQL_USERNAME": None},
    "no database": {"MYSQL_DATABASE": None},
    "no table": {"MYSQL_USER_TABLE": None},
    "no password column": {"MYSQL_CRYPT_PWFIELD": None, "MYSQL_CLEAR_PWFIELD": None},
}


@pytest.fixture(scope="module")
def lone_pair(extmail: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both daemons with one worker each, so that the worker asked first is the one that sees the edit."""
    require("unshare", DAEMON)
    root = opened(tmp_path_factory.mktemp("lone"))
    write_authdaemonrc(root / "etc", root / "authd", daemons="1")
    (root / "etc" / "authmysqlrc").write_text(mysqlrc(extmail.socket))
    with Pair(root, root / "etc", root / "authd") as both:
        yield both


@pytest.mark.parametrize("settings", BROKEN.values(), ids=BROKEN)
def test_a_broken_edit_changes_nothing(lone_pair: Pair, extmail: MariaDB, settings: dict[str, str | None]) -> None:
    pair, rc = lone_pair, mysqlrc(extmail.socket)
    edit(pair.etc / "authmysqlrc", rc)
    # A process of Courier's that is asked for the first time has no settings to fall back to.
    before = pair.ask(LOOKUP)
    logged = len(pair.authd.logged())
    edit(pair.etc / "authmysqlrc", changed(rc, **settings))
    assert before[0] == before[1]
    assert before[0].startswith(b"UID=1000\n")
    assert pair.ask(LOOKUP) == before
    name = next(iter(settings))
    assert re.search(
        rf"ERR: authmysql: \S*authmysqlrc(:\d+)?: {name}: .*; .*stay in force", pair.authd.logged()[logged:]
    )


class TestDeliberateDifferences:
    """Each of these is explained in docs/compatibility.md."""

    def test_the_marker_is_not_demanded(self, pair: Pair, rc: str) -> None:
        edit(pair.etc / "authmysqlrc", changed(rc, MYSQL_QUOTA_FIELD="'new'").replace("##NAME: MARKER:0\n", ""))
        courier, authd = pair.ask(LOOKUP)
        assert b"QUOTA=new" in authd
        assert b"QUOTA=new" not in courier

    @pytest.mark.parametrize("name", ["local_part", "domain"])
    def test_an_enumeration_has_no_user(self, pair: Pair, rc: str, name: str) -> None:
        clause = LIST.replace("LIKE 'n%'", f"LIKE 'n%' AND '$({name})'=''")
        edit(pair.etc / "authmysqlrc", changed(rc, MYSQL_ENUMERATE_CLAUSE=clause))
        courier, authd = pair.ask(ENUMERATE)
        assert b"@example.org" not in courier
        assert b"\nnegative@example.org\t" in authd
        assert authd.endswith(b"\n.\n")

    @pytest.mark.parametrize("name", ["MYSQL_PORT", "MYSQL_OPT"])
    def test_numbers_have_a_default(self, pair: Pair, rc: str, name: str) -> None:
        edit(pair.etc / "authmysqlrc", changed(rc, MYSQL_QUOTA_FIELD="'new'", **{name: None}))
        courier, authd = pair.ask(LOOKUP)
        assert b"QUOTA=new" in authd
        assert b"QUOTA=new" not in courier

    @pytest.mark.parametrize("name", ["MYSQL_QUOTA_FIELD", "MYSQL_MAILDIR_FIELD", "MYSQL_NAME_FIELD"])
    def test_an_empty_value_is_none(self, pair: Pair, rc: str, name: str) -> None:
        edit(pair.etc / "authmysqlrc", changed(rc, **{name: ""}))
        courier, authd = pair.ask(LOOKUP)
        assert courier == b""
        assert authd.startswith(b"UID=1000\n")

    @pytest.mark.parametrize(
        "lines", ["MYSQL_WHERE_CLAUSE", "MYSQL_WHERE_CLAUSE\n  uidnumber='5'", "MYSQL_AUXOPTIONS_FIELD"]
    )
    def test_a_restriction_without_a_value_is_refused(self, pair: Pair, rc: str, lines: str) -> None:
        """Courier fails; authd starts with no such file, and on an edit the settings before stay in force."""
        logged = len(pair.authd.logged())
        name = lines.split("\n", maxsplit=1)[0]
        edit(
            pair.etc / "authmysqlrc", changed(rc, **{name: None}).replace("##NAME: MARKER", f"{lines}\n##NAME: MARKER")
        )
        courier, _ = pair.ask(LOOKUP)
        assert courier == b""
        said = pair.authd.logged()[logged:]
        assert re.search(rf"ERR: authmysql: \S*authmysqlrc:\d+: {name}: has no value, and .*stay in force", said)

    def test_the_service_is_bound_too(self, pair: Pair, rc: str) -> None:
        """Courier pastes the service as it is."""
        edit(pair.etc / "authmysqlrc", changed(rc, MYSQL_SELECT_CLAUSE=f"{BY_PARTS} AND '$(service)'<>''"))
        _same(pair, LOOKUP)
        courier, authd = pair.ask(pre("nobody@example.org", "x'='x'OR''='"))
        assert courier.startswith(b"UID=")
        assert authd == b"FAIL\n"

    def test_clauses_need_no_table(self, pair: Pair, rc: str) -> None:
        """Courier reports such settings as broken, and uses some of them: which, depends on what the process had before."""
        edit(pair.etc / "authmysqlrc", changed(rc, MYSQL_SELECT_CLAUSE=BY_PARTS, MYSQL_USER_TABLE=None))
        assert exchange(pair.authd.socket, pre("user")).startswith(b"UID=1000\n")

    def test_a_select_clause_must_select(self, pair: Pair, rc: str) -> None:
        edit(pair.etc / "authmysqlrc", changed(rc, MYSQL_SELECT_CLAUSE="DO 1"))
        courier, authd = pair.ask(LOOKUP)
        assert (courier, authd) == (b"FAIL\n", b"")

    def test_a_change_that_changes_no_row_fails(self, pair: Pair, rc: str) -> None:
        edit(
            pair.etc / "authmysqlrc",
            changed(rc, MYSQL_CHPASS_CLAUSE="UPDATE mailbox SET clearpwd='$(newpass)' WHERE 0"),
        )
        courier, authd = pair.ask(passwd("imap", USER, "secret", "new"))
        assert (courier, authd) == (b"OK\n", b"FAIL\n")

    @pytest.mark.parametrize(
        "clause",
        [
            f"SELECT {COLUMNS} FROM $(domain)_users",
            f"{SELECT}`$(local_part)`",
            f"{SELECT}'$(local_part",
            f"{SELECT}'$(local_part)@$(domain)",
            f"{SELECT}X'$(local_part)'",
            f"{SELECT}b'$(local_part)'",
            f"{BY_PARTS} AND DATE '20$(domain)' > 0",
            f"{BY_PARTS} /* $(domain)",
        ],
    )
    def test_clauses_that_can_not_be_bound_are_refused(self, pair: Pair, rc: str, clause: str) -> None:
        before = exchange(pair.authd.socket, LOOKUP)
        logged = len(pair.authd.logged())
        edit(pair.etc / "authmysqlrc", changed(rc, MYSQL_SELECT_CLAUSE=clause))
        assert exchange(pair.authd.socket, LOOKUP) == before
        assert re.search(r"authmysqlrc:\d+: MYSQL_SELECT_CLAUSE: ", pair.authd.logged()[logged:])
