"""Passwords are told to none: not by ``check`` or a start over a mistyped line, and a file that others can read is remarked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.daemon import Authd, run_command
from tests.support.sysconf import changed, ldaprc, mysqlrc, pgsqlrc, sqliterc, write_authdaemonrc

SECRET = "Hunter2-seven"

MISTYPED = (
    f"MYSQL_PASSWRD {SECRET}",
    f"MYSQL_PASSWORD={SECRET}",
    f"MYSQL_PASSWORD: {SECRET}",
    f"MYSQL_PASSWORD:{SECRET}",
    f"MYSQL_PASSWORD={SECRET} # mine",
    f"mysql_password {SECRET}",
    f"PASSWORD {SECRET}",
    f"MYSQL_PASSWORD\n{SECRET}",
    f"MYSQL_PASSWORD\n  {SECRET} more",
    f"MYSQL_PASSWORD '{SECRET}' (the password)",
    f"MYSQL_PORT 0 \\\nMYSQL_PASSWORD {SECRET}",
    f"MYSQL_PORT x \\\nMYSQL_PASSWORD {SECRET}",
    f"MYSQL_OPT 0 \\\nMYSQL_PASSWORD={SECRET}",
    f"MYSQL_SOCKET /nonexistent MYSQL_PASSWORD {SECRET}",
    f"MYSQL_SERVER mail:{SECRET}@127.0.0.1",
    f"MYSQL_SERVER mysql://mail:{SECRET}@127.0.0.1/mail",
    f"PGSQL_CONNECTION host=mail:{SECRET}@127.0.0.1",
    f"PGSQL_CONNECTION host=127.0.0.1 port={SECRET}",
    f"PGSQL_CONNECTION host=127.0.0.1 sslmode={SECRET}",
    f"LDAP_URI ldap://mail:{SECRET}@127.0.0.1:port",
    f"LDAP_BINDPW: {SECRET}",
    f"LDAP_BINDPW={SECRET}",
    f"LDAP_BINDPW\n{SECRET}",
    f"LDAP_BINDPWD {SECRET}",
    f"LDAP_TIMEOUT x LDAP_BINDPW {SECRET}",
    f"LDAP_TIMEOUT 5 \\\nLDAP_BINDPW {SECRET}",
    f"PGSQL_CONNECTION host=127.0.0.1 password=my {SECRET}",
    f"PGSQL_CONNECTION host=127.0.0.1 password='{SECRET}",
    f"PGSQL_CONNECTION host=127.0.0.1 {SECRET}",
    f"PGSQL_CONNECTION password={SECRET} {SECRET}=x",
    f"PGSQL_CONNECTION postgresql://u:%zz{SECRET}@127.0.0.1/db",
    f"PGSQL_CONNECTION postgresql://u:p@{SECRET}@127.0.0.1/db",
    f"PGSQL_CONNECTION postgresql://u:1/{SECRET}@127.0.0.1/db",
    f"PGSQL_CONNECTION postgresql://u:{SECRET}@[::1/db",
    f"PGSQL_CONECTION host=x password={SECRET}",
    f"PGSQL_PASSWORD={SECRET}",
    f"PGSQL_PORT 5432 \\\nPGSQL_PASSWORD {SECRET}",
    f"DEFAULT_DOMAIN example.org MYSQL_PASSWORD {SECRET}",
)


def _rc(root: Path, line: str) -> tuple[str, str]:
    """Return the module that a mistyped `line` is of, and its file with it."""
    if "LDAP" in line:
        return "authldap", changed(ldaprc("ldap://127.0.0.1:1"), LDAP_BINDPW=None, LDAP_TIMEOUT=None)
    if "PGSQL" in line:
        rc = pgsqlrc(1)
        where = rc[rc.index("PGSQL_CONNECTION") : rc.index("PGSQL_DATABASE")]
        return "authpgsql", rc.replace(
            where, "" if "PGSQL_CONNECTION" in line else "PGSQL_CONNECTION host=127.0.0.1 port=1\n"
        )
    gone = dict.fromkeys(("MYSQL_PASSWORD", "MYSQL_PORT", "MYSQL_OPT", "DEFAULT_DOMAIN"))
    if line.startswith("MYSQL_SERVER"):
        gone = {"MYSQL_SERVER": None}
    return "authmysql", changed(mysqlrc(root / "sock"), **gone)


@pytest.mark.parametrize("line", MISTYPED)
def test_a_mistyped_line_of_a_module_is_not_shown(root: Path, line: str) -> None:
    (root / "run").mkdir()
    module, rc = _rc(root, line)
    write_authdaemonrc(root / "etc", root / "run", module, AUTHD_DATABASE_TIMEOUT="1")
    (root / "etc" / f"{module}rc").write_text(rc.replace("##NAME: MARKER", f"{line}\n##NAME: MARKER"))
    at = ("--sysconfdir", str(root / "etc"))
    said = [run_command("authd", "check", *at), run_command("authtest", *at, "--explain", "user", "x")]
    for _, output, complaint in said:
        assert "Traceback" not in complaint
        for piece in (SECRET, "Hunter2", "seven"):
            assert piece not in output + complaint


@pytest.mark.parametrize(
    "line",
    [
        f"MYSQL_PASSWORD {SECRET}",
        SECRET,
        f" {SECRET} ",
        f"AUTHD_USER {SECRET}",
        f"daemons={SECRET[7:]} MYSQL_PASSWORD {SECRET}",
        f"daemons=-1 MYSQL_PASSWORD={SECRET}",
        f'AUTHD_BATCH="x password={SECRET}"',
        f"AUTHD_LOGIN_TEMPFAIL='close LDAP_BINDPW {SECRET}'",
        f"AUTHD_PASSWORD={SECRET}",
        f"AUTHD_DECOY_HASH='{SECRET}'",
        f"DEBUG_LOGIN=1 MYSQL_PASSWORD {SECRET}",
        f'LOGGEROPTS="-password={SECRET}"',
        f'AUTHD_LISTEN="authdaemond:x,password={SECRET}"',
        f"authmodulelist='authsqlite\n{SECRET}'",
    ],
)
@pytest.mark.parametrize("verb", ["check", "start"])
def test_a_mistyped_line_of_authdaemonrc_is_not_shown(site: Authd, line: str, verb: str) -> None:
    site.run.mkdir()
    file = site.etc / "authdaemonrc"
    # Without the settings that are mistyped; the last line keeps a start from succeeding.
    kept = [text for text in file.read_text().splitlines() if text.partition("=")[0] not in line]
    file.write_text("\n".join([*kept, line, "daemons=-7", ""]))
    words = ("authd", "check") if verb == "check" else ("authdaemond", "start", "--foreground")
    code, output, complaint = run_command(*words, "--sysconfdir", str(site.etc))
    assert code == 1
    assert SECRET not in output + complaint
    assert "Traceback" not in complaint


class TestExposure:
    """``check`` and the log of a start tell which file others can read, and what to do."""

    FILES = (
        ("authmysql", mysqlrc(Path("/nonexistent")), "MYSQL_PASSWORD"),
        ("authpgsql", pgsqlrc(1), "PGSQL_CONNECTION"),
        (
            "authpgsql",
            "PGSQL_CONNECTION postgresql://u:pw@127.0.0.1:1/db\nPGSQL_DATABASE db\nPGSQL_USER_TABLE x\nPGSQL_CLEAR_PWFIELD y\n",
            "PGSQL_CONNECTION",
        ),
        ("authldap", ldaprc("ldap://127.0.0.1:1"), "LDAP_BINDPW"),
    )

    def remarks(self, etc: Path, what: str = "can read") -> list[str]:
        said = run_command("authd", "check", "--sysconfdir", str(etc))[1]
        return [line for line in said.splitlines() if line.startswith("remark: ") and what in line]

    @pytest.fixture
    def etc(self, root: Path) -> Path:
        require()
        (root / "run").mkdir(mode=0o750)
        return root / "etc"

    @pytest.mark.parametrize(("module", "rc", "setting"), FILES)
    def test_a_password(self, etc: Path, module: str, rc: str, setting: str) -> None:
        write_authdaemonrc(etc, etc.parent / "run", module, AUTHD_DATABASE_TIMEOUT="1")
        file = etc / f"{module}rc"
        file.write_text(rc)
        file.chmod(0o644)
        number = next(number for number, line in enumerate(rc.splitlines(), 1) if line.startswith(setting))
        place = f"remark: {file}:{number}: {setting}: "
        assert self.remarks(etc) == [f"{place}every user can read {file}, and the password in it; chmod go= {file}"]
        daemon = Authd(etc, etc.parent / "run")
        with daemon:
            assert f"WARN: {file}:{number}: {setting}: every user can read {file}" in daemon.logged()
        file.chmod(0o640)
        assert self.remarks(etc) == []
        shutil.chown(file, group="www-data")
        assert self.remarks(etc) == [
            f"{place}every member of the group www-data can read {file}, and the password in it; chmod go= {file}"
        ]
        # Its members may ask the daemon.
        shutil.chown(etc.parent / "run", group="www-data")
        assert self.remarks(etc) == []

    def test_the_hint_lets_the_daemons_user_read(self, etc: Path) -> None:
        write_authdaemonrc(etc, etc.parent / "run", AUTHD_USER="mail", AUTHD_DATABASE_TIMEOUT="1")
        file = etc / "authmysqlrc"
        file.write_text(mysqlrc(Path("/nonexistent")))
        assert [line.rpartition("; ")[2] for line in self.remarks(etc)] == [f"chgrp mail {file}, and chmod 640 {file}"]
        shutil.chown(file, group="mail")
        assert [line.rpartition("; ")[2] for line in self.remarks(etc)] == [f"chmod o= {file}"]
        file.chmod(0o640)
        assert self.remarks(etc) == []

    def test_a_directory_that_others_can_not_enter(self, etc: Path) -> None:
        write_authdaemonrc(etc, etc.parent / "run", AUTHD_DATABASE_TIMEOUT="1")
        (etc / "authmysqlrc").write_text(mysqlrc(Path("/nonexistent")))
        etc.chmod(0o700)
        assert self.remarks(etc) == []

    def test_no_password_in_it(self, etc: Path) -> None:
        write_authdaemonrc(etc, etc.parent / "run", "authpgsql", AUTHD_DATABASE_TIMEOUT="1")
        rc = "PGSQL_CONNECTION host=127.0.0.1 port=1 user=u\nPGSQL_DATABASE d\nPGSQL_USER_TABLE x\nPGSQL_CLEAR_PWFIELD y\n"
        (etc / "authpgsqlrc").write_text(rc)
        assert self.remarks(etc) == []

    def test_keys(self, etc: Path, root: Path) -> None:
        key = root / "key.pem"
        key.touch(mode=0o644)
        write_authdaemonrc(etc, etc.parent / "run", "authldap", LDAPTLS_KEY=str(key))
        (etc / "authldaprc").write_text(changed(ldaprc("ldap://127.0.0.1:1"), LDAP_BINDPW=None))
        assert self.remarks(etc) == [
            f"remark: {etc}/authdaemonrc: LDAPTLS_KEY: every user can read {key}, and the key in it; chmod go= {key}"
        ]
        write_authdaemonrc(etc, etc.parent / "run", AUTHD_DATABASE_TIMEOUT="1")
        (etc / "authmysqlrc").write_text(
            changed(mysqlrc(Path("/nonexistent")), MYSQL_PASSWORD=None, MYSQL_SSL_KEY=str(key))
        )
        assert len(self.remarks(etc, f"can read {key}, and the key in it")) == 1

    def test_accounts(self, site: Authd, root: Path) -> None:
        site.run.mkdir(mode=0o750)
        (root / "accounts.db").chmod(0o644)
        assert len(self.remarks(site.etc, "accounts.db, and the passwords of all accounts in it")) == 1
        for other in ("/etc/passwd", "/tmp"):
            (site.etc / "authsqliterc").write_text(sqliterc(Path(other)))
            assert not self.remarks(site.etc, f"can read {other}")
        write_authdaemonrc(site.etc, site.run, "authuserdb")
        (site.etc / "userdbshadow.dat").touch(mode=0o644)
        assert len(self.remarks(site.etc, "userdbshadow.dat, and the passwords in it")) == 1
