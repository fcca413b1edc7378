"""The system's crypt(3), by ctypes on libcrypt's re-entrant functions.

``crypt_rn`` says NULL for every setting that it does not know, that is locked, or that is cut off, where Python's former
``crypt`` module and ``crypt(3)`` itself return a failure token or crash their callers.  It releases the interpreter lock.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache

DATA_SIZE = 32768
"""Bytes of scratch space that libxcrypt's <crypt.h> asks for as ``struct crypt_data``."""

GENSALT_OUTPUT_SIZE = 192
"""CRYPT_GENSALT_OUTPUT_SIZE of libxcrypt's <crypt.h>."""


@cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("crypt") or "libcrypt.so.1"
    library = ctypes.CDLL(name)
    library.crypt_rn.restype = ctypes.c_char_p
    library.crypt_rn.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
    library.crypt_gensalt_rn.restype = ctypes.c_char_p
    library.crypt_gensalt_rn.argtypes = [
        ctypes.c_char_p,
        ctypes.c_ulong,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
    ]
    return library


@cache
def _scratch() -> ctypes.Array[ctypes.c_char]:
    """Return the space to work in: one for this process, which has one thread.  libxcrypt leaves nothing in it but the hash."""
    return ctypes.create_string_buffer(DATA_SIZE)


def crypt(password: bytes, setting: bytes) -> bytes | None:
    """Return the hash of `password` under `setting`, which may be a whole hash.

    :returns: ``None`` where the system's crypt(3) can't use `setting`, or where either has a NUL.
    """
    if b"\0" in password or b"\0" in setting:
        return None
    result: bytes | None = _library().crypt_rn(password, setting, _scratch(), DATA_SIZE)
    return result


def gensalt(prefix: bytes, cost: int = 0) -> bytes:
    """Return a random setting for `crypt`.

    :param prefix: names the method: ``$6$``, ``$2b$``, ``$y$``, ``$1$``, or empty for DES.
    :param cost: rounds or cost in the method's own terms; 0 for its default.
    :raises ValueError: if the system's crypt(3) does not know the method or the cost.
    """
    output = ctypes.create_string_buffer(GENSALT_OUTPUT_SIZE)
    setting: bytes | None = _library().crypt_gensalt_rn(prefix, cost, None, 0, output, GENSALT_OUTPUT_SIZE)
    if setting is None:
        raise ValueError(f"this system's crypt(3) has no method {prefix.decode(errors='replace')} of cost {cost}")
    return setting
