"""Results are read as they were written, and what is not a whole result is left alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from authd.modules.pymysqlrows import read_rows

VALUES = st.none() | st.binary(max_size=400) | st.binary(min_size=250, max_size=253)
RESULTS = st.integers(1, 5).flatmap(
    lambda columns: st.tuples(st.just(columns), st.lists(st.tuples(*[VALUES] * columns), max_size=300))
)


def packets(*payloads: bytes) -> bytes:
    return b"".join(
        len(payload).to_bytes(3, "little") + bytes([(number + 1) & 0xFF]) + payload
        for number, payload in enumerate(payloads)
    )


def value(of: bytes | None) -> bytes:
    if of is None:
        return b"\xfb"
    return (bytes([len(of)]) if len(of) < 251 else b"\xfc" + len(of).to_bytes(2, "little")) + of


def described(name: bytes, table: bytes = b"") -> bytes:
    schema = b"extmail" if table else b""
    return b"".join(map(value, (b"def", schema, table, table, name, b""))) + b"\x0c" + bytes(12)


def written(
    columns: int, rows: list[tuple[bytes | None, ...]], status: int = 2, last: bytes = described(b"mark")
) -> bytes:
    end = b"\xfe\0\0" + status.to_bytes(2, "little")
    descriptions = [described(b"name", b"mailbox")] * (columns - 1) + [last]
    return packets(bytes([columns]), *descriptions, end, *[b"".join(value(of) for of in row) for row in rows], end)


@given(RESULTS, st.binary(max_size=20))
def test_what_was_written_is_read(result: tuple[int, list[tuple[bytes | None, ...]]], more: bytes) -> None:
    columns, rows = result
    data = written(columns, rows)
    assert read_rows(data + more) == (columns, tuple(rows), len(data), b"mark")


def test_the_name_is_that_of_a_computed_column_alone() -> None:
    for last in (described(b"mark", b"mailbox"), b"", b"\x03def", b"\x03def\0\0"):
        found = read_rows(written(2, [(b"a", b"b")], last=last))
        assert found is None or found[3] == b""


@given(RESULTS, st.integers(1, 1000))
def test_what_is_not_all_there_is_left_alone(result: tuple[int, list[tuple[bytes | None, ...]]], missing: int) -> None:
    data = written(*result)
    assert read_rows(data[: max(0, len(data) - missing)]) is None


@given(RESULTS)
def test_several_results_are_left_alone(result: tuple[int, list[tuple[bytes | None, ...]]]) -> None:
    assert read_rows(written(*result, status=10)) is None


@given(st.binary(max_size=60), st.integers(0, 60), RESULTS)
def test_anything_at_all(noise: bytes, at: int, result: tuple[int, list[tuple[bytes | None, ...]]]) -> None:
    """Nothing makes it raise, and it never reads past what is there."""
    data = written(*result)
    for piece in (noise, packets(noise), data[:at] + noise + data[at:], data[:at] + noise + data[at + len(noise) :]):
        found = read_rows(piece)
        assert found is None or found[2] <= len(piece)


def test_what_is_no_result() -> None:
    for payload in (b"\0\0\0\2\0\0\0", b"\xff\x15\x04#28000no", b"\xfbfile", b"\xfc\x01\x01"):
        assert read_rows(packets(payload)) is None
    wrong = bytearray(written(1, [(b"a",)]))
    wrong[3] = 0
    assert read_rows(bytes(wrong)) is None
