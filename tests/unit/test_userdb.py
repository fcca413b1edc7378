"""userdb's text, its compiled files, and the states that CRAM begins with."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.modules.authuserdb import new_secrets
from authd.passwords import Verdict, verify
from authd.passwords.hmacstate import DIGESTS, hmac_from_state, hmac_state, verify_hmac_state
from authd.userdb.build import build, data_file, shadow_file
from authd.userdb.gdbm import Gdbm, GdbmError
from authd.userdb.record import BadRecord, check_field, format_fields, parse_fields, parse_line
from authd.userdb.source import SourceError, edit, files_of, lines_of

_names = st.binary(min_size=1, max_size=12).filter(lambda text: not any(byte in text for byte in b"|\n\t\0=#"))
_values = st.binary(max_size=12).filter(lambda text: not any(byte in text for byte in b"|\n\t\0"))
_fields = st.dictionaries(_names, _values, min_size=1, max_size=6)


@given(fields=_fields)
def test_fields_survive(fields: dict[bytes, bytes]) -> None:
    assert parse_fields(format_fields(fields)) == fields
    for name, value in fields.items():
        check_field(name, value)


@given(text=st.binary(max_size=60))
def test_any_line_is_a_record_or_none_or_bad(text: bytes) -> None:
    try:
        record = parse_line(text)
    except BadRecord:
        return
    assert record is None or (record[0] and parse_fields(record[1]) is not None)


@pytest.mark.parametrize(
    ("name", "value"), [(b"a", b"x|y"), (b"a", b"x\ny"), (b"a|b", b""), (b"", b"x"), (b"a=b", b"")]
)
def test_what_would_be_another_field_is_refused(name: bytes, value: bytes) -> None:
    with pytest.raises(BadRecord):
        check_field(name, value)


@given(records=st.dictionaries(_names, _fields, max_size=5), name=_names, fields=_fields)
def test_an_edit_changes_one_record_and_keeps_the_rest(
    tmp_path_factory: pytest.TempPathFactory,
    records: dict[bytes, dict[bytes, bytes]],
    name: bytes,
    fields: dict[bytes, bytes],
) -> None:
    file = tmp_path_factory.mktemp("userdb") / "userdb"
    comment = b"# a remark\n\n"
    file.write_bytes(comment + b"".join(b"%b\t%b\n" % (key, format_fields(value)) for key, value in records.items()))
    file.chmod(0o640)
    edit(file, name, lambda before: {**(before or {}), **fields})
    expected = {**records, name: {**records.get(name, {}), **fields}}
    assert {key: parse_fields(text) for _, key, text in lines_of(file)} == expected
    assert file.read_bytes().startswith(comment)
    assert file.stat().st_mode & 0o777 == 0o640
    edit(file, name, lambda before: None)
    expected.pop(name)
    assert {key: parse_fields(text) for _, key, text in lines_of(file)} == expected


def test_a_file_without_a_last_newline_gets_one(tmp_path: Path) -> None:
    file = tmp_path / "userdb"
    file.write_bytes(b"a\tx=1")
    edit(file, b"b", lambda before: {b"y": b"2"})
    assert file.read_bytes() == b"a\tx=1\nb\ty=2\n"
    edit(tmp_path / "new", b"b", lambda before: {b"y": b"2"})
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


@given(password=st.binary(max_size=100), message=st.binary(max_size=200), digest=st.sampled_from(sorted(DIGESTS)))
def test_states_make_the_same_hmac(password: bytes, message: bytes, digest: str) -> None:
    state = hmac_state(password, digest)
    wanted = hmac.digest(password, message, digest)
    assert hmac_from_state(state, digest, message) == wanted
    assert verify_hmac_state(state.encode(), digest, message, wanted.hex().encode())
    assert not verify_hmac_state(state.encode(), digest, message + b"x", wanted.hex().encode())


# printf 'secret\n' | userdbpw -hmac-md5, and so on, of courier-authlib 0.71.4.
STATES = {
    "md5": "cd3ba7deaad6e5ca23448ba42e379747a9e0f7f1fbc00c8a81bbaac395731b56",
    "sha1": "091e0f4c6cb5277ee2beb639a60d0831b5c8adcdaee172433df3e96ba4f00fb1b6a490c3929d2034",
    "sha256": "5a84072aab37d22275b139adf7a92564c7f674be98e77d991f6f689d29e0524572804f31b042016804d3dea2f4e991a2"
    "1b1c8906be161594b202fb74afc8ceb3",
}


@pytest.mark.parametrize("digest", STATES)
def test_states_are_couriers(digest: str) -> None:
    assert hmac_state(b"secret", digest) == STATES[digest]


@pytest.mark.parametrize(
    "state", [b"", b"zz", b"00", b"\xff" * 64, STATES["sha1"].encode(), STATES["md5"].encode() + b"00"]
)
def test_what_is_no_state_fits_nothing(state: bytes) -> None:
    assert hmac_from_state(state, "md5", b"x") is None
    assert not verify_hmac_state(state, "md5", b"x", b"00")


def test_a_response_that_is_no_number_fits_nothing() -> None:
    assert not verify_hmac_state(STATES["md5"].encode(), "md5", b"x", b"zz")
    assert not verify_hmac_state(STATES["md5"].encode(), "md5", b"x", b"\xff")


def test_a_service_with_a_password_of_its_own_changes_that_alone() -> None:
    secrets = {b"systempw": b"$1$a$b", b"imappw": b"$1$c$d", b"hmac-md5pw": b"0", b"imap-hmac-md5pw": b"1"}
    changed = new_secrets(secrets, b"imap", b"new")
    assert set(changed) == {b"imappw", b"imap-hmac-md5pw"}
    assert verify(b"new", changed[b"imappw"]) is Verdict.MATCH
    assert changed[b"imap-hmac-md5pw"] == hmac_state(b"new", "md5").encode()
    assert set(new_secrets(secrets, b"pop3", b"new")) == {b"systempw", b"hmac-md5pw"}
    assert new_secrets({}, b"imap", b"new") == {}


@given(pairs=st.dictionaries(st.binary(min_size=1, max_size=40), st.binary(max_size=200), max_size=40))
def test_compiled_files_give_back_what_was_put_in(
    tmp_path_factory: pytest.TempPathFactory, pairs: dict[bytes, bytes]
) -> None:
    file = tmp_path_factory.mktemp("gdbm") / "file.dat"
    with Gdbm(file, write=True) as data:
        for key, value in pairs.items():
            assert data.add(key, value)
            assert not data.add(key, b"again")
    with Gdbm(file) as data:
        assert {key: data.get(key) or b"" for key in data} == pairs
        assert data.get(b"\xff" * 50) is None


def test_what_is_no_compiled_file_is_told(tmp_path: Path) -> None:
    for content in (b"", b"nonsense", b"\0" * 20_000):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(GdbmError, match="x: "):
            Gdbm(tmp_path / "x")
    with pytest.raises(GdbmError):
        Gdbm(tmp_path / "nosuch")


def _source(tmp_path: Path, content: str) -> Path:
    source = tmp_path / "userdb"
    source.touch(mode=0o600)
    source.write_text(content)
    return source


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a\tx=1\n\n#\nb x=2\n", "userdb:4: no tab behind the name; write name<TAB>field=value|field=value"),
        ("a\tx=1\nb\tx=1\na\tx=2\n", "userdb:3: a is there before; remove one"),
        ("\tx=1\n", "userdb:1: no tab behind the name"),
    ],
)
def test_a_bad_line_is_named_and_what_was_compiled_stays(tmp_path: Path, content: str, said: str) -> None:
    source = _source(tmp_path, "a\tx=1|ypw=2\n")
    build(source)
    before = [file(source).read_bytes() for file in (data_file, shadow_file)]
    source.write_text(content)
    with pytest.raises(SourceError) as caught:
        build(source)
    assert said in str(caught.value)
    assert [file(source).read_bytes() for file in (data_file, shadow_file)] == before
    assert not list(tmp_path.glob("*.tmp"))


def test_a_source_that_others_can_read_is_refused(tmp_path: Path) -> None:
    source = _source(tmp_path, "")
    source.chmod(0o640)
    with pytest.raises(SourceError, match="chmod go= "):
        build(source)
    source.chmod(0o600)
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(SourceError, match="symbolic link"):
        build(tmp_path / "link")
    with pytest.raises(SourceError, match="not found"):
        build(tmp_path / "nosuch")


def test_files_of_a_directory_come_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b", "a/c", "a/b", ".lock.b", "a/.tmp.c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files_of(tmp_path) == [tmp_path / "a/b", tmp_path / "a/c", tmp_path / "b"]
