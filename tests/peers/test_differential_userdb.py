"""authuserdb: the real Courier and authd give the same bytes for the same requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from authd.userdb.gdbm import Gdbm
from tests.conftest import opened, require
from tests.support.courier import DAEMON
from tests.support.daemon import run_command
from tests.support.pair import Pair, crumbs, whole
from tests.support.processes import wait_until
from tests.support.requests import cram, hand_made
from tests.support.sysconf import write_authdaemonrc
from tests.support.userdb import compile_with_courier, text, write
from tests.support.wire import exchange, login, passwd, pre

OTHERS = tuple(line.partition("\t")[0] for line in text().splitlines() if "\t" in line)[-12:]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    require("unshare", DAEMON, "/usr/sbin/makeuserdb")
    root = opened(tmp_path_factory.mktemp("pair"))
    etc = root / "etc"
    write_authdaemonrc(etc, root / "authd", "authuserdb")
    write(etc)
    compile_with_courier(root, etc)
    with Pair(root, etc, root / "authd") as both:
        yield both


@pytest.fixture
def anew(pair: Pair) -> Iterator[None]:
    """The userdb as it was, afterwards."""
    yield
    write(pair.etc)
    compile_with_courier(pair.etc.parent, pair.etc)


def _more() -> Iterator[bytes]:
    for user in OTHERS:
        for service in ("imap", "pop3", "esmtp", "courier", ""):
            yield pre(user, service)
            for password in ("secret", "system", "imap", "pop3", "esmtp"):
                yield login(user, password, service)
        for key in (b"secret", b"imap", b""):
            yield from (cram(user.encode(), key, digest) for digest in ("md5", "sha1", "sha256", "sha512"))


@pytest.mark.parametrize("feed", [whole, crumbs])
def test_replies_are_the_same(pair: Pair, feed: object) -> None:
    assert callable(feed)
    different = []
    for request in dict.fromkeys([*hand_made(), *_more()]):
        if request.startswith(b"PASSWD") and b"\twrong\t" not in request:
            continue
        courier, authd = pair.ask(*feed(request))
        if b"\ncram-" in request:
            # Deliberate difference: name and quota are there whichever way one logs in.
            authd = re.sub(rb"(?m)^(NAME|QUOTA)=.*\n", b"", authd)
        if courier != authd:
            different.append((request[:200], courier, authd))
    assert different == []


def _schemes(file: Path, user: str) -> dict[str, str]:
    """Return the fields of a record, of hashes no more than their scheme."""
    line = next(line for line in file.read_text().splitlines() if line.startswith(f"{user}\t"))
    return {
        name: re.sub(r"^(\$[^$]*\$).*", r"\1", value)
        for name, _, value in (field.partition("=") for field in line.partition("\t")[2].split("|"))
    }


@pytest.mark.parametrize(
    ("user", "service", "old", "new"),
    [
        ("user@example.org", "imap", "secret", "new"),
        ("perservice@example.org", "imap", "imap", "new"),
        ("perservice@example.org", "imap", "system", "new"),
        ("perservice@example.org", "smtp", "system", "new"),
        ("states@example.org", "imap", "secret", "new"),
        ("states@example.org", "imap", "wrong", "new"),
        ("smtponly@example.org", "esmtp", "esmtp", "new"),
        ("smtponly@example.org", "imap", "esmtp", "new"),
        ("md5crypt@hash.example", "imap", "secret", "new"),
        ("nobody@example.org", "imap", "a", "b"),
        ("noid@example.org", "imap", "x", "b"),
        ("own@example.org", "pop3", "secret", "new"),
    ],
)
def test_password_changes_are_the_same(pair: Pair, anew: None, user: str, service: str, old: str, new: str) -> None:
    results = []
    for socket in (pair.courier.socket, pair.authd.socket):
        write(pair.etc)
        compile_with_courier(pair.etc.parent, pair.etc)
        said = [exchange(socket, passwd(service, user, old, new))]
        said += [exchange(socket, request)[:30] for request in (login(user, new, service), login(user, old, service))]
        said += [exchange(socket, cram(user.encode(), password.encode()))[:30] for password in (new, old)]
        fields = {} if user.startswith("nobody") else _schemes(pair.etc / "userdb", user)
        results.append((said, fields))
    assert results[1] == results[0]


def test_an_edit_is_seen_once_it_is_compiled(pair: Pair, anew: None) -> None:
    record = "added@example.org\thome=/a|uid=1|gid=2\n"
    (pair.etc / "userdb").write_text(text() + record)
    for reply in pair.ask(pre("added@example.org")):
        assert reply == b"FAIL\n"
    assert run_command("makeuserdb", environment={"AUTHD_SYSCONFDIR": str(pair.etc)}) == (0, "", "")
    courier, authd = pair.ask(pre("added@example.org"))
    assert authd == courier == b"UID=1\nGID=2\nHOME=/a\nADDRESS=added@example.org\n.\n"


def test_what_authd_compiles_is_what_courier_compiles(pair: Pair, anew: None) -> None:
    files = [pair.etc / "userdb.dat", pair.etc / "userdbshadow.dat"]

    def contents() -> list[dict[bytes, bytes | None]]:
        compiled = []
        for file in files:
            with Gdbm(file) as data:
                compiled.append({key: data.get(key) for key in data})
        return compiled

    by_courier, modes = contents(), [file.stat().st_mode for file in files]
    for file in files:
        file.unlink()
    assert run_command("makeuserdb", "-f", str(pair.etc / "userdb")) == (0, "", "")
    assert contents() == by_courier
    assert [file.stat().st_mode for file in files] == modes


def test_a_directory_of_files_is_compiled_and_changed_the_same(pair: Pair, tmp_path: Path, anew: None) -> None:
    source = pair.etc / "userdb"
    results = []
    for socket in (pair.courier.socket, pair.authd.socket):
        write(pair.etc).unlink()
        (source / "sub").mkdir(mode=0o700, parents=True)
        source.chmod(0o700)
        lines = text().splitlines(keepends=True)
        (source / "sub" / "first").write_text("".join(lines[:20]))
        (source / "second").write_text("".join(lines[20:]))
        compile_with_courier(pair.etc.parent, pair.etc)
        reply = exchange(socket, passwd("imap", "user@example.org", "secret", "new"))
        results.append((reply, exchange(socket, login("user@example.org", "new"))[:30]))
        assert "user@example.org\t" in (source / "sub" / "first").read_text()
    assert results[1] == results[0] == (b"OK\n", results[0][1])


def test_no_file_is_no_account(pair: Pair, anew: None) -> None:
    for file in ("userdbshadow.dat", "userdb.dat"):
        (pair.etc / file).unlink()
        for request in (pre("user@example.org"), login("user@example.org", "secret"), b"ENUMERATE\n"):
            courier, authd = pair.ask(request)
            assert authd == courier


class TestDeliberateDifferences:
    """Each of these is explained in docs/compatibility.md."""

    def test_a_service_keeps_one_password(self, pair: Pair, anew: None) -> None:
        """Courier leaves what the service has for CRAM as it was."""
        user = "own@example.org"
        answers = []
        for socket in (pair.courier.socket, pair.authd.socket):
            write(pair.etc)
            compile_with_courier(pair.etc.parent, pair.etc)
            assert exchange(socket, passwd("imap", user, "secret", "new")) == b"OK\n"
            answers.append(exchange(socket, cram(user.encode(), b"new"))[:6])
        assert answers == [b"FAIL\n", b"UID=1\n"]

    def test_a_broken_file_is_no_missing_account(self, pair: Pair, anew: None) -> None:
        (pair.etc / "userdb.dat").write_bytes(b"nonsense" * 1000)
        assert pair.ask(pre("user@example.org")) == (b"FAIL\n", b"")
        wait_until(lambda: "userdb.dat: " in pair.authd.logged(), "the log says why")

    def test_a_damaged_file_is_no_missing_account(self, pair: Pair, anew: None) -> None:
        """libgdbm finds nothing in a bucket that was zeroed, and calls that *item not found*."""
        file = pair.etc / "userdb.dat"
        content = bytearray(file.read_bytes())
        for start in range(8192, len(content), 4096):
            content[start : start + 4096] = bytes(4096)
        file.write_bytes(content)
        assert pair.ask(pre("user@example.org")) == (b"FAIL\n", b"")
        wait_until(lambda: "userdb.dat: damaged" in pair.authd.logged(), "the log says why")
