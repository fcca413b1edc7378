"""Password forms: what matches, what does not, and what can't."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authd.passwords import SCHEMES, Verdict, hash_like, hash_password, verify, verify_clear, verify_cram
from authd.passwords.crypt3 import crypt, gensalt
from tests.support.accounts import AUTHD_HASHES, BROKEN_HASHES, COURIER_HASHES, SECRET

# Made with the reference tools, the command beside each; the password is "secret".
VECTORS = {
    # openssl passwd -1 -salt abcdefgh secret
    "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1": True,
    # printf %s secret | openssl dgst -md5 -binary | base64
    "{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==": True,
    # printf %s secret | sha1sum | xxd -r -p | base64
    "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=": True,
    # printf %s secret | openssl dgst -sha256 -binary | base64
    "{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=": True,
    "{SHA}5en6G6MezRroT3XKqkdPOmY/BfR=": False,
}

CHEAP = [
    name
    for name in SCHEMES
    if name not in ("yescrypt", "bcrypt", "blf-crypt", "argon2", "pbkdf2-sha256", "pbkdf2-sha512")
]


@pytest.mark.parametrize(("stored", "opens"), list(VECTORS.items()))
def test_reference_vectors(stored: str, opens: bool) -> None:
    assert verify(SECRET, stored.encode()) is (Verdict.MATCH if opens else Verdict.MISMATCH)
    assert verify(b"Secret", stored.encode()) is Verdict.MISMATCH


@pytest.mark.parametrize("name", COURIER_HASHES | AUTHD_HASHES)
def test_known_forms_open_to_their_password_alone(name: str) -> None:
    stored = (COURIER_HASHES | AUTHD_HASHES)[name].encode()
    assert verify(SECRET, stored) is Verdict.MATCH
    for other in (b"", b"secre", b"Secret", stored, b"\xff" * 5):
        assert verify(other, stored) is Verdict.MISMATCH


@pytest.mark.parametrize("name", BROKEN_HASHES)
def test_broken_forms_open_to_nothing(name: str) -> None:
    stored = BROKEN_HASHES[name].encode()
    for password in (SECRET, b"", b"!", b"*", stored):
        assert verify(password, stored) is not Verdict.MATCH


@pytest.mark.parametrize(
    "stored",
    [
        "!",
        "*",
        "",
        "x",
        "{FOO}bar",
        "$6$abc$",
        "$2b$",
        "{PBKDF2}x",
        "$argon2id$v=19$",
        "{ARGON2}",
        "{CRYPT}",
        "$9$x$y",
        "!$6$abc$def",
        "{BLF-CRYPT}",
        "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6",
        "$pbkdf2-sha256$1$$",
    ],
)
def test_unusable_forms_are_told_from_wrong_passwords(stored: str) -> None:
    assert verify(SECRET, stored.encode()) is Verdict.UNUSABLE


passwords = st.binary(min_size=1, max_size=60).filter(lambda value: b"\0" not in value)


@settings(max_examples=40)
@given(password=passwords, other=passwords, scheme=st.sampled_from(CHEAP))
def test_hashes_open_to_their_password_alone(password: bytes, other: bytes, scheme: str) -> None:
    stored = hash_password(password, scheme)
    assert verify(password, stored) is Verdict.MATCH
    cut = 8 if scheme == "crypt" else None
    if password[:cut] != other[:cut] and not (scheme == "crypt" and _same_to_des(password, other)):
        assert verify(other, stored) is Verdict.MISMATCH


def _same_to_des(one: bytes, other: bytes) -> bool:
    """DES sees seven bits of eight bytes."""
    return bytes(byte & 0x7F for byte in one[:8].ljust(8, b"\0")) == bytes(
        byte & 0x7F for byte in other[:8].ljust(8, b"\0")
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_changed_password_keeps_the_scheme(scheme: str) -> None:
    stored = hash_password(b"old", scheme)
    changed = hash_like(b"new", stored)
    assert verify(b"new", changed) is Verdict.MATCH
    assert verify(b"old", changed) is Verdict.MISMATCH
    if scheme == "crypt":
        assert changed.startswith(b"{SSHA}")
    else:
        assert changed[:3] == stored[:3]
        assert len(changed) == len(stored)


@pytest.mark.parametrize(
    ("stored", "start"),
    [
        (b"$2b$04$abcdefghijklmnopqrstuu", b"$2b$04$"),
        (b"$2y$07$abcdefghijklmnopqrstuu", b"$2b$07$"),
        (b"$6$rounds=1000$a$b", b"$6$rounds=1000$"),
        (b"$5$rounds=2000$a$b", b"$5$rounds=2000$"),
        (b"{BLF-CRYPT}$2b$05$x", b"{BLF-CRYPT}$2b$05$"),
        (b"{CRYPT}$1$a$b", b"{CRYPT}$1$"),
        (b"{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$x", b"{ARGON2ID}$argon2id$"),
        (None, b"{SSHA}"),
        (b"", b"{SSHA}"),
        (b"{FOO}x", b"{SSHA}"),
        (b"!", b"{SSHA}"),
        (b"{md5}x", b"{MD5}"),
        (b"$2b$99$x", b"{SSHA}"),
    ],
)
def test_a_changed_password_keeps_the_cost(stored: bytes | None, start: bytes) -> None:
    changed = hash_like(b"new", stored)
    assert changed.startswith(start)
    assert verify(b"new", changed) is Verdict.MATCH


def test_dovecots_name_in_front_of_argon2() -> None:
    bare = hash_password(b"secret", "argon2")
    for name in (b"{ARGON2}", b"{argon2id}"):
        assert verify(b"secret", name + bare) is Verdict.MATCH
        assert verify(b"other", name + bare) is Verdict.MISMATCH
        assert hash_like(b"new", name + bare).startswith(name + b"$argon2id$")


@given(st.binary(max_size=200), st.binary(max_size=60))
@settings(max_examples=300)
def test_no_stored_value_makes_it_raise(stored: bytes, password: bytes) -> None:
    verify(password, stored)
    verify(password, b"$1$" + stored)
    verify(password, b"{SSHA}" + stored)
    verify(password, b"{" + stored)
    hash_like(password.replace(b"\0", b""), b"{CRYPT}" + stored)


@given(st.text(alphabet="$./0123456789abcdefyj{}=,+:*!SCRYPT", max_size=60))
@settings(max_examples=300)
def test_crypt_says_none_and_never_a_failure_token(setting: str) -> None:
    result = crypt(b"x", setting.encode())
    assert result is None or not result.startswith(b"*")


def test_nul_is_no_end_of_a_password() -> None:
    assert crypt(b"sec\0ret", b"$1$abcdefgh$") is None
    assert crypt(b"secret", b"$1$abc\0defgh$") is None
    assert verify(b"secret\0x", COURIER_HASHES["sha512crypt"].encode()) is Verdict.UNUSABLE


def test_unknown_methods_are_told() -> None:
    with pytest.raises(ValueError, match="no method"):
        gensalt(b"$nosuch$")
    with pytest.raises(ValueError, match="no scheme nosuch; use one of sha512-crypt, "):
        hash_password(b"x", "nosuch")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_cleartext(password: bytes, other: bytes) -> None:
    assert verify_clear(password, password) is Verdict.MATCH
    assert (verify_clear(password, other) is Verdict.MATCH) == (password == other)


def test_cram_of_rfc_2195() -> None:
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    response = b"b913a602c7eda7a495b4e6e7334d3890"
    assert verify_cram(b"tanstaaftanstaaf", "md5", challenge, response) is Verdict.MATCH
    assert verify_cram(b"tanstaaftanstaaf", "md5", challenge, response.upper()) is Verdict.MATCH
    assert verify_cram(b"tanstaaftanstaa", "md5", challenge, response) is Verdict.MISMATCH
    assert verify_cram(b"tanstaaftanstaaf", "sha1", challenge, response) is Verdict.MISMATCH
