"""``authd doctor`` and ``authd deliver``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.daemon import Authd, run_command
from tests.support.site import USER, make_site


@pytest.fixture
def patient(root: Path) -> Iterator[Authd]:
    """A daemon with Courier's socket, and one in a directory of the user ``mail`` below a chroot."""
    require()
    jail = root / "jail"
    (jail / "private").mkdir(parents=True)
    shutil.chown(jail / "private", "mail", "mail")
    (jail / "private").chmod(0o700)
    with make_site(
        root, AUTHD_LISTEN=f"authdaemond:{jail}/private/authd,mode=0600,owner=mail saslauthd:mux,mode=0660"
    ) as daemon:
        yield daemon


def doctor(daemon: Authd, *words: str) -> tuple[int, list[str]]:
    status, said, complaints = run_command("authd", "doctor", "--sysconfdir", str(daemon.etc), *words)
    return status, [line.replace(str(daemon.run.parent), "") for line in (said + complaints).splitlines()]


def test_everything_can_be_reached_by_root(patient: Authd) -> None:
    assert doctor(patient) == (
        0,
        [
            "authdaemond:/run/socket: root can reach it",
            "authdaemond:/jail/private/authd: root can reach it",
            "saslauthd:/run/mux: root can reach it",
        ],
    )


def test_another_user(patient: Authd) -> None:
    assert doctor(patient, "--as", "nobody") == (
        1,
        [
            "authdaemond:/run/socket: nobody can reach it",
            "authdaemond:/jail/private/authd: nobody can't reach it: may not enter /jail/private (drwx------ mail mail); "
            "chmod o+x /jail/private",
            "saslauthd:/run/mux: nobody can't reach it: may not write to /run/mux (srw-rw---- root root); "
            "give saslauthd:/run/mux in AUTHD_LISTEN owner=nobody or another mode, and restart the daemon",
        ],
    )


def test_a_directory_for_a_group(patient: Authd) -> None:
    shutil.chown(patient.run, "root", "mail")
    patient.run.chmod(0o750)
    status, said = doctor(patient, "--as", "nobody")
    assert status == 1
    assert said[0] == (
        "authdaemond:/run/socket: nobody can't reach it: may not enter /run (drwxr-x--- root mail); "
        "adduser nobody mail, and restart its programs"
    )
    assert doctor(patient, "--as", "mail")[1][0] == "authdaemond:/run/socket: mail can reach it"


def test_a_chroot(patient: Authd) -> None:
    jail = str(patient.run.parent / "jail")
    assert doctor(patient, "--as", "mail", "--chroot", jail) == (
        0,
        [
            "authdaemond:/run/socket: outside /jail, so mail there can't reach it",
            "authdaemond:/jail/private/authd: mail can reach it",
            "saslauthd:/run/mux: outside /jail, so mail there can't reach it",
        ],
    )
    status, said = doctor(patient, "--as", "nobody", "--chroot", str(patient.run))
    assert (status, said[1]) == (1, "authdaemond:/jail/private/authd: outside /run, so nobody there can't reach it")
    (patient.run.parent / "empty").mkdir()
    status, said = doctor(patient, "--as", "nobody", "--chroot", str(patient.run.parent / "empty"))
    assert (status, said[-1]) == (
        1,
        'nobody can reach none; add AUTHD_LISTEN="authdaemond:/empty/private/authdaemond,mode=0600,owner=nobody" to '
        "authdaemonrc, and restart the daemon",
    )


def test_no_daemon(patient: Authd) -> None:
    patient.stop()
    status, said = doctor(patient)
    assert (status, said[0]) == (
        1,
        "authdaemond:/run/socket: root can't reach it: /run/socket: No such file or directory; start the daemon",
    )
    patient.socket.touch()
    assert "is no socket; remove it, and restart the daemon" in doctor(patient)[1][0]
    patient.run.rename(patient.run.with_name("away"))
    assert "/run: No such file or directory; create it, and start the daemon" in doctor(patient)[1][0]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--as", "nobody-at-all"), "there is no user nobody-at-all; name one that mail programs run as"),
        (("--chroot", "/nonexistent"), "/nonexistent: not a directory; name the one that the programs are locked into"),
    ],
)
def test_nobody_to_examine(patient: Authd, words: tuple[str, ...], complaint: str) -> None:
    assert doctor(patient, *words) == (1, [complaint])


def deliver(daemon: Authd, *words: str, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
    return run_command("authd", "deliver", "--sysconfdir", str(daemon.etc), *words, environment=environment)


def test_deliver(authd: Authd) -> None:
    assert deliver(authd, USER, "sh", "-c", "echo delivered; exit 5") == (5, "delivered\n", "")
    assert deliver(authd, USER, "printf", "%s", "--socket")[1] == "--socket"
    assert deliver(authd, "nobody@example.org", "true") == (os.EX_NOUSER, "", "nobody@example.org: no such user\n")
    assert deliver(authd, "a\nb", "true") == (os.EX_NOUSER, "", "'a\\nb': not a user\n")
    assert deliver(authd, USER)[0] == os.EX_USAGE
    assert deliver(authd, USER, "/nonexistent") == (os.EX_TEMPFAIL, "", "/nonexistent: No such file or directory\n")
    authd.stop()
    assert deliver(authd, USER, "true")[0] == os.EX_TEMPFAIL


def test_deliver_while_the_daemon_can_not_tell(site: Authd) -> None:
    (site.run.parent / "accounts.db").unlink()
    site.start()
    status, _, complaint = deliver(site, USER, "true")
    assert (status, complaint) == (os.EX_TEMPFAIL, f"{USER}: the daemon can't tell now; its log says why\n")
    assert run_command("authd", "deliver", "--sysconfdir", "/nonexistent", USER, "true")[0] == 1
