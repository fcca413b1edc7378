"""A closed-loop load: as many clients as wanted, each asking again as soon as it is answered."""

from __future__ import annotations

import multiprocessing
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.support.wire import read_to_end


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run of a load came to.

    :param rate: right answers per second.
    :param median: seconds that the median answer took.
    :param p99: seconds that all but one in a hundred took at most.
    :param wrong: answers that were not right.
    """

    rate: float
    median: float
    p99: float
    wrong: int


def measure(path: Path, requests: list[bytes], clients: int, seconds: float) -> Measurement:
    """Ask `requests` in turn for `seconds`; an answer is right if it ends as an account does."""
    pipes, processes = [], []
    for number in range(clients):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=_client, args=(path, requests[number::clients], seconds, theirs))
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    results = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    times = sorted(time for taken, _ in results for time in taken)
    wrong = sum(bad for _, bad in results)
    if not times:
        return Measurement(0.0, float("inf"), float("inf"), wrong)
    return Measurement(len(times) / seconds, times[len(times) // 2], times[int(len(times) * 0.99)], wrong)


def _client(path: Path, requests: list[bytes], seconds: float, result: Connection) -> None:
    end = time.monotonic() + seconds
    taken: list[float] = []
    wrong = number = 0
    while (began := time.monotonic()) < end:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            try:
                connection.connect(str(path))
                connection.sendall(requests[number % len(requests)])
                reply = read_to_end(connection)
            except OSError:
                reply = b""
        if reply.endswith(b"\n.\n"):
            taken.append(time.monotonic() - began)
        else:
            wrong += 1
        number += 1
    result.send((taken, wrong))
