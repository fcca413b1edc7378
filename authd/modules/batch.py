"""Many users by few queries, each with the rows that a query for it alone would give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from authd.modules.base import TemporaryFailure
from authd.modules.statements import Prepared, Query
from authd.outcome import Reason

Rows = Sequence[Any]


def rows_of_many(
    query: Query,
    users: Mapping[bytes, Any],
    ask: Callable[[Prepared, Mapping[str, Any]], Rows],
    login_of: Callable[[Any], bytes | None],
) -> Iterator[tuple[bytes, Rows | TemporaryFailure | None]]:
    """Yield for each of `users` the row that it has, no row, or why it can't be told; ``None`` where it must be asked alone.

    :param users: logins, and each as the driver binds it.
    :param ask: returns a statement's rows, or raises `TemporaryFailure`.
    :param login_of: returns the login in a value of a row.
    """
    # With characters beyond ASCII, the type that the server compares in may depend on what else is in the list.
    left = [user for user in users if user.isascii()]
    if len(left) < len(users):
        yield from ((user, None) for user in users if not user.isascii())
    # Two spellings can match one row; the CASE credits the first, so the rest are asked again.
    while len(left) > 1:
        try:
            rows = ask(query.many(len(left)), {f"user{number}": users[user] for number, user in enumerate(left)})
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
            # A number can equal many texts, and a text another; the very bytes leave no doubt.
            login = of_one[0][query.login_place]
            certain = len(of_one) == 1 and (login == left[number] or login_of(login) == left[number])
            yield left[number], of_one if certain else None
        left = [user for number, user in enumerate(left) if number not in by_number]
        if nameless:
            break
    yield from ((user, None) for user in left)
