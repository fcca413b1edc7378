"""The results: a table for people, JSON for programs, a plot, and what they were measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench.arena import COURIER
from tests.bench.duel import Score

HEADINGS = (
    *("case", "clients", "daemon", "requests/s", "min", "**median**", "max", "goal"),
    *("p50 ms", "p99 ms", "p99.9 ms", "p99 ratio", "wrong"),
)

COLOURS = {"pymysql": "#1f77b4", "mysqlclient": "#ff7f0e"}


def line_of(score: Score) -> str:
    """Return one score as a line for the terminal."""
    return (
        f"{score.case:>22} {score.clients:>4} {score.daemon:12}{score.of_runs('rate'):>9.0f}/s  "
        f"ratio {score.ratios[0]:.2f} {score.ratio:.2f} {score.ratios[-1]:.2f}  "
        f"p50 {score.of_runs('p50') * 1e3:.2f} p99 {score.of_runs('p99') * 1e3:.2f} "
        f"p99.9 {score.of_runs('p999') * 1e3:.2f} ms  p99 ratio {score.p99_ratio:.2f}  wrong {score.wrong}"
    )


def about(server_version: str) -> dict[str, str]:
    """Return what the figures were measured on."""
    processor = next(
        (
            line.partition(": ")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    courier = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "courier-authdaemon"], capture_output=True, text=True, check=False
    )
    drivers = ", ".join(f"{name} {version(name)}" for name in ("PyMySQL", "mysqlclient"))
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{processor}, {len(os.sched_getaffinity(0))} processors, {platform.system()} {platform.release()}",
        "courier-authlib": courier.stdout or "unknown",
        "database": server_version,
        "python": f"{platform.python_version()}, {platform.python_compiler()}",
        "drivers": drivers,
    }


def publish(
    directory: Path, about: dict[str, str], scores: Sequence[Score], whole: dict[str, dict[str, float]]
) -> None:
    """Write ``results.json``, ``results.md`` and ``plot.svg``.

    :param whole: figures of a whole daemon, by driver and by what they are of.
    """
    directory.mkdir(parents=True, exist_ok=True)
    everything = {"about": about, "scores": [score.as_dict() for score in scores], "whole": whole}
    (directory / "results.json").write_text(json.dumps(everything, indent=1) + "\n")
    (directory / "results.md").write_text(_page(about, scores, whole))
    _plot(directory / "plot.svg", about, [score for score in scores if score.daemon != COURIER])


def _page(about: dict[str, str], scores: Sequence[Score], whole: dict[str, dict[str, float]]) -> str:
    lines = ["# Results", "", "Written by `make bench`; [README.md](README.md) says what they are.", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in about.items()), ""]
    lines += table(scores)
    if whole:
        names = list(next(iter(whole.values())))
        lines += ["", f"| a whole daemon | {' | '.join(whole)} |", f"|---|{'---|' * len(whole)}"]
        lines += [f"| {name} | {' | '.join(f'{of[name]:g}' for of in whole.values())} |" for name in names]
    return "\n".join(lines) + "\n"


def table(scores: Sequence[Score]) -> list[str]:
    """Return the lines of a table of scores."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    for score in scores:
        cells = [
            *(score.case, str(score.clients), score.daemon, f"{score.of_runs('rate'):,.0f}"),
            *(f"{score.ratios[0]:.2f}", f"**{score.ratio:.2f}**", f"{score.ratios[-1]:.2f}"),
            f"{score.goal:g}" if score.goal is not None else "",
            *(f"{score.of_runs(name) * 1e3:.2f}" for name in ("p50", "p99", "p999")),
            *(f"{score.p99_ratio:.2f}", str(score.wrong)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _plot(file: Path, about: dict[str, str], scores: Sequence[Score]) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - takes long to load, and only this needs it

    mpl.use("svg")
    # The same figures make the same file.
    mpl.rcParams["svg.hashsalt"] = "authd"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    cases = list(dict.fromkeys((score.case, score.clients) for score in scores))
    figure, axes = plt.subplots(figsize=(9, 0.32 * len(cases) + 1.6))
    for number, (daemon, colour) in enumerate(COLOURS.items()):
        own = [score for score in scores if score.daemon == daemon]
        places = [cases.index((score.case, score.clients)) + 0.19 * (2 * number - 1) for score in own]
        axes.barh(places, [score.ratio for score in own], 0.36, color=colour, label=daemon)
        axes.hlines(
            places, [score.ratios[0] for score in own], [score.ratios[-1] for score in own], color="black", linewidth=1
        )
        axes.plot(
            [score.goal for score in own if score.goal],
            [place for place, score in zip(places, own, strict=True) if score.goal],
            "k|",
            label="goal" if not number else None,
        )
    axes.axvline(1, color="grey", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(y=0.01)
    axes.set_yticks(range(len(cases)), [f"{name}, {clients}" for name, clients in cases])
    axes.invert_yaxis()
    axes.set_xlabel("requests a second, authd ÷ Courier (median, and from the least to the greatest)")
    axes.set_title(f"{about['machine']}; {about['date']}", fontsize=9)
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
