"""``authd doctor`` and ``authd deliver``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.daemon import Authd, command, run_command
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
        "nobody can reach none; add authdaemond:/empty/private/authdaemond,mode=0600,owner=nobody to "
        "AUTHD_LISTEN in authdaemonrc, and restart the daemon",
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
        (("--as", ""), "there is no user without a name; name one that mail programs run as"),
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
    assert run_command("authd", "deliver", "--sysconfdir", "/nonexistent", USER, "true")[0] == os.EX_TEMPFAIL


class TestChoice:
    """``--socket`` and ``--protocol``: the verdict is of what they name alone."""

    def test_a_socket(self, patient: Authd) -> None:
        assert doctor(patient, "--as", "nobody", "--socket", str(patient.socket)) == (
            0,
            ["authdaemond:/run/socket: nobody can reach it"],
        )
        status, said = doctor(patient, "--as", "nobody", "--socket", str(patient.run / "mux"))
        assert (status, len(said)) == (1, 1)
        assert said[0].startswith("saslauthd:/run/mux: nobody can't reach it: ")
        # Options of a subcommand may stand before it, and a path need not be the one of the configuration by its letters.
        other = f"{patient.run}/../run/socket"
        assert (
            run_command("authd", "--socket", other, "--sysconfdir", str(patient.etc), "doctor", "--as=nobody")[0] == 0
        )
        # As AUTHD_LISTEN has it.
        assert doctor(patient, "--socket", "mux") == (0, ["saslauthd:/run/mux: root can reach it"])

    def test_a_protocol(self, patient: Authd) -> None:
        status, said = doctor(patient, "--protocol", "saslauthd")
        assert (status, said) == (0, ["saslauthd:/run/mux: root can reach it"])
        status, said = doctor(patient, "--as", "nobody", "--protocol", "authdaemond")
        assert (status, len(said)) == (1, 2)
        assert run_command("authd", "doctor", "--protocol", "nosuch")[0] == 2

    def test_a_socket_in_a_chroot(self, patient: Authd) -> None:
        jail = patient.run.parent / "jail"
        words = ("--as", "mail", "--chroot", str(jail))
        assert doctor(patient, *words, "--socket", str(jail / "private" / "authd"))[0] == 0
        status, said = doctor(patient, *words, "--protocol", "saslauthd")
        assert status == 1
        assert said[-1] == (
            "mail can reach none; add saslauthd:/jail/private/mux,mode=0600,owner=mail to AUTHD_LISTEN in authdaemonrc, "
            "and restart the daemon"
        )

    def test_none(self, patient: Authd) -> None:
        status, said = doctor(patient, "--socket", "/nonexistent")
        assert (status, len(said)) == (1, 1)
        assert "the daemon has no socket /nonexistent; it has authdaemond:/run/socket " in said[0]
        status, said = doctor(patient, "--protocol", "control")
        assert status == 1
        assert "the daemon has no socket for control; it has " in said[0]


class TestAdvice:
    """No advice opens more than the socket that it is about."""

    def test_a_group_that_opens_a_socket_with_passwords(self, patient: Authd) -> None:
        shutil.chown(patient.run, "root", "mail")
        patient.run.chmod(0o750)
        status, [said] = doctor(patient, "--as", "nobody", "--protocol", "saslauthd")
        assert status == 1
        assert said == (
            "saslauthd:/run/mux: nobody can't reach it: may not enter /run (drwxr-x--- root mail); do not join the group "
            "mail, which also opens authdaemond:/run/socket (stored passwords leave by it); install -d -m 0750 -o root -g "
            "nogroup /authd-nobody (at each boot, by tmpfiles.d), and add saslauthd:/authd-nobody/mux,mode=0660,"
            "group=nogroup to AUTHD_LISTEN in authdaemonrc, and restart the daemon"
        )

    def test_a_socket_that_the_asking_user_can_not_see(self, root: Path) -> None:
        require("setpriv")
        (root / "run" / "sub").mkdir(parents=True)
        with make_site(root, AUTHD_LISTEN="saslauthd:mux dovecot-userdb:sub/du,mode=0666") as daemon:
            shutil.chown(daemon.run, "root", "mail")
            daemon.run.chmod(0o750)
            nobody = ("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--")
            words = ("doctor", "--sysconfdir", str(daemon.etc), "--protocol", "authdaemond")
            said = subprocess.run(
                [*nobody, command("authd"), *words], stdout=subprocess.PIPE, text=True, check=False
            ).stdout
        assert f"do not join the group mail, which also opens dovecot-userdb:{daemon.run}/sub/du" in said

    def test_the_advice_opens_that_socket_alone(self, patient: Authd) -> None:
        """The advice is followed to the letter."""
        shutil.chown(patient.run, "root", "mail")
        patient.run.chmod(0o750)
        said = run_command(
            "authd", "doctor", "--sysconfdir", str(patient.etc), "--as", "nobody", "--protocol", "saslauthd"
        )[1]
        create = re.search(r"(install .*?) \(at each boot", said)
        listen = re.search(r"add (saslauthd:(\S+?),\S+) to AUTHD_LISTEN", said)
        assert create is not None
        assert listen is not None
        subprocess.run(create[1].split(), check=True)
        rc = patient.etc / "authdaemonrc"
        rc.write_text(rc.read_text().replace('AUTHD_LISTEN="', f'AUTHD_LISTEN="{listen[1]} '))
        patient.reload()
        assert doctor(patient, "--as", "nobody", "--socket", listen[2])[0] == 0
        assert doctor(patient, "--as", "nobody", "--socket", str(patient.socket))[0] == 1

    def test_a_group_that_reads_a_file_with_a_password(self, patient: Authd) -> None:
        shutil.chown(patient.run / "mux", "root", "mail")
        rc = patient.etc / "authsqliterc"
        rc.chmod(0o640)
        assert doctor(patient, "--as", "nobody", "--protocol", "saslauthd")[1][0].endswith(
            "; adduser nobody mail, and restart its programs"
        )
        shutil.chown(rc, "root", "mail")
        assert (
            "do not join the group mail, which also opens /etc/authsqliterc (it may have passwords); add "
            in (doctor(patient, "--as", "nobody", "--protocol", "saslauthd")[1][0])
        )

    def test_a_directory_is_not_opened_to_all(self, patient: Authd) -> None:
        patient.run.chmod(0o700)
        status, [said] = doctor(patient, "--as", "nobody", "--protocol", "saslauthd")
        assert status == 1
        assert (
            "leave it, since all users could use authdaemond:/run/socket (stored passwords leave by it) then; " in said
        )
        assert "chmod o+x" not in said

    def test_a_socket_without_passwords_may_be_opened(self, root: Path) -> None:
        require()
        with make_site(
            root, AUTHD_LISTEN=f"authdaemond:{root}/run/socket,passwords=no saslauthd:mux,mode=0666"
        ) as daemon:
            shutil.chown(daemon.run, "root", "mail")
            daemon.run.chmod(0o750)
            status, [said] = doctor(daemon, "--as", "nobody", "--protocol", "saslauthd")
            assert (status, said.rpartition("; ")[2]) == (1, "adduser nobody mail, and restart its programs")
