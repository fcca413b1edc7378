"""A mount namespace of a command's own: other programs' compiled-in directories, replaced for it alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path


def with_mounts(mounts: Mapping[str, Path], command: list[str]) -> list[str]:
    """Return the argument vector that runs `command` with each path of `mounts` bound to a directory of ours.

    It replaces itself, so that the process id stays the command's.
    """
    steps = []
    for theirs, ours in mounts.items():
        # Directories below /run are made at boot, by a systemd that a container may not have.
        steps.append(f"{{ [ -e {shlex.quote(theirs)} ] || mkdir -p {shlex.quote(theirs)}; }}")
        steps.append(f"mount --bind {shlex.quote(str(ours))} {shlex.quote(theirs)}")
    return ["unshare", "-m", "sh", "-c", " && ".join([*steps, f"exec {shlex.join(command)}"])]
