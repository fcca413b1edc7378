"""The layout of a GDBM file, read to tell a missing key from a damaged file.

libgdbm says *item not found* of a bucket that was zeroed, or whose hash values were altered.  A bucket is sound if all of it
agrees: the directory entries that name it, the count of its elements, and the hash of each key.
"""

from __future__ import annotations

import os
import struct

_MAGICS = (0x13579ACF, 0x13579AD1)
"""GDBM_MAGIC64 and GDBM_NUMSYNC_MAGIC64 of libgdbm's gdbmconst.h; files of other layouts are not examined."""

# C's alignment: an avail_elem is an int and an off_t.
_HEADER = struct.Struct("@iiqiiiiq")
_BUCKET = struct.Struct("@i0q" + "iq" * 6 + "ii0q")
_ELEMENT = struct.Struct("@i4sqii")

_HASH_BITS = 31
_HASH_MASK = (1 << _HASH_BITS) - 1
_UNUSED = -1
_CHAR_MAX = os.sysconf("SC_CHAR_MAX")


class Damaged(ValueError):
    """A part of the file that contradicts another; the text says which."""


class Layout:
    """The directory of one open file, and which of its buckets were found sound.

    :param descriptor: of the file, open as long as this is used.
    :raises Damaged: if the header or the directory can't be what libgdbm wrote.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._sound: dict[int, range] = {}
        header = _HEADER.unpack(self._read(0, _HEADER.size))
        magic, _, start, size, self._bits, self._bucket_size, self._elements, _ = header
        self._known = magic in _MAGICS
        if not self._known:
            return
        whole = _BUCKET.size + self._elements * _ELEMENT.size <= self._bucket_size
        if not (0 <= self._bits <= _HASH_BITS and size == 8 << self._bits and self._elements > 0 and whole):
            raise Damaged("damaged header")
        self._directory = memoryview(self._read(start, size)).cast("q")

    def confirm(self, key: bytes) -> None:
        """Return if the bucket that `key` belongs to is sound.

        :raises Damaged: if it is not.
        """
        if self._known:
            self._confirm(hash_of(key) >> (_HASH_BITS - self._bits))

    def confirm_all(self) -> None:
        """Return if all buckets are sound.

        :raises Damaged: if one is not.
        """
        if self._known:
            place = 0
            while place < len(self._directory):
                place = self._confirm(place).stop

    def _confirm(self, place: int) -> range:
        """Return which entries of the directory name the same bucket as the one at `place`."""
        offset = self._directory[place]
        entries = self._sound.get(offset)
        if entries is None:
            entries = self._sound[offset] = self._examine(offset, place)
        if place not in entries:
            raise Damaged("damaged directory")
        return entries

    def _examine(self, offset: int, place: int) -> range:
        bucket = self._read(offset, self._bucket_size)
        *_, bits, count = _BUCKET.unpack_from(bucket)
        if not 0 <= bits <= self._bits:
            raise Damaged("damaged bucket")
        width = 1 << (self._bits - bits)
        start = place & -width
        entries = range(start, start + width)
        if any(self._directory[entry] != offset for entry in entries):
            raise Damaged("damaged directory")
        keys = set()
        for number in range(self._elements):
            hashed, begins, data, size, _ = _ELEMENT.unpack_from(bucket, _BUCKET.size + number * _ELEMENT.size)
            if hashed == _UNUSED:
                continue
            key = self._read(data, size)
            if hash_of(key) != hashed or hashed >> (_HASH_BITS - self._bits) not in entries:
                raise Damaged("damaged key")
            if not begins.startswith(key[:4]):
                raise Damaged("damaged bucket")
            keys.add(key)
        if len(keys) != count:
            raise Damaged("damaged bucket")
        return entries

    def _read(self, offset: int, size: int) -> bytes:
        """Return `size` bytes of the file; `Damaged` if it ends before."""
        # A size is compared with the file's first: a damaged one may ask for gigabytes.
        if offset < 0 or size < 0 or offset + size > os.fstat(self._descriptor).st_size:
            raise Damaged("damaged, or cut off")
        content = os.pread(self._descriptor, size, offset)
        if len(content) != size:
            raise Damaged("cut off")
        return content


def hash_of(key: bytes) -> int:
    """Return the hash of a key, as libgdbm has it: over C's ``char``, which is signed on some machines."""
    value = 0x238F13AF * len(key)
    for index, byte in enumerate(key if _CHAR_MAX > 127 or key.isascii() else memoryview(key).cast("b")):
        value = (value + (byte << (index * 5 % 24))) & _HASH_MASK
    return (1103515243 * value + 12345) & _HASH_MASK
