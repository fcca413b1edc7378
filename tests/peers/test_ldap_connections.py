"""authldap over TLS, with several servers, and what becomes of connections that servers drop."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authd.config.ldaprc import load_ldaprc
from tests.conftest import opened, require
from tests.support.accounts import LDAP_ENTRIES
from tests.support.daemon import Authd, run_command
from tests.support.network import Network
from tests.support.processes import wait_until
from tests.support.slapd import ADMIN, ADMIN_PASSWORD, BASE, Entry, Slapd
from tests.support.sysconf import changed, edit, ldaprc, write_authdaemonrc
from tests.support.wire import exchange, login, passwd, pre

pytest.importorskip("ldap")

from authd.modules.base import TemporaryFailure
from authd.modules.directory import Directory, Found
from authd.modules.entries import Entries, _is_whole
from authd.outcome import Reason

USER = "user@example.org"
LOOKUP = pre(USER)
PLAIN = {
    "login": b"plain@example.org",
    "userPassword": b"bind secret",
    "uidnum": b"7",
    "gidnum": b"8",
    "homedir": b"/p",
}
BIND = {"LDAP_AUTHBIND": "1", "LDAP_CRYPTPW": None, "LDAP_CLEARPW": None}


class Authority:
    """Makes certificates."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.certificate = self._make("authority", "-x509", "-subj", "/CN=authority")

    def _make(self, name: str, *words: str) -> Path:
        out = self.root / f"{name}.pem"
        key = self.root / f"{name}.key"
        common = [
            "openssl",
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            str(key),
            "-out",
            str(out),
            "-days",
            "2",
        ]
        subprocess.run([*common, *words], check=True, capture_output=True)
        out.chmod(0o644)
        key.chmod(0o644)
        return out

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return a certificate for `name`, and its key."""
        signed = [
            "-x509",
            "-CA",
            str(self.certificate),
            "-CAkey",
            str(self.root / "authority.key"),
            "-subj",
            f"/CN={name}",
        ]
        out = self._make(name, *signed, "-addext", f"subjectAltName=IP:{name}", "-addext", "basicConstraints=CA:FALSE")
        return out, self.root / f"{name}.key"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    require("openssl")
    return Authority(opened(tmp_path_factory.mktemp("tls")) / "authority")


def _server(root: Path, authority: Authority | None = None, scheme: str = "ldap", *lines: str) -> Slapd:
    require("slapd", "slapadd")
    if authority is not None:
        certificate, key = authority.issue("127.0.0.1")
        lines += (f"TLSCertificateFile {certificate}", f"TLSCertificateKeyFile {key}")
    server = Slapd(root, *lines, scheme=scheme)
    server.make([*LDAP_ENTRIES, PLAIN])
    return server


@pytest.fixture
def site(root: Path) -> Iterator[Authd]:
    daemon = Authd(root / "etc", root / "run")
    yield daemon
    daemon.stop()


def _start(site: Authd, uri: str, rc: dict[str, str | None], **more: str) -> None:
    write_authdaemonrc(site.etc, site.run, "authldap", daemons="1", **more)
    (site.etc / "authldaprc").write_text(changed(ldaprc(uri), **rc))
    site.start()


@pytest.mark.parametrize(("scheme", "starts_tls"), [("ldaps", "0"), ("ldap", "1")])
def test_tls(site: Authd, authority: Authority, root: Path, scheme: str, starts_tls: str) -> None:
    # slapd refuses what is not encrypted.
    with _server(root / "server", authority, scheme, "security ssf=64") as server:
        _start(site, server.uri, {"LDAP_TLS": starts_tls, **BIND}, LDAPTLS_CACERT=str(authority.certificate))
        assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
        assert exchange(site.socket, login("plain@example.org", "bind secret")).endswith(b"\n.\n")
        assert exchange(site.socket, login("plain@example.org", "wrong")) == b"FAIL\n"


@pytest.mark.parametrize(
    ("host", "requires", "trusts", "is_good"),
    [
        ("127.0.0.1", "demand", True, True),
        ("127.0.0.1", "demand", False, False),
        ("localhost", "demand", True, False),
        ("localhost", "never", False, True),
    ],
)
def test_a_server_that_can_be_anybody_is_none(
    site: Authd, authority: Authority, root: Path, host: str, requires: str, trusts: bool, is_good: bool
) -> None:
    trusted = authority if trusts else Authority(root / "other")
    with _server(root / "server", authority, "ldaps") as server:
        uri = server.uri.replace("127.0.0.1", host)
        _start(site, uri, {}, LDAPTLS_CACERT=str(trusted.certificate), LDAPTLS_REQCERT=requires)
        reply = exchange(site.socket, LOOKUP)
        assert reply.endswith(b"\n.\n") if is_good else reply == b""
    if not is_good:
        assert "result=tempfail module=authldap" in site.logged()


def test_no_file_of_the_working_directory_is_read(
    site: Authd, authority: Authority, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libldap's ``ldaprc`` could have been put there by anyone; see ldap.conf(5)."""
    (root / "planted").mkdir()
    (root / "planted/ldaprc").write_text("TLS_REQCERT never\n")
    monkeypatch.chdir(root / "planted")
    with _server(root / "server", authority, "ldaps") as server:
        _start(site, server.uri, {})
        assert exchange(site.socket, LOOKUP) == b""
        assert run_command("authd", "check", "--sysconfdir", str(site.etc))[0] == 1


def test_starttls_that_fails_is_not_done_without(site: Authd, root: Path) -> None:
    with _server(root / "server") as server:
        _start(site, server.uri, {"LDAP_TLS": "1"})
        assert exchange(site.socket, LOOKUP) == b""


@pytest.mark.parametrize(("line", "is_open"), [(None, False), ("0", True), ("1", False)])
def test_an_authority_means_tls_unless_the_file_says_no(
    site: Authd, authority: Authority, root: Path, line: str | None, is_open: bool
) -> None:
    with _server(root / "server") as server:
        _start(site, server.uri, {"LDAP_TLS": line}, LDAPTLS_CACERT=str(authority.certificate))
        assert exchange(site.socket, LOOKUP).endswith(b"\n.\n") is is_open


def test_an_authority_alone_is_enough_for_tls(site: Authd, authority: Authority, root: Path) -> None:
    with _server(root / "server", authority, "ldap", "security ssf=64") as server:
        _start(site, server.uri, {"LDAP_TLS": None}, LDAPTLS_CACERT=str(authority.certificate))
        assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")


def _refer_to(server: Slapd, uri: str) -> None:
    """Have a server refer to another for a part of its tree."""
    reference = f"dn: ou=other,{BASE}\nobjectClass: referral\nobjectClass: extensibleObject\nou: other\n"
    server.more = (f"{reference}ref: {uri}/{BASE}??sub\n",)
    server.fill([PLAIN])


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
@pytest.mark.parametrize(("tls", "starts_tls"), [("ldaps", "0"), ("ldap", "1"), ("ldap", "0")])
def test_no_account_comes_unencrypted_from_a_server_that_another_refers_to(
    site: Authd, authority: Authority, root: Path, scheme: str, tls: str, starts_tls: str
) -> None:
    server = _server(root / "server", authority, tls)
    other = _server(root / "other", authority, scheme)
    other.fill([{**PLAIN, "login": b"other@example.org"}])
    with other, Network(other.port) as network:
        _refer_to(server, f"{scheme}://127.0.0.1:{network.port}")
        with server:
            _start(site, server.uri, {"LDAP_TLS": starts_tls}, LDAPTLS_CACERT=str(authority.certificate))
            encrypts = tls == "ldaps" or starts_tls == "1"
            is_followed = scheme == "ldaps" or not encrypts
            assert exchange(site.socket, pre("other@example.org")).endswith(b"\n.\n") is is_followed
            assert exchange(site.socket, pre("plain@example.org")).endswith(b"\n.\n")
            assert exchange(site.socket, pre("none@example.org")) == (b"FAIL\n" if is_followed else b"")
            assert (b"login" in network.asked) is (scheme == "ldap" and not encrypts)
            if is_followed:
                return
            assert f"refers to ldap://127.0.0.1:{network.port}/{BASE}??sub, which is not followed" in site.logged()
            code, said, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
            assert code == 1
            assert "which is not followed without TLS; name a part of the tree in LDAP_BASEDN" in said


def test_the_first_request_after_an_edit_goes_by_it(site: Authd, root: Path) -> None:
    """Its lookup reads the edited file, and what checks the password is what that says."""
    with _server(root / "server") as server:
        _start(site, server.uri, {})
        by_hash = login(USER, "secret"), passwd("imap", USER, "secret", "secret")
        by_bind = (
            login("plain@example.org", "bind secret"),
            passwd("imap", "plain@example.org", "bind secret", "bind secret"),
        )
        for number in range(2):
            edit(site.etc / "authldaprc", changed(ldaprc(server.uri), **BIND))
            assert exchange(site.socket, by_bind[number]) not in (b"", b"FAIL\n")
            edit(site.etc / "authldaprc", ldaprc(server.uri))
            assert exchange(site.socket, by_hash[number]) not in (b"", b"FAIL\n")


def test_the_next_server_is_asked_and_stays(site: Authd, root: Path) -> None:
    first, second = _server(root / "first"), _server(root / "second")
    with first, second:
        _start(site, f"{first.uri}, {second.uri}", BIND)
        for stopped, running in ((first, second), (second, first)):
            running.stop()
            running.start()
            assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
            stopped.stop()
            for _ in range(2):
                assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
                assert exchange(site.socket, login("plain@example.org", "bind secret")).endswith(b"\n.\n")
            stopped.start()
        first.stop()
        second.stop()
        assert exchange(site.socket, LOOKUP) == b""
    assert f"{first.uri}: Can't contact LDAP server; {second.uri}: Can't contact LDAP server" in site.logged()


def test_a_connection_that_the_server_drops_costs_no_request(site: Authd, root: Path) -> None:
    with _server(root / "server", None, "ldap", "idletimeout 1") as server:
        _start(site, server.uri, {})
        assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
        log = server.root / "server.log"
        assert log.exists()
        wait_until(lambda: not _connections(server.port), "the server has dropped the idle connection")
        # Bound again: without that it could not read what it looks for.
        assert exchange(site.socket, LOOKUP).endswith(b"\n.\n")
        assert "connection to the directory was lost" in site.logged()


def _connections(port: int) -> bool:
    """Tell whether the server still has a connection open: states 1 (established) of its port."""
    wanted = f":{port:04X}"
    for line in (
        Path("/proc/net/tcp").read_text().splitlines()[1:] + Path("/proc/net/tcp6").read_text().splitlines()[1:]
    ):
        fields = line.split()
        if fields[1].endswith(wanted) and fields[3] == "01":
            return True
    return False


def test_a_success_is_no_proof_for_another(site: Authd, root: Path) -> None:
    """What a connection was bound as before says nothing: a changed password, an empty one, and no server."""
    with _server(root / "server") as server:
        _start(site, server.uri, BIND)
        user = "plain@example.org"
        assert exchange(site.socket, login(user, "bind secret")).endswith(b"\n.\n")
        server.modify(user, userPassword="other")
        assert exchange(site.socket, login(user, "bind secret")) == b"FAIL\n"
        assert exchange(site.socket, login(user, "other")).endswith(b"\n.\n")
        assert exchange(site.socket, login(user, "")) == b"FAIL\n"
        # An entry without a password: a bind with any is refused, one with none would be anonymous.
        assert exchange(site.socket, login(USER, "x")) == b"FAIL\n"
        server.stop()
        assert exchange(site.socket, login(user, "other")) == b"FAIL\n"
    assert 'module=authldap service="imap" user="plain@example.org" reason="database unreachable' in site.logged()


def test_more_accounts_than_a_server_gives_at_once_are_listed(site: Authd, root: Path) -> None:
    server = Slapd(root / "server")
    server.make(
        {"login": f"u{number}@example.org".encode(), "homedir": b"/h", "uidnum": b"1", "gidnum": b"2"}
        for number in range(1234)
    )
    with server:
        _start(site, server.uri, {})
        reply = exchange(site.socket, b"ENUMERATE\n")
        assert reply.count(b"@example.org\t") == 1234
        assert reply.endswith(b"\n.\n")


USERS = [
    *(
        "user@example.org",
        "USER@example.org",
        "user @example.org",
        "it's@example.org",
        "umläut@example.org",
        "UMLÄUT@example.org",
    ),
    *(
        "twice@example.org",
        "Twice@example.org",
        "both@example.org",
        "user",
        "nobody@example.org",
        "*",
        "",
        "bare",
        "one@x",
        "two@x",
    ),
    *("ann@x", "bob@x", "dan@x", "eva@x", "sevens", "77", "077", "a.b@x", "ab@x"),
    *("ONE@x", "\u212b@x", "\u00c5@x", "a\u030a@x", "UPPER@Example.ORG", "upper@example.org"),
]


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entries]:
    """What finds entries in a directory with some that are alike."""
    require("slapd", "slapadd")
    root = opened(tmp_path_factory.mktemp("entries"))
    server = Slapd(root / "server")
    more: list[Entry] = [
        {"login": [b"one@x", b"two@x"], "homedir": b"/h"},
        {"login": "\u212b@x".encode(), "homedir": b"/h"},
        # Alone, one user finds two entries, of which the other's own has a spelling.
        {"login": b"ann@x", "homedir": b"/ann"},
        {"login": [b"bob@x", b"ANN@x"], "homedir": b"/bob"},
        {"login": [b"sevens", b"77"], "homedir": b"/sevens"},
        # So it is where the server takes the name in another form of the attribute.
        {"login": b"dan@x", "login;lang-de": b"eva@x", "homedir": b"/dan"},
        {"login": b"eva@x", "homedir": b"/eva"},
    ]
    server.make([*LDAP_ENTRIES, *more])
    (root / "authldaprc").write_text(ldaprc(server.uri))
    rc = load_ldaprc(root / "authldaprc")
    with server:
        directory = Directory(rc, {}, lambda line: None)
        yield Entries(rc, directory, ["login", "homedir"], lambda line: None)
        directory.close()


@settings(max_examples=150)
@given(users=st.lists(st.sampled_from(USERS), max_size=12))
def test_many_together_are_found_as_each_alone(entries: Entries, users: list[str]) -> None:
    names = [user.encode() for user in users]
    alone = [entries.of_each([name])[0] for name in names]
    assert entries.of_each(names) == alone


def test_a_failed_search_is_that_of_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``LDAP_EMAILMAP`` is searched for each by itself."""
    (root / "authldaprc").write_text(
        changed(
            ldaprc("ldap://127.0.0.1"),
            LDAP_EMAILMAP="(handle=@user@)",
            LDAP_EMAILMAP_ATTRIBUTE="handle",
            LDAP_EMAILMAP_MAIL="handle",
        )
    )
    rc = load_ldaprc(root / "authldaprc")

    def search(directory: Directory, base: str, filter_text: str, attributes: list[str]) -> list[Found]:
        if "(handle=bad)" in filter_text:
            raise TemporaryFailure(Reason.QUERY_FAILED)
        return []

    monkeypatch.setattr(Directory, "search", search)
    found = Entries(rc, Directory(rc, {}, lambda line: None), ["login"], lambda line: None)
    good, bad = found.of_each([b"good@x", b"bad@x"])
    assert good == []
    assert isinstance(bad, TemporaryFailure)


def test_more_than_the_server_gives_at_once_are_asked_for_alone(root: Path) -> None:
    with _server(root / "server", None, "ldap", "sizelimit 1") as server:
        (root / "authldaprc").write_text(
            changed(ldaprc(server.uri), LDAP_BINDDN=None, LDAP_BINDPW=None, LDAP_INITBIND="0")
        )
        rc = load_ldaprc(root / "authldaprc")
        directory = Directory(rc, {}, lambda line: None)
        found = Entries(rc, directory, ["login"], lambda line: None)
        names = [b"user@example.org", b"both@example.org", b"nobody@example.org"]
        assert [isinstance(entries, list) and len(entries) for entries in found.of_each(names)] == [1, 1, 0]
        directory.close()


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("", True),
        ("(a=b)", True),
        ("(|(a=b)(c=d))", True),
        ("(a=b)(c=d)", False),
        ("a=b", False),
        ("(a=b", False),
        ("(a=b))(", False),
    ],
)
def test_a_filter_that_is_not_whole_is_joined_with_nothing(text: str, whole: bool) -> None:
    assert _is_whole(text) == whole


def test_check_says_what_is_wrong(site: Authd, root: Path) -> None:
    with _server(root / "server") as server:
        write_authdaemonrc(site.etc, site.run, "authldap")
        rc = site.etc / "authldaprc"
        site.run.mkdir()
        for change, said in (
            ({}, "authldap: ready"),
            ({"LDAP_BINDPW": "wrong"}, f"error: {rc}: bind for lookups: Invalid credentials; correct LDAP_BINDDN"),
            (
                {"LDAP_URI": "ldap://localhost:1"},
                f"error: {rc}: ldap://localhost:1: Can't contact LDAP server; start the server",
            ),
            ({"LDAP_URI": "localhost"}, f"error: {rc}:23: LDAP_URI: expected addresses such as ldap://localhost"),
            ({"LDAP_BASEDN": None}, f"error: {rc}: LDAP_BASEDN: not set; name where the accounts are"),
        ):
            rc.write_text(changed(ldaprc(server.uri), **change))
            _, told, _ = run_command("authd", "check", "--sysconfdir", str(site.etc))
            assert said in told
            assert "admin secret" not in told


def test_check_changes_no_entry(site: Authd, root: Path) -> None:
    """Nor when which entry was changed, which the server notes."""
    with _server(root / "server") as server:
        write_authdaemonrc(site.etc, site.run, "authldap")
        (site.etc / "authldaprc").write_text(ldaprc(server.uri))
        site.run.mkdir()
        words = ["ldapsearch", "-x", "-LLL", "-H", server.uri, "-D", ADMIN, "-w", ADMIN_PASSWORD, "-b", BASE, "*", "+"]
        before = subprocess.run(words, check=True, capture_output=True).stdout
        assert run_command("authd", "check", "--sysconfdir", str(site.etc))[0] == 0
        assert b"entryCSN" in before
        assert subprocess.run(words, check=True, capture_output=True).stdout == before
