"""Who is at work: what the workers know of each other.

Few workers take clients, always the first of them; the others stay asleep, so that what waits is answered together and what is
cached stays hot.  One is enough while its turns are small; as many as there are processors share what is more.  A worker that is
held up, by a slow hash or a slow database, does not count, and the next takes its place.
"""

from __future__ import annotations

import mmap
import os
import time
from contextlib import suppress

PATIENCE_SECONDS = 0.05
"""A worker that has been busy with the same for so long is held up, whatever it is; so is one that does not wake up for so long.
On a machine that is busy, one may get no processor for 10 ms and more."""

HESITATION_SECONDS = 0.01
"""Time that a worker who is not needed waits before it looks again whether it is."""

LADEN_SECONDS = 0.05
"""Time after a large turn for which a worker is taken to have more to do than it should do alone."""

HELD_UP = 0.0


class Roster:
    """Tables in memory that the workers share; made before they are forked.

    :param workers: how many there are; none is there yet.
    """

    def __init__(self, workers: int) -> None:
        # Since when each is busy, in seconds of the monotonic clock; the same below zero since when it is idle; or `HELD_UP`.
        self._since = memoryview(mmap.mmap(-1, 8 * workers)).cast("d")
        # When each had a large turn last.
        self._laden = memoryview(mmap.mmap(-1, 8 * workers)).cast("d")
        # The kernel wakes one of those who wait, and not always the one who is to take the client.
        self._bells = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(workers)]
        self._most = len(os.sched_getaffinity(0))

    def begin(self, worker: int) -> None:
        """Note that `worker` has something to do."""
        self._since[worker] = time.monotonic()

    def laden(self, worker: int) -> None:
        """Note that `worker` has much to do, so that another shares in it."""
        self._laden[worker] = time.monotonic()

    def held_up(self, worker: int) -> None:
        """Note that `worker` will take long, or is not there, so that another takes clients in its place."""
        self._since[worker] = HELD_UP

    def end(self, worker: int) -> None:
        """Note that `worker` waits for something to do."""
        self._since[worker] = -time.monotonic()

    def relief_of(self, worker: int, in_vain: bool) -> int | None:
        """Return who of those before `worker` is there for clients in its place; ``None`` if they are too few, and it is needed.

        :param in_vain: whether clients have waited; then those who have had nothing to do all the while do not count.
        """
        now = time.monotonic()
        earliest, light = now - PATIENCE_SECONDS, now - LADEN_SECONDS
        free = []
        for before, (since, laden) in enumerate(zip(self._since[:worker], self._laden[:worker], strict=True)):
            if since > earliest or (since < 0 and not (in_vain and -since < earliest)):
                free.append(before)
                if laden < light:
                    return before
        return free[0] if len(free) >= self._most else None

    def call(self, worker: int) -> None:
        """Have `worker` look whether clients wait."""
        with suppress(BlockingIOError):
            os.eventfd_write(self._bells[worker], 1)

    def bell_of(self, worker: int) -> int:
        """Return the descriptor that is readable when `worker` was called; reading it is its answer."""
        return self._bells[worker]

    def close(self) -> None:
        """Close the descriptors that this process has of it; the workers have their own."""
        for bell in self._bells:
            os.close(bell)
