"""A damaged userdb: each user gets the right account or a temporary failure, and is never unknown."""

from __future__ import annotations

import os
import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from authd.account import Account
from authd.modules.authuserdb import AuthUserdb
from authd.modules.base import TemporaryFailure
from authd.together import settle_one
from authd.userdb.build import build, data_file, shadow_file
from authd.userdb.gdbm import Gdbm, GdbmError
from authd.userdb.layout import hash_of
from authd.userdb.record import is_damaged, is_damaged_secret
from authd.userdb.source import SourceError, files_of, lines_of
from tests.support.stub import surroundings

USERS = [f"user{number}@example.org".encode() for number in range(400)] + ["jürgen@example.org".encode()]
COPIES = 150


def make(tmp_path: Path, users: list[bytes] = USERS) -> Path:
    """Return the source of a compiled userdb."""
    source = tmp_path / "userdb"
    source.touch(mode=0o600)
    source.write_bytes(
        b"".join(
            b"%b\thome=/home/%d|uid=%d|gid=100|mail=/m/%d|systempw=$1$abcdefgh$%d\n" % (user, n, 1000 + n, n, n)
            for n, user in enumerate(users)
        )
    )
    build(source)
    return source


def module_in(directory: Path) -> AuthUserdb:
    """Return the module on the files of a directory."""
    return AuthUserdb(replace(surroundings(), sysconfdir=directory))


def cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def zero(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.choice((16, 512, 4096)))
    data[start:end] = bytes(end - start)


def zero_block(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data)) // 4096 * 4096
    data[start : start + 4096] = bytes(4096)


def flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def noise(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data) - 512)
    data[start : start + 512] = rng.randbytes(512)


def another_block(rng: random.Random, data: bytearray) -> None:
    start, end = (rng.randrange(len(data) // 4096) * 4096 for _ in range(2))
    data[end : end + 4096] = data[start : start + 4096]


def found(module: AuthUserdb, user: bytes) -> Account | TemporaryFailure | None:
    try:
        return module.find(b"imap", user)
    except TemporaryFailure as failure:
        return failure


@pytest.mark.parametrize("which", [data_file, shadow_file])
@pytest.mark.parametrize("damage", [cut, zero, zero_block, flip, noise, another_block])
def test_damage_makes_no_user_unknown(
    tmp_path: Path,
    which: Callable[[Path], Path],
    damage: Callable[[random.Random, bytearray], None],
) -> None:
    """What altered bytes of a value say can't be told; everything else must be right, or a temporary failure."""
    source = make(tmp_path)
    module, file = module_in(tmp_path), which(source)
    right = {user: module.find(b"imap", user) for user in USERS}
    whole = file.read_bytes()
    values = {}
    with Gdbm(file) as compiled:
        for user in USERS:
            value = compiled.get(user) or b""
            values[user] = (whole.index(user + value) + len(user), value)
    rng = random.Random(1)
    failures = 0
    for _ in range(COPIES // 6):
        data = bytearray(whole)
        damage(rng, data)
        # Another inode each time, as makeuserdb makes one.
        (tmp_path / "damaged").write_bytes(data)
        (tmp_path / "damaged").replace(file)
        for user in rng.sample(USERS, 40):
            start, value = values[user]
            finding = found(module, user)
            if isinstance(finding, TemporaryFailure):
                failures += 1
                assert file.name in finding.detail
            elif data[start : start + len(value)] == value:
                assert finding == right[user]
    assert failures


def test_what_is_not_there_is_unknown_where_the_file_is_sound(tmp_path: Path) -> None:
    make(tmp_path)
    module = module_in(tmp_path)
    for user in (b"", b"nobody", b"\xff\xfe", b"user1@example.or", "jörgen@example.org".encode()):
        assert module.find(b"imap", user) is None
    assert len(list(module.enumerate())) == len(USERS)
    assert list(module.check()) == []


@pytest.mark.parametrize("damage", [cut, zero, zero_block, noise])
def test_a_list_of_a_damaged_file_is_whole_or_fails(
    tmp_path: Path, damage: Callable[[random.Random, bytearray], None]
) -> None:
    source = make(tmp_path)
    file, module, rng, failures = data_file(source), module_in(tmp_path), random.Random(2), 0
    whole = file.read_bytes()
    for _ in range(10):
        data = bytearray(whole)
        damage(rng, data)
        (tmp_path / "damaged").write_bytes(data)
        (tmp_path / "damaged").replace(file)
        try:
            entries = [entry.address for entry in module.enumerate()]
        except TemporaryFailure:
            failures += 1
            assert [problem.file for problem in module.check()] == [file]
        else:
            assert sorted(entries) == sorted(USERS)
    assert failures


def test_a_file_that_is_cut_while_it_is_open_ends_no_process(tmp_path: Path) -> None:
    source = make(tmp_path)
    with Gdbm(data_file(source)) as data:
        os.truncate(data_file(source), 5000)
        for user in USERS:
            with pytest.raises(GdbmError, match=r"userdb\.dat: "):
                data.get(user)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    source = make(tmp_path)
    module = module_in(tmp_path)
    for special in (os.mkfifo, os.mkdir):
        data_file(source).unlink()
        special(data_file(source))
        finding = found(module, USERS[0])
        assert isinstance(finding, TemporaryFailure)
        assert "not a regular file" in finding.detail


def test_a_mended_file_serves_at_once(tmp_path: Path) -> None:
    source = make(tmp_path)
    module = module_in(tmp_path)
    data_file(source).write_bytes(b"")
    assert isinstance(found(module, USERS[0]), TemporaryFailure)
    build(source)
    assert isinstance(found(module, USERS[0]), Account)


def test_cram_and_password_changes_of_a_damaged_file_are_temporary_failures(tmp_path: Path) -> None:
    source = make(tmp_path)
    module = module_in(tmp_path)
    shadow_file(source).write_bytes(b"nonsense" * 999)
    for inquiry in (
        module.login(b"imap", USERS[0], b"x"),
        module.cram(b"imap", USERS[0], "md5", b"", b""),
        module.change_password(b"imap", USERS[0], b"x", b"y"),
    ):
        with pytest.raises(TemporaryFailure, match="userdbshadow"):
            settle_one(inquiry)


@pytest.mark.parametrize(
    ("record", "damaged"),
    [
        (b"home=/h|uid=1|gid=2|_=", False),
        (b"home=/h|uid=1|gid=2", False),
        (b"home=/h|uid=1|gid=2|own=x|flag|_=sub/", False),
        (b"home=/h|_=", False),
        (b"home=/h|uid=1", True),
        (b"home=/h<uid=1|gid=2|_=", True),
        (b"hone=/h|uid=1|gid=2|_=", True),
        (b"home=/h|uid}1|gid=2|_=", True),
        (b"home=/h|uid=1|gid=2|_=another@example.org|home=/x|uid=3", True),
        (b"home=/h|uid=1|gid=2|mail=\0\0|_=", True),
        (b"home=/h|uid=1|gid=2|mail=a\nb|_=", True),
        (b"", True),
    ],
)
def test_records_that_makeuserdb_does_not_write(record: bytes, damaged: bool) -> None:
    assert is_damaged(b"user", record) is damaged


@pytest.mark.parametrize(
    ("record", "damaged"),
    [
        (b"systempw=$1$a$b", False),
        (b"imappw=|hmac-md5pw=00", False),
        (b"systemqw=$1$a$b", True),
        (b"systempw", True),
        (b"systempw=$1$\0\0", True),
        (b"", True),
    ],
)
def test_secrets_that_makeuserdb_does_not_write(record: bytes, damaged: bool) -> None:
    assert is_damaged_secret(b"user", record) is damaged


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size`, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [0, 5_000, 20_000, 40_000])
def test_a_full_disk_leaves_what_was_compiled(tmp_path: Path, size: int, capfd: pytest.CaptureFixture[str]) -> None:
    source = make(tmp_path)
    before = [file(source).read_bytes() for file in (data_file, shadow_file)]
    with files_up_to(size), pytest.raises(SourceError, match=r"can't be compiled: .*\.tmp: "):
        build(source)
    assert [file(source).read_bytes() for file in (data_file, shadow_file)] == before
    assert not list(tmp_path.glob("*.tmp"))
    assert capfd.readouterr() == ("", "")


def test_a_file_of_the_source_that_can_not_be_read_keeps_what_was_compiled(tmp_path: Path) -> None:
    source = tmp_path / "userdb"
    source.mkdir(mode=0o700)
    (source / "one").write_text("a\thome=/a|uid=1|gid=1\n")
    build(source)
    before = data_file(source).read_bytes()

    def refused(said: str) -> None:
        with pytest.raises(SourceError, match=said):
            build(source)
        assert data_file(source).read_bytes() == before

    (source / "two").symlink_to(source / "nosuch")
    refused("two: can't be read: No such file")
    (source / "two").unlink()
    os.mkfifo(source / "two")
    refused("two: can't be read: not a regular file")
    (source / "two").unlink()
    (source / "two").symlink_to(source)
    refused("userdb")
    (source / "two").unlink()
    (source / "two").write_bytes(b"b\thome=/b|uid=1|gid=1\n" + bytes(100))
    refused("two:2: has a NUL")


def test_hashes_are_libgdbms(tmp_path: Path) -> None:
    """A key in the wrong bucket would be damage."""
    keys = [b"", b"\x80", b"\xff" * 40, b"a", *USERS]
    with Gdbm(tmp_path / "x", write=True) as data:
        for key in keys:
            assert data.add(key, b"value")
    with Gdbm(tmp_path / "x") as data:
        assert sorted(data) == sorted(keys)
    assert 0 <= hash_of(b"\xff" * 1000) < 2**31
    assert files_of(tmp_path / "x") == [tmp_path / "x"]
    with pytest.raises(SourceError):
        list(lines_of(tmp_path / "x"))


def test_check_tells_what_makeuserdb_did_not_make(tmp_path: Path) -> None:
    source = make(tmp_path, USERS[:3])
    module = module_in(tmp_path)
    assert list(module.check()) == []
    source.write_bytes(source.read_bytes() + b"a@b\tuid=1|home=/h\nc@d\tgid=1\n1000=\ta@b\ne@f\tuid=1,gid=1,home=/h\n")
    stamp = data_file(source).stat().st_mtime_ns + 10**9
    os.utime(source, ns=(stamp, stamp))
    shadow_file(source).unlink()
    assert [str(problem) for problem in module.check()] == [
        f"{shadow_file(source)}: is not there, so that no account has a password; run makeuserdb",
        f"{source}: was edited since makeuserdb made userdb.dat, and the edit is not in force; run makeuserdb",
    ]
    os.utime(source, (0, 0))
    build(source)
    [damaged] = module.check()
    assert str(damaged) == (
        f"{data_file(source)}: damaged record; run makeuserdb, and if that does not help, see to the fields of its line in userdb"
    )
    source.write_bytes(source.read_bytes().replace(b"uid=1,gid=1,home=/h", b"uid=1|gid=1|home=/h"))
    build(source)
    [incomplete] = module.check()
    assert "userdb.dat: a@b and 1 more: no account without uid, gid and home; add" in str(incomplete)
    assert not incomplete.fatal
