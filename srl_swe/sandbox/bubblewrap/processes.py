"""The processes of a sandbox as the host sees them: stopped, killed, and never confused with others.

A process is signalled through a descriptor that was opened before its namespace was looked at: whatever the kernel does
with its number meanwhile, the signal reaches that process or none.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROUNDS = 200
_PATIENCE_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One of them."""

    pid: int
    """As the host numbers it."""
    parent: int
    """Its parent, likewise."""
    inside: int
    """As the sandbox numbers it."""
    stopped: bool
    """Whether it was stopped before anything was done to it."""
    handle: int
    """A descriptor of it."""


def pid_namespace(pid: int) -> str:
    """Return the name of a process's namespace of process ids; empty where it is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


class NamespaceProcesses:
    """All processes in the namespace of process 1 of a sandbox.

    Args:
        first: Process 1, as the host numbers it.
        candidates: Gives process ids among which they are; ``None``: all of the machine's are looked through.
    """

    def __init__(self, first: int, candidates: Callable[[], Iterable[int] | None] = lambda: None) -> None:
        self.first = first
        self.namespace = pid_namespace(first)
        self._candidates = candidates
        self._depth = len(_status(first).get("NSpid", "").split()) - 1

    def kill(self, spared: Sequence[int] = (), spared_trees: Sequence[int] = ()) -> None:
        """Kill all of them but the first and those; see `srl_swe.sandbox.enclosure.Enclosure.kill`."""
        for _ in range(_ROUNDS):
            with self.stopped() as processes:
                kept = _kept(processes, set(spared), set(spared_trees))
                victims = [process for process in processes if process.pid not in kept]
                for process in victims:
                    _signal(process.handle, signal.SIGKILL)
                _wait_for_end(victims)
            if not victims:
                # A debugger that is dead now may have left it stopped; from inside, no signal could do that.
                self._signal_first(signal.SIGCONT)
                return

    @contextlib.contextmanager
    def stopped(self) -> Iterator[list[Process]]:
        """Stop all but the first while the context lasts; those that were stopped before stay so afterwards."""
        found: dict[int, Process] = {}
        try:
            for _ in range(_ROUNDS):
                new = [process for process in self._all(known=found) if process.pid not in found]
                if not new:
                    break
                for process in new:
                    found[process.pid] = process
                    _signal(process.handle, signal.SIGSTOP)
            _wait_for_stop(found)
            yield list(found.values())
        finally:
            for process in found.values():
                if not process.stopped:
                    _signal(process.handle, signal.SIGCONT)
                os.close(process.handle)

    def kill_first(self) -> None:
        """Kill the first, and so all of them."""
        self._signal_first(signal.SIGKILL)

    def _signal_first(self, number: signal.Signals) -> None:
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(self.first)
            try:
                if self.namespace and pid_namespace(self.first) == self.namespace:
                    _signal(handle, number)
            finally:
                os.close(handle)

    def handles(self) -> list[Process]:
        """Return all but the first; the caller closes their handles."""
        return self._all(known={})

    def _all(self, known: dict[int, Process]) -> list[Process]:
        listed = self._candidates()
        pids = list(listed) if listed is not None else [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
        found = []
        for pid in pids:
            if pid != self.first and pid not in known:
                process = self._look(pid)
                if process is not None:
                    found.append(process)
        return found

    def _look(self, pid: int) -> Process | None:
        """Return a process if it is one of them."""
        if not self.namespace or pid_namespace(pid) != self.namespace:
            return None
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return None
        status = _status(pid)
        numbers = status.get("NSpid", "").split()
        if pid_namespace(pid) != self.namespace or len(numbers) <= self._depth or status["State"][0] in "ZX":
            os.close(handle)
            return None
        return Process(
            pid=pid,
            parent=int(status["PPid"]),
            inside=int(numbers[self._depth]),
            stopped=status["State"][0] in "Tt",
            handle=handle,
        )


def _kept(processes: list[Process], spared: set[int], trees: set[int]) -> set[int]:
    """Host numbers of the processes that are spared by themselves or as descendants."""
    parents = {process.pid: process.parent for process in processes}
    roots = {process.pid for process in processes if process.inside in trees}
    kept = {process.pid for process in processes if process.inside in spared}
    for pid in parents:
        at, seen = pid, set[int]()
        while at in parents and at not in seen:
            if at in roots:
                kept.add(pid)
                break
            seen.add(at)
            at = parents[at]
    return kept


def _signal(handle: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):  # it has ended
        signal.pidfd_send_signal(handle, number)


def _wait_for_end(processes: list[Process]) -> None:
    """Wait until they have ended: only then is there room for others. One in the kernel's hands may take longer."""
    deadline = time.monotonic() + _PATIENCE_S
    for process in processes:
        waiting = select.poll()
        waiting.register(process.handle, select.POLLIN)
        waiting.poll(max(0.0, deadline - time.monotonic()) * 1000)


def _wait_for_stop(processes: dict[int, Process]) -> None:
    """Wait until the signal has reached them."""
    deadline = time.monotonic() + _PATIENCE_S
    for pid in processes:
        while _status(pid).get("State", "Z")[0] not in "TtZX" and time.monotonic() < deadline:
            time.sleep(0.0005)


def _status(pid: int) -> dict[str, str]:
    """The fields of ``/proc/PID/status``; none where it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
