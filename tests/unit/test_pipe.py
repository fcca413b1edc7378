"""What authpipe does not let through to its program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from authd.modules.authpipe import AuthPipe
from authd.modules.base import TemporaryFailure
from authd.outcome import Answer, Outcome, Reason
from authd.together import settle_one
from tests.support.stub import surroundings

SHOUT = "#!/bin/sh\nwhile read -r line; do echo 'UID=1\nGID=2\nHOME=/h\nADDRESS=x\n.'; done\n"


@pytest.fixture
def module(tmp_path: Path) -> AuthPipe:
    program = tmp_path / "authProg"
    program.write_text(SHOUT)
    program.chmod(0o755)
    return AuthPipe(replace(surroundings(), sysconfdir=tmp_path))


def test_what_would_be_another_request_is_refused(module: AuthPipe) -> None:
    """Dovecot's protocols can carry newlines and blanks in every field."""
    answers: list[Answer] = [
        settle_one(module.lookup(b"im ap", b"user")),
        settle_one(module.lookup(b"imap\n", b"user")),
        settle_one(module.lookup(b"imap", b"nobody\nPRE . imap user")),
        settle_one(module.login(b"imap", b"user\nx", b"password")),
        settle_one(module.login(b"imap\nlogin\nroot", b"user", b"password")),
        settle_one(module.cram(b"imap\n", b"user", "md5", b"c", b"00")),
        settle_one(module.change_password(b"imap", b"user\tx", b"old", b"new")),
    ]
    assert {(answer.outcome, answer.reason) for answer in answers} == {(Outcome.REJECT, Reason.REFUSED)}
    assert settle_one(module.lookup(b"imap", b"us er")).outcome is Outcome.OK
    module.close()


TWICE = """#!/bin/sh
while read -r word list service user; do
    reply="UID=1
GID=2
HOME=/$user
ADDRESS=x
.
"
    printf '%s%s' "$reply" "$reply"
done
"""


def test_a_reply_that_comes_twice_is_no_reply_to_the_next_request(module: AuthPipe, tmp_path: Path) -> None:
    (tmp_path / "authProg").write_text(TWICE)
    for number in range(30):
        account = module.find(b"imap", b"u%d" % number)
        assert account is not None
        assert account.home == b"/u%d" % number
    module.close()


@pytest.mark.parametrize("name", ["no\\000body", "no-such-user", ""])
def test_the_name_of_no_system_account_is_a_temporary_failure(module: AuthPipe, tmp_path: Path, name: str) -> None:
    (tmp_path / "authProg").write_text(
        f"#!/bin/sh\nread -r line; printf 'USERNAME={name}\\nHOME=/h\\n.\\n'; read -r line\n"
    )
    with pytest.raises(TemporaryFailure, match="no UID"):
        module.find(b"imap", b"user")
    module.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_program_with_a_half_read_reply_is_ended(
    module: AuthPipe, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    assert module.find(b"imap", b"user") is not None
    program = module._running

    def broken(descriptor: int, size: int) -> bytes:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("authd.modules.authpipe.os.read", broken)
        with pytest.raises(error):
            module.find(b"imap", b"user")
    assert module._running is None
    assert module.find(b"imap", b"user") is not None
    assert module._running is not program
    module.close()


def test_without_a_program_there_is_nobody(tmp_path: Path) -> None:
    told: list[str] = []
    module = AuthPipe(replace(surroundings(told), sysconfdir=tmp_path))
    assert told == [f"authpipe: {tmp_path}/authProg is no program that can be run, so that there is no account"]
    assert not module.has_cleartext
    assert settle_one(module.lookup(b"imap", b"user")).reason is Reason.NO_SUCH_USER
    assert list(module.enumerate()) == []
    [problem] = module.check()
    assert not problem.fatal
