"""What authldap makes of clients' words, and of its file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.config.ldaprc import load_ldaprc
from authd.config.problem import ConfigError
from authd.numbers import MAX_UID, whole_unsigned

pytest.importorskip("ldap")

from authd.modules.directory import escaped


@given(value=st.binary(max_size=60))
def test_an_escaped_value_is_one_literal_of_a_filter(value: bytes) -> None:
    """RFC 4515: nothing but letters, digits and escapes, and these give the value back."""
    text = escaped(value)
    assert re.fullmatch(r"(?:[A-Za-z0-9]|\\[0-9a-f]{2})*", text)
    pieces = re.findall(r"[A-Za-z0-9]|\\[0-9a-f]{2}", text)
    assert bytes(int(piece[1:], 16) if len(piece) > 1 else ord(piece) for piece in pieces) == value


@given(text=st.binary(max_size=30))
def test_whole_numbers_are_within_bounds(text: bytes) -> None:
    number = whole_unsigned(text)
    assert number is None or 0 <= number <= MAX_UID


@given(number=st.integers(-(2**33), 2**33))
def test_whole_numbers_are_read_as_streams_do(number: int) -> None:
    fits = abs(number) <= MAX_UID
    assert whole_unsigned(b"%d" % number) == (number % (MAX_UID + 1) if fits else None)
    assert whole_unsigned(b"%d " % number) is None


MINIMAL = {"LDAP_URI": "ldap://localhost", "LDAP_BASEDN": "o=example", "LDAP_CRYPTPW": "userPassword"}


def _file(directory: Path, **settings: str | None) -> Path:
    file = directory / "authldaprc"
    values = {**MINIMAL, **settings}
    file.write_text("".join(f"{name}\t{value}\n" for name, value in values.items() if value is not None))
    return file


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("LDAP_URI", "localhost", "LDAP_URI: expected addresses such as ldap://localhost"),
        (
            "LDAP_URI",
            "ldap://cn=x:hunter2@localhost",
            "LDAP_URI: expected no user and password in an address, which LDAP_BINDDN and LDAP_BINDPW have; correct",
        ),
        ("LDAP_URI", None, "LDAP_URI: not set; name the server, such as ldap://localhost"),
        ("LDAP_BASEDN", None, "LDAP_BASEDN: not set"),
        ("LDAP_CRYPTPW", None, "LDAP_CRYPTPW: neither this nor LDAP_CLEARPW nor LDAP_AUTHBIND is set"),
        ("LDAP_TIMEOUT", "0", "LDAP_TIMEOUT: not a number of seconds; use 1 or more"),
        ("LDAP_TIMEOUT", "soon", "LDAP_TIMEOUT: expected a number; correct"),
        ("LDAP_PROTOCOL_VERSION", "4", "LDAP_PROTOCOL_VERSION: no such version; use 3"),
        ("LDAP_DEREF", "maybe", "LDAP_DEREF: expected one of never, searching, finding, always; correct"),
        ("LDAP_GLOB_UID", "no-such-user", "LDAP_GLOB_UID: expected the number or name of a user"),
        ("LDAP_GLOB_GID", "no-such-group", "LDAP_GLOB_GID: expected the number or name of a group"),
        (
            "LDAP_FILTER",
            "x=1",
            "LDAP_FILTER: expected a filter in parentheses, without quotes, such as (objectClass=mailbox); correct",
        ),
        ("LDAP_FILTER", "(x=1", "LDAP_FILTER: expected as many ) as (, and"),
        ("LDAP_FILTER", "(x=1))(", "LDAP_FILTER: expected as many ) as (, and"),
        ("LDAP_FILTER", "", "LDAP_FILTER: has no value, and without one it would restrict nothing"),
        ("LDAP_FILTER", "\n  (x=1)", "LDAP_FILTER: has no value, and line "),
        ("LDAP_AUXOPTIONS", "", "LDAP_AUXOPTIONS: has no value"),
        ("LDAP_AUXOPTIONS", "a=b,c", "LDAP_AUXOPTIONS: expected attribute=option pairs"),
        ("LDAP_EMAILMAP", "(x=@user@)", "LDAP_EMAILMAP_ATTRIBUTE: not set, which LDAP_EMAILMAP needs"),
    ],
)
def test_what_can_not_be_used_is_told(tmp_path: Path, setting: str, value: str | None, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_ldaprc(_file(tmp_path, **{setting: value}))
    assert said in str(caught.value)


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    settings = load_ldaprc(_file(tmp_path, LDAP_BINDPW="geheim"))
    assert settings.bind_password == "geheim"
    assert "geheim" not in repr(settings)


def test_a_filter_for_listing_needs_no_parentheses(tmp_path: Path) -> None:
    settings = load_ldaprc(_file(tmp_path, LDAP_ENUMERATE_FILTER="objectClass=mailbox"))
    assert settings.enumerate_filter == "(objectClass=mailbox)"
    assert settings.filter == ""
