"""What Dovecot's own auth server says to lines that are not as they should be, and what authd says.

Answers are compared by their kind, id and code; texts for people, and what Dovecot says besides of a user, are left out.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from authd.account import Account
from authd.outcome import Answer, Outcome, Reason, reject
from authd.protocol.dovecot_auth import DovecotAuthConversation
from authd.protocol.request import Login, Request
from tests.conftest import opened, require
from tests.support.conversation import Client, terms
from tests.support.dovecot import PROGRAMS, TRIXIE, Dovecot
from tests.support.processes import unix_socket_answers, wait_until

PIDS = count(1000)

OLDER = """passdb {{
  driver = passwd-file
  args = username_format=%u {users}
}}
"""
NEWER = """passdb passwd-file {{
  passwd_file_path = {users}
}}
"""
BOTH = """auth_mechanisms = plain login cram-md5
service auth {
  unix_listener auth-legacy {
    mode = 0666
  }
}
"""

PLAIN = base64.b64encode(b"\0user\0secret")
GOOD = b"service=smtp\tresp=" + PLAIN
LOGIN = b"AUTH\t1\tLOGIN\tservice=smtp\n"
WAITING = b"AUTH\t1\tPLAIN\tservice=smtp\n"


def response(*parts: bytes) -> bytes:
    return b"AUTH\t1\tPLAIN\tservice=smtp\tresp=%b\n" % base64.b64encode(b"\0".join(parts))


LINES = {
    "right": response(b"", b"user", b"secret"),
    "wrong": response(b"", b"user", b"wrong"),
    "no service": b"AUTH\t1\tPLAIN\tresp=%b\n" % PLAIN,
    "no service, no response": b"AUTH\t1\tPLAIN\n",
    "an empty service and a wrong password": b"AUTH\t1\tPLAIN\tservice=\tresp=%b\n" % base64.b64encode(b"\0user\0x"),
    "a mechanism in small letters": b"AUTH\t1\tplain\t%b\n" % GOOD,
    "AUTH alone": b"AUTH\n",
    "no mechanism": b"AUTH\t1\n",
    "no id": b"AUTH\t\tPLAIN\t%b\n" % GOOD,
    "id 0": b"AUTH\t0\tPLAIN\t%b\n" % GOOD,
    "id -1": b"AUTH\t-1\tPLAIN\t%b\n" % GOOD,
    "id +1": b"AUTH\t+1\tPLAIN\t%b\n" % GOOD,
    "id x": b"AUTH\tx\tPLAIN\t%b\n" % GOOD,
    "id 1x": b"AUTH\t1x\tPLAIN\t%b\n" % GOOD,
    "id 01": b"AUTH\t01\tPLAIN\t%b\n" % GOOD,
    "id of many zeros": b"AUTH\t00000000000001\tPLAIN\t%b\n" % GOOD,
    "the last id": b"AUTH\t4294967295\tPLAIN\t%b\n" % GOOD,
    "an id too large": b"AUTH\t4294967296\tPLAIN\t%b\n" % GOOD,
    "an id in use": LOGIN + LOGIN,
    "an id in use, written otherwise": LOGIN + LOGIN.replace(b"1", b"01"),
    "an id again": response(b"", b"user", b"secret") * 2,
    "something behind the response": b"AUTH\t1\tPLAIN\t%b\tnologin\n" % GOOD,
    "a response that is no base64": b"AUTH\t1\tPLAIN\tservice=smtp\tresp=%%%\n",
    "a response with something behind it": b"AUTH\t1\tPLAIN\t%bxx\n" % GOOD,
    "a response of =": b"AUTH\t1\tPLAIN\tservice=smtp\tresp==\n",
    "an empty response": b"AUTH\t1\tPLAIN\tservice=smtp\tresp=\n",
    "one NUL": response(b"user", b"secret"),
    "no NUL": response(b"user"),
    "a NUL in the password": response(b"", b"user", b"sec\0ret"),
    "a NUL at the end": response(b"", b"user", b"secret\0"),
    "no user": response(b"", b"", b"secret"),
    "no password": response(b"", b"user", b""),
    "a tab in the user": response(b"", b"us\ter", b"secret"),
    "a line feed in the user": response(b"", b"us\ner", b"secret"),
    "CONT that nothing waits for": b"CONT\t9\tYQ==\n",
    "CONT alone": b"CONT\n",
    "CONT of id x": b"CONT\tx\tYQ==\n",
    "CONT of id 0": b"CONT\t0\tYQ==\n",
    "CONT without a response": WAITING + b"CONT\t1\n",
    "CONT with an empty response": WAITING + b"CONT\t1\t\n",
    "CONT of =": WAITING + b"CONT\t1\t=\n",
    "CONT that is no base64": WAITING + b"CONT\t1\t%%%\n",
    "CONT with a field more": WAITING + b"CONT\t1\t%b\tfoo\n" % PLAIN,
    "CONT of id 01": WAITING + b"CONT\t01\t%b\n" % PLAIN,
    "CONT": WAITING + b"CONT\t1\t%b\n" % PLAIN,
    "CONT before AUTH": b"CONT\t1\t%b\n" % PLAIN + WAITING,
    "CONT after the end": response(b"", b"user", b"secret") + b"CONT\t1\tYQ==\n",
    "CANCEL": LOGIN + b"CANCEL\t1\n" + LOGIN,
    "CANCEL of id 01": LOGIN + b"CANCEL\t01\n" + LOGIN,
    "CANCEL of nothing": b"CANCEL\t5\n",
    "CANCEL alone": b"CANCEL\n",
    "CANCEL of id x": b"CANCEL\tx\n",
    "an unknown command": b"FOO\t1\n",
    "an empty line": b"\n",
    "a command in small letters": b"auth\t1\tPLAIN\t%b\n" % GOOD,
    "a second CPID": b"CPID\t5\n",
    "a second VERSION": b"VERSION\t1\t0\n",
    "LOGIN without a user": LOGIN + b"CONT\t1\t\n",
    "LOGIN with a NUL": LOGIN + b"CONT\t1\tdXMAZXI=\n",
    "LOGIN without a password": LOGIN + b"CONT\t1\tdXNlcg==\nCONT\t1\t\n",
    "LOGIN with a NUL in the password": LOGIN + b"CONT\t1\tdXNlcg==\nCONT\t1\tc2VjAHJldA==\n",
    "CRAM without a digest": b"AUTH\t1\tCRAM-MD5\tservice=smtp\nCONT\t1\tdXNlcg==\n",
    "CRAM with a short digest": b"AUTH\t1\tCRAM-MD5\tservice=smtp\nCONT\t1\tdXNlciBhYg==\n",
}
"""Behind a greeting as it should be."""

GREETINGS = {
    "another major version": b"VERSION\t2\t0\nCPID\t{pid}\n",
    "a version that is no number": b"VERSION\tx\t0\nCPID\t{pid}\n",
    "a major version 1x": b"VERSION\t1x\t0\nCPID\t{pid}\n",
    "no minor version": b"VERSION\t1\nCPID\t{pid}\n",
    "no version": b"VERSION\nCPID\t{pid}\n",
    "a minor version x": b"VERSION\t1\tx\nCPID\t{pid}\n",
    "a minor version -1": b"VERSION\t1\t-1\nCPID\t{pid}\n",
    "an empty minor version": b"VERSION\t1\t\nCPID\t{pid}\n",
    "a field more": b"VERSION\t1\t0\tx\nCPID\t{pid}\n",
    "CPID x": b"VERSION\t1\t0\nCPID\tx\n",
    "CPID 0": b"VERSION\t1\t0\nCPID\t0\n",
    "CPID -1": b"VERSION\t1\t0\nCPID\t-1\n",
    "CPID alone": b"VERSION\t1\t0\nCPID\n",
    "CPID without a number": b"VERSION\t1\t0\nCPID\t\n",
    "CPID twice": b"VERSION\t1\t0\nCPID\t{pid}\nCPID\t{pid}\n",
    "VERSION twice": b"VERSION\t1\t0\nVERSION\t1\t0\nCPID\t{pid}\n",
}


@pytest.fixture(scope="module", params=["2.3", "2.4"])
def dovecot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    newer = request.param == "2.4"
    require(*([f"{TRIXIE}/usr/sbin/dovecot", "nsenter", "unshare"] if newer else PROGRAMS))
    root = opened(tmp_path_factory.mktemp("malformed")) / "dovecot"
    root.mkdir()
    users = root / "users"
    users.write_text("user:{PLAIN}secret:1000:1000::/home/user\n")
    with Dovecot(root, (NEWER if newer else OLDER).format(users=users) + BOTH, newer) as server:
        wait_until(lambda: unix_socket_answers(root / "run" / "auth-legacy"), "Dovecot's auth server answers")
        yield server


def told(heard: bytes) -> list[bytes]:
    """Return the answers in what a server said, but for its greeting."""
    answers = []
    for line in heard.split(b"\n")[:-1]:
        fields = line.split(b"\t")
        if fields[0] not in (b"OK", b"FAIL", b"CONT"):
            continue
        kept = fields[2:] if fields[0] == b"CONT" else [field for field in fields[2:] if field.startswith(b"code=")]
        # Both make challenges of CRAM-MD5 anew each time.
        answers.append(b" ".join([*fields[:2], *(b"<...>" if field.startswith(b"PD") else field for field in kept)]))
    return answers


def by_dovecot(path: Path, said: bytes, expected: int) -> tuple[list[bytes], bool]:
    """Return Dovecot's answers, and whether it closed by itself.

    :param expected: how many answers there should be; failures are told a while later.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall(said)
        heard = b""

        def hear_until(enough: Callable[[], bool]) -> bool:
            nonlocal heard
            while not enough():
                try:
                    piece = connection.recv(65536)
                except ConnectionResetError:
                    piece = b""
                if not piece:
                    return False
                heard += piece
            return True

        is_open = hear_until(lambda: len(told(heard)) >= expected)
        if is_open:
            # A connection that is still good answers one more request.
            with suppress(BrokenPipeError):
                connection.sendall(b"AUTH\t999999\tPLAIN\tservice=last\tresp=%b\n" % PLAIN)
            is_open = hear_until(lambda: b"OK 999999" in told(heard))
        return [answer for answer in told(heard) if answer != b"OK 999999"], not is_open


def by_authd(said: bytes) -> tuple[list[bytes], bool]:
    """Return authd's answers, and whether it closed."""

    def judge(request: Request) -> Answer:
        if isinstance(request, Login) and (request.user, request.password) == (b"user", b"secret"):
            return Answer(Outcome.OK, Reason.PASSWORD_MATCHES, Account(b"user", 1000, 1000, b"/home/user"))
        return reject(Reason.WRONG_PASSWORD)

    client = Client(DovecotAuthConversation(terms()), judge)
    return told(client.hear() + client.say(said)), client.conversation.closing


@pytest.mark.parametrize("minor", [0, 2])
@pytest.mark.parametrize("said", LINES.values(), ids=LINES)
def test_answers_are_the_same(dovecot: Dovecot, said: bytes, minor: int) -> None:
    said = b"VERSION\t1\t%d\nCPID\t%d\n%b" % (minor, next(PIDS), said)
    authd = by_authd(said)
    assert authd == by_dovecot(dovecot.root / "run" / "auth-legacy", said, len(authd[0]))


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_a_malformed_greeting_ends_the_connection(dovecot: Dovecot, greeting: bytes) -> None:
    said = greeting.replace(b"{pid}", b"%d" % next(PIDS)) + response(b"", b"user", b"secret")
    assert by_dovecot(dovecot.root / "run" / "auth-legacy", said, 1) == ([], True)
    assert by_authd(said) == ([], True)


class TestDeliberateDifferences:
    """authd refuses where it could not tell which options count, and does not end a connection that others use."""

    def test_an_empty_service(self, dovecot: Dovecot) -> None:
        said = b"VERSION\t1\t0\nCPID\t%d\nAUTH\t1\tPLAIN\tservice=\tresp=%b\n" % (next(PIDS), PLAIN)
        assert by_dovecot(dovecot.root / "run" / "auth-legacy", said, 1) == ([b"OK 1"], False)
        assert by_authd(said) == ([b"FAIL 1"], False)

    @pytest.mark.parametrize("written", [b" %b", b"%b\r"])
    def test_blanks_in_base64(self, dovecot: Dovecot, written: bytes) -> None:
        said = b"VERSION\t1\t0\nCPID\t%d\nAUTH\t1\tPLAIN\tservice=smtp\tresp=%b\n" % (next(PIDS), written % PLAIN)
        assert by_dovecot(dovecot.root / "run" / "auth-legacy", said, 1) == ([b"OK 1"], False)
        assert by_authd(said) == ([b"FAIL 1 code=invalid_base64"], False)

    def test_a_mechanism_that_is_not_offered(self, dovecot: Dovecot) -> None:
        said = b"VERSION\t1\t0\nCPID\t%d\nAUTH\t1\tXX\t%b\n" % (next(PIDS), GOOD)
        assert by_dovecot(dovecot.root / "run" / "auth-legacy", said, 1) == ([], True)
        assert by_authd(said) == ([b"FAIL 1"], False)
