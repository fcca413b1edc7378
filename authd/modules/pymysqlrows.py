"""PyMySQL's connection, reading results without their detours.

PyMySQL takes each packet of a result out of a buffer by two reads, and makes an object of it and of each column's description,
of which nothing here wants to know.  That is two thirds of what a lookup costs, so a result that is there as a whole is read in
one go.  Whatever is not as simple as that (errors, statements without rows, several results, values of 64 KiB, results that are
still coming) is left to PyMySQL, untouched: nothing is taken out of the buffer before it is known to be all there is.
"""

from __future__ import annotations

from io import BufferedReader
from typing import Any

from pymysql.connections import Connection, MySQLResult
from pymysql.constants import CR, SERVER_STATUS
from pymysql.err import OperationalError

BUFFER_BYTES = 65536
"""More than the result of a batch has."""

_EOF = 0xFE
_NULL = 0xFB
_TWO_BYTES = 0xFC
_MOST_COLUMNS = 0xFA

Rows = tuple[tuple[bytes | None, ...], ...]


class RowConnection(Connection):
    """As PyMySQL's, made with ``use_unicode=False`` and without decoders: values are the bytes that the server sent."""

    _rfile: BufferedReader
    _sock: Any

    def connect(self, sock: Any = None) -> None:
        """Connect; see PyMySQL."""
        super().connect(sock)
        # Nothing is in the former buffer: the server speaks when it is asked.
        self._rfile = self._sock.makefile("rb", BUFFER_BYTES)

    def _read_query_result(self, unbuffered: bool = False) -> int:
        try:
            data = self._rfile.peek(1)
        except OSError as error:
            # As PyMySQL's own reading has it.
            self._force_close()  # type: ignore[attr-defined]
            raise OperationalError(
                CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query ({error})"
            ) from error
        found = None if unbuffered else read_rows(data)
        if found is None:
            affected: int = super()._read_query_result(unbuffered)  # type: ignore[misc]
            return affected
        columns, rows, size = found
        self._rfile.read(size)
        result = MySQLResult(self)
        result.connection = None
        result.has_next = False
        result.field_count = columns
        result.description = ((None,) * 7,) * columns
        result.rows = rows
        result.affected_rows = len(rows)
        self._result = result
        return len(rows)


def read_rows(data: bytes) -> tuple[int, Rows, int] | None:
    """Return the number of columns, the rows, and the length of a result that `data` begins with; else ``None``.

    ::

        result = columns *description EOF *row EOF      ; each a packet: length (3 bytes), number (1 byte), payload
        row    = *(NULL / length value)

    From the description of the protocol in MariaDB's documentation.
    """
    size = len(data)
    start = number = 0
    columns = 0
    ends = 0
    rows: list[tuple[bytes | None, ...]] = []
    while start + 5 <= size:
        number += 1
        at = start + 4
        end = at + (data[start] | data[start + 1] << 8 | data[start + 2] << 16)
        if end > size or data[start + 3] != number & 0xFF:
            return None
        first = data[at]
        if number == 1:
            columns = first if end == at + 1 else 0
            if not 0 < columns <= _MOST_COLUMNS:
                return None
        elif first == _EOF and end == at + 5:
            ends += 1
            if ends == 2:
                more = data[at + 3] & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS
                return None if more else (columns, tuple(rows), end)
        elif ends:
            row = _row(data, at, end)
            if row is None or len(row) != columns:
                return None
            rows.append(row)
        start = end
    return None


def _row(data: bytes, at: int, end: int) -> tuple[bytes | None, ...] | None:
    """Return the values of the row between two places; ``None`` if one is of 64 KiB, or the row does not end there."""
    row: list[bytes | None] = []
    while at < end:
        length = data[at]
        at += 1
        if length < _NULL:
            row.append(data[at : at + length])
        elif length == _NULL:
            row.append(None)
            continue
        elif length == _TWO_BYTES and at + 2 <= end:
            length = data[at] | data[at + 1] << 8
            at += 2
            row.append(data[at : at + length])
        else:
            return None
        at += length
    return tuple(row) if at == end else None
