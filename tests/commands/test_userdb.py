"""userdb, makeuserdb, pw2userdb and userdbpw, beside Courier's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from authd.passwords import Verdict, verify
from tests.conftest import require
from tests.support.courier import in_namespace
from tests.support.daemon import run_command


def _courier(etc: Path, *words: str, typed: str = "") -> tuple[int, str, str]:
    require("unshare", f"/usr/sbin/{words[0]}")
    (etc.parent / "run").mkdir(exist_ok=True)
    command = in_namespace(etc, etc.parent / "run", [f"/usr/sbin/{words[0]}", *words[1:]])
    done = subprocess.run(command, input=typed, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def _authd(etc: Path, *words: str, typed: str = "") -> tuple[int, str, str]:
    return run_command(*words, typed=typed, environment={"AUTHD_SYSCONFDIR": str(etc)})


def _content(file: Path) -> dict[str, set[str]]:
    """Return the records of a file; Courier's command gives their fields another order."""
    records = (line.partition("\t") for line in file.read_text().splitlines())
    return {name: set(fields.split("|")) for name, _, fields in records}


STEPS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("a@b", "set", "uid=1", "gid=2", "home=/h"), ""),
    (("c@d", "set", "uid=5"), ""),
    (("a@b", "set", "gid=3", "gecos=Some One"), ""),
    (("a@b", "set", "systempw"), "hash\n"),
    (("-show",), ""),
    (("-show", "c@d"), ""),
    (("-show", "nobody"), ""),
    (("a@b", "unset", "gecos", "nosuch"), ""),
    (("nobody", "unset", "x"), ""),
    (("nobody", "del"), ""),
    (("c@d", "del"), ""),
    (("a@b", "set", "x=1|2"), ""),
    (("a@b", "set", "x"), ""),
    (("a@b", "foo"), ""),
    ((), ""),
)


def test_userdb_does_the_same(tmp_path: Path) -> None:
    places = [tmp_path / "courier" / "etc", tmp_path / "authd" / "etc"]
    for etc in places:
        etc.mkdir(parents=True)
        (etc / "userdb").touch(mode=0o600)
        (etc / "userdb").write_text("# a remark\tof mine\n")
    for words, typed in STEPS:
        courier = _courier(places[0], "userdb", *words, typed=typed)
        authd = _authd(places[1], "userdb", *words, typed=typed)
        # What is told of a wrong use is each one's own.
        assert (courier[0] == 0) == (authd[0] == 0), words
        assert courier[0] != 0 or authd[1] == courier[1], words
        assert _content(places[1] / "userdb") == _content(places[0] / "userdb"), words
    assert (places[1] / "userdb").stat().st_mode & 0o777 == 0o600


def test_userdb_changes_files_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "userdb").mkdir(mode=0o700)
    assert _authd(tmp_path, "userdb", "first/a@b", "set", "uid=1", "home=/x") == (0, "", "")
    file = tmp_path / "userdb" / "first"
    assert file.read_text() == "a@b\tuid=1|home=/x\n"
    assert _authd(tmp_path, "userdb", "-f", str(file), "c/d", "set", "uid=2") == (0, "", "")
    for words in (("-show", "first/a@b"), ("-show", "first", "a@b"), ("-show", "-f", str(file), "a@b")):
        assert _authd(tmp_path, "userdb", *words) == (0, "uid=1\nhome=/x\n", "")
    assert _authd(tmp_path, "userdb", "-show", "first") == (0, "a@b\nc/d\n", "")
    status, _, complaint = _authd(tmp_path, "userdb", "a@b", "set", "uid=1")
    assert (status, complaint) == (
        1,
        f"userdb: {tmp_path}/userdb: is a directory; name the file in it, as in path/name\n",
    )


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a|b"])
def test_a_name_that_would_be_a_field_is_refused(tmp_path: Path, name: str) -> None:
    status, _, complaint = _authd(tmp_path, "userdb", name, "set", "uid=1")
    assert (status, complaint) == (1, "userdb: a name has a |, a tab or a line break; leave it out\n")
    assert not (tmp_path / "userdb").exists()


@pytest.mark.parametrize("option", ["-hmac-md5", "-hmac-sha1", "-hmac-sha256"])
def test_userdbpw_makes_the_same_states(tmp_path: Path, option: str) -> None:
    assert _authd(tmp_path, "userdbpw", option, typed="secret\n") == _courier(
        tmp_path, "userdbpw", option, typed="secret\n"
    )


@pytest.mark.parametrize(("words", "form"), [((), r"\$6\$"), (("-md5",), r"\$1\$")])
def test_userdbpw_makes_hashes(tmp_path: Path, words: tuple[str, ...], form: str) -> None:
    status, told, _ = _authd(tmp_path, "userdbpw", *words, typed="secret\n")
    assert status == 0
    assert re.match(form, told)
    assert verify(b"secret", told.strip().encode()) is Verdict.MATCH
    status, told, complaint = _authd(tmp_path, "userdbpw", *words, typed="\n")
    assert (status, told, complaint) == (1, "", "The password is empty, and no client could send it.\n")


def test_pw2userdb_tells_the_same(tmp_path: Path) -> None:
    passwd, shadow = tmp_path / "passwd", tmp_path / "shadow"
    passwd.write_text("usera:x:1:2:Some|One:/h:/bin/sh\nuserb:hash:3:4::/b:\nuserc:x:5:6::/c:/bin/sh\n")
    shadow.write_text("usera:secret:1::::::\nuserb:other:1::::::\n")
    words = ("pw2userdb", "--passwd", str(passwd), "--shadow", str(shadow))
    for more in ((), ("--noshadow",), ("--nouid",), ("--domain", "example.org")):
        courier, authd = (run(tmp_path, *words, *more) for run in (_courier, _authd))
        assert authd[0] == courier[0] == 0
        assert sorted(authd[1].splitlines()) == sorted(courier[1].splitlines())
    status, _, complaint = _authd(tmp_path, "pw2userdb", "--passwd", "/nonexistent")
    assert (status, complaint) == (1, "pw2userdb: /nonexistent: No such file or directory\n")


def test_what_pw2userdb_tells_can_be_compiled(tmp_path: Path) -> None:
    _, told, _ = _authd(tmp_path, "pw2userdb")
    (tmp_path / "userdb").touch(mode=0o600)
    (tmp_path / "userdb").write_text(told)
    assert _authd(tmp_path, "makeuserdb") == (0, "", "")
    assert (tmp_path / "userdb.dat").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "userdbshadow.dat").stat().st_mode & 0o777 == 0o600


def test_links_in_the_place_of_temporary_files_and_locks(tmp_path: Path) -> None:
    """The directory may be another user's; names that this user can expect lead nowhere."""
    victim = tmp_path / "victim"
    victim.write_text("kept")
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "userdb").write_text("a@b\tuid=1\n")
    (etc / "userdb").chmod(0o600)
    for name in (".tmp.userdb", "userdb.tmp", "userdbshadow.tmp"):
        (etc / name).symlink_to(victim)
    at = ("--sysconfdir", str(etc))
    assert run_command("userdb", *at, "c@d", "set", "uid=2") == (0, "", "")
    assert run_command("makeuserdb", *at) == (0, "", "")
    assert (etc / "userdb").read_text() == "a@b\tuid=1\nc@d\tuid=2\n"
    for name, words in ((".lock.userdb", ("userdb", *at, "c@d", "set", "uid=3")), ("userdb.lock", ("makeuserdb", *at))):
        (etc / name).unlink()
        (etc / name).symlink_to(tmp_path / "new")
        status, _, complaint = run_command(*words)
        assert (status, "Too many levels of symbolic links" in complaint) == (1, True), complaint
    assert victim.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["etc", "victim"]
