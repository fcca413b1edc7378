"""Whatever a mail server calls a service, the option of that service keeps an account out of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.account import disables
from authd.services import SERVICES, names_in_options

ROOT = Path(__file__).parents[2]

NAMES = [(service, name) for service, others in SERVICES.items() for name in (service, *others)]


@pytest.mark.parametrize(("service", "name"), NAMES)
def test_every_name_of_a_service(service: str, name: str) -> None:
    for said in (name, name.upper(), name.title()):
        assert disables(b"a=1,disable%b=1" % service.encode(), said.encode(), True), said
        assert disables(b"disableinsecure%b=1" % service.encode(), said.encode(), False), said
        assert not disables(b"disableinsecure%b=1" % service.encode(), said.encode(), True), said
        # A service of the name itself may have been kept out before there was a table.
        assert disables(b"disable%b=1" % said.encode(), said.encode(), True), said
    for other in SERVICES.keys() - {service}:
        assert not disables(b"disable%b=1,disableinsecure%b=1" % (other.encode(), other.encode()), name.encode(), False)


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("pop", "pop3"),  # Cyrus pop3d
        ("imap", "imap"),
        ("sieve", "sieve"),
        ("managesieve", "sieve"),
        ("submission", "smtp"),  # Dovecot
        ("esmtp", "smtp"),  # Courier
        ("msa", "smtp"),
        ("smtps", "smtp"),
        ("imaps", "imap"),
        ("pop3s", "pop3"),
        ("extmail", "webmail"),
        ("nntp", "nntp"),
        ("csync", "csync"),
        ("mupdate", "mupdate"),
        ("lmtp", "lmtp"),
        ("http", "http"),
    ],
)
def test_what_real_servers_say(name: str, service: str) -> None:
    assert disables(f"disable{service}=1".encode(), name.encode(), True)


def test_an_encrypted_service_s_name_is_no_encryption() -> None:
    assert disables(b"disableinsecureimap=1", b"imaps", False)
    assert not disables(b"disableimaps=1", b"imap", False)


@given(st.binary(max_size=20))
def test_any_other_service_has_options_of_its_own_name(service: bytes) -> None:
    assert service in names_in_options(service)
    if b"," not in service and b"=" not in service:
        assert disables(b"disable%b=1" % service, service, True)


def test_no_name_is_two_services() -> None:
    names = [name for _, name in NAMES]
    assert len(names) == len(set(names))
    assert names == [name.lower() for name in names]


def test_the_page_and_the_script_have_the_table() -> None:
    script = (ROOT / "conf" / "dovecot" / "authd.lua").read_text()
    table = re.search(r"\nlocal services = \{\n(.*?)\n\}\n", script, re.DOTALL)
    assert table is not None
    rows = re.findall(r'^  (\w+) = "([^"]*)",$', table[1], re.MULTILINE)
    assert {service: tuple(names.split()) for service, names in rows} == SERVICES
    page = (ROOT / "docs" / "services.md").read_text()
    for service, others in SERVICES.items():
        names = ", ".join(f"`{name}`" for name in (service, *others))
        assert f"| `disable{service}`, `disableinsecure{service}` | {names} |\n" in page
