"""Limits on memory, processes and processor of all that a sandbox runs, where control groups can be made.

Both versions are tried: the first's hierarchies, below this process's own groups, and the second's, below the nearest
group above this process that may be written to and hands the controllers on.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from srl_swe.sandbox.protocol import SandboxLimits

CONTROLLERS = ("memory", "pids", "cpu")
PREFIX = "srl-swe-"
_MIB = 1 << 20
_PERIOD_US = 100_000
_PATIENCE_S = 5.0


class ControlGroups:
    """The groups of one sandbox.

    Attributes:
        folders: Where they are; one for each controller, or one for all.
        controllers: What they limit.
    """

    def __init__(self, name: str, limits: SandboxLimits, parents: dict[str, Path]) -> None:
        """Make them, as far as that can be done.

        Args:
            name: No other sandbox's.
            limits: What they hold.
            parents: As `parent_groups` returns them.
        """
        self.folders: list[Path] = []
        self.controllers: set[str] = set()
        for controller in CONTROLLERS:
            parent = parents.get(controller)
            if parent is None:
                continue
            folder = parent / (PREFIX + name)
            try:
                if folder not in self.folders:
                    folder.mkdir()
                    self.folders.append(folder)
                _limit(folder, controller, limits)
                self.controllers.add(controller)
            except OSError:  # not ours to make, or without this controller: what it would hold stays unlimited here
                continue

    def add(self, pid: int) -> None:
        """Take a process in, with all that it starts from now on.

        Raises:
            OSError: it has gone, or it cannot be taken in.
        """
        for folder in self.folders:
            _write(folder / "cgroup.procs", str(pid))

    @contextlib.contextmanager
    def around_this_thread(self) -> Iterator[bool]:
        """Have what this thread starts begin in the groups, where that can be done; say whether it was.

        In the first version a thread may move itself without the lock that moving another process takes, for which the
        kernel waits 10 ms. A thread's own memory is not counted by where the thread is.
        """
        entered: list[Path] = []
        try:
            for folder in self.folders:
                with contextlib.suppress(OSError):
                    _write(folder / "tasks", "0")
                    entered.append(folder)
            yield bool(entered) and entered == self.folders
        finally:
            for folder in entered:
                with contextlib.suppress(OSError):
                    _write(folder.parent / "tasks", "0")

    def processes(self) -> list[int] | None:
        """Return the process ids in it; ``None`` where there is no group."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
        return None

    def killed_for_memory(self) -> bool:
        """Whether the kernel has killed one of its processes for using too much memory."""
        for folder in self.folders:
            for name in ("memory.oom_control", "memory.events"):
                with contextlib.suppress(OSError):
                    lines = [line.split() for line in (folder / name).read_text().splitlines()]
                    return any(line[0] == "oom_kill" and line[1] != "0" for line in lines)
        return False

    def remove(self) -> None:
        """Remove them once their last process is gone; raises nothing."""
        remove_groups(self.folders)
        self.folders = []


def remove_groups(folders: Iterable[Path]) -> None:
    """Remove control groups, waiting for their last processes to end."""
    for folder in folders:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                folder.rmdir()
            except FileNotFoundError:
                break
            except OSError:  # busy for as long as a process that was killed is on its way out
                if time.monotonic() > deadline:
                    break
                time.sleep(0.002)
            else:
                break


def parent_groups(proc: Path = Path("/proc")) -> dict[str, Path]:
    """Return, for each controller that can be used, the group below which groups are made."""
    try:
        memberships = [line.split(":", 2) for line in (proc / "self/cgroup").read_text().splitlines()]
        mounts = [line.split() for line in (proc / "self/mounts").read_text().splitlines()]
    except OSError:
        return {}
    own = {name: path for _, names, path in memberships for name in names.split(",")}
    found: dict[str, Path] = {}
    for _, place, kind, options, *_ in mounts:
        if kind == "cgroup":
            for controller in set(options.split(",")) & set(CONTROLLERS):
                found[controller] = _own_group(Path(place), own.get(controller, "/"))
        elif kind == "cgroup2":
            for controller, parent in _delegated(Path(place), own.get("", "/")).items():
                found.setdefault(controller, parent)
    return found


def _own_group(mount: Path, path: str) -> Path:
    """The group of this process; in a container, whose mount begins at its own group, the mount itself."""
    group = mount / path.lstrip("/")
    return group if group.is_dir() else mount


def _delegated(mount: Path, path: str) -> dict[str, Path]:
    """The nearest group from which processes may be moved down, with the controllers that it hands on.

    A group with processes of its own hands none on, unless it is the root; hence it is one above this process's.
    """
    group = _own_group(mount, path)
    while True:
        with contextlib.suppress(OSError):
            offered = (group / "cgroup.controllers").read_text().split()
            control = group / "cgroup.subtree_control"
            for controller in set(CONTROLLERS) & set(offered) - set(control.read_text().split()):
                with contextlib.suppress(OSError):
                    control.write_text(f"+{controller}")
            usable = set(CONTROLLERS) & set(control.read_text().split())
            if usable and _writable(group):
                return dict.fromkeys(usable, group)
        if group == mount:
            return {}
        group = group.parent


def _writable(group: Path) -> bool:
    try:
        with (group / "cgroup.procs").open("r+"):
            return True
    except OSError:
        return False


def _limit(folder: Path, controller: str, limits: SandboxLimits) -> None:
    """Set one controller's limits; the names differ between the versions."""
    memory, period = str(limits.memory_mb * _MIB), _PERIOD_US
    quota = str(max(1000, int(limits.cpus * period)))
    first = (folder / "memory.limit_in_bytes").exists() or (folder / "cpu.cfs_quota_us").exists()
    if controller == "pids":
        (folder / "pids.max").write_text(str(limits.processes))
    elif controller == "cpu" and first:
        (folder / "cpu.cfs_period_us").write_text(str(period))
        (folder / "cpu.cfs_quota_us").write_text(quota)
    elif controller == "cpu":
        (folder / "cpu.max").write_text(f"{quota} {period}")
    elif first:
        (folder / "memory.limit_in_bytes").write_text(memory)
        _write_if_there(folder / "memory.memsw.limit_in_bytes", memory)
    else:
        (folder / "memory.max").write_text(memory)
        _write_if_there(folder / "memory.swap.max", "0")


def _write(path: Path, text: str) -> None:
    """Write without making a file that is not there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _write_if_there(path: Path, text: str) -> None:
    """Limit swap, on kernels that count it."""
    if path.exists():
        path.write_text(text)
