"""What every sandbox backend offers. The contract suite in ``tests/contracts`` says what it promises."""

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
    output_chars: int = 16_000
    """Longest output of one command that is kept, in characters: half from its head, half from its tail."""


class Sandbox(Protocol):
    """A place where commands run, one after the other, in a shell that stays open.

    Every method raises `SandboxLostError` where the sandbox is gone, and `SandboxError` where it cannot do what was
    asked; a command that merely fails is a `CommandResult`.
    """

    def run(self, command: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> CommandResult:
        """Run a command. Working directory, variables and functions are those the last command left.

        Standard input is empty. stdout and stderr come back interleaved; what background jobs print between two
        commands comes with the second. A command that ends the shell (``exit``, ``exec``, ``kill -9 $$``) gets the
        shell's exit code, and a new shell goes on with the working directory and the exported variables that it had,
        or, where it was killed, that the command before left. At ``timeout_s`` seconds all processes started in the
        sandbox are killed, background jobs too, and the output so far is kept; the exit code is then
        `TIMEOUT_EXIT_CODE`.
        """
        ...

    def read_file(self, path: str) -> bytes:
        """Return a regular file's content; relative paths start at the shell's working directory.

        Symbolic links are followed. ``/proc``, ``/sys`` and ``/dev`` are out of reach, here and for `write_file`.
        """
        ...

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file, owned by the sandbox's user; its folder is made where it is missing."""
        ...

    def snapshot(self) -> str:
        """Keep files, working directory and exported variables; return what `open_sandbox` takes as an image."""
        ...

    def close(self) -> None:
        """Remove the sandbox and all that it holds. May be called again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
