"""What every sandbox and every backend offers. `srl_swe.sandbox.contract` holds the checks of what they promise."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from srl_swe.records import CommandResult

TIMEOUT_EXIT_CODE = 124
"""Exit code of a command that was killed at its time limit, as coreutils' ``timeout`` gives it."""
KILLED_EXIT_CODE = 137
"""Exit code of a command that ended with all of the session's processes."""
DEFAULT_TIMEOUT_S = 60.0
"""Seconds a command may take where the caller names no limit."""
MAIN_SESSION = "main"
"""The session that every sandbox has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxLimits:
    """What a sandbox may use."""

    memory_mb: int = 1024
    """Memory in MiB; swap is not granted on top."""
    cpus: float = 1.0
    """Processor cores."""
    processes: int = 256
    """Processes and threads at a time."""
    open_files: int = 4096
    """Open files a process."""
    disk_mb: int = 8192
    """What may be written, in MiB. Where no quota can be set, what writes is killed soon after it went beyond."""
    output_chars: int = 16_000
    """Longest output of one command that is kept, in characters: half from its head, half from its tail."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxSpec:
    """What to open. Two equal ones are the same sandbox, as long as nothing has been run in it."""

    image: str
    """An image reference, or what `Sandbox.snapshot` returned."""
    workdir: str = "/testbed"
    """Where sessions begin; the main session of a snapshot begins where it was."""
    user: str = "agent"
    """Who the commands run as."""
    limits: SandboxLimits = SandboxLimits()
    """What it may use."""
    stateless: bool = False
    """Whether each command gets a fresh subshell: no directory, variable or function outlives its command."""
    network: tuple[str, ...] = ()
    """``host:port`` that may be reached, by HTTP and HTTPS through a proxy; nothing else ever is."""
    read_only: bool = False
    """Whether the system is mounted read-only, all but ``workdir``, the user's home and ``/tmp``. No snapshots then."""


class Sandbox(Protocol):
    """A place where commands run, one after the other in a session, in shells that stay open.

    Every method raises `SandboxLostError` where the sandbox is gone, and `SandboxError` where it cannot do what was
    asked; a command that merely fails is a `CommandResult`.
    """

    def run(self, command: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, session: str = MAIN_SESSION) -> CommandResult:
        """Run a command. Working directory, variables and functions are those the session's last command left.

        A session is opened when it is first named; two of them can run commands at the same time.

        Standard input is empty. stdout and stderr come back interleaved; what background jobs print between two
        commands comes with the second. A command that ends the shell (``exit``, ``exec``, ``kill -9 $$``) gets the
        shell's exit code, and a new shell goes on with the working directory and the exported variables that it had,
        or, where it was killed, that the command before left. One that kills processes of the session beside the shell
        (``kill -9 $PPID``) may take the next command along, which then gets `KILLED_EXIT_CODE`.

        At ``timeout_s`` seconds all processes of the session are killed, background jobs too, and all that have left
        the session they were started in (daemons), whosesoever; the output so far is kept, and the exit code is
        `TIMEOUT_EXIT_CODE`. A command that exits with 124 or 137 by itself has ``timed_out`` false.
        """
        ...

    def end_session(self, session: str) -> None:
        """Kill what a session runs and close it. One that is not open is no error; the main session opens again."""
        ...

    def read_file(self, path: str) -> bytes:
        """Return a regular file's content, read as the sandbox's user; relative paths start where the main session is.

        Symbolic links are followed. ``/proc``, ``/sys`` and ``/dev`` are out of reach, here and for `write_file`.
        """
        ...

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file as the sandbox's user, in place of what has its name unless that is a folder.

        Its folder is made where it is missing; a file that was there keeps its mode.
        """
        ...

    def snapshot(self, *, lasting: bool = False) -> str:
        """Keep files, and the main session's working directory and exported variables; return a reference.

        `open_sandbox` takes it as an image. Processes are not kept. A snapshot goes with the process that made it;
        a ``lasting`` one belongs to nobody, and stays until `Backend.remove_snapshot`.
        """
        ...

    def fork(self, count: int) -> list[Self]:
        """Open ``count`` sandboxes in the state of this one, which goes on. What they share goes with the last one."""
        ...

    def close(self) -> None:
        """Remove the sandbox and all that it holds. May be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Backend(Protocol):
    """A way to run sandboxes. The entry-point group ``srl_swe.sandboxes`` names more of them.

    An entry point is a callable that takes one string, what follows the colon in the backend's name (``docker:crun``
    asks for ``crun``; empty where there is none), and returns a backend. It raises `ConfigError` for what it does not
    know. Nothing is started before `open`.
    """

    def open(self, spec: SandboxSpec) -> Sandbox:
        """Open a sandbox.

        Raises:
            EngineUnavailableError: what runs the sandboxes is not there.
            SandboxError: it could not be opened; nothing is left behind.
        """
        ...

    def snapshot_mb(self, snapshot: str) -> float:
        """Return what a snapshot takes on the disk, in MiB; 0 where it is gone."""
        ...

    def remove_snapshot(self, snapshot: str) -> bool:
        """Forget a snapshot; return whether it is gone. One that an open sandbox stands on stays, for now."""
        ...

    def sweep(self) -> int:
        """Remove what dead processes of this machine left behind, and what is past its deadline; return how many."""
        ...
