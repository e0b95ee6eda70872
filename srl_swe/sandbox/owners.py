"""Says which process a container belongs to: what a killed process left behind is told from what is in use."""

from __future__ import annotations

import os
import socket
from pathlib import Path

OWNER_LABEL = "srl_swe.owner"
"""On every container of ours: `this_process`. Empty on images, so that containers do not inherit a dead owner."""
DEADLINE_LABEL = "srl_swe.deadline"
"""When it may be removed although its owner, on another host, cannot be seen: seconds since 1970."""
LIFETIME_S = 86_400
"""How long after its beginning that is. No episode is longer."""
KIND_LABEL = "srl_swe.kind"
"""What a container or an image is for, such as ``sandbox``, ``build``, ``task-image``, ``lasting-snapshot``."""


def _start_time(pid: int) -> str | None:
    """Return when a process started (clock ticks after boot; pids are reused, this is not), ``None`` if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def this_process() -> str:
    """Return ``<host>:<pid>:<process start time>`` of the calling process."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_start_time(pid) or 0}"


def is_dead(owner: str) -> bool:
    """Whether an owner is known to be gone. An owner on another host, or none at all, is not ours to judge."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    start = owner.rpartition(":")[2]
    if host != socket.gethostname() or not rest.isdigit():
        return False
    if not Path("/proc/self/stat").exists():
        return False
    return (_start_time(int(rest)) or "") != start
