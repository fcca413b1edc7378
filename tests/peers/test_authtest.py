"""authtest shows of any reply what Courier's authtest shows of it."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import opened, require
from tests.support.courier import in_namespace
from tests.support.daemon import command
from tests.support.sysconf import write_authdaemonrc

WHOLE = {
    "USERNAME": "daemon",
    "UID": "5",
    "GID": "6",
    "HOME": "/home",
    "ADDRESS": "user@example.org",
    "NAME": "Some Body",
    "MAILDIR": "/mail",
    "QUOTA": "1S",
    "PASSWD": "{X}y",
    "PASSWD2": "secret",
    "OPTIONS": "a=1",
}

Fields = list[tuple[str, str]]


class Stub:
    """A daemon that gives the same reply to every client."""

    def __init__(self, path: Path) -> None:
        self.reply = b""
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o777)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self.reply)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("unshare", "authtest")
    root = opened(tmp_path_factory.mktemp("authtest"))
    (root / "run" / "authdaemon").mkdir(parents=True)
    write_authdaemonrc(root / "etc", root / "run" / "authdaemon")
    return root


@pytest.fixture(scope="module")
def stub(root: Path) -> Iterator[Stub]:
    stub = Stub(root / "run" / "authdaemon" / "socket")
    yield stub
    stub.close()


def said(fields: Fields, end: bytes = b".\n") -> bytes:
    return b"".join(f"{name}={value}\n".encode() for name, value in fields) + end


def shown(root: Path, stub: Stub, reply: bytes, *words: str) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    """Return exit status and output of Courier's command and of authd's."""
    stub.reply = reply
    commands = (
        in_namespace(root / "etc", root / "run", ["authtest", *words]),
        [command("authtest"), "--socket", str(stub.path), *words],
    )
    done = [subprocess.run(one, capture_output=True, timeout=60, check=False) for one in commands]
    # What authd adds to Courier's words is what to do about a failure.
    courier, authd = ((one.returncode, one.stdout + re.sub(rb"(?m)^authtest: .*\n", b"", one.stderr)) for one in done)
    return courier, authd


def _replies() -> dict[str, bytes]:
    replies = {"whole": said(list(WHOLE.items()))}
    for left_out, its in WHOLE.items():
        rest = {name: value for name, value in WHOLE.items() if name != left_out}
        replies[f"no {left_out}"] = said(list(rest.items()))
        replies[f"empty {left_out}"] = said(list({**WHOLE, left_out: ""}.items()))
        replies[f"only {left_out}"] = said([(left_out, its)])
        if left_out != "USERNAME":
            del rest["USERNAME"]
            replies[f"no USERNAME, no {left_out}"] = said(list(rest.items()))
    replies |= {
        # As authpam has it.
        "system": said([("USERNAME", "mail"), ("GID", "8"), ("HOME", "/m"), ("ADDRESS", "mail"), ("PASSWD2", "x")]),
        "nothing": b"",
        "no field": b".\n",
        "not ended": said(list(WHOLE.items()), end=b""),
        "reject": b"FAIL\n",
        "reject behind an account": said(list(WHOLE.items()), end=b"FAIL\n.\n"),
        "reject behind the end": said(list(WHOLE.items()), end=b".\nFAIL\n"),
        "carriage returns": said(list(WHOLE.items())).replace(b"\n", b"\r\n"),
        "a carriage return": b"UID=1\nGID=1\nHOME=/h\rADDRESS=root\nADDRESS=x\n.\n",
    }
    return replies


@pytest.mark.parametrize("reply", _replies().values(), ids=_replies())
@pytest.mark.parametrize("words", [("user",), ("user", "secret")], ids=["lookup", "login"])
def test_what_is_shown_is_the_same(root: Path, stub: Stub, reply: bytes, words: tuple[str, ...]) -> None:
    courier, authd = shown(root, stub, reply, *words)
    assert authd == courier


values = st.sampled_from(["", "0", "5", "-1", "x", " 7", "7x", "4294967296", "99999999999", "a@b", "/h", "=", "a=1,b"])
fields = st.lists(st.tuples(st.sampled_from([*WHOLE, "uid", "X", ""]), values), max_size=10)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields)
def test_any_fields_are_shown_the_same(root: Path, stub: Stub, told: Fields) -> None:
    courier, authd = shown(root, stub, said(told), "user")
    assert authd == courier
