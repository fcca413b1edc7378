"""Memory that only the start needed."""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress
from pathlib import Path

MADV_DONTNEED = 4
"""From Linux' <asm-generic/mman-common.h>."""

_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9]\d* +/.*\n(?:[A-Z].*\n)*?Anonymous: +0 kB$", re.MULTILINE
)
"""In smaps(5): a private mapping of a file, not writable, of which this process has no copies of its own."""


def let_go_of_files() -> None:
    """Let the kernel take back the pages of programs and libraries that were read; what is needed again is mapped again.

    Loading the libraries touches most of them, while a daemon that waits for its workers needs next to nothing.  Nothing is
    lost: the pages are as they are in the files.  Where the kernel has no smaps(5), nothing happens.
    """
    with suppress(OSError):
        advise = ctypes.CDLL(None).madvise
        advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for start, end in _MAPPING.findall(Path("/proc/self/smaps").read_text()):
            first = int(start, 16)
            advise(first, int(end, 16) - first, MADV_DONTNEED)
