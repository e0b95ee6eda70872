"""Starts bubblewrap, from a thread that lives as long as this process."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from srl_swe.errors import EngineUnavailableError, SandboxError
from srl_swe.sandbox.bubblewrap.control_groups import ControlGroups
from srl_swe.sandbox.bubblewrap.layout import bwrap_version
from srl_swe.sandbox.bubblewrap.private_files import as_user
from srl_swe.sandbox.bubblewrap.seccomp import filter_program

START_S = 30.0

# Process 1 of a sandbox: it starts programs and, as bash does, buries what has lost its parent. With job control, the
# programs do not ignore SIGINT, and each has a process group of its own.
FIRST_PROCESS = r"""
exec 2>/dev/null; set -m; printf 'ready\n'
while IFS= read -r -d '' REPLY; do eval "$REPLY"; done
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launched:
    """A sandbox whose process 1 is on its way."""

    bwrap: subprocess.Popen[bytes]
    """Waits for process 1; it is killed with this process, and process 1 with it."""
    control: socket.socket
    """To process 1: commands that end with NUL in, lines out. What bubblewrap says is on it too."""
    first: int
    """Process 1, as the host numbers it."""


def launch(
    options: Sequence[str],
    uid: int,
    gid: int,
    *,
    groups: ControlGroups,
    bounds: str,
    meanwhile: Callable[[], None],
) -> Launched:
    """Start bubblewrap with process 1.

    Args:
        options: bubblewrap's.
        uid: Who it runs as, where this process is root.
        gid: Likewise.
        groups: What it is taken into.
        bounds: Options of bash's ``ulimit``; may be empty.
        meanwhile: Done while bubblewrap makes its namespaces. What it raises ends the start.

    Raises:
        EngineUnavailableError: bubblewrap is not installed, or may not make namespaces here.
        SandboxError: it does not start.
    """
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as failing:
        failing.callback(ours.close)
        read_end, write_end = os.pipe()
        failing.callback(os.close, read_end)
        with theirs:
            command = [*as_user(uid, gid), "bwrap", *options, "--info-fd", str(write_end)]
            bwrap, entered = _spawn(command, theirs.fileno(), write_end, groups, bounds)
        failing.callback(_give_up, bwrap)
        meanwhile()
        first = _first_process(read_end)
        if first is None:
            _give_up(bwrap)
            raise _failure(ours)
        if not entered:
            groups.add(first)  # it has started nothing yet
        failing.pop_all()
    os.close(read_end)
    return Launched(bwrap=bwrap, control=ours, first=first)


def read_line(control: socket.socket, seconds: float) -> str | None:
    """Return the next line from process 1; ``None``: it did not come in time; empty: none will come."""
    deadline = time.monotonic() + seconds
    line = bytearray()
    while not line.endswith(b"\n"):
        control.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            # One byte at a time: what follows belongs to the next call, and lines are a few bytes long.
            piece = control.recv(1)
        except TimeoutError:
            return None
        except OSError:
            return ""
        if not piece:
            return ""
        line += piece
    return line.decode(errors="replace").strip()


def _give_up(bwrap: subprocess.Popen[bytes]) -> None:
    bwrap.kill()
    bwrap.wait()


def _failure(control: socket.socket) -> SandboxError | EngineUnavailableError:
    control.settimeout(1.0)
    said = b""
    try:
        while piece := control.recv(4096):
            said += piece
    except OSError:
        pass
    text = said.decode(errors="replace").strip()[-500:]
    if "namespace" in text or "uid map" in text or "Operation not permitted" in text:
        return EngineUnavailableError(
            f"bubblewrap may not make a sandbox on this machine: {text} (unprivileged user namespaces must be allowed: "
            "sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces, "
            "kernel.apparmor_restrict_unprivileged_userns)"
        )
    return SandboxError(f"the sandbox does not start: {text or 'bubblewrap said nothing'}")


def _first_process(descriptor: int) -> int | None:
    """Read from bubblewrap which process it has started; ``None`` if it did not."""
    said = b""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    while waiting.poll(START_S * 1000):
        piece = os.read(descriptor, 4096)
        said += piece
        if not piece or b"}" in piece:
            break
    try:
        return int(json.loads(said)["child-pid"])
    except (ValueError, KeyError):
        return None


def _spawn(
    command: list[str], control: int, info: int, groups: ControlGroups, bounds: str
) -> tuple[subprocess.Popen[bytes], bool]:
    """Start it from the process's own thread; return it, and whether it is in the groups. Closes ``info``."""
    descriptors = [info]
    try:
        program = filter_program()
        if program is not None:
            filters = os.memfd_create("seccomp")
            descriptors.append(filters)
            os.write(filters, program)
            os.lseek(filters, 0, os.SEEK_SET)
            command += ["--seccomp", str(filters)]
        elif bwrap_version() >= (0, 8):
            command += ["--disable-userns"]
        begin = f"ulimit {bounds} || exit 1\n" if bounds else ""
        command += ["--", "bash", "--noprofile", "--norc", "-c", begin + FIRST_PROCESS]

        def start() -> tuple[subprocess.Popen[bytes], bool]:
            with groups.around_this_thread() as entered:
                return (
                    subprocess.Popen(
                        command, stdin=control, stdout=control, stderr=control, pass_fds=descriptors, cwd="/"
                    ),
                    entered,
                )

        return _starter().call(start)
    except OSError as error:
        raise EngineUnavailableError(f"bubblewrap cannot be started: {error}") from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


_Started = tuple[subprocess.Popen[bytes], bool]


class _Starter:
    """A thread that lives as long as this process: when the *thread* that started it ends, bubblewrap is killed."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._calls: queue.SimpleQueue[tuple[Future[_Started], Callable[[], _Started]]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True, name="bubblewrap-starter").start()

    def call(self, start: Callable[[], _Started]) -> _Started:
        future: Future[_Started] = Future()
        self._calls.put((future, start))
        return future.result()

    def _serve(self) -> None:
        while True:
            future, start = self._calls.get()
            try:
                future.set_result(start())
            except BaseException as error:
                future.set_exception(error)
            del future, start


_current: list[_Starter] = []
_lock = threading.Lock()


def _starter() -> _Starter:
    """This process's; one that was forked has threads of its own."""
    with _lock:
        if not _current or _current[0].process != os.getpid():
            _current[:] = [_Starter()]
        return _current[0]
