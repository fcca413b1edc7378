"""``authd check`` asks authuserdb and authpipe, and changes nothing at either."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import run_command
from tests.support.sysconf import write_authdaemonrc

RECORDER = """#!/bin/sh
while read -r line; do
    echo "$line" >> {log}
    echo FAIL
done
"""


def check(etc: Path) -> tuple[int, str]:
    code, said, complaints = run_command("authd", "check", "--sysconfdir", str(etc))
    assert complaints == ""
    # These tests are not about directories and files that others can enter and read.
    return code, "".join(line for line in said.splitlines(keepends=True) if "every user can " not in line)


def test_a_program_is_asked_for_an_account_alone(root: Path) -> None:
    (root / "run").mkdir(mode=0o755)
    write_authdaemonrc(root / "etc", root / "run", "authpipe")
    program, log = root / "etc/authProg", root / "log"
    program.write_text(RECORDER.format(log=log))
    program.chmod(0o755)
    assert check(root / "etc") == (0, f"{root}/etc/authdaemonrc: authpipe: ready\n")
    assert log.read_text() == "PRE . check no-such-user@check.invalid\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"echo FAIL\n", "Exec format error; begin its first line with #! and the path of an interpreter"),
        (
            b"#!/bin/sh\r\necho FAIL\r\n",
            "No such file or directory; correct the path of the interpreter in its first line, which must not end with CR",
        ),
        (None, "Permission denied; put a program's file there, chmod 755, on a file system that is not mounted noexec"),
    ],
    ids=["no interpreter", "CR LF", "a directory"],
)
def test_a_program_that_can_not_be_started_is_told(root: Path, content: bytes | None, problem: str) -> None:
    (root / "run").mkdir(mode=0o755)
    write_authdaemonrc(root / "etc", root / "run", "authpipe")
    program = root / "etc/authProg"
    if content is None:
        program.mkdir()
    else:
        program.write_bytes(content)
    program.chmod(0o755)
    assert check(root / "etc") == (1, f"error: {program}: {problem}\n")


def test_the_files_of_userdb_stay(root: Path) -> None:
    etc = root / "etc"
    (root / "run").mkdir(mode=0o755)
    write_authdaemonrc(etc, root / "run", "authuserdb")
    (etc / "userdb").write_text("user@example.org\tuid=1000|gid=1000|home=/home/user\n")
    (etc / "userdb").chmod(0o600)

    def files() -> dict[str, tuple[bytes, int]]:
        return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in etc.iterdir()}

    before = files()
    assert check(etc)[0] == 0
    assert files() == before
    (etc / "userdb.dat").write_bytes(b"damaged" * 99)
    before = files()
    assert check(etc)[0] == 1
    assert files() == before
