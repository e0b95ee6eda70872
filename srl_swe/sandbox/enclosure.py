"""What a backend has to bring: a place where programs run, and a connection to each of them.

`srl_swe.sandbox.shells.ShellSandbox` makes a `srl_swe.sandbox.protocol.Sandbox` of an `Enclosure`: sessions, time
limits, files and snapshots are the same on all of our backends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class ShellState:
    """What a snapshot keeps of a shell."""

    directory: str
    """Its working directory."""
    exports: str = ""
    """Its exported variables, as ``export -p`` prints them."""


class Channel(Protocol):
    """A connection to a running program: its standard input, and its output and errors as one stream."""

    def send(self, data: bytes) -> None:
        """Give it all of this. A program that takes nothing any more is no error: what it said is still to be read."""
        ...

    def receive(self, seconds: float) -> bytes | None:
        """Wait for what it says next; ``None``: nothing came in time; empty: it will say nothing any more."""
        ...

    def hang_up(self) -> None:
        """End the connection, and wake a thread that waits in `receive`; return when it has woken."""
        ...

    def close(self) -> None:
        """Let go of everything. The program reads the end of its input."""
        ...


class Enclosure(Protocol):
    """A container, or whatever stands for one. All methods raise `SandboxLostError` where it is gone."""

    def start(self, command: Sequence[str]) -> Channel:
        """Start a program as the sandbox's user, in ``/``, with the image's environment.

        Raises:
            SandboxError: it cannot be started.
        """
        ...

    def kill(self, *, spared: Sequence[int] = (), spared_trees: Sequence[int] = ()) -> None:
        """Kill every process of the sandbox's user but those.

        Args:
            spared: Process ids, as the sandbox sees them.
            spared_trees: Process ids whose descendants are spared too.
        """
        ...

    def check(self) -> None:
        """Return if it is alive.

        Raises:
            SandboxLostError: it has ended; the message says why.
        """
        ...

    def written_mb(self) -> float | None:
        """Return how much has been written to it, in MiB; ``None`` where a quota holds it anyway."""
        ...

    def save(self, state: ShellState, *, lasting: bool = False) -> str:
        """Keep its files and the state; return what the backend can open. ``lasting``: beyond this process's end.

        Raises:
            SandboxError: it cannot be kept.
        """
        ...

    def remove(self) -> None:
        """Remove it and all that it holds. May be called again, and where it is gone; raises nothing."""
        ...
