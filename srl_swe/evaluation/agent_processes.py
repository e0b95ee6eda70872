"""Processes of an external agent on this machine: run with limits, and nothing of them left behind.

All that an agent starts is known by a variable in its environment, also what has left its process group. A small
process outlives the evaluation and ends the agents of one that was killed. It needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

EPISODE_VARIABLE = "SRL_SWE_EPISODE"
"""In the environment of an agent's processes: which episode they belong to, after the evaluation's process id."""
LARGEST_LOG = 64_000_000
"""Bytes of output after which an agent is ended."""
_POLL_S = 0.1
_GRACE_S = 10.0
_watched: set[int] = set()
_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How an agent's command ended."""

    exit_code: int
    """Its own, or the negative number of the signal that ended it."""
    limit: str = ""
    """The limit that it was ended for; empty for none."""


def run_agent(
    command: str,
    *,
    folder: Path,
    log: Path,
    environment: Mapping[str, str],
    episode: str,
    timeout_s: float,
    stop: threading.Event,
) -> Ended:
    """Run a shell command to its end, or to a limit; then end whatever it has left running.

    Args:
        command: For bash.
        folder: Where it begins.
        log: Takes its output and its errors.
        environment: Its environment variables.
        episode: Names its processes; of this process alone.
        timeout_s: Seconds that it may take.
        stop: Ends it when set.
    """
    watch()
    mark = f"{os.getpid()}:{episode}"
    variables = {**environment, EPISODE_VARIABLE: mark}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/bash", "-c", command],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    limit = ""
    try:
        limit = _wait(process, log, timeout_s, stop)
        if limit:
            # A moment to remove what it has made elsewhere, such as containers of its own.
            _signal_group(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()
        kill_marked(mark)
    return Ended(exit_code=process.returncode, limit=limit)


def _wait(process: subprocess.Popen[bytes], log: Path, timeout_s: float, stop: threading.Event) -> str:
    """Wait for the end; return the limit that comes before it, if one does."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
            return ""
        if stop.is_set():
            return "interrupted"
        if time.monotonic() > deadline:
            return f"{timeout_s:g} s"
        if log.stat().st_size > LARGEST_LOG:
            return f"{LARGEST_LOG:,} bytes of output"


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def kill_marked(mark: str) -> int:
    """Kill every process whose variable says ``mark``, or begins with it; return how many there were."""
    wanted = f"{EPISODE_VARIABLE}={mark}".encode()
    killed = 0
    for _ in range(10):  # until none is left that another one has just started
        found = [pid for pid in _pids() if _is_marked(pid, wanted)]
        if not found:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        time.sleep(0.02)
    return killed


def _pids() -> Iterator[int]:
    with contextlib.suppress(OSError):
        for path in Path("/proc").iterdir():
            if path.name.isdigit() and int(path.name) != os.getpid():
                yield int(path.name)


def _is_marked(pid: int, wanted: bytes) -> bool:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(variable.startswith(wanted) for variable in variables)


def watch() -> None:
    """Start, once, the process that ends this one's agents when this one has ended in whatever way."""
    with _lock:
        if os.getpid() in _watched or not Path("/proc/self/environ").exists():
            return
        _watched.add(os.getpid())
    nowhere = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (0, 1, 2)]
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
    with contextlib.suppress(OSError):
        os.posix_spawn(sys.executable, command, os.environ, file_actions=nowhere, setsid=True)


def _outlive(owner: int) -> None:
    """Wait for the owner's end, then kill its agents."""
    if os.getppid() == owner:
        try:
            descriptor = os.pidfd_open(owner)
        except (AttributeError, OSError):
            while os.getppid() == owner:
                time.sleep(1.0)
        else:
            select.select([descriptor], [], [])
    kill_marked(f"{owner}:")


if __name__ == "__main__":
    _outlive(int(sys.argv[1]))
