"""Many users by few queries, each with the rows that a query for it alone would give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from authd.modules.base import TemporaryFailure
from authd.modules.statements import Prepared, Query
from authd.outcome import Reason

Rows = Sequence[Any]


def rows_of_many(
    query: Query, users: Sequence[Any], ask: Callable[[Prepared, Mapping[str, Any]], Rows]
) -> Iterator[tuple[Any, Rows | TemporaryFailure | None]]:
    """Yield for each of `users` the row that it has, no row, or why nobody can tell; ``None`` where it must be asked alone.

    :param users: as the driver binds them, each once.
    :param ask: returns a statement's rows, or raises `TemporaryFailure`.
    """
    left = list(users)
    # Who got no row may be equal to somebody before, who got it, so those are asked about again; where no row comes there is
    # none for anybody.
    while len(left) > 1:
        try:
            rows = ask(query.many(len(left)), {f"user{number}": user for number, user in enumerate(left)})
        except TemporaryFailure as failure:
            if failure.reason is not Reason.UNREACHABLE:
                break
            yield from ((user, failure) for user in left)
            return
        if not rows:
            yield from ((user, ()) for user in left)
            return
        found: dict[Any, list[Any]] = {}
        for row in rows:
            found.setdefault(row[-1], []).append(row)
        nameless = found.pop(None, None) is not None
        by_number = {int(number): of_one for number, of_one in found.items()}
        for number, of_one in by_number.items():
            yield left[number], of_one if len(of_one) == 1 else None
        left = [user for number, user in enumerate(left) if number not in by_number]
        if nameless:
            break
    yield from ((user, None) for user in left)
