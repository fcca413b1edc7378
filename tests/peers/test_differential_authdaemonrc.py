"""authdaemonrc: what the real Courier makes of each value, and what authd does.

Courier is started as its own start script starts it.  What it made of the file shows in its replies, its log and its children.
"""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authd.config import authdaemonrc
from authd.config.problem import ConfigError
from tests.conftest import opened, require
from tests.support.courier import DAEMON, in_namespace
from tests.support.processes import end, unix_socket_answers, wait_until
from tests.support.userdb import HASH, compile_with_courier, write
from tests.support.wire import exchange, pre

MODULES = 'authmodulelist="authuserdb"\n'
ONE = "daemons=1\n"

FEW = 20
"""Children that Courier may be asked for: it starts as many as it reads, and reads -1 as four thousand million."""


class Oracle:
    """Courier's daemon, started anew for each content of its authdaemonrc."""

    def __init__(self, root: Path) -> None:
        self.etc, self.run, self.log = root / "etc", root / "run", root / "courier.log"
        self.etc.mkdir()
        (self.run / "authdaemon").mkdir(parents=True)
        self.socket = self.run / "authdaemon" / "socket"
        self.file = self.etc / "authdaemonrc"
        self.file.write_text(MODULES)
        write(self.etc, f"user@example.org\thome=/u|uid=1|gid=2|systempw={HASH}\n")
        compile_with_courier(root, self.etc)

    def made_of(self, content: str) -> tuple[list[str], int, int, bytes] | None:
        """Return modules, children, debug level and default options; ``None`` if Courier does not start."""
        self.file.write_text(content, errors="surrogateescape", newline="")
        self.socket.unlink(missing_ok=True)
        script = f"set -a; . /etc/courier/authdaemonrc; exec {DAEMON}"
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                in_namespace(self.etc, self.run, ["sh", "-c", script]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
        try:
            wait_until(lambda: process.poll() is not None or unix_socket_answers(self.socket), "Courier serves or ends")
            if process.poll() is not None:
                return None
            return self._looked_at(process)
        finally:
            end(process)

    def _looked_at(self, process: subprocess.Popen[bytes]) -> tuple[list[str], int, int, bytes]:
        account = exchange(self.socket, pre("user@example.org"))
        options = re.search(rb"(?m)^OPTIONS=(.*)$", account)
        logged = self.log.read_text(errors="replace")
        announced = re.search(r'INFO: modules="(?s:.*?)", daemons=(\d+)', logged)
        assert announced is not None, logged
        children = int(announced[1]) or 1
        assert children <= FEW
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: len(found.read_text().split()) == children, f"{children} children run")
        level = 2 if "Authenticated: clearpasswd" in logged else 1 if "DEBUG: " in logged else 0
        modules = re.findall(r"(?m)^INFO: Installation complete: (\S+)$", logged)
        return modules, children, level if _shows(modules) else 0, options[1] if options is not None else b""


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    require("unshare", DAEMON)
    return Oracle(opened(tmp_path_factory.mktemp("oracle")))


def _shows(modules: list[str]) -> bool:
    """Tell whether there is an account whose reply shows options and debug level; authpipe has no program, and fails."""
    return modules[:1] == ["authuserdb"]


def _ours(content: str) -> tuple[list[str], int, int, bytes] | None:
    try:
        read = authdaemonrc.parse(content, Path("authdaemonrc"))
    except ConfigError:
        return None
    modules = [name for name in read.modules if name in ("authuserdb", "authpipe")]
    if not _shows(modules):
        return modules, read.daemons, 0, b""
    return modules, read.daemons, read.debug_login, read.default_options


def _compare(oracle: Oracle, content: str) -> None:
    theirs = oracle.made_of(content)
    ours = _ours(content)
    if theirs is not None and not theirs[0]:
        # Courier serves without a module that there is, and says FAIL to all; authd does not start.
        assert ours is None or not ours[0]
        return
    assert ours == theirs


DAEMONS = (
    *(
        "2",
        "2;",
        "2; #",
        " 2",
        "\t2",
        '" 2"',
        '"2"',
        '"2',
        '2"',
        "'3'",
        "\"3'",
        "0x10",
        "",
        '""',
        "0",
        "abc",
        "5abc",
        "+2",
    ),
    *(
        "2.9",
        "2 3",
        '"2"4',
        '"1""2"',
        '"1" "2"',
        '"2 # x"',
        "2 # x",
        "2#x",
        "#2",
        "\\3",
        '"\\3"',
        "$((1+2))",
        "`echo 3`",
    ),
    *(
        "$X",
        '"$X"',
        "=3",
        "002",
        "4294967298",
        "2\r",
        '"2"\r',
        "\x0b2",
        '\x0c"2"',
        '"" 3',
        "2\ndaemons=3",
        "3 >/dev/null",
    ),
)


@pytest.mark.parametrize("value", DAEMONS)
def test_daemons_are_counted_the_same(oracle: Oracle, value: str) -> None:
    content = f"{MODULES}daemons={value}\n"
    if oracle.made_of(content) is None:
        assert _ours(content) is None
    else:
        _compare(oracle, content)


LINES = (
    *(
        " daemons=2",
        "daemons = 2",
        "daemons =2",
        "daemons\t=2",
        "export daemons=2",
        "DAEMONS=2",
        "\x0bdaemons=2",
        "true; daemons=2",
    ),
    *(
        "x=1; daemons=2",
        "daemons=2; x=1",
        "daemons=2 x=1",
        "x=1 daemons=2",
        "=",
        " = ",
        "\r\ndaemons=2\r",
        "nonsense",
        '"',
    ),
    *("a b = c", '"x=y"', ";", "daemons=2\n\n\n", "#" * 200 + "=", "daemons=" + "0" * 8000 + "2"),
)


@pytest.mark.parametrize("line", LINES)
def test_lines_are_read_the_same(oracle: Oracle, line: str) -> None:
    _compare(oracle, f"{MODULES}{line}\n")


LISTS = (
    *('"authuserdb""authpipe"', '"authuserdb,authpipe"', '"authuserdb;authpipe"', '"authuserdb\tauthpipe"'),
    *(
        "authuserdb authpipe",
        "'authuserdb authpipe'",
        '"authuserdb',
        'authuserdb"',
        ' "authuserdb"',
        '"authuserdb" # x',
    ),
    *('"authuserdb # authpipe"', '"authuserdb"#authpipe', '"#authuserdb"', '"authuserdb"\r', '""', "", '"authnone"'),
    *(
        '"authnone authuserdb"',
        '"authuserdb authuserdb"',
        '"authuserdb\\ authpipe"',
        '"authuserdb\nauthpipe"',
        "authuserdb,",
    ),
    *('"authuserdb \\\nauthpipe"', '"authuserdb authpipe" "x"', "authuserdb\\ authpipe", '"userdb"', '"AUTHUSERDB"'),
    *('"authuserdb "authpipe"', "'authuserdb \"authpipe\"'", 'authuserdb "authpipe"', '"authuserdb\x0bauthpipe"'),
    *('"authuserdb\x0cauthpipe"', '"authuserdb\u00a0authpipe"', '"$X"', "\"'authuserdb'\"", '"authuserdb"; true'),
    *('"authuserdb"\nauthmodulelist="authpipe"', '"  authuserdb  "', '"authuserdb"authpipe', "authuserdb\\"),
)


@pytest.mark.parametrize("value", LISTS)
def test_modules_are_listed_the_same(oracle: Oracle, value: str) -> None:
    _compare(oracle, f"authmodulelist={value}\n{ONE}")


LEVELS = (
    *(
        "0",
        "1",
        "2",
        "3",
        "-1",
        '"2x"',
        "x",
        " 2",
        '" 2"',
        "0x2",
        "1 true",
        "1 FOO=2",
        "1; FOO=2",
        "99999999999",
        "4294967296",
    ),
    *("1\r", '"""1"', "yes", "1#2", "1 # 2", "$X", "\\1", "1\\\n2"),
)


@pytest.mark.parametrize("value", LEVELS)
def test_debug_levels_are_the_same(oracle: Oracle, value: str) -> None:
    _compare(oracle, f"{MODULES}{ONE}DEBUG_LOGIN={value}\n")


OPTIONS = (
    *(
        "a=1",
        '"a=1"',
        "'a=1'",
        '"a=1,b=2"',
        '"a=1, b=2"',
        "a=1, b=2",
        '"a=1"b',
        '"a=1""b"',
        '"a=\\"1"',
        '"a=\\x"',
        "a=\\x",
    ),
    *(
        '"a=#1"',
        "a=#1",
        "a=1 #x",
        '"a=1\tb"',
        '"a=1,\\\nb=2"',
        "a=1\\",
        '"$X"',
        '"a=$"',
        '"a=!"',
        "a=~",
        "*",
        '"a=1;b"',
    ),
    *(
        "a=1;b=2",
        '"a=(1)"',
        '"=x"',
        '"x"',
        ",",
        ",,a=1",
        '"é=1"',
        "'a='\"'\"'1'",
        "{a,b}=1",
        '" a=1 "',
        "a=[b]",
        "$'a=1'",
    ),
    *(
        '"a=\\\\1"',
        '"a=\\$1"',
        '""',
        "",
        '"a=1" "b=2"',
        ' "a=1"',
        '\n"a=1"',
        "a=1 true",
        '"a=1\x01"',
        "a=b*",
        "'a=\\1'",
    ),
)


@pytest.mark.parametrize("value", OPTIONS)
def test_default_options_are_the_same(oracle: Oracle, value: str) -> None:
    _compare(oracle, f"{MODULES}{ONE}DEFAULTOPTIONS={value}\n")


def test_variables_of_the_file_are_expanded(oracle: Oracle) -> None:
    _compare(oracle, f'{MODULES}{ONE}X=a=1\nY="$X,b=2"\nDEFAULTOPTIONS="${{Y}},c=3"\n')


COMMANDS = (
    *("exec DEFAULTOPTIONS=a=1", "DEFAULTOPTIONS=a=1; unset DEFAULTOPTIONS #=", "eval 'DEFAULTOPTIONS=a=1'"),
    "return 0; DEFAULTOPTIONS=a=1",
    *(": <<'E=' #=\nDEFAULTOPTIONS=a=1\nE=", "readonly DEFAULTOPTIONS=a=1\nDEFAULTOPTIONS=b=1"),
    *("daemons=(2)", "daemons=2)", "authmodulelist=(authuserdb authpipe)", "x=1; (y=2"),
    *("DEFAULTOPTIONS=a=1:~root", "DEFAULTOPTIONS=a=$PATH", "DEFAULTOPTIONS=a=$IFS", "DEFAULTOPTIONS=a=$sbindir"),
)


@pytest.mark.parametrize("line", COMMANDS)
def test_what_commands_and_a_shell_s_own_variables_make_of_it_is_the_same_or_refused(oracle: Oracle, line: str) -> None:
    content = f"{MODULES}{ONE}{line}\n"
    assert _ours(content) is None or _ours(content) == oracle.made_of(content)


PIECES = ['"', "'", "\\", "#", " ", "\t", "=", ",", ";", "$", "a", "1", "authpipe", "authuserdb", "\n", "\r"]
VALUES = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@given(name=st.sampled_from(["daemons", "authmodulelist", "DEBUG_LOGIN", "DEFAULTOPTIONS"]), value=VALUES)
@settings(max_examples=60)
def test_any_value_is_read_the_same_or_refused(oracle: Oracle, name: str, value: str) -> None:
    """What only a shell could tell, and CR LF, are deliberate differences."""
    content = f"{MODULES}{ONE}{name}={value}\n"
    with suppress(ConfigError):
        if authdaemonrc.parse(content, Path("authdaemonrc")).daemons > FEW:
            return
    ours = _ours(content)
    if ours is not None and "\r\n" not in content:
        _compare(oracle, content)


class TestDeliberateDifferences:
    """Each of these is explained in docs/compatibility.md."""

    @pytest.mark.parametrize(
        "value", ["`echo a=1`", "$(echo a=1)", "${X:-a=1}", "a=1|b=2", "a=1 >/dev/null", "a=1 :", "a=1 trap"]
    )
    def test_no_shell_is_run(self, oracle: Oracle, value: str) -> None:
        content = f"{MODULES}{ONE}DEFAULTOPTIONS={value}\n"
        assert oracle.made_of(content) is not None
        with pytest.raises(ConfigError, match="a value that only a shell could tell"):
            authdaemonrc.parse(content, Path("authdaemonrc"))

    @pytest.mark.parametrize(
        "line",
        [
            "command export DEFAULTOPTIONS=a=1",
            ': ${DEFAULTOPTIONS:="a=1"}',
            "x=${DEFAULTOPTIONS=a=1}",
            'eval "DEFAULTOPTIONS=a=1"',
        ],
    )
    def test_no_other_command_that_assigns_is_run(self, oracle: Oracle, line: str) -> None:
        content = f"{MODULES}{ONE}{line}\n"
        theirs = oracle.made_of(content)
        assert theirs is not None
        assert theirs[3] == b"a=1"
        with pytest.raises(ConfigError, match="only a shell could tell"):
            authdaemonrc.parse(content, Path("authdaemonrc"))

    def test_options_end_with_the_line(self, oracle: Oracle) -> None:
        content = f'{MODULES}{ONE}DEFAULTOPTIONS="a=1"\r\n'
        theirs, ours = oracle.made_of(content), _ours(content)
        assert theirs is not None
        assert ours is not None
        assert (theirs[3], ours[3]) == (b"a=1\r", b"a=1")

    def test_a_line_feed_makes_no_further_field(self, oracle: Oracle) -> None:
        content = f'{MODULES}{ONE}DEFAULTOPTIONS="a=1\nUID=0"\n'
        oracle.made_of(content)
        ours = _ours(content)
        assert ours is not None
        assert ours[3] == b"a=1"

    @pytest.mark.parametrize("value", ["-1", "1001"])
    def test_a_number_of_workers_that_no_machine_has_is_refused(self, value: str) -> None:
        """Courier would start as many; it is not asked."""
        assert _ours(f"{MODULES}daemons={value}\n") is None
