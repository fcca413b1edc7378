"""What the commands say of a MariaDB: why a login failed, and what is wrong with an installation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import run_command
from tests.support.mariadb import MariaDB
from tests.support.site import make_mysql_site
from tests.support.sysconf import changed, mysqlrc, write_authdaemonrc


@pytest.fixture
def etc(root: Path, extmail: MariaDB) -> Path:
    (root / "run").mkdir(mode=0o755)
    return make_mysql_site(root, extmail).etc


def run(name: str, *words: str) -> tuple[int, list[str]]:
    """Run a command; return its exit status and the lines that it says."""
    code, output, complaints = run_command(name, *words)
    return code, [line for line in (output + complaints).splitlines() if "every user can" not in line]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("user@example.org", "secret"), "ok: password matches"),
        (("user@example.org", "wrong"), "reject: wrong password"),
        (("nobody@example.org", "x"), "reject: no such user"),
        (("nouid@example.org",), "tempfail: uid is 0 or not a number: '0'"),
        (("nulluid@example.org",), "tempfail: uid is 0 or not a number: NULL"),
        (("hexadecimal@example.org",), "tempfail: gid is 0 or not a number: '0x10'"),
        (("nullhome@example.org", "secret"), "tempfail: home is empty"),
        (("nopassword@example.org", "x"), "reject: no password stored"),
        (("locked@hash.example", "x"), "reject: stored hash can't be used"),
        (("cut-off@hash.example", "secret"), "reject: stored hash can't be used"),
    ],
)
def test_reasons(etc: Path, words: tuple[str, ...], said: str) -> None:
    _, lines = run("authtest", "--sysconfdir", str(etc), "--explain", *words)
    assert lines[1] == f"authmysql: {said}"


def test_a_database_that_is_down(etc: Path, extmail: MariaDB) -> None:
    (etc / "authmysqlrc").write_text(mysqlrc(extmail.root / "nosuch.sock"))
    code, lines = run("authtest", "--sysconfdir", str(etc), "--explain", "user@example.org", "secret")
    assert code == 1
    assert lines[1].startswith(
        f"authmysql: tempfail: database unreachable: Can't connect through socket '{extmail.root / 'nosuch.sock'}'"
    )
    # Courier's authmysql makes a FAIL of it; the setting decides.
    assert lines[2] == "result: reject: the client gets FAIL"
    write_authdaemonrc(etc, etc.parent / "run", AUTHD_LOGIN_TEMPFAIL="close")
    _, lines = run("authtest", "--sysconfdir", str(etc), "--explain", "user@example.org", "secret")
    assert lines[2].startswith("result: tempfail: the client gets no reply")


def test_a_good_installation(etc: Path) -> None:
    assert run("authd", "check", "--sysconfdir", str(etc)) == (0, [f"{etc}/authdaemonrc: authmysql: ready"])


HOW_TO = {
    "MYSQL_PORT": "3306 (指定你的mysql监听的端口,这里使用默认的0)",
    "MYSQL_UID_FIELD": "2525(是postfix的用户的uid)",
    "MYSQL_MAILDIR_FIELD": "concat('/var/mailbox/',maildir) 邮箱目录",
}


def test_a_how_to_that_was_copied_with_its_remarks(etc: Path, extmail: MariaDB) -> None:
    """The page that our first users followed has remarks behind values; each is found, with its line."""
    content = changed(mysqlrc(extmail.socket), **HOW_TO)
    (etc / "authmysqlrc").write_text(content)
    numbers = {line.split()[0]: number for number, line in enumerate(content.splitlines(), 1)}
    code, lines = run("authd", "check", "--sysconfdir", str(etc))
    assert code == 1
    for name in HOW_TO:
        start = f"remark: {etc}/authmysqlrc:{numbers[name]}: {name}: "
        assert any(line.startswith(start) and "seems to be a remark" in line for line in lines), name
    assert any(line.startswith("error: ") and "You have an error in your SQL syntax" in line for line in lines)


COLUMNS = "username, password, clearpwd, name, uidnumber, gidnumber, homedir, maildir, quota, options, delivery"


@pytest.mark.parametrize(
    ("settings", "setting", "words"),
    [
        (
            {"MYSQL_QUOTA_FIELD": "quotta"},
            "MYSQL_QUOTA_FIELD",
            "looking up an account failed: Unknown column 'quotta' in 'SELECT' (1054); did you mean quota? "
            f"mailbox has {COLUMNS}",
        ),
        (
            {"MYSQL_NAME_FIELD": "'quotta'", "MYSQL_QUOTA_FIELD": "quotta"},
            "MYSQL_QUOTA_FIELD",
            "Unknown column 'quotta'",
        ),
        # What is in the name of the server or of another column is not the column.
        ({"MYSQL_QUOTA_FIELD": "host"}, "MYSQL_QUOTA_FIELD", "Unknown column 'host'"),
        ({"MYSQL_QUOTA_FIELD": "user"}, "MYSQL_QUOTA_FIELD", "Unknown column 'user'"),
        ({"MYSQL_QUOTA_FIELD": "m"}, "MYSQL_QUOTA_FIELD", "Unknown column 'm'"),
        ({"MYSQL_QUOTA_FIELD": "`mailbox`.`nosuch`"}, "MYSQL_QUOTA_FIELD", "Unknown column 'mailbox.nosuch'"),
        (
            {"MYSQL_HOME_FIELD": None},
            "MYSQL_HOME_FIELD",
            "Unknown column 'home' in 'SELECT' (1054); did you mean homedir?",
        ),
        ({"MYSQL_WHERE_CLAUSE": "actve = 1"}, "MYSQL_WHERE_CLAUSE", "Unknown column 'actve'"),
        ({"MYSQL_CLEAR_PWFIELD": "clear_pwd"}, "MYSQL_CLEAR_PWFIELD", "Unknown column 'clear_pwd'"),
        ({"MYSQL_DEFAULTDELIVERY_FIELD": "delivry"}, "MYSQL_DEFAULTDELIVERY_FIELD", "did you mean delivery?"),
        (
            {"MYSQL_USER_TABLE": "mailbx"},
            "MYSQL_USER_TABLE",
            "Table 'extmail.mailbx' doesn't exist (1146); did you mean mailbox? there are ",
        ),
        ({"MYSQL_HOME_FIELD": "nosuch(homedir)"}, "MYSQL_HOME_FIELD", "extmail.nosuch"),
        ({"MYSQL_GID_FIELD": "2525(id of the group)"}, "MYSQL_GID_FIELD", "You have an error in your SQL syntax"),
        ({"MYSQL_WHERE_CLAUSE": "quota = 1 AND AND"}, "MYSQL_WHERE_CLAUSE", "You have an error in your SQL syntax"),
        (
            {"MYSQL_SELECT_CLAUSE": "SELECT username,password,clearpwd,uidnumber,gidnumber,homdir FROM mailbox AS m"},
            "MYSQL_SELECT_CLAUSE",
            "Unknown column 'homdir' in 'SELECT' (1054); did you mean homedir?",
        ),
        (
            {"MYSQL_CHPASS_CLAUSE": "UPDATE mailbox SET pasword='$(newpass)' WHERE username='$(local_part)'"},
            "MYSQL_CHPASS_CLAUSE",
            "changing a password failed: Unknown column 'pasword' in 'SET' (1054); did you mean password?",
        ),
        (
            {"MYSQL_SELECT_CLAUSE": "SELECT 1, 2 FROM mailbox"},
            "MYSQL_SELECT_CLAUSE",
            "2 columns, at least 6 are needed",
        ),
    ],
)
def test_a_wrong_name_is_traced_to_its_line(
    etc: Path, extmail: MariaDB, settings: dict[str, str | None], setting: str, words: str
) -> None:
    content = changed(mysqlrc(extmail.socket), **settings)
    (etc / "authmysqlrc").write_text(content)
    number = next((f":{n}" for n, line in enumerate(content.splitlines(), 1) if line.split()[0] == setting), "")
    code, lines = run("authd", "check", "--sysconfdir", str(etc))
    assert code == 1
    start = f"error: {etc}/authmysqlrc{number}: {setting}: "
    assert any(line.startswith(start) and words in line for line in lines), lines


def test_a_database_user_who_may_not_change_passwords(etc: Path, extmail: MariaDB) -> None:
    extmail.execute("REVOKE UPDATE ON extmail.* FROM extmail@localhost")
    try:
        code, lines = run("authd", "check", "--sysconfdir", str(etc))
    finally:
        extmail.execute("GRANT UPDATE ON extmail.* TO extmail@localhost")
    assert code == 0
    assert lines[0].startswith(
        f"remark: {etc}/authmysqlrc: passwords can't be changed: UPDATE command denied to user 'extmail'@'localhost' "
        "for table `extmail`.`mailbox` (1142); grant the right"
    )


def test_a_wrong_database_password(etc: Path, extmail: MariaDB) -> None:
    (etc / "authmysqlrc").write_text(changed(mysqlrc(extmail.socket), MYSQL_PASSWORD="hunter2"))
    code, lines = run("authd", "check", "--sysconfdir", str(etc))
    assert code == 1
    assert "Access denied for user 'extmail'@'localhost'" in lines[0]
    assert not any("hunter2" in line for line in lines)


def test_a_refused_change_is_told_in_the_servers_words(etc: Path, extmail: MariaDB) -> None:
    words = ("authtest", "--sysconfdir", str(etc), "--explain", "user@example.org", "secret", "mailbox")
    extmail.execute("REVOKE UPDATE ON extmail.* FROM extmail@localhost")
    try:
        _, lines = run(*words)
    finally:
        extmail.execute("GRANT UPDATE ON extmail.* TO extmail@localhost")
    assert lines[1].startswith(
        "authmysql: tempfail: query failed: UPDATE command denied to user 'extmail'@'localhost' for table `extmail`.`mailbox`"
    )


def test_a_new_password_that_the_server_refuses_is_not_in_the_message(etc: Path, extmail: MariaDB) -> None:
    """The server quotes the value that it refuses; the message goes on without it."""
    clause = "UPDATE mailbox SET clearpwd=extractvalue(1, concat('\\\\','$(newpass)')) WHERE 1"
    (etc / "authmysqlrc").write_text(changed(mysqlrc(extmail.socket), MYSQL_CHPASS_CLAUSE=clause))
    _, lines = run("authtest", "--sysconfdir", str(etc), "--explain", "user@example.org", "secret", "hunt'er'2")
    assert lines[1].startswith("authmysql: tempfail: query failed: ")
    assert "..." in lines[1]
    assert not any(part in lines[1] for part in ("hunt", "er'2", "'2"))
