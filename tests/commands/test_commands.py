"""authtest's and authd's own options, authpasswd, and how the commands find their files."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from authd.passwords import SCHEMES, Verdict, verify
from tests.support.daemon import Authd, command, run_command
from tests.support.sysconf import changed, write_authdaemonrc


def explain(site: Authd, *words: str) -> tuple[int, list[str]]:
    """Run ``authtest --explain``; return its exit status and the lines after the first."""
    code, said, complaints = run_command("authtest", "--explain", "--sysconfdir", str(site.etc), *words)
    assert complaints == ""
    lines = said.splitlines()
    assert lines[0] == f"configuration: {site.etc / 'authdaemonrc'}"
    return code, lines[1:]


def test_authtest_explains(site: Authd) -> None:
    assert explain(site, "user@example.org", "secret") == (
        0,
        ["authsqlite: ok: password matches", "result: ok: the client gets the account"],
    )
    assert explain(site, "user@example.org", "wrong") == (
        1,
        ["authsqlite: reject: wrong password", "result: reject: the client gets FAIL"],
    )
    assert explain(site, "nobody") == (1, ["authsqlite: reject: no such user", "result: reject: the client gets FAIL"])
    assert explain(site, "user@example.org") == (
        0,
        ["authsqlite: ok: found", "result: ok: the client gets the account"],
    )
    assert explain(site, "user@example.org", "secret", "changed")[0] == 0
    assert explain(site, "user@example.org", "changed")[0] == 0


def test_authtest_explains_what_the_database_says(site: Authd) -> None:
    rc = site.etc / "authsqliterc"
    rc.write_text(changed(rc.read_text(), SQLITE_QUOTA_FIELD="nosuch"))
    assert explain(site, "user@example.org", "secret") == (
        1,
        [
            "authsqlite: tempfail: query failed: no such column: nosuch",
            "result: tempfail: the client gets no reply, and takes it for a temporary failure",
        ],
    )
    (site.etc / "junk").write_text("no database" * 100)
    rc.write_text(changed(rc.read_text(), SQLITE_QUOTA_FIELD="quota", SQLITE_DATABASE=str(site.etc / "junk")))
    assert explain(site, "user@example.org")[1][0] == (
        f"authsqlite: tempfail: query failed: {site.etc / 'junk'}: file is not a database"
    )
    rc.write_text(changed(rc.read_text(), SQLITE_DATABASE="/nonexistent"))
    assert explain(site, "user@example.org") == (
        1,
        [
            "authsqlite: tempfail: database unreachable: /nonexistent: unable to open database file",
            "result: tempfail: the client gets no reply, and takes it for a temporary failure",
        ],
    )


def test_authtest_reads_passwords_from_standard_input(site: Authd) -> None:
    site.start()
    at = ("--sysconfdir", str(site.etc), "--password-stdin")
    assert run_command("authtest", *at, "user@example.org", typed="secret\n")[0] == 0
    assert run_command("authtest", *at, "user@example.org", typed="wrong\n")[0] == 1
    assert run_command("authtest", *at, "user@example.org", "-", "-", typed="secret\nnew one\n")[::2] == (
        0,
        "Password change succeeded.\n",
    )
    assert run_command("authtest", *at, "user@example.org", typed="new one\n")[0] == 0


@pytest.mark.parametrize("name", ["authtest", "authenumerate", "authpasswd", "authdaemond", "authd"])
def test_help(name: str) -> None:
    code, said, complaints = run_command(name, "--help")
    assert (code, complaints) == (0, "")
    assert said.lower().startswith("usage: " + name)


def test_files_are_found(site: Authd, tmp_path: Path) -> None:
    site.start()
    assert run_command("authtest", "user@example.org", environment={"AUTHD_SYSCONFDIR": str(site.etc)})[0] == 0
    assert (
        run_command(
            "authtest", f"--sysconfdir={site.etc}", "user@example.org", environment={"AUTHD_SYSCONFDIR": "/nonexistent"}
        )[0]
        == 0
    )
    code, _, complaint = run_command("authtest", "--sysconfdir", str(tmp_path / "none"), "user@example.org")
    assert code == 1
    assert complaint.startswith(f"{tmp_path / 'none' / 'authdaemonrc'}: can't be read: No such file or directory; ")
    assert run_command("authenumerate", f"--sysconfdir={site.etc}")[1].startswith(
        "user@example.org\t1000\t1001\t/var/mailbox/"
    )
    assert run_command("authenumerate", "--sysconfdir", str(tmp_path / "none"))[0] == 1


class TestAuthpasswd:
    def test_it_takes_the_option_that_all_take(self) -> None:
        assert run_command("authpasswd", "--sysconfdir", "/nonexistent", "md5", typed="x\n")[0] == 0

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_hashes_open(self, scheme: str) -> None:
        code, said, complaint = run_command("authpasswd", scheme, typed="secret word\n")
        assert (code, complaint) == (0, "")
        assert verify(b"secret word", said.rstrip("\n").encode()) is Verdict.MATCH
        assert verify(b"secret", said.rstrip("\n").encode()) is Verdict.MISMATCH

    def test_the_default_is_of_today(self) -> None:
        assert run_command("authpasswd", typed="secret\n")[1].startswith("$6$")

    @pytest.mark.parametrize(("words", "typed"), [(("nosuch",), "x\n"), (("md5", "more"), "x\n"), ((), ""), ((), "\n")])
    def test_refusals(self, words: tuple[str, ...], typed: str) -> None:
        code, said, complaint = run_command("authpasswd", *words, typed=typed)
        assert code != 0
        assert said == ""
        assert complaint

    @pytest.mark.parametrize(
        ("second", "code", "told"), [("secret", 0, b"$6$"), ("other", 1, b"Passwords don't match.")]
    )
    def test_the_terminal_is_asked_twice_without_echo(self, second: str, code: int, told: bytes) -> None:
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(command("authpasswd"), ["authpasswd"])
        shown = _shown_until(terminal, b"Password: ")
        os.write(terminal, b"secret\n")
        shown += _shown_until(terminal, b"Reenter password: ")
        os.write(terminal, second.encode() + b"\n")
        shown += _shown_until(terminal, told)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
        os.close(terminal)
        assert b"secret" not in shown


def _shown_until(terminal: int, expected: bytes) -> bytes:
    shown = b""
    while expected not in shown:
        piece = os.read(terminal, 4096)
        assert piece, shown
        shown += piece
    return shown


class TestCheck:
    @pytest.fixture(autouse=True)
    def _directory(self, site: Authd) -> None:
        site.run.mkdir(mode=0o750)
        (site.run.parent / "accounts.db").chmod(0o600)

    def test_the_sockets_directory(self, site: Authd) -> None:
        site.run.chmod(0o777)
        code, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
        assert (code, said) == (
            1,
            f"error: {site.etc}/authdaemonrc: authdaemonvar: {site.run}: others can write to it, "
            f"and could put a socket of theirs in its place; chmod o-w {site.run}\n",
        )
        site.run.rmdir()
        code, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
        assert code == 1
        assert f"{site.run}: No such file or directory; create it" in said

    def test_a_good_installation(self, site: Authd) -> None:
        assert run_command("authd", "check", "--sysconfdir", str(site.etc)) == (
            0,
            f"{site.etc}/authdaemonrc: authsqlite: ready\n",
            "",
        )

    def test_problems_name_file_line_and_mend(self, site: Authd) -> None:
        rc = site.etc / "authsqliterc"
        content = changed(
            rc.read_text(),
            SQLITE_QUOTA_FIELD="nosuch",
            SQLITE_UID_FIELD="2525(the mail user's, 邮件)",
            SQLITE_COLOUR="blue",
            SQLITE_SELECT_CLAUSE=None,
        )
        rc.write_text(content)
        lines = {line.split("\t")[0]: number for number, line in enumerate(content.splitlines(), 1)}
        code, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
        assert code == 1
        assert (
            f"remark: {rc}:{lines['SQLITE_UID_FIELD']}: SQLITE_UID_FIELD: "
            '"(the mail user\'s, 邮件)" seems to be a remark; put the remark on a line of its own'
        ) in said
        assert f"remark: {rc}:{lines['SQLITE_COLOUR']}: SQLITE_COLOUR: unknown setting, without effect; " in said
        assert "error: " in said

    def test_the_setting_of_a_failing_query_is_named(self, site: Authd) -> None:
        rc = site.etc / "authsqliterc"
        content = changed(rc.read_text(), SQLITE_QUOTA_FIELD="nosuch")
        rc.write_text(content)
        number = next(
            number for number, line in enumerate(content.splitlines(), 1) if line.startswith("SQLITE_QUOTA_FIELD")
        )
        code, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
        assert code == 1
        assert said.splitlines()[0] == (
            f"error: {rc}:{number}: SQLITE_QUOTA_FIELD: looking up an account failed: no such column: "
            "nosuch; name a column that there is; mailbox has username, password, clearpwd, name, uidnumber, gidnumber, "
            "homedir, maildir, quota, options, delivery"
        )

    def test_an_unreachable_database(self, site: Authd) -> None:
        rc = site.etc / "authsqliterc"
        rc.write_text(changed(rc.read_text(), SQLITE_DATABASE="/nonexistent"))
        code, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
        assert code == 1
        assert said == (
            f"error: {rc}: looking up an account failed: unable to open database file; "
            "there is no file /nonexistent; correct SQLITE_DATABASE, or create it (authd never does)\n"
        )

    def test_unknown_modules_and_variables(self, site: Authd) -> None:
        write_authdaemonrc(site.etc, site.run, "authsqlite authnone", AUTHD_COLOUR="x", LOGGEROPTS="-droproot")
        rc = site.etc / "authsqliterc"
        clauses = {
            "SQLITE_CHPASS_CLAUSE": "UPDATE mailbox SET clearpwd='$(newpas)'",
            "SQLITE_ENUMERATE_CLAUSE": "SELECT username,1,1,'/',1,1 FROM mailbox WHERE username LIKE '%@$(domain)'",
        }
        rc.write_text(changed(rc.read_text(), **clauses))
        code, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
        assert code == 0
        assert "authmodulelist: there is no module authnone; there are authldap, authmysql, authpam, " in said
        assert "AUTHD_COLOUR: unknown setting, without effect; see docs/settings.md" in said
        assert "LOGGEROPTS: -droproot has no effect; remove it" in said
        assert (
            "SQLITE_CHPASS_CLAUSE: $(newpas) stands for nothing here; use one of local_part, domain, newpass, newpass_crypt"
            in said
        )
        assert "SQLITE_ENUMERATE_CLAUSE: $(domain) stands for nothing here; use service" in said

    @pytest.mark.parametrize(("name", "content"), [("authdaemonrc", "nonsense\n"), ("authsqliterc", "nonsense\n")])
    def test_broken_files(self, site: Authd, name: str, content: str) -> None:
        (site.etc / name).write_text(content)
        code, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
        assert code == 1
        assert str(site.etc / name) in said
