"""``make install`` as the first users would, the manual pages, the fail2ban filter, and sockets from systemd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import require
from tests.support.daemon import Authd, command, run_command
from tests.support.fail2ban import as_syslog, matched
from tests.support.processes import end, wait_until
from tests.support.site import GOOD, USER, make_site
from tests.support.wire import exchange, login

SOURCE = Path(__file__).parents[2]
PAGES = sorted((SOURCE / "docs" / "man").glob("*.[0-9]"))

PREFIX = "/usr/local/courier-authlib"


def test_make_install(root: Path) -> None:
    """As ``--prefix=/usr/local/courier-authlib --sysconfdir=/etc --with-mailuser=postfix``, into a directory apart."""
    require("make", "postfix")
    stage = root / "stage"
    words = [f"DESTDIR={stage}", f"prefix={PREFIX}", "sysconfdir=/etc", "mailuser=postfix"]
    done = subprocess.run(["make", "install", *words], cwd=SOURCE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    etc, home = stage / "etc", stage / PREFIX[1:]
    assert sorted(path.name for path in etc.glob("*.dist")) == [
        "authdaemonrc.dist",
        "authldaprc.dist",
        "authmysqlrc.dist",
        "authpgsqlrc.dist",
        "authsqliterc.dist",
    ]
    spool = home / "var" / "spool" / "authdaemon"
    assert (spool.owner(), spool.stat().st_mode & 0o777) == ("postfix", 0o750)
    rc = (etc / "authdaemonrc.dist").read_text()
    assert f"\nauthdaemonvar={PREFIX}/var/spool/authdaemon\n" in rc
    assert '\nAUTHD_USER="postfix"\n' in rc
    for name in (
        "sbin/authdaemond",
        "sbin/authtest",
        "sbin/authenumerate",
        "sbin/authpasswd",
        "sbin/userdb",
        "bin/authd",
    ):
        assert os.access(home / name, os.X_OK)
    assert {page.name for page in home.glob("share/man/man*/*")} == {page.name for page in PAGES}
    assert f"{PREFIX}/sbin/authdaemond" in (etc / "init.d" / "courier-authlib").read_text()
    assert f"ExecStart={PREFIX}/sbin/authdaemond start" in (stage / "usr/lib/systemd/system/authd.service").read_text()
    assert PREFIX in (stage / "usr/lib/tmpfiles.d/authd.conf").read_text()
    everything = [path for path in stage.rglob("*") if path.is_file()]
    assert not [path for path in everything if str(stage).encode() in path.read_bytes()]
    # What is installed runs, from where it is to be, without the source.
    site = make_site(root)
    script = f"mkdir -p {PREFIX} && mount --bind {home} {PREFIX} && cd / && exec {PREFIX}/bin/authd check --sysconfdir {site.etc}"
    site.run.mkdir()
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[-7:]) == (0, " ready\n"), done.stdout + done.stderr


def test_an_installation_in_place(root: Path) -> None:
    """Without DESTDIR, where sysconfdir follows the prefix; what it installed starts and serves."""
    require("make")
    prefix = root / "prefix"
    words = [f"prefix={prefix}", f"initdir={root}/init", f"unitdir={root}/units", f"tmpfilesdir={root}/tmpfiles"]
    subprocess.run(["make", "install", *words], cwd=SOURCE, capture_output=True, check=True)
    site = make_site(root)
    etc = prefix / "etc" / "authlib"
    for file in site.etc.iterdir():
        shutil.copy(file, etc)
    rc = (etc / "authdaemonrc").read_text()
    (etc / "authdaemonrc").write_text(rc.replace(str(site.run), str(prefix / "var" / "spool" / "authdaemon")))
    script = root / "init" / "courier-authlib"
    try:
        subprocess.run([script, "start"], check=True)
        said = subprocess.run(
            [prefix / "sbin" / "authtest", USER, "secret"], capture_output=True, text=True, check=True
        )
        assert said.stdout.startswith("Authentication succeeded.")
    finally:
        subprocess.run([script, "stop"], check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_manual_pages(page: Path) -> None:
    """groff has nothing to say against any."""
    require("man")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    text = page.read_text()
    assert re.search(r"(?m)^\.TH \S+ \d ", text)
    for name in re.findall(r"(?m)^\.BR (\w+) \((\d)\)", text):
        known = {tuple(other.name.split(".")) for other in PAGES}
        assert name in known | {("sd_notify", "3"), ("maildrop", "1")}, f"{page.name} refers to {name}"


def test_there_is_a_page_for_every_command_and_kind_of_file() -> None:
    assert [page.name for page in PAGES] == [
        *(
            "authd.8",
            "authdaemond.8",
            "authdaemonrc.5",
            "authenumerate.8",
            "authmysqlrc.5",
            "authpasswd.1",
            "authtest.1",
            "makeuserdb.8",
            "pw2userdb.8",
            "userdb.8",
            "userdbpw.8",
        )
    ]


@pytest.mark.parametrize(
    "name", ["authdaemond", "authd", "authtest", "authenumerate", "authpasswd", "makeuserdb", "pw2userdb", "userdbpw"]
)
def test_manual_pages_have_every_option(name: str) -> None:
    (page,) = (page for page in PAGES if page.stem == name)
    text = page.read_text().replace("\\-", "-")
    helps = [run_command(name, "--help")[1]]
    if name == "authd":
        helps += [run_command(name, command, "--help")[1] for command in ("check", "doctor", "deliver")]
    options = {option for said in helps for option in re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", said)} - {
        "-h",
        "--help",
    }
    assert options
    for option in options:
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), option


def lines_of(authd: Authd, level: str) -> str:
    """Return the daemon's lines of one level as a syslog daemon writes them."""
    marked = [line.partition(": ")[2] for line in authd.logged().splitlines() if line.startswith(f"{level}: ")]
    return as_syslog(marked)


def test_fail2ban(root: Path) -> None:
    """Wrong passwords and unknown users of a known address match; outages, successes and what is forged do not."""
    require("fail2ban-regex")
    with make_site(root, AUTHD_LOGIN_TEMPFAIL="fail") as authd:
        told = [b"TCPREMOTEIP=192.0.2.5\n", b"TCPREMOTEIP=::ffff:192.0.2.6\n", b"TCPREMOTEIP=2001:db8::7\n"]
        for address in told:
            assert exchange(authd.socket, address + login(USER, "wrong")) == b"FAIL\n"
            assert exchange(authd.socket, address + login("nobody@example.org", "x")) == b"FAIL\n"
        odd = 'x" ip="198.51.100.1" reason="wrong password'
        assert exchange(authd.socket, told[0] + login(odd, "x")) == b"FAIL\n"
        rejected = lines_of(authd, "NOTICE")
        assert matched(root, rejected) == len(rejected.splitlines()) == 7
        # The same with authd's own label, as a file that standard error goes to has it.
        assert matched(root, rejected.replace("]: ", "]: NOTICE: ")) == 7
        assert exchange(authd.socket, told[0] + login(USER, "secret")).endswith(b".\n")
        assert exchange(authd.socket, login(USER, "wrong")) == b"FAIL\n"
        (root / "accounts.db").rename(root / "away")
        authd.reload()
        assert exchange(authd.socket, b"TCPREMOTEIP=192.0.2.8\n" + login(USER, "secret")) == b"FAIL\n"
    assert 'result=reject module=authsqlite service="imap" user="user@example.org" ip="192.0.2.8"' in lines_of(
        authd, "WARN"
    )
    assert matched(root, lines_of(authd, "WARN") + lines_of(authd, "INFO")) == 0
    # A forged field is no address: what was banned above is who sent it.
    assert "198.51.100.1" in rejected
    assert matched(root, "".join(line for line in rejected.splitlines(True) if "198.51.100.1" in line)) == 1


def test_systemd_s_own_socket_activation(root: Path) -> None:
    """``systemd-socket-activate`` hands over two sockets: the listener is used, what is no listener is told and closed."""
    require("systemd-socket-activate")
    site = make_site(root)
    site.run.mkdir(mode=0o755)
    other = site.run / "other"
    command_line = ["systemd-socket-activate", "-l", str(site.socket), "-l", str(other), command("authdaemond")]
    with site.log.open("ab") as log:
        process = subprocess.Popen(
            [*command_line, "start", "--foreground", "--sysconfdir", str(site.etc)], stdout=log, stderr=log
        )
    try:
        wait_until(site.socket.exists, "the socket is there")
        identity = site.socket.stat().st_ino
        assert exchange(site.socket, GOOD).endswith(b"\n.\n")
        assert site.socket.stat().st_ino == identity
        assert f"{other}: given by the service manager, but not a listener; add it to AUTHD_LISTEN" in site.logged()
    finally:
        end(process)
    # The name is the manager's to remove.
    assert site.socket.exists()


ROWS = re.findall(
    r"(?m)^\|.*\| ([^|]+) \|$", (SOURCE / "README.md").read_text().partition("| client |")[2].partition("\n\n")[0]
)


def test_the_versions_in_the_readme_are_those_of_the_peers() -> None:
    """So that the table says what was run; packages that are unpacked apart are those that apt has now."""
    require("dpkg-query", "apt-cache")
    named = {tuple(entry.split()) for row in ROWS for entry in row.split(", ") if entry[:1].isalpha() and " " in entry}
    assert len(named) > 8
    for package, version in named - {("tested", "with")}:
        query = ["dpkg-query", "-W", "-f=${Version}", package]
        if package.startswith("exim4"):
            query = ["sh", "-c", f"apt-cache policy {package} | sed -n 's/.*Candidate: //p'"]
        installed = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        assert re.match(rf"(\d+:)?{re.escape(version)}(?![0-9])", installed), (package, version, installed)
