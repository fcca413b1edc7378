"""Whether a descriptor can be read, asked without waiting."""

from __future__ import annotations

import select


def is_readable(descriptor: int) -> bool:
    """Tell, without waiting, whether a descriptor has bytes to read, or its other end is closed."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
