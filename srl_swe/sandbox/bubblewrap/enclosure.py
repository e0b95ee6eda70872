"""One sandbox of the ``bubblewrap`` backend, as a `srl_swe.sandbox.enclosure.Enclosure`."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import secrets
import shlex
import signal
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.sandbox.bubblewrap import layout
from srl_swe.sandbox.bubblewrap.control_groups import ControlGroups, parent_groups
from srl_swe.sandbox.bubblewrap.fifo_channel import FifoChannel
from srl_swe.sandbox.bubblewrap.launch import START_S, Launched, launch, read_line
from srl_swe.sandbox.bubblewrap.layout import OUR_PLACE, Template, User
from srl_swe.sandbox.bubblewrap.private_files import copy_private, make_private, remove_tree, size_mb
from srl_swe.sandbox.bubblewrap.processes import NamespaceProcesses
from srl_swe.sandbox.bubblewrap.roots import Root, make_folder
from srl_swe.sandbox.enclosure import Channel, ShellState
from srl_swe.sandbox.network.proxy import AllowListProxy
from srl_swe.sandbox.network.relay import MOUNT
from srl_swe.sandbox.owners import this_process
from srl_swe.sandbox.protocol import SandboxLimits, SandboxSpec

SNAPSHOT_PREFIX = "bubblewrap-snapshot:"
_MIB = 1 << 20
# In the child, before the program: the kernel kills these for memory before it kills process 1.
_PROGRAM = (
    "exec 3<{place}/{number}.in 4>{place}/{number}.out\n"
    "{{ cd /; echo 500 2>/dev/null >/proc/self/oom_score_adj; exec {command}; }} <&3 >&4 2>&4 3<&- 4>&- &\n"
    "exec 3<&- 4>&-; printf '%s\\n' {number}\0"
)


class BubblewrapEnclosure:
    """A bubblewrap, its folder on the host, and its control groups.

    Args:
        root: The root file system.
        template: The private folders to begin with, copied.
        user: Who the commands run as.
        spec: Limits and network.
        store: Where its folder is made.
        origin: The snapshot that it stands on; empty where there is none.

    Raises:
        EngineUnavailableError: bubblewrap is missing, or may not do it.
        SandboxError: it does not start; nothing is left behind.
    """

    def __init__(
        self, root: Root, template: Template, user: User, spec: SandboxSpec, *, store: Path, origin: str = ""
    ) -> None:
        self._root = root
        self._template = template
        self._user = user
        self._spec = spec
        self._store = store
        self._origin = origin
        self._number = 0
        self._talking = threading.Lock()
        self._removing = threading.Lock()
        self._lost = ""
        self._launched: Launched | None = None
        self._processes: NamespaceProcesses | None = None
        self._groups: ControlGroups | None = None
        self._proxy = AllowListProxy(spec.network) if spec.network else None
        self.folder = self.new_folder(store)
        self.name = self.folder.name
        try:
            self._open()
        except OSError as error:
            self.remove()
            raise SandboxError(f"the sandbox cannot be opened: {error}") from error
        except BaseException:
            self.remove()
            raise

    @staticmethod
    def new_folder(store: Path) -> Path:
        """Make a folder that belongs to this process: a sweep removes it once the process is dead."""
        # The owner is part of the name, so that there is no moment in which it is nobody's.
        name = f"{secrets.token_hex(8)}@{this_process()}"
        return make_folder(make_folder(make_folder(store) / "boxes") / name)

    def start(self, command: Sequence[str]) -> Channel:
        """See `srl_swe.sandbox.enclosure.Enclosure.start`."""
        with self._talking:
            launched = self._living()
            self._number += 1
            paths = [self.folder / "io" / f"{self._number}.{end}" for end in ("in", "out")]
            program = _PROGRAM.format(place=OUR_PLACE, number=self._number, command=shlex.join(command))
            descriptors: list[int] = []
            try:
                for path in paths:
                    self._make_fifo(path)
                # Both ends, so that neither side waits for the other, or believes that it has gone.
                flags = (os.O_RDONLY, os.O_WRONLY)
                for path in paths:
                    for flag in flags:
                        descriptors.append(os.open(path, flag | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC))
                launched.control.settimeout(START_S)
                launched.control.sendall(program.encode("utf-8", "surrogateescape"))
                self._await(launched, str(self._number))
            except OSError as error:
                self._release(descriptors)
                self.check()
                raise SandboxError(f"no program can be started in the sandbox: {error}") from error
            except BaseException:
                self._release(descriptors)
                raise
            finally:
                for path in paths:
                    path.unlink(missing_ok=True)
            guard, to_program, from_program, other_guard = descriptors
            self._release([guard, other_guard])
            return FifoChannel(to_program, from_program)

    def kill(self, *, spared: Sequence[int] = (), spared_trees: Sequence[int] = ()) -> None:
        """See `srl_swe.sandbox.enclosure.Enclosure.kill`."""
        self._living()
        assert self._processes is not None
        self._processes.kill(spared, spared_trees)

    def check(self) -> None:
        """See `srl_swe.sandbox.enclosure.Enclosure.check`."""
        self._living()

    def written_mb(self) -> float | None:
        """See `srl_swe.sandbox.enclosure.Enclosure.written_mb`."""
        self._living()
        return max(0.0, size_mb(self.folder / "files") - self._template.size_mb) + self._unnamed_mb()

    def save(self, state: ShellState, *, lasting: bool = False) -> str:
        """See `srl_swe.sandbox.enclosure.Enclosure.save`."""
        if self._spec.read_only:
            raise SandboxError("a sandbox with a read-only system has no snapshots")
        self._living()
        assert self._processes is not None
        token = secrets.token_hex(8)
        owned = f"{token}@{this_process()}"
        name = token if lasting else owned
        folder = make_folder(self._store / "snapshots") / name
        partial = folder.with_name(f"{owned}.partial")
        try:
            files = make_private(make_folder(partial) / "files", self._user.uid, self._user.gid)
            with self._processes.stopped():
                copy_private(self.folder / "files", files, self._user.uid, self._user.gid)
            layout.write_description(
                partial, self._template.places, root=self._root.key, user=self._user.name, **self._kept(state)
            )
            make_folder(partial / "users")
            partial.rename(folder)
        except OSError as error:
            remove_tree(partial)
            raise SandboxError(f"the snapshot cannot be written: {error}") from error
        except BaseException:
            remove_tree(partial)
            raise
        return SNAPSHOT_PREFIX + name

    def remove(self) -> None:
        """See `srl_swe.sandbox.enclosure.Enclosure.remove`."""
        with self._removing:
            launched, self._launched = self._launched, None
            if launched is not None:
                _end(launched, self._processes)
            if self._groups is not None:
                self._groups.remove()
            remove_tree(self.folder)
            if self._origin:
                with contextlib.suppress(OSError):
                    (self._store / "snapshots" / self._origin / "users" / self.name).unlink()
            if self._proxy is not None:
                self._proxy.close()

    def _open(self) -> None:
        if self._origin:
            (self._store / "snapshots" / self._origin / "users" / self.name).touch()
        io = make_folder(self.folder / "io")
        files = make_private(self.folder / "files", self._user.uid, self._user.gid)
        private = [(files / str(number), place) for number, place in enumerate(self._template.places)]
        for folder, _ in private:
            folder.mkdir()
        options = layout.bwrap_options(self._root, self._user, private, io, self._spec.limits.memory_mb)
        options += layout.user_files(self._user, self._root, self.folder)
        options += self._more_options()
        self._groups = groups = ControlGroups(self.name.partition("@")[0], self._spec.limits, parent_groups())
        # bubblewrap needs the folders and not what is in them: they are filled meanwhile.
        self._launched = launched = launch(
            options,
            self._user.uid,
            self._user.gid,
            groups=groups,
            bounds=_bounds(self._spec.limits, groups.controllers),
            meanwhile=lambda: copy_private(self._template.folder, files, self._user.uid, self._user.gid),
        )
        self._processes = processes = NamespaceProcesses(launched.first, groups.processes)
        record = {"first": launched.first, "namespace": processes.namespace}
        (self.folder / "box.json").write_text(json.dumps(record | {"groups": list(map(str, groups.folders))}))
        line = read_line(launched.control, START_S)
        if line != "ready":
            raise SandboxError(f"the sandbox does not start: {line or 'its first process has ended'}")

    def _more_options(self) -> list[str]:
        options: list[str] = []
        if self._root.folder is None:
            options += ["--ro-bind", str(layout.tools_folder(self._store)), layout.TOOLS_PLACE, "--remount-ro", "/"]
        if self._proxy is not None:
            if os.geteuid() == 0:  # closed to other users; bubblewrap is one
                os.chown(self._proxy.folder.parent, 0, self._user.gid)
                self._proxy.folder.parent.chmod(0o710)
            options += ["--ro-bind", str(self._proxy.folder), MOUNT]
        return options

    def _make_fifo(self, path: Path) -> None:
        os.mkfifo(path, 0o600)
        if os.geteuid() == 0:
            os.chown(path, self._user.uid, self._user.gid)

    def _await(self, launched: Launched, word: str) -> None:
        """Wait until process 1 says that a program was started; what it says of an earlier one is passed over."""
        while (line := read_line(launched.control, START_S)) != word:
            if line == "":
                self._living()
                self._lost = "its first process has ended"
            elif line is None:
                self._lost = "its first process does not answer"
            if self._lost:
                raise SandboxLostError(f"the sandbox is lost: {self._lost}")

    def _living(self) -> Launched:
        launched = self._launched
        if launched is None:
            raise SandboxLostError("the sandbox is closed")
        code = launched.bwrap.poll()
        if code is not None and not self._lost:
            memory = self._groups is not None and self._groups.killed_for_memory()
            self._lost = "out of memory" if memory else f"its first process has ended with exit code {code}"
        if self._lost:
            raise SandboxLostError(f"the sandbox is lost: {self._lost}")
        return launched

    def _unnamed_mb(self) -> float:
        """What files take that have been removed and are still open: no name leads to them."""
        assert self._processes is not None
        seen: dict[tuple[int, int], int] = {}
        for process in self._processes.handles():
            os.close(process.handle)
            with contextlib.suppress(OSError), os.scandir(f"/proc/{process.pid}/fd") as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        status = entry.stat()
                        if status.st_nlink == 0 and stat.S_ISREG(status.st_mode):
                            seen[status.st_dev, status.st_ino] = status.st_blocks
        return sum(seen.values()) * 512 / _MIB

    @staticmethod
    def _kept(state: ShellState) -> dict[str, str]:
        return {"directory": state.directory, "exports": state.exports}

    @staticmethod
    def _release(descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)


def _bounds(limits: SandboxLimits, controllers: set[str]) -> str:
    """What ``ulimit`` is to hold, for each process; no more than this process may have itself."""
    wanted = [
        ("-n", resource.RLIMIT_NOFILE, limits.open_files, 1),
        ("-c", resource.RLIMIT_CORE, 0, 1024),
        ("-f", resource.RLIMIT_FSIZE, limits.disk_mb * _MIB, 1024),
    ]
    if "memory" not in controllers:
        wanted.append(("-d", resource.RLIMIT_DATA, limits.memory_mb * _MIB, 1024))
    if "pids" not in controllers and _counts_by_namespace():
        wanted.append(("-u", resource.RLIMIT_NPROC, limits.processes, 1))
    words = []
    for letter, name, most, unit in wanted:
        _, hard = resource.getrlimit(name)
        words.append(f"{letter} {(most if hard == resource.RLIM_INFINITY else min(most, hard)) // unit}")
    return " ".join(words)


def _end(launched: Launched, processes: NamespaceProcesses | None) -> None:
    """Kill process 1, and with it all others; return when they are gone."""
    with launched.control:
        if processes is not None:
            processes.kill_first()
        else:
            launched.bwrap.send_signal(signal.SIGKILL)
        # It ends when process 1 has ended, which waits for all others.
        for _ in range(2):
            with contextlib.suppress(Exception):
                launched.bwrap.wait(timeout=10)
                return
            launched.bwrap.kill()


def _counts_by_namespace() -> bool:
    """Whether RLIMIT_NPROC counts the processes of a user in one user namespace, as it does since Linux 5.14.

    Before, all of the user's on this machine count, other sandboxes' among them.
    """
    numbers = os.uname().release.split(".")
    return (int(numbers[0]), int(numbers[1].partition("-")[0])) >= (5, 14)
