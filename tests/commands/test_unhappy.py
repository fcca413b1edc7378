"""What the commands say to wrong words, and where their output is not read."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.daemon import Authd, command, run, run_command
from tests.support.site import USER, make_site
from tests.support.sysconf import changed

COMMANDS = (
    "authdaemond",
    "authtest",
    "authenumerate",
    "authpasswd",
    "authd",
    "userdb",
    "makeuserdb",
    "pw2userdb",
    "userdbpw",
)

PAGES = Path(__file__).parents[2] / "docs" / "man"

ODD = (
    "",
    "-",
    "--",
    "-x",
    "-f",
    "--nosuch",
    "--socket",
    "--sysconfdir",
    "--sysconfdir=",
    "--socket=/nonexistent",
    "--password-stdin",
    "--explain",
    "-show",
    "set",
    "unset",
    "del",
    "x=1",
    "status",
    "stop",
    "reload",
    "check",
    "doctor",
    "cache",
    "flush",
    "deliver",
    "--as",
    "nobody",
    "--chroot",
    "/etc/passwd",
    "user@example.org",
    "a\nb",
    "\udcff\udcfe",
    "ü" * 200,
    "%s%n",
    "x" * 9000,
)


@pytest.fixture(scope="module")
def idle() -> Iterator[Path]:
    """The directory of a configuration without a daemon."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        make_site(root)
        (root / "run").mkdir()
        yield root / "etc"


@settings(max_examples=60)
@given(name=st.sampled_from(COMMANDS), words=st.lists(st.sampled_from(ODD), max_size=5))
def test_odd_words_never_end_in_a_traceback(idle: Path, name: str, words: list[str]) -> None:
    code, said, complaint = run(command(name), *words, env={**os.environ, "AUTHD_SYSCONFDIR": str(idle)}, cwd=idle)
    assert "Traceback" not in said + complaint
    assert "a defect" not in complaint
    assert code == 0 or said or complaint, "it ended in silence"
    assert 0 <= code < 128


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["authd"], "authd: error: no command; use check, doctor, cache or deliver"),
        (["authd", "--sysconfdir", "/x"], "authd: error: no command; use check, doctor, cache or deliver"),
        (
            ["authd", "chekc", "--nosuch"],
            "authd: error: unknown command chekc; did you mean check? use check, doctor, cache or deliver",
        ),
        (["authdaemond"], "authdaemond: error: no command; use start, stop, restart, reload or status"),
        (
            ["authdaemond", "statsu"],
            "authdaemond: error: unknown command statsu; did you mean status? use start, stop, restart, reload or status",
        ),
        (["authd", "--sysconfdi", "/x", "check"], "unrecognized arguments: --sysconfdi; did you mean --sysconfdir?"),
        (["authd", "--sysconfdi=/x", "check"], "unrecognized arguments: --sysconfdi=/x; did you mean --sysconfdir?"),
    ],
    ids=" ".join,
)
def test_a_command_that_there_is_not(words: list[str], complaint: str) -> None:
    code, said, complained = run_command(*words)
    assert (code, said) == (2, "")
    assert complained.endswith(f"{complaint}\n")


PRINT_USAGE_ALONE = ("authtest", "authenumerate", "userdb")
"""Commands that say no more of a wrong option than Courier's of these names."""


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in PRINT_USAGE_ALONE])
def test_a_wrong_option_is_named(name: str) -> None:
    for word, problem in (
        ("--nosuch", "unrecognized arguments: --nosuch"),
        ("--sysconfdir", "argument --sysconfdir: expected one argument"),
    ):
        code, said, complained = run_command(name, word)
        assert (code, said) == (2, "")
        assert complained.endswith(f"{name}: error: {problem}\n")


@pytest.mark.parametrize("name", COMMANDS)
class TestEveryCommand:
    @pytest.mark.parametrize("option", ["--help", "--version", "-h"])
    def test_tells_about_itself(self, name: str, option: str) -> None:
        if option == "-h" and name in ("authtest", "authenumerate"):
            pytest.skip("Courier's commands of these names take it for an unknown option, and so do authd's")
        code, said, complaint = run_command(name, option)
        assert (code, complaint) == (0, "")
        assert said.lower().startswith(f"usage: {name}") if option != "--version" else said.startswith(name)

    def test_unknown_options_are_told(self, name: str) -> None:
        code, said, complaint = run_command(name, "--nosuch")
        assert (code, said) == (1 if name in ("authtest", "authenumerate") else 2, "")
        assert complaint.lower().startswith(f"usage: {name}")

    @pytest.mark.parametrize("option", [["--sysconfdir", ""], ["--sysconfdir="]], ids=["apart", "joined"])
    def test_an_empty_directory_leads_to_no_other(self, idle: Path, name: str, option: list[str]) -> None:
        words = {
            "authd": ["check"],
            "authdaemond": ["status"],
            "authtest": ["x"],
            "userdb": ["x", "set", "uid=1"],
        }.get(name, [])
        if name in ("authpasswd", "userdbpw", "pw2userdb"):
            pytest.skip("it reads no configuration")
        code, said, complaint = run_command(name, *option, *words, environment={"AUTHD_SYSCONFDIR": str(idle)})
        assert code
        assert "--sysconfdir is empty; name the directory of authdaemonrc" in said + complaint
        assert not (idle / "userdb").exists()

    def test_its_page_has_every_option(self, name: str) -> None:
        page = next(PAGES.glob(f"{name}.[0-9]")).read_text().replace("\\-", "-").replace("\\fR", "")
        helps = [run_command(name, "--help")[1]]
        if name == "authd":
            helps += [
                run_command(name, *sub, "--help")[1] for sub in (["check"], ["doctor"], ["cache", "flush"], ["deliver"])
            ]
        options = {option for said in helps for option in re.findall(r"(?<![\w-])--?[a-z][\w-]*", said)}
        assert not [option for option in sorted(options) if option not in page and option != "-h"]

    @pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
    def test_closed_streams(self, name: str, closed: str, idle: Path) -> None:
        words = {"authdaemond": ["status"], "authtest": ["user"], "authd": ["check"]}.get(name, [])
        said = run(command(name), *words, shell=f'"$@" {closed}', env={**os.environ, "AUTHD_SYSCONFDIR": str(idle)})
        assert "Traceback" not in "".join(said[1:])
        assert "a defect" not in said[2]

    def test_a_full_output(self, name: str) -> None:
        code, _, complaint = run(command(name), "--help", shell='"$@" >/dev/full')
        # argparse ignores an output that can't be written.
        assert (code, complaint) in ((1, f"{name}: standard output: No space left on device\n"), (0, ""))


class TestOptionsStandAnywhere:
    def test_authd(self, site: Authd) -> None:
        site.run.mkdir()
        etc = str(site.etc)
        checks: tuple[tuple[str, ...], ...] = (
            ("--sysconfdir", etc, "check"),
            (f"--sysconfdir={etc}", "check"),
            ("check", "--sysconfdir", etc),
        )
        for words in checks:
            code, said, complaint = run_command("authd", *words)
            assert (code, said.endswith(": ready\n"), complaint) == (0, True, "")
        flushes: tuple[tuple[str, ...], ...] = (
            ("--sysconfdir", etc, "cache", "flush", "x"),
            ("cache", "--sysconfdir", etc, "flush", "x"),
            ("cache", "flush", "--sysconfdir", etc, "x"),
            ("cache", "flush", "x", "--sysconfdir", etc),
            ("--socket", f"{site.run}/control", "cache", "flush", "x"),
        )
        for words in flushes:
            code, _, complaint = run_command("authd", *words)
            assert (code, complaint.startswith(f"{site.run}/control: there is none; ")) == (1, True), words
        site.start()
        assert run_command("authd", "--socket", str(site.socket), "deliver", USER, "echo", "--sysconfdir") == (
            0,
            "--sysconfdir\n",
            "",
        )
        assert run_command("authd", "--socket", str(site.socket), "check")[0] == 2

    def test_the_userdb(self, tmp_path: Path) -> None:
        for words in (
            ("--sysconfdir", str(tmp_path), "a@b", "set", "uid=1"),
            ("c@d", "set", "uid=2", f"--sysconfdir={tmp_path}"),
        ):
            assert run_command("userdb", *words) == (0, "", "")
        (tmp_path / "userdb").chmod(0o600)
        assert run_command("userdb", "-show", "--sysconfdir", str(tmp_path)) == (0, "a@b\nc@d\n", "")
        assert run_command("userdb", "-show", "a@b", environment={"AUTHD_SYSCONFDIR": str(tmp_path)}) == (
            0,
            "uid=1\n",
            "",
        )
        assert run_command("makeuserdb", "--sysconfdir", str(tmp_path)) == (0, "", "")
        assert (tmp_path / "userdb.dat").exists()
        for name in ("pw2userdb", "userdbpw"):
            assert run_command(name, "--sysconfdir", "/nonexistent", typed="x\n")[0] == 0
        assert run_command("userdb", "a@b", "set", "uid=1", "--sysconfdir")[0] == 2


class TestAuthtest:
    def test_a_word_too_many(self, site: Authd) -> None:
        """``authtest user old new password``: the new password is not cut at its blank."""
        site.start()
        at = ("--socket", str(site.socket))
        code, said, complaint = run_command("authtest", *at, USER, "secret", "new", "password")
        assert (code, said) == (1, "")
        assert complaint.startswith("Usage: authtest ")
        assert run_command("authtest", *at, USER, "secret")[0] == 0

    @pytest.mark.parametrize("more", [(), ("--explain",)])
    def test_an_empty_new_password(self, site: Authd, more: tuple[str, ...]) -> None:
        site.start()
        at = ("--sysconfdir", str(site.etc))
        for words, typed in (((USER, "secret", ""), ""), (("--password-stdin", USER, "-", "-"), "secret\n\n")):
            code, said, complaint = run_command("authtest", *at, *more, *words, typed=typed)
            assert (code, said) == (1, "")
            assert (
                complaint == "authtest: the new password is empty, and no client could send it; nothing was changed\n"
            )
        assert run_command("authtest", *at, USER, "secret")[0] == 0

    def test_an_option_behind_the_userid_is_a_password(self, site: Authd) -> None:
        site.start()
        code, _, complaint = run_command("authtest", "--socket", str(site.socket), USER, "--sysconfdir=secret")
        assert code == 1
        assert complaint == (
            "Authentication FAILED: Operation not permitted\n"
            "authtest: --sysconfdir behind the userid was taken for a password; write options before the userid\n"
        )

    def test_a_temporary_failure(self, site: Authd) -> None:
        site.start()
        (site.run.parent / "accounts.db").unlink()
        code, _, complaint = run_command("authtest", "--socket", str(site.socket), USER)
        assert code == 1
        assert complaint.startswith(
            "Authentication FAILED: Input/output error\nauthtest: the daemon closed without an answer"
        )

    def test_a_list_that_is_cut_off(self, site: Authd) -> None:
        rc = site.etc / "authsqliterc"
        rc.write_text(changed(rc.read_text(), SQLITE_ENUMERATE_CLAUSE="SELECT nosuch FROM mailbox"))
        site.start()
        code, said, complaint = run_command("authenumerate", "--socket", str(site.socket))
        assert (code, said) == (1, "")
        assert complaint.startswith("authenumerate: the list was cut off: ")
        assert "authd check" in complaint


class TestOutput:
    def test_a_reader_who_has_enough(self, authd: Authd) -> None:
        code, said, complaint = run(
            "bash",
            "-o",
            "pipefail",
            "-c",
            '"$@" | head -n 1',
            "bash",
            command("authenumerate"),
            "--socket",
            str(authd.socket),
        )
        assert (code, said.count("\n"), complaint) == (128 + signal.SIGPIPE, 1, "")

    def test_an_interrupt(self, site: Authd) -> None:
        """authtest waits for a daemon that accepts and says nothing."""
        site.run.mkdir()
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(site.socket))
            silent.listen()
            silent.settimeout(30)
            waiting = subprocess.Popen(
                # Tests that a shell has started in the background inherit that the signal is ignored.
                ["env", "--default-signal=INT", command("authtest"), "--socket", str(site.socket), "user"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            try:
                with silent.accept()[0]:
                    waiting.send_signal(signal.SIGINT)
                    assert waiting.communicate(timeout=30)[0] == b""
            finally:
                waiting.kill()
        assert waiting.returncode == 128 + signal.SIGINT

    def test_a_terminal_of_another_encoding(self, site: Authd) -> None:
        other = site.etc.with_name("ü\udcff")
        site.etc.rename(other)
        code, said, complaint = run(
            command("authd"),
            "check",
            "--sysconfdir",
            os.fsdecode(os.fsencode(str(other))),
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )
        assert code == 1
        assert "\\xfc\\udcff/authdaemonrc" in said
        assert "defect" not in complaint
