"""Who is at work: what the workers know of each other.

As many workers take clients as there are processors; the others stay asleep, so that what waits is answered together and what is
cached stays hot.  A worker that is held up, by a slow hash or a slow database, does not count, and another takes its place.
"""

from __future__ import annotations

import mmap
import os
import time

PATIENCE_SECONDS = 0.03
"""A worker that has been busy with the same for so long is held up, whatever it is."""

HESITATION_SECONDS = 0.01
"""Time that a worker who is not needed waits before it looks again whether it is."""

IDLE = 0.0
HELD_UP = -1.0


class Roster:
    """A table in memory that the workers share; made before they are forked.

    :param workers: how many there are.
    """

    def __init__(self, workers: int) -> None:
        # Since when each is busy, in seconds of the monotonic clock; or one of the constants above.
        self._since = memoryview(mmap.mmap(-1, 8 * workers)).cast("d")
        self._wanted = len(os.sched_getaffinity(0))

    def begin(self, worker: int) -> None:
        """Note that `worker` has something to do."""
        self._since[worker] = time.monotonic()

    def held_up(self, worker: int) -> None:
        """Note that `worker` will take long, so that another takes clients in its place."""
        self._since[worker] = HELD_UP

    def end(self, worker: int) -> None:
        """Note that `worker` waits for something to do."""
        self._since[worker] = IDLE

    def enough_without(self, worker: int) -> bool:
        """Tell whether as many others are at work, and not held up, as there are processors."""
        if len(self._since) <= self._wanted:
            return False
        earliest = time.monotonic() - PATIENCE_SECONDS
        others = self._since.tolist()
        del others[worker]
        return sum([since > earliest for since in others]) >= self._wanted
