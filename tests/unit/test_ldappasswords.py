"""How a password is changed, by what the server says it is; a change that fails is never told as a success."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ldap = pytest.importorskip("ldap")

from authd.modules import ldappasswords  # noqa: E402 - as above
from authd.outcome import Outcome, Reason  # noqa: E402 - as above

AD = {"supportedCapabilities": [b"1.2.840.113556.1.4.800"]}
DN = "cn=ann"


class Connection:
    """Stands for a connection, and keeps what is asked of it.

    :param fails: what an operation raises, by its name.
    """

    def __init__(
        self, root: dict[str, Any] | None, fails: dict[str, Exception] | None = None, encrypted: bool = True
    ) -> None:
        self.root = root
        self.fails = fails or {}
        self.options = {
            ldap.OPT_URI: "ldap://x",
            ldap.OPT_X_TLS_VERSION: "TLS1.3" if encrypted else None,
            ldap.OPT_PROTOCOL_VERSION: 3,
        }
        self.asked: list[tuple[Any, ...]] = []

    def get_option(self, option: int) -> Any:
        return self.options[option]

    def simple_bind_s(self, dn: str, password: bytes, serverctrls: Any) -> tuple[int, list[Any], int, list[Any]]:
        self._do("bind", dn, password)
        return 97, [], 1, []

    def read_rootdse_s(self, attrlist: list[str]) -> dict[str, Any] | None:
        self._do("root", *attrlist)
        return self.root

    def modify_ext_s(self, dn: str, changes: Any, serverctrls: Any) -> None:
        self._do("modify", dn, changes)

    def passwd(self, dn: str, old: bytes, new: bytes, serverctrls: Any) -> int:
        self._do("passwd", dn, old, new)
        return 7

    def extop_result(self, message: int) -> tuple[str, None]:
        self._do("extop", message)
        # Some servers name the answer.
        return "1.3.6.1.4.1.4203.1.11.1", None

    def _do(self, what: str, *arguments: Any) -> None:
        self.asked.append((what, *arguments))
        if what in self.fails:
            raise self.fails[what]


def changed(connection: Connection, **values: bytes) -> tuple[Outcome, Reason, list[tuple[Any, ...]]]:
    answer = ldappasswords.change(connection, DN, b"old", 'né"w'.encode(), values)
    return answer.outcome, answer.reason, [asked for asked in connection.asked if asked[0] not in ("bind", "root")]


def test_active_directory_takes_the_old_value_for_the_new() -> None:
    quoted = ['"old"'.encode("utf-16-le"), '"né"w"'.encode("utf-16-le")]
    changes = [(ldap.MOD_DELETE, "unicodePwd", [quoted[0]]), (ldap.MOD_ADD, "unicodePwd", [quoted[1]])]
    expected = (Outcome.OK, Reason.PASSWORD_CHANGED, [("modify", DN, changes)])
    assert changed(Connection(AD)) == expected
    assert changed(Connection(AD), userPassword=b"x") == expected


def test_active_directory_is_told_nothing_without_tls() -> None:
    connection = Connection(AD, encrypted=False)
    answer = ldappasswords.change(connection, DN, b"old", b"new", {})
    assert (answer.outcome, answer.reason) == (Outcome.REJECT, Reason.NOT_CHANGED)
    assert "over TLS alone; use ldaps:// in LDAP_URI, or LDAP_TLS 1" in answer.detail
    assert [asked[0] for asked in connection.asked] == ["bind", "root"]


def test_bytes_that_are_no_text_are_refused_by_active_directory() -> None:
    connection = Connection(AD)
    answer = ldappasswords.change(connection, DN, b"old", b"\xff", {})
    assert (answer.outcome, answer.reason) == (Outcome.REJECT, Reason.NOT_CHANGED)
    assert [asked[0] for asked in connection.asked] == ["bind", "root"]


@pytest.mark.parametrize("root", [None, {}, {"supportedCapabilities": [b"1.2.3"]}])
def test_others_have_an_operation_for_it(root: dict[str, Any] | None) -> None:
    new = 'né"w'.encode()
    assert changed(Connection(root)) == (
        Outcome.OK,
        Reason.PASSWORD_CHANGED,
        [("passwd", DN, b"old", new), ("extop", 7)],
    )
    assert changed(Connection(root), crypt=b"x")[2] == [("modify", DN, [(ldap.MOD_REPLACE, "crypt", [b"x"])])]


def test_a_server_that_keeps_its_root_entry_to_itself_is_another() -> None:
    assert changed(Connection(AD, {"root": ldap.INSUFFICIENT_ACCESS()}))[2][0][0] == "passwd"


@pytest.mark.parametrize("what", ["passwd", "extop"])
@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (ldap.CONSTRAINT_VIOLATION, Outcome.REJECT, Reason.NOT_CHANGED),
        (ldap.OTHER, Outcome.TEMPFAIL, Reason.QUERY_FAILED),
        (ldap.REFERRAL, Outcome.TEMPFAIL, Reason.QUERY_FAILED),
    ],
)
def test_what_fails_is_told(what: str, error: Callable[[], Exception], outcome: Outcome, reason: Reason) -> None:
    assert changed(Connection({}, {what: error()}))[:2] == (outcome, reason)
    modify = changed(Connection({}, {"modify": error()}), crypt=b"x")
    assert modify[:2] == (outcome, reason)
    assert changed(Connection(AD, {"modify": error()}))[:2] == (outcome, reason)


@pytest.mark.parametrize("what", ["bind", "root", "passwd", "extop"])
def test_a_connection_that_breaks_is_another_servers_affair(what: str) -> None:
    with pytest.raises(ldap.SERVER_DOWN):
        changed(Connection({}, {what: ldap.SERVER_DOWN()}))


def test_a_password_that_is_refused_the_second_time_is_no_wrong_one() -> None:
    connection = Connection({}, {"bind": ldap.INVALID_CREDENTIALS()})
    assert changed(connection) == (Outcome.TEMPFAIL, Reason.QUERY_FAILED, [])


def test_no_server_is_asked_to_make_a_password_up() -> None:
    connection = Connection(None)
    answer = ldappasswords.change(connection, DN, b"old", b"", {})
    assert (answer.outcome, answer.reason) == (Outcome.REJECT, Reason.NOT_CHANGED)
    assert [asked[0] for asked in connection.asked] == ["bind", "root"]
