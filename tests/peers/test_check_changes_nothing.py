"""``authd check`` proves statements and changes nothing, whatever they are and whatever the database user may do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.accounts import fill, fill_postgres
from tests.support.daemon import run_command
from tests.support.mariadb import MariaDB
from tests.support.postgres import Postgres
from tests.support.sysconf import changed, mysqlrc, pgsqlrc, write_authdaemonrc

COLUMNS = "username,password,clearpwd,uidnumber,gidnumber,homedir"
TABLES = ("myisam", "innodb", "writes")

MYSQL_SETUP = (
    "CREATE DATABASE probe CHARACTER SET utf8mb4",
    "USE probe",
    "CREATE TABLE writes (number INT AUTO_INCREMENT PRIMARY KEY, what TEXT) ENGINE=MyISAM",
    "CREATE SEQUENCE counter",
    *(
        f"CREATE TABLE {engine} (id INT, email VARCHAR(99), password VARCHAR(99), uid INT, gid INT, home VARCHAR(9))"
        f" ENGINE={engine}"
        for engine in ("myisam", "innodb")
    ),
    *(
        f"INSERT INTO {engine} VALUES (0, 'zero@example.org', 'hash', 1, 1, '/'), (7, 'seven@example.org', 'hash', 1, 1, '/')"
        for engine in ("myisam", "innodb")
    ),
    "CREATE TRIGGER noted AFTER UPDATE ON innodb FOR EACH ROW INSERT INTO writes (what) VALUES ('trigger')",
    "CREATE FUNCTION writing(x TEXT) RETURNS TEXT DETERMINISTIC BEGIN INSERT INTO writes (what) VALUES (x); RETURN x; END",
    "CREATE PROCEDURE set_all(x TEXT) BEGIN UPDATE myisam SET password = x; SELECT 1,2,3,4,5,6; END",
    "CREATE VIEW grouped AS SELECT id, max(email) email, max(password) password, 1 uid, 1 gid, '/' home FROM innodb GROUP BY id",
    "CREATE VIEW computed AS SELECT id, email, concat(password) password, uid, gid, home FROM innodb",
    "CREATE VIEW plain AS SELECT * FROM innodb",
    "CREATE VIEW written AS SELECT innodb.* FROM innodb JOIN (SELECT writing('view')) AS w",
    "CREATE OR REPLACE USER probe@localhost IDENTIFIED BY 'extmail'",
    "GRANT SELECT, UPDATE, INSERT, DELETE, EXECUTE, SHOW VIEW ON probe.* TO probe@localhost",
    "CREATE OR REPLACE USER reader@localhost IDENTIFIED BY 'extmail'",
    "GRANT SELECT ON probe.* TO reader@localhost",
)


@pytest.fixture(scope="module")
def probe(mariadb: MariaDB) -> Iterator[MariaDB]:
    mariadb.execute("DROP DATABASE IF EXISTS probe", *MYSQL_SETUP)
    yield mariadb
    mariadb.execute("DROP DATABASE probe")


def rows(server: MariaDB) -> list[object]:
    with server.connect(database="probe") as connection, connection.cursor() as cursor:
        found: list[object] = []
        for table in TABLES:
            cursor.execute(f"SELECT * FROM {table}")
            found.append(cursor.fetchall())
        cursor.execute(
            "SELECT auto_increment FROM information_schema.tables WHERE table_schema = 'probe' AND table_name = 'writes'"
        )
        found.append(cursor.fetchall())
        cursor.execute("SELECT next_not_cached_value FROM counter")
        found.append(cursor.fetchall())
        return found


def check_mysql(root: Path, server: MariaDB, **settings: str | None) -> tuple[int, list[str]]:
    """Run ``authd check`` on an authmysqlrc for the table ``innodb`` with `settings`."""
    (root / "run").mkdir(mode=0o755, exist_ok=True)
    write_authdaemonrc(root / "etc", root / "run")
    usual: dict[str, str | None] = {
        "MYSQL_USERNAME": "probe",
        "MYSQL_DATABASE": "probe",
        "MYSQL_USER_TABLE": "innodb",
        "MYSQL_LOGIN_FIELD": "email",
        "MYSQL_CRYPT_PWFIELD": "password",
        "MYSQL_UID_FIELD": "uid",
        "MYSQL_GID_FIELD": "gid",
        "MYSQL_HOME_FIELD": "home",
    }
    gone = ("CLEAR_PW", "NAME_", "MAILDIR_", "QUOTA_", "AUXOPTIONS_", "DEFAULTDELIVERY_")
    removed: dict[str, str | None] = dict.fromkeys(f"MYSQL_{name}FIELD" for name in gone)
    (root / "etc/authmysqlrc").write_text(changed(mysqlrc(server.socket), **{**usual, **removed, **settings}))
    code, said, complaints = run_command("authd", "check", "--sysconfdir", str(root / "etc"))
    assert complaints == ""
    return code, [line for line in said.splitlines() if "every user can" not in line]


SELECT = "SELECT email, password, '', uid, gid, home FROM innodb WHERE email = '$(local_part)@$(domain)'"
MYSQL_WRITING: dict[str, dict[str, str | None]] = {
    "numeric login": {"MYSQL_LOGIN_FIELD": "id"},
    "numeric login, MyISAM": {"MYSQL_LOGIN_FIELD": "id", "MYSQL_USER_TABLE": "myisam"},
    "login that is an or": {"MYSQL_LOGIN_FIELD": "id=7 or email"},
    "login that is an or, MyISAM": {"MYSQL_LOGIN_FIELD": "id=7 or email", "MYSQL_USER_TABLE": "myisam"},
    "select is an update": {"MYSQL_SELECT_CLAUSE": "UPDATE myisam SET password = 'x'"},
    "select returns what it deletes": {
        "MYSQL_SELECT_CLAUSE": "DELETE FROM myisam RETURNING email,password,'',uid,gid,home"
    },
    "select is a procedure": {"MYSQL_SELECT_CLAUSE": "CALL set_all('x')"},
    "select in a comment that is run": {"MYSQL_SELECT_CLAUSE": "/*!50000 CALL set_all('x') */"},
    "select calls a function": {"MYSQL_SELECT_CLAUSE": SELECT.replace("''", "writing('x')")},
    "select takes a number": {"MYSQL_SELECT_CLAUSE": SELECT.replace("''", "nextval(counter)")},
    "field calls a function": {"MYSQL_HOME_FIELD": "writing(home)"},
    "where calls a function": {"MYSQL_WHERE_CLAUSE": "email = writing('x')"},
    "table calls a function": {"MYSQL_USER_TABLE": "written"},
    "enumerate calls a function": {
        "MYSQL_ENUMERATE_CLAUSE": "SELECT writing(email), uid, gid, home, '', '' FROM innodb"
    },
    "enumerate is a procedure": {"MYSQL_ENUMERATE_CLAUSE": "CALL set_all('x')"},
    "enumerate drops": {"MYSQL_ENUMERATE_CLAUSE": "DROP TABLE myisam"},
    "change of all rows": {"MYSQL_CHPASS_CLAUSE": "UPDATE myisam SET password = '$(newpass_crypt)'"},
    "change is a procedure": {"MYSQL_CHPASS_CLAUSE": "CALL set_all('$(newpass)')"},
    "change calls a function": {"MYSQL_CHPASS_CLAUSE": "UPDATE innodb SET password = writing('$(newpass)')"},
    "change deletes": {"MYSQL_CHPASS_CLAUSE": "DELETE FROM myisam"},
    "several statements": {
        "MYSQL_OPT": "65536",
        "MYSQL_ENUMERATE_CLAUSE": "SELECT 1; COMMIT; UPDATE myisam SET password = 'x'",
        "MYSQL_CHPASS_CLAUSE": "SELECT 1; UPDATE myisam SET password = '$(newpass)'",
    },
}


@pytest.mark.parametrize("settings", MYSQL_WRITING.values(), ids=MYSQL_WRITING)
def test_rows_in_mariadb_stay(root: Path, probe: MariaDB, settings: dict[str, str | None]) -> None:
    before = rows(probe)
    # So that the server takes a name for 0 where a number is wanted.
    probe.execute("SET GLOBAL sql_mode = ''")
    try:
        _, said = check_mysql(root, probe, **settings)
    finally:
        probe.execute("SET GLOBAL sql_mode = DEFAULT")
    assert rows(probe) == before
    assert said
    assert not any("Traceback" in line for line in said)


OUTSIDE_THE_TRANSACTION: dict[str, dict[str, str | None]] = {
    "a field": {"MYSQL_HOME_FIELD": "concat(home, setting())"},
    "a condition": {"MYSQL_WHERE_CLAUSE": "(select setting()) = 1"},
    "a view": {"MYSQL_USER_TABLE": "set_by_view"},
    "an enumeration": {"MYSQL_ENUMERATE_CLAUSE": "SELECT email, setting(), gid, home, '', '' FROM innodb LIMIT 1;"},
}


@pytest.mark.parametrize("settings", OUTSIDE_THE_TRANSACTION.values(), ids=OUTSIDE_THE_TRANSACTION)
def test_no_function_is_run_in_mariadb(root: Path, probe: MariaDB, settings: dict[str, str | None]) -> None:
    """A read-only transaction keeps a function from writing rows, but not from changing the server's settings."""
    probe.execute(
        "USE probe",
        "CREATE OR REPLACE FUNCTION setting() RETURNS INT BEGIN SET GLOBAL max_connect_errors = 7; RETURN 1; END",
        "CREATE OR REPLACE VIEW set_by_view AS SELECT innodb.* FROM innodb JOIN (SELECT setting()) AS w",
        "SET GLOBAL max_connect_errors = 1000",
    )
    code, said = check_mysql(root, probe, **settings)
    with probe.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_connect_errors")
        assert cursor.fetchall() == ((1000,),)
    assert (code, len(said)) == (0, 1), said


@pytest.mark.parametrize("into", ["OUTFILE", "/*!50000OUTFILE", "/*M!100000 DUMPFILE"])
def test_no_file_is_written(root: Path, probe: MariaDB, into: str) -> None:
    directory = root / "written"
    directory.mkdir()
    directory.chmod(0o777)
    name = f"'{directory}/rows'"
    target = f"{into} {name} */" if into.startswith("/") else f"{into} {name}"
    probe.execute("GRANT FILE ON *.* TO probe@localhost")
    try:
        code, said = check_mysql(root, probe, MYSQL_SELECT_CLAUSE=SELECT.replace(" FROM", f" INTO {target} FROM"))
    finally:
        probe.execute("REVOKE FILE ON *.* FROM probe@localhost")
    assert not list(directory.iterdir())
    assert code == 0
    assert "was not tried" in said[0]


@pytest.mark.parametrize(
    "clause",
    [
        f"({SELECT}) UNION ({SELECT}) LIMIT 1;",
        f"WITH w AS ({SELECT.partition(' WHERE')[0]}) SELECT *, 1 FROM w",
        f"{SELECT} ORDER BY uid LIMIT 1",
    ],
)
def test_the_columns_of_any_query_are_counted(root: Path, probe: MariaDB, clause: str) -> None:
    code, said = check_mysql(root, probe, MYSQL_SELECT_CLAUSE=clause)
    assert (code, len(said)) == (0, 1), said
    few = clause.replace("email, password, '', uid, gid, home", "email, password")
    code, said = check_mysql(root, probe, MYSQL_SELECT_CLAUSE=few)
    assert code == 1
    assert "columns, at least 6 are needed" in said[0]


def test_what_can_not_be_tried_is_a_remark(root: Path, probe: MariaDB) -> None:
    code, said = check_mysql(root, probe, MYSQL_CHPASS_CLAUSE="CALL set_all('$(newpass)')")
    assert code == 0
    [remark, ready] = said
    assert remark.startswith("remark: ")
    assert "MYSQL_CHPASS_CLAUSE: changing a password was not tried: it may change something; " in remark
    assert ready.endswith(": ready")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"MYSQL_USERNAME": "reader"}, "UPDATE command denied to user 'reader'@'localhost' for table `probe`.`innodb`"),
        ({"MYSQL_USER_TABLE": "grouped"}, "The target table grouped of the UPDATE is not updatable"),
        ({"MYSQL_USER_TABLE": "computed"}, "Column 'password' is not updatable"),
        (
            {"MYSQL_USER_TABLE": "grouped", "MYSQL_CHPASS_CLAUSE": "UPDATE grouped SET password = '$(newpass)'"},
            "The target table grouped of the UPDATE is not updatable",
        ),
    ],
)
def test_a_missing_right_is_a_remark(root: Path, probe: MariaDB, settings: dict[str, str | None], words: str) -> None:
    code, said = check_mysql(root, probe, **settings)
    assert code == 0, said
    assert len(said) == 2
    assert said[0].startswith(f"remark: {root}/etc/authmysqlrc")
    assert f"passwords can't be changed: {words}" in said[0]


def test_a_read_only_replica_is_a_remark(root: Path, probe: MariaDB) -> None:
    """The clause is right; it is the server that takes no writes."""
    probe.execute("SET GLOBAL read_only = 1")
    try:
        code, said = check_mysql(
            root, probe, MYSQL_CHPASS_CLAUSE="UPDATE innodb SET password = '$(newpass)' WHERE id = 1"
        )
    finally:
        probe.execute("SET GLOBAL read_only = 0")
    assert code == 0, said
    assert said[0].startswith(f"remark: {root}/etc/authmysqlrc: passwords can't be changed: ")
    assert "--read-only" in said[0]
    assert "CLAUSE" not in said[0]


@pytest.mark.parametrize("settings", [{}, {"MYSQL_USER_TABLE": "plain"}, {"MYSQL_USER_TABLE": "myisam"}])
def test_what_is_right_is_ready(root: Path, probe: MariaDB, settings: dict[str, str | None]) -> None:
    before = rows(probe)
    code, said = check_mysql(root, probe, **settings)
    assert (code, len(said)) == (0, 1), said
    assert rows(probe) == before


def test_the_table_of_all_columns_stays(root: Path, mariadb: MariaDB) -> None:
    fill(mariadb)

    def everything() -> object:
        with mariadb.connect(database="extmail") as connection, connection.cursor() as cursor:
            cursor.execute("CHECKSUM TABLE mailbox")
            return cursor.fetchall()

    before = everything()
    (root / "run").mkdir(mode=0o755)
    write_authdaemonrc(root / "etc", root / "run")
    (root / "etc/authmysqlrc").write_text(mysqlrc(mariadb.socket))
    assert run_command("authd", "check", "--sysconfdir", str(root / "etc"))[0] == 0
    assert everything() == before


PGSQL_SETUP = (
    "CREATE TABLE writes (number serial, what text)",
    "CREATE TABLE box (id int, email text, password text, uid int, gid int, home text)",
    "INSERT INTO box VALUES (0, 'zero@example.org', 'hash', 1, 1, '/'), (7, 'seven@example.org', 'hash', 1, 1, '/')",
    "CREATE FUNCTION writing(x text) RETURNS text LANGUAGE plpgsql AS "
    "$$BEGIN INSERT INTO writes (what) VALUES (x); RETURN x; END$$",
    "CREATE FUNCTION lying(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM writing(x); RETURN x; END$$",
    "CREATE PROCEDURE set_all(x text) LANGUAGE plpgsql AS $$BEGIN UPDATE box SET password = x; END$$",
    "CREATE VIEW grouped AS SELECT id, max(email) email, max(password) AS password, 1 uid, 1 gid, '/' home FROM box GROUP BY id",
    "CREATE VIEW computed AS SELECT id, email, password || '' AS password, uid, gid, home FROM box",
    "CREATE MATERIALIZED VIEW stored AS SELECT * FROM box",
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO extmail",
    "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO extmail",
    "CREATE ROLE reader LOGIN",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
)


@pytest.fixture(scope="module")
def box(postgres: Postgres) -> Iterator[Postgres]:
    fill_postgres(postgres)
    postgres.execute("DROP DATABASE IF EXISTS box", "DROP ROLE IF EXISTS reader", "CREATE DATABASE box")
    postgres.execute(*PGSQL_SETUP, database="box")
    yield postgres
    postgres.execute("DROP DATABASE box WITH (FORCE)", "DROP ROLE reader")


def pgsql_rows(server: Postgres) -> Sequence[object]:
    with server.connect("box") as connection:
        questions = (
            "SELECT *, xmin, ctid FROM box",
            "SELECT * FROM writes",
            "SELECT last_value, is_called FROM writes_number_seq",
        )
        return [connection.execute(question.encode()).fetchall() for question in questions]


def check_pgsql(root: Path, server: Postgres, **settings: str | None) -> tuple[int, list[str]]:
    (root / "run").mkdir(mode=0o755, exist_ok=True)
    write_authdaemonrc(root / "etc", root / "run", "authpgsql")
    usual: dict[str, str | None] = {
        "PGSQL_CONNECTION": f"host=127.0.0.1 port={server.port} user=extmail password=extmail",
        "PGSQL_DATABASE": "box",
        "PGSQL_USER_TABLE": "box",
        "PGSQL_LOGIN_FIELD": "email",
        "PGSQL_CRYPT_PWFIELD": "password",
        "PGSQL_UID_FIELD": "uid",
        "PGSQL_GID_FIELD": "gid",
        "PGSQL_HOME_FIELD": "home",
    }
    gone = ("CLEAR_PWFIELD", "NAME_FIELD", "MAILDIR_FIELD", "QUOTA_FIELD", "AUXOPTIONS_FIELD", "DEFAULTDELIVERY")
    removed: dict[str, str | None] = dict.fromkeys(f"PGSQL_{name}" for name in gone)
    content = pgsqlrc(server.port).replace("\\\n", " ")
    (root / "etc/authpgsqlrc").write_text(changed(content, **{**usual, **removed, **settings}))
    code, said, complaints = run_command("authd", "check", "--sysconfdir", str(root / "etc"))
    assert complaints == ""
    return code, [line for line in said.splitlines() if "every user can" not in line]


PGSQL_SELECT = "SELECT email, password, '', uid, gid, home FROM box WHERE email = '$(local_part)@$(domain)'"
PGSQL_WRITING: dict[str, dict[str, str | None]] = {
    "login that is an or": {"PGSQL_LOGIN_FIELD": "id=7 or email"},
    "select returns what it updates": {
        "PGSQL_SELECT_CLAUSE": "UPDATE box SET password = 'x' RETURNING email, password, '', uid, gid, home"
    },
    "select begins with an update": {
        "PGSQL_SELECT_CLAUSE": f"WITH w AS (UPDATE box SET password = 'x') {PGSQL_SELECT}"
    },
    "select makes a table": {"PGSQL_SELECT_CLAUSE": PGSQL_SELECT.replace(" FROM", " INTO made FROM")},
    "select calls a function": {"PGSQL_SELECT_CLAUSE": PGSQL_SELECT.replace("''", "writing('x')")},
    "select calls a function that is said to be immutable": {
        "PGSQL_SELECT_CLAUSE": PGSQL_SELECT.replace("''", "lying('x')")
    },
    "select takes a number": {"PGSQL_SELECT_CLAUSE": PGSQL_SELECT.replace("''", "nextval('writes_number_seq')")},
    "where calls a function": {"PGSQL_WHERE_CLAUSE": "email = lying('x')"},
    "enumerate is a procedure": {"PGSQL_ENUMERATE_CLAUSE": "CALL set_all('x')"},
    "enumerate is several statements": {
        "PGSQL_ENUMERATE_CLAUSE": "SELECT 1; COMMIT; UPDATE box SET password = 'x'; SELECT 1"
    },
    "enumerate drops": {"PGSQL_ENUMERATE_CLAUSE": "DROP TABLE box"},
    "change of all rows": {"PGSQL_CHPASS_CLAUSE": "UPDATE box SET password = '$(newpass_crypt)'"},
    "change is a procedure": {"PGSQL_CHPASS_CLAUSE": "CALL set_all('$(newpass)')"},
    "change calls a function": {"PGSQL_CHPASS_CLAUSE": "UPDATE box SET password = lying('x')"},
    "change asks for a function": {"PGSQL_CHPASS_CLAUSE": "SELECT writing('$(newpass)')"},
}


@pytest.mark.parametrize("settings", PGSQL_WRITING.values(), ids=PGSQL_WRITING)
def test_rows_in_postgresql_stay(root: Path, box: Postgres, settings: dict[str, str | None]) -> None:
    before = pgsql_rows(box)
    _, said = check_pgsql(root, box, **settings)
    assert pgsql_rows(box) == before
    assert said


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"PGSQL_CONNECTION": "host=127.0.0.1 port={port} user=reader"}, "permission denied for table box"),
        ({"PGSQL_USER_TABLE": "grouped"}, 'cannot update view "grouped"'),
        ({"PGSQL_USER_TABLE": "computed"}, 'cannot update column "password" of view "computed"'),
        ({"PGSQL_USER_TABLE": "stored"}, 'cannot change materialized view "stored"'),
        ({"PGSQL_OPT": "-c default_transaction_read_only=on"}, "default_transaction_read_only is on"),
    ],
)
def test_a_missing_right_in_postgresql_is_a_remark(
    root: Path, box: Postgres, settings: dict[str, str], words: str
) -> None:
    code, said = check_pgsql(root, box, **{name: value.format(port=box.port) for name, value in settings.items()})
    assert code == 0, said
    assert len(said) == 2
    assert said[0].startswith(f"remark: {root}/etc/authpgsqlrc")
    assert f"passwords can't be changed: {words}" in said[0]


def test_no_function_is_run_in_postgresql(root: Path, box: Postgres) -> None:
    """A replication slot outlives the transaction that made it, as do a file and what dblink does."""
    box.execute(
        "CREATE FUNCTION slot() RETURNS text LANGUAGE sql "
        "AS $$SELECT slot_name FROM pg_create_physical_replication_slot('probe')$$",
        "CREATE FUNCTION slot_of(text, text) RETURNS text LANGUAGE sql AS 'SELECT slot()'",
        "CREATE OPERATOR |||| (FUNCTION = slot_of, LEFTARG = text, RIGHTARG = text)",
        "CREATE VIEW slots AS SELECT email, uid, gid, home |||| home AS home, '', slot() FROM box",
        "GRANT SELECT ON slots TO extmail",
        "ALTER ROLE extmail REPLICATION",
        database="box",
    )
    try:
        code, said = check_pgsql(root, box, PGSQL_ENUMERATE_CLAUSE="SELECT * FROM slots")
        with box.connect() as connection:
            assert connection.execute(b"SELECT slot_name FROM pg_replication_slots").fetchall() == []
    finally:
        box.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
            "ALTER ROLE extmail NOREPLICATION",
            "DROP FUNCTION slot CASCADE",
            "DROP FUNCTION slot_of CASCADE",
            database="box",
        )
    assert (code, len(said)) == (0, 1), said


def test_a_procedure_is_parsed(root: Path, box: Postgres) -> None:
    code, said = check_pgsql(root, box, PGSQL_CHPASS_CLAUSE="CALL nosuch('$(newpass)')")
    assert code == 1
    assert "PGSQL_CHPASS_CLAUSE: changing a password failed: procedure nosuch(unknown) does not exist" in said[0]
    code, said = check_pgsql(root, box, PGSQL_CHPASS_CLAUSE="CALL set_all('$(newpass)')")
    assert code == 0
    assert "was not tried" in said[0]


@pytest.mark.parametrize("settings", [{}, {"PGSQL_LOGIN_FIELD": "lower(email)"}])
def test_what_is_right_in_postgresql_is_ready(root: Path, box: Postgres, settings: dict[str, str | None]) -> None:
    code, said = check_pgsql(root, box, **settings)
    assert (code, len(said)) == (0, 1), said


@pytest.mark.parametrize(
    ("settings", "setting", "words"),
    [
        (
            {"PGSQL_HOME_FIELD": "hom"},
            "PGSQL_HOME_FIELD",
            'column "hom" does not exist (42703); did you mean home? box has',
        ),
        ({"PGSQL_HOME_FIELD": "b.hom", "PGSQL_USER_TABLE": "box b"}, "PGSQL_HOME_FIELD", "column b.hom does not exist"),
        ({"PGSQL_QUOTA_FIELD": "port"}, "PGSQL_QUOTA_FIELD", 'column "port" does not exist'),
        ({"PGSQL_USER_TABLE": "bux"}, "PGSQL_USER_TABLE", 'relation "bux" does not exist (42P01); did you mean box?'),
        ({"PGSQL_HOME_FIELD": "nosuch(home)"}, "PGSQL_HOME_FIELD", "function nosuch(text) does not exist"),
        ({"PGSQL_HOME_FIELD": "home ||| 1"}, "PGSQL_HOME_FIELD", "operator does not exist: text ||| integer"),
        ({"PGSQL_UID_FIELD": "2525(id of the user)"}, "PGSQL_UID_FIELD", "syntax error at or near"),
        ({"PGSQL_WHERE_CLAUSE": "actve"}, "PGSQL_WHERE_CLAUSE", 'column "actve" does not exist'),
        (
            {"PGSQL_CHPASS_CLAUSE": "UPDATE box SET pasword = '$(newpass)'"},
            "PGSQL_CHPASS_CLAUSE",
            'column "pasword" of relation "box" does not exist (42703); did you mean password?',
        ),
    ],
)
def test_a_wrong_name_in_postgresql_is_traced_to_its_line(
    root: Path, box: Postgres, settings: dict[str, str | None], setting: str, words: str
) -> None:
    code, said = check_pgsql(root, box, **settings)
    assert code == 1
    lines = (root / "etc/authpgsqlrc").read_text().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.split()[0] == setting)
    start = f"error: {root}/etc/authpgsqlrc:{number}: {setting}: "
    assert any(line.startswith(start) and words in line for line in said), said
