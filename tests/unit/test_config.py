"""Configuration files: syntax, defaults, what is refused and how it is told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.config import authdaemonrc, rcfile
from authd.config.locate import sysconfdir
from authd.config.misplaced import misplaced
from authd.config.mysqlrc import SETTINGS as MYSQL_SETTINGS
from authd.config.mysqlrc import load_mysqlrc
from authd.config.pgsqlrc import SETTINGS as PGSQL_SETTINGS
from authd.config.problem import ConfigError
from authd.config.remarks import leftovers
from authd.config.setting import Setting
from authd.config.shell import read_script
from authd.config.sqliterc import load_sqliterc
from authd.config.watch import WatchedFile
from tests.support.extmail import AUTHDAEMONRC, AUTHMYSQLRC
from tests.support.sysconf import edit

FILE = Path("/etc/authdaemonrc")
MODULE = 'authmodulelist="authmysql"\n'

RUN = "/usr/local/courier-authlib/var/spool/authdaemon"
SEED_AUTHDAEMONRC = AUTHDAEMONRC.format(run=RUN, daemons=10)
SEED_AUTHMYSQLRC = AUTHMYSQLRC.format(socket="/tmp/mysql.sock")


def test_the_file_of_our_first_users() -> None:
    settings = authdaemonrc.parse(SEED_AUTHDAEMONRC, FILE)
    assert settings.modules == ("authmysql",)
    assert settings.daemons == 10
    assert settings.directory.socket == Path(RUN) / "socket"
    assert settings.remarks == ()


def test_defaults() -> None:
    settings = authdaemonrc.parse(MODULE, FILE)
    assert settings.daemons == 1
    assert [str(remark) for remark in settings.remarks] == [
        "/etc/authdaemonrc: daemons: missing, using 1; add daemons=5"
    ]
    assert settings.directory.socket == Path("/run/courier/authdaemon/socket")
    assert (settings.debug_login, settings.default_options, settings.login_tempfail) == (0, b"", None)
    assert (settings.logger_name, settings.logger_facility, settings.database_timeout) == ("authdaemond", "mail", 10)


@pytest.mark.parametrize(
    ("line", "daemons"),
    [
        ("daemons=3", 3),
        ('daemons="3"', 3),
        ("daemons=3 # remark", 3),
        ("daemons=3  ", 3),
        ('daemons="3"#x', 3),
        ("daemons=3\ndaemons=4", 4),
        ("# daemons=9\ndaemons=2\r", 2),
    ],
)
def test_ways_to_write_a_line(line: str, daemons: int) -> None:
    assert authdaemonrc.parse(MODULE + line + "\n", FILE).daemons == daemons


@pytest.mark.parametrize(
    ("content", "expected", "told"),
    [
        (
            MODULE + "daemons=2;",
            {"daemons": 2},
            '2: daemons: "2;" is taken for 2, as by Courier; write daemons="2", or',
        ),
        (MODULE + 'daemons="1""2"', {"daemons": 1}, '2: daemons: taken for "1", as by Courier, which ends a value at'),
        (MODULE + "daemons=", {"daemons": 1}, '2: daemons: "" is taken for 1, as by Courier; write daemons="1"'),
        (MODULE + "daemons=0", {"daemons": 1}, '2: daemons: "0" is taken for 1'),
        (MODULE + "daemons='3'", {"daemons": 1}, "2: daemons: \"'3'\" is taken for 1"),
        (MODULE + " daemons=3", {"daemons": 1}, "2: daemons: without effect, as in Courier, since the name is not in"),
        (MODULE + "daemons = 3", {"daemons": 1}, "2: daemons: without effect: a blank before = makes it a command"),
        (MODULE + "DEBUG_LOGIN=3", {"debug_login": 2}, '2: DEBUG_LOGIN: "3" is taken for 2'),
        (MODULE + "DEBUG_LOGIN=yes", {"debug_login": 0}, '2: DEBUG_LOGIN: "yes" is taken for 0'),
        (
            'authmodulelist="authmysql""authpam"',
            {"modules": ("authmysql",)},
            '1: authmodulelist: taken for "authmysql", as by Courier, which ends a value at the second double quote',
        ),
        (
            'authmodulelist="authmysql # authpam"',
            {"modules": ("authmysql",)},
            '1: authmodulelist: taken for "authmysql ',
        ),
        (MODULE + 'DEFAULTOPTIONS= "a=1"', {"default_options": b""}, "2: DEFAULTOPTIONS: without effect: a blank"),
        (MODULE + 'DEFAULTOPTIONS="a=1"\r\n', {"default_options": b"a=1"}, "2: lines end with CR LF"),
        (
            MODULE + "DEFAULTOPTIONS=\ndisableimap=1",
            {"default_options": b""},
            "3: disableimap: no setting, without effect",
        ),
        (MODULE + "DEFAULTOPTIONS=a=1, disablepop3=1", {"default_options": b"a=1,"}, "2: disablepop3: no setting"),
        (
            MODULE + 'DEFAULTOPTIONS=\n"disableimap=1"',
            {"default_options": b""},
            "3: disableimap: without effect; it seems",
        ),
        (
            MODULE + 'DEFAULTOPTIONS="a=1"\n,"disablepop3=1"',
            {"default_options": b"a=1"},
            "3: disablepop3: without effect",
        ),
        *(
            (MODULE + line, {"default_options": b""}, "2: DEFAULTOPTIONS: without effect: what is around it")
            for line in (
                '"DEFAULTOPTIONS=a=1"',
                "DEFAULTOPTIONS+=a=1",
                "$DEFAULTOPTIONS=a=1",
                "\ufeffDEFAULTOPTIONS=a=1",
            )
        ),
        *(
            (
                MODULE + f"DEFAULTOPTIONS='{options}'",
                {"default_options": options.encode()},
                f"2: DEFAULTOPTIONS: {told}",
            )
            for options, told in (
                ("a=1, disablepop3=1", '" disablepop3=1" is no option; write name=value pairs'),
                ("a=1;disablepop3=1", '"a=1;disablepop3=1" is no option; write name=value pairs'),
                ("disableimap = 1", '"disableimap = 1" is no option; write name=value pairs'),
                ("DISABLEIMAP=1", "DISABLEIMAP is no option; write its name in small letters"),
                ("disableimap", '"disableimap" keeps nobody out; write disableimap=1'),
                ("disableimap=yes", '"disableimap=yes" keeps nobody out; write disableimap=1'),
            )
        ),
        (MODULE + 'DEFAULTOPTIONS="a=1\nb=2"', {"default_options": b"a=1"}, "2: DEFAULTOPTIONS: cut at the end"),
        (
            MODULE + "MYSQL_WHERE_CLAUSE='active=1'",
            {},
            "2: MYSQL_WHERE_CLAUSE: a setting of authmysqlrc, without effect here; move it to authmysqlrc: the name, a blank,",
        ),
        (
            MODULE + "AUTHD_USR=mail",
            {"user": ""},
            "2: AUTHD_USR: unknown setting, without effect; did you mean AUTHD_USER?",
        ),
        (
            MODULE + "DEFAULT_OPTIONS=a=1",
            {},
            "2: DEFAULT_OPTIONS: unknown setting, without effect; did you mean DEFAULTO",
        ),
    ],
)
def test_odd_values_are_taken_as_by_courier_and_told(content: str, expected: dict[str, object], told: str) -> None:
    settings = authdaemonrc.parse(content, FILE)
    assert {name: getattr(settings, name) for name in expected} == expected
    remarks = [str(remark) for remark in settings.remarks if "missing, using 1" not in str(remark)]
    assert any(told in remark for remark in remarks), remarks


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('AUTHD_USER+="mail"', "2: AUTHD_USER: without effect: what is around it makes it a command"),
        ('"AUTHD_PASSWD_REJECT=stop"', "2: AUTHD_PASSWD_REJECT: without effect: what is around it"),
        (': ${DEFAULTOPTIONS="disableimap=1"}', "2: DEFAULTOPTIONS: has a value that only a shell could tell"),
        ("x=${DEFAULTOPTIONS:=disableimap=1}", "2: DEFAULTOPTIONS: has a value that only a shell could tell"),
        ("unset DEFAULTOPTIONS; x=1", "2: DEFAULTOPTIONS: has a value that only a shell could tell"),
    ],
)
def test_no_setting_is_lost_in_a_command(line: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        authdaemonrc.parse(MODULE + line, FILE)
    assert told in str(caught.value)


@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    '"',
                    "'",
                    "\\",
                    "$A",
                    "${A}",
                    "A=",
                    "B=",
                    "export ",
                    "readonly ",
                    "unset A",
                    "x",
                    " ",
                    "\n",
                    ";",
                    "#",
                ),
                *("~", "$(", "(", ")", ":", " : ", "<<", "$IFS"),
            ]
        )
    )
)
def test_a_shell_agrees_on_what_is_assigned(pieces: list[str]) -> None:
    """What can't be told, or is no plain assignment, is left to be refused."""
    content = "".join(pieces)
    script = read_script(content)
    told: dict[str, str | None] = {"A": "", "B": ""}
    told.update({one.name: one.value for one in script.assignments if not one.lost})
    if script.broken is not None or script.commands or None in told.values():
        return
    shell = ["sh", "-c", '. /dev/stdin; printf "\\0%s\\0%s\\0" "$A" "$B"']
    done = subprocess.run(shell, input=content.encode(), capture_output=True, env={}, timeout=10, check=False)
    assert done.stdout.split(b"\0")[1:3] == [(told[name] or "").encode() for name in "AB"]


W = "MYSQL_WHERE_CLAUSE"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (f"{W}", f"20: {W}: has no value, and without one it would restrict nothing; write the value behind it, or #"),
        (
            f"{W}\nactive=1",
            f"20: {W}: has no value, and line 21 seems to be it; join the two lines, or end line 20 with",
        ),
        (f"{W}\n# x\n\n  AND x", f"20: {W}: has no value, and line 23 seems to be it"),
        ("MYSQL_QUOTA_FIELD\n  concat(a)", "20: MYSQL_QUOTA_FIELD: has no value, and line 21 seems to be it"),
        ("MYSQL_AUXOPTIONS_FIELD", "20: MYSQL_AUXOPTIONS_FIELD: has no value"),
        (f"{W}=active=1", f"20: {W}: no blank behind the name; write {W}, a blank, and the value"),
        (f"{W}\u00a0active=1", f"20: {W}: no blank behind the name"),
        (
            f"{W.lower()} active=1",
            f"20: {W.lower()}: unknown setting, without effect; did you mean {W}? correct the name",
        ),
        ("MYSQL_WHERE_CLAUS active=1", f"20: MYSQL_WHERE_CLAUS: unknown setting, without effect; did you mean {W}?"),
        ("PGSQL_WHERE_CLAUSE active=1", f"20: PGSQL_WHERE_CLAUSE: unknown setting, without effect; did you mean {W}?"),
        ("MYSQL_AUXOPTIONS options", "20: MYSQL_AUXOPTIONS: unknown setting, without effect; did you mean MYSQL_AUXO"),
        ("x\0y", "20: has a NUL byte"),
    ],
)
def test_a_restriction_that_is_lost_is_an_error(tmp_path: Path, lines: str, told: str) -> None:
    file = tmp_path / "authmysqlrc"
    file.write_text("#\n" * (19 - MINIMAL.count("\n")) + MINIMAL + lines + "\n")
    with pytest.raises(ConfigError) as refusal:
        load_mysqlrc(file)
    assert told in str(refusal.value)


MINIMAL = """MYSQL_SERVER localhost
MYSQL_USERNAME u
MYSQL_DATABASE d
MYSQL_USER_TABLE t
MYSQL_CRYPT_PWFIELD p
"""


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            f"{W} a=1\n  AND b=1",
            "2: no setting, without effect; it seems to belong to MYSQL_WHERE_CLAUSE in line 1; join",
        ),
        (f"{W} a=1\n{W} b=1", f"2: {W}: set before, in line 1, which counts; remove one"),
        (
            f"{W} a=1\nMYSQL_WHERE_CLAUS b=1",
            f"2: MYSQL_WHERE_CLAUS: unknown setting, without effect; did you mean {W}?",
        ),
        ("MYSQL_QUOTA_FIELD", "1: MYSQL_QUOTA_FIELD: has no value, and is taken as absent"),
        (
            "MYSQL_QUOTA_FELD quota",
            "1: MYSQL_QUOTA_FELD: unknown setting, without effect; did you mean MYSQL_QUOTA_FIELD?",
        ),
        ("MYSQL_PASWORD x", "authmysqlrc:1: unknown setting, without effect; did you mean MYSQL_PASSWORD?"),
        ("MYSQL_DEFAULTDELIVERY x", "did you mean MYSQL_DEFAULTDELIVERY_FIELD?"),
        ("MYSQL_COLOUR red", "1: MYSQL_COLOUR: unknown setting, without effect; correct the name, or remove the line"),
        ("\ufeff# x\nMYSQL_OPT 0", "1: no setting, without effect; put # before it"),
        (
            "MYSQL_OPT 0\nLDAPTLS_CACERT=/ca.pem",
            "2: LDAPTLS_CACERT: a setting of authdaemonrc, without effect here; move it to authdaemonrc",
        ),
        ("MYSQL_OPT\nDEBUG_LOGIN 1", "2: DEBUG_LOGIN: a setting of authdaemonrc, without effect here"),
        ("LDAP_URI ldap://localhost", "1: LDAP_URI: a setting of authldaprc, without effect here"),
        ("LDAP_BINDPW hunter2", "authmysqlrc:1: a setting of authldaprc, without effect here"),
    ],
)
def test_lines_without_effect_get_a_remark(lines: str, told: str) -> None:
    problems = leftovers(rcfile.parse(lines), MYSQL_SETTINGS, Path("authmysqlrc"))
    assert not any(problem.fatal for problem in problems)
    assert any(told in str(problem) for problem in problems), [str(problem) for problem in problems]


@given(
    st.sampled_from(["MYSQL_PASSWORD", "mysql_password", "MYSQL_PASWORD", "MYSQL_PASSWORD=", "MYSQL_PASSWORD:", "x"]),
    st.sampled_from(["", " ", "\n", "\n ", " \\\n", "=", "\u00a0", '"', " x\n"]),
    st.text("hunter2HUNTER_", min_size=9),
)
def test_no_password_is_shown_of_a_mistyped_line(name: str, gap: str, secret: str) -> None:
    lines = rcfile.parse(f"MYSQL_SERVER localhost\n{name}{gap}{secret}\n")
    problems = leftovers(lines, MYSQL_SETTINGS, Path("rc")) + misplaced(lines, MYSQL_SETTINGS, Path("rc"))
    assert secret not in "\n".join(map(str, problems))


def test_values_keep_what_is_in_quotes() -> None:
    settings = authdaemonrc.parse(
        MODULE + 'DEFAULTOPTIONS="a=1,b=#2" # remark\nLOGGEROPTS="-name=x -facility=local3"\n', FILE
    )
    assert settings.default_options == b"a=1,b=#2"
    assert (settings.logger_name, settings.logger_facility) == ("x", "local3")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (MODULE + "nonsense", '/etc/authdaemonrc:2: no "=" in this line; write name="value", or # before a remark'),
        (
            MODULE + "daemons=-1",
            "/etc/authdaemonrc:2: daemons: expected a number from 1 to 1000, found -1; correct the value",
        ),
        (MODULE + "daemons=1001", "2: daemons: expected"),
        (MODULE + "authdaemonvar=", "2: authdaemonvar: expected a path that begins with /"),
        (MODULE + "AUTHD_USER = mail", "2: AUTHD_USER: without effect: a blank before = makes it a command to a shell"),
        (MODULE + "AUTHD_USER= mail", "2: AUTHD_USER: without effect: a blank before or within its value makes it"),
        (MODULE + "AUTHD_USER=$(id -un)", "2: AUTHD_USER: has a value that only a shell could tell; write the value"),
        (MODULE + "if x; then DEBUG_LOGIN=1; fi", "2: DEBUG_LOGIN: has a value that only a shell could tell"),
        (MODULE + "DEFAULTOPTIONS=a=$PATH", "2: DEFAULTOPTIONS: has a value that only a shell could tell"),
        (MODULE + "eval 'DEFAULTOPTIONS=a=1'", "2: only a shell could tell what is set behind eval; write lines of"),
        ('authmodulelist="authmysql', "1: a quote or parenthesis is not closed"),
        (MODULE + '\n\nDEFAULTOPTIONS="a=1\nb=2', "4: a quote or parenthesis is not closed"),
        ('authmodulelist="authmysql\nauthpam"\n', '2: no "=" in this line'),
        ("\ufeff" + MODULE, "1: begins with a byte order mark"),
        (MODULE + "x=\0", "2: has a NUL byte"),
        (MODULE + f"x={'y' * 8200}", "2: longer than 8190 bytes"),
        (MODULE + "AUTHD_DATABASE_TIMEOUT=0", "from 1 to 60"),
        (
            MODULE + 'AUTHD_LOGIN_TEMPFAIL="open"',
            '2: AUTHD_LOGIN_TEMPFAIL: expected "fail" or "close", found open; correct',
        ),
        ("daemons=2", 'authmodulelist: no module is named; add authmodulelist="authmysql"'),
        (MODULE + 'LOGGEROPTS="-facility=nosuch"', "LOGGEROPTS: unknown syslog facility nosuch; use one of auth"),
    ],
)
def test_what_is_refused_is_told_with_its_mend(content: str, told: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        authdaemonrc.parse(content, FILE)
    assert told in str(refusal.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refusal:
        authdaemonrc.parse("daemons=-5\nAUTHD_BATCH=y\nnonsense\n", FILE)
    assert len(refusal.value.problems) == 4


@given(st.text(max_size=200))
def test_any_authdaemonrc_is_settings_or_refused(content: str) -> None:
    try:
        authdaemonrc.parse(content, FILE)
    except ConfigError as error:
        assert all(problem.mend for problem in error.problems)


def test_the_module_file_of_our_first_users(tmp_path: Path) -> None:
    (tmp_path / "authmysqlrc").write_text(SEED_AUTHMYSQLRC)
    settings = load_mysqlrc(tmp_path / "authmysqlrc")
    assert settings.home_field == "concat('/var/mailbox/',homedir)"
    assert (settings.uid_field, settings.clear_field, settings.where_clause) == ("2525", "''", "1=1")
    assert "extmail" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("A b\n", [("A", "b", 1)]),
        ("A\t \tb c \t\n", [("A", "b c", 1)]),
        ("  A b\n", [("A", "b", 1)]),
        ("A\n", [("A", "", 1)]),
        ("# A b\n  # C d\n\nE f", [("E", "f", 4)]),
        ("A b\\\nc\nD e\n", [("A", "b c", 1), ("D", "e", 3)]),
        ("A b \\\n  c", [("A", "b  c", 1)]),
        ("A b\\\n# c\nD e", [("A", "b # c", 1), ("D", "e", 3)]),
        ("A \\\n b", [("A", "b", 1)]),
        ("A b\\", [("A", "b", 1)]),
        ("\\\nA b", [("\\", "", 1), ("A", "b", 2)]),
        ("A\\\n b\n", [("A\\", "", 1), ("b", "", 2)]),
        ("A \\\nB\\\nc", [("A", "B c", 1)]),
        ("A b\r\nC d\r\n", [("A", "b", 1), ("C", "d", 2)]),
        ("A a\nA b\n", [("A", "a", 1), ("A", "b", 2)]),
        ("A=b\n", [("A=b", "", 1)]),
    ],
)
def test_module_file_syntax(content: str, expected: list[tuple[str, str, int]]) -> None:
    assert [(line.name, line.value, line.number) for line in rcfile.parse(content)] == expected


@given(st.text(alphabet="AB ab\\\n\t#'", max_size=80))
def test_any_module_file_is_parsed(content: str) -> None:
    for line in rcfile.parse(content):
        assert line.name
        assert line.name == line.name.strip()
        assert line.value == line.value.strip()
        assert 1 <= line.number <= content.count("\n") + 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("MYSQL_PORT\t\t3306", "MYSQL_PORT\t\tmany"),
            "authmysqlrc:3: MYSQL_PORT: expected a number; correct the value",
        ),
        (("MYSQL_PORT\t\t3306", "MYSQL_PORT\t\t99999"), "MYSQL_PORT: not a TCP port; use a number up to 65535"),
        (("MYSQL_USERNAME\t\textmail\n", ""), "authmysqlrc: MYSQL_USERNAME: not set; name the user to connect with"),
        (("MYSQL_DATABASE\t\textmail\n", ""), "MYSQL_DATABASE: not set"),
        (("MYSQL_USER_TABLE\tmailbox\n", ""), "MYSQL_USER_TABLE: not set; name the table with the accounts"),
        (("MYSQL_CRYPT_PWFIELD\tpassword\n", ""), "MYSQL_CRYPT_PWFIELD: neither this nor MYSQL_CLEAR_PWFIELD is set"),
    ],
)
def test_module_files_that_are_refused(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    file = tmp_path / "authmysqlrc"
    file.write_text(SEED_AUTHMYSQLRC.replace(*change))
    with pytest.raises(ConfigError) as refusal:
        load_mysqlrc(file)
    assert told in str(refusal.value)


def test_a_server_or_a_socket_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "authmysqlrc"
    file.write_text(
        SEED_AUTHMYSQLRC.replace("MYSQL_SERVER\t\tlocalhost\n", "").replace("MYSQL_SOCKET\t\t/tmp/mysql.sock\n", "")
    )
    with pytest.raises(ConfigError, match="MYSQL_SERVER: neither this nor MYSQL_SOCKET is set"):
        load_mysqlrc(file)


def test_a_file_that_is_missing_or_incomplete(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"authsqliterc: can't be read: No such file or directory; create it"):
        load_sqliterc(tmp_path / "authsqliterc")
    (tmp_path / "authsqliterc").write_text("SQLITE_USER_TABLE t\nSQLITE_CRYPT_PWFIELD c\n")
    with pytest.raises(ConfigError, match="SQLITE_DATABASE: not set; name the database's file"):
        load_sqliterc(tmp_path / "authsqliterc")


# Values as how-to pages have them, with their authors' remarks behind.
@pytest.mark.parametrize(
    ("name", "value", "leftover"),
    [
        ("MYSQL_PORT", "3306 (指定你的mysql监听的端口)", "(指定你的mysql监听的端口)"),
        ("MYSQL_PORT", "3306(the port)", "(the port)"),
        ("MYSQL_PORT", "3306", ""),
        ("MYSQL_USERNAME", "extmail (这时为数据库的用户名)", "(这时为数据库的用户名)"),
        ("MYSQL_USERNAME", "extmail", ""),
        ("MYSQL_SOCKET", "/tmp/mysql.sock(如果源码安装)", "(如果源码安装)"),
        ("MYSQL_SERVER", "localhost # here", "# here"),
        ("MYSQL_UID_FIELD", "2525(是postfix的用户的uid)", "(是postfix的用户的uid)"),
        ("MYSQL_UID_FIELD", "2525 (postfix)", "(postfix)"),
        ("MYSQL_UID_FIELD", "2525", ""),
        ("MYSQL_HOME_FIELD", "concat('/var/mailbox/',homedir)映射虚拟用户有家目录", "映射虚拟用户有家目录"),
        ("MYSQL_MAILDIR_FIELD", "concat('/var/mailbox/',maildir) 邮箱目录", "邮箱目录"),
        ("MYSQL_HOME_FIELD", "concat('/邮箱/',homedir)", ""),
        ("MYSQL_HOME_FIELD", "concat('/var (old)/',homedir)", ""),
        ("MYSQL_NAME_FIELD", "name # full name", "# full name"),
        ("MYSQL_NAME_FIELD", "name (全名)", "(全名)"),
        ("MYSQL_NAME_FIELD", "coalesce(name, '名')", ""),
        ("MYSQL_NAME_FIELD", "'a # b'", ""),
        ("MYSQL_WHERE_CLAUSE", "active = 1 AND expiredate > now()", ""),
        ("MYSQL_WHERE_CLAUSE", "active = 1 -- only those", "-- only those"),
        ("MYSQL_PASSWORD", "p(ass) 字", ""),
        ("MYSQL_PASSWORD", "=pass", ""),
        ("MYSQL_OPT", "CLIENT_SSL", ""),
        ("MYSQL_HOME_FIELD", "'/var/mail'", ""),
    ],
)
def test_remarks_behind_values_are_found(name: str, value: str, leftover: str) -> None:
    found = leftovers([rcfile.Line(name, value, 7)], MYSQL_SETTINGS, Path("authmysqlrc"))
    if not leftover:
        assert found == []
        return
    assert [str(problem) for problem in found] == [
        f'authmysqlrc:7: {name}: "{leftover}" seems to be a remark; put the remark on a line of its own that begins with #'
    ]
    assert not found[0].fatal


@pytest.mark.parametrize(
    ("table", "name", "value", "said"),
    [
        (MYSQL_SETTINGS, "MYSQL_SERVER", "= localhost", 'begins with "=", which is part of it; write MYSQL_SERVER, a'),
        (MYSQL_SETTINGS, "MYSQL_SERVER", "=localhost", 'begins with "=", which is part of it'),
        (MYSQL_SETTINGS, "MYSQL_PASSWORD", "= horse", 'begins with "=", which is part of it'),
        (MYSQL_SETTINGS, "MYSQL_PASSWORD", '"horse"', "the quotes around the value are part of it; take them out"),
        (MYSQL_SETTINGS, "MYSQL_USERNAME", "'mail'", "the quotes around the value are part of it; take them out"),
        (MYSQL_SETTINGS, "MYSQL_USER_TABLE", '"mailbox"', "the quotes around the value are part of it; take them out"),
        (
            MYSQL_SETTINGS,
            "MYSQL_LOGIN_FIELD",
            "'email'",
            "'email' is a text and no column, so that no account is found",
        ),
        (MYSQL_SETTINGS, "MYSQL_LOGIN_FIELD", '"email"', "is a text and no column"),
        (PGSQL_SETTINGS, "PGSQL_LOGIN_FIELD", "'email'", "is a text and no column"),
        (PGSQL_SETTINGS, "PGSQL_LOGIN_FIELD", '"eMail"', ""),
        (PGSQL_SETTINGS, "PGSQL_USER_TABLE", '"Mailbox"', ""),
        (MYSQL_SETTINGS, "MYSQL_LOGIN_FIELD", "'a' || email || 'b'", ""),
    ],
)
def test_the_form_of_other_files_is_told(table: Sequence[Setting], name: str, value: str, said: str) -> None:
    found = leftovers([rcfile.Line(name, value, 7)], table, Path("authsqlrc"))
    assert bool(found) == bool(said)
    assert all(said in str(problem) and "horse" not in str(problem) and not problem.fatal for problem in found)


@pytest.mark.parametrize("name", ["authdaemonrc", "authmysqlrc"])
def test_a_fifo_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match=f"{name}: can't be read: not a regular file; put a file in its place"):
        (authdaemonrc.load if name == "authdaemonrc" else load_mysqlrc)(tmp_path / name)


def test_the_directory_is_found(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    second.mkdir()
    (second / "authdaemonrc").touch()
    assert sysconfdir(None, {}, (first, second)) == second
    assert sysconfdir(None, {"AUTHD_SYSCONFDIR": "/x"}, (second,)) == Path("/x")
    assert sysconfdir("/y", {"AUTHD_SYSCONFDIR": "/x"}, (second,)) == Path("/y")
    with pytest.raises(ConfigError, match=r"authdaemonrc: not in .*first; copy one from conf/"):
        sysconfdir(None, {}, (first,))


def test_a_watched_file_is_read_again_and_a_broken_edit_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "authmysqlrc"
    file.write_text(SEED_AUTHMYSQLRC)
    told: list[str] = []
    watched = WatchedFile(file, load_mysqlrc, told.append)
    assert not watched.refresh()
    edit(file, SEED_AUTHMYSQLRC.replace("3306", "many"))
    assert not watched.refresh()
    assert not watched.refresh()
    assert len(told) == 1
    assert "stay in force" in told[0]
    assert watched.value.values["MYSQL_PORT"] == 3306
    edit(file, SEED_AUTHMYSQLRC.replace("3306", "3307"))
    assert watched.refresh()
    assert watched.value.values["MYSQL_PORT"] == 3307
    file.unlink()
    assert not watched.refresh()
    assert len(told) == 2
    assert told[1].endswith("(the settings of before stay in force)")
    assert watched.value.values["MYSQL_PORT"] == 3307


def test_no_secret_is_in_a_message(tmp_path: Path) -> None:
    file = tmp_path / "authmysqlrc"
    file.write_text(
        SEED_AUTHMYSQLRC.replace("MYSQL_PASSWORD\t\textmail", "MYSQL_PASSWORD\t\thunter2").replace("3306", "x")
    )
    with pytest.raises(ConfigError) as refusal:
        load_mysqlrc(file)
    assert "hunter2" not in str(refusal.value)
