"""A shell that stays open, spoken to over one socket.

For each command the client sends a line that tells bash what to do, then the command itself, ended by a NUL byte. Bash
reads it into a variable and evaluates it with empty standard input and with its output on the connection, then prints
a marker with the exit status and the working directory. Nothing is launched for it, neither here nor there, so that a
builtin costs what a round trip costs.
"""

from __future__ import annotations

import secrets
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.sandbox.output import CappedOutput

# File descriptor 19 is the connection; the trap reports an `exit` with what the next shell is to go on with.
_PRELUDE = """\
exec 19>&1
trap 'printf "\\036%s exit %d %s\\n%s %s\\036" "$SRL_NONCE" "$?" "$PWD" "$(export -p)" "$SRL_NONCE" >&19' EXIT
"""
_STEP = (
    "SRL_NONCE={nonce}; IFS= read -r -d '' SRL_COMMAND; "
    'eval "$SRL_COMMAND" </dev/null >&19 2>&1; '
    'printf "\\036%s done %d %s %s\\036" "$SRL_NONCE" "$?" "$PWD" "$SRL_NONCE" >&19\n'
)
_HEADER = struct.Struct(">BxxxL")
_GRACE_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one command ended."""

    text: str
    """Its output."""
    truncated: bool
    """Whether the middle of the output was left out."""
    exit_code: int | None
    """``None``: it was stopped, or the shell died without a word."""
    alive: bool
    """Whether the shell can take another command."""
    timed_out: bool
    """Whether it was stopped at its time limit."""


class ShellSession:
    """One bash on the other end of a socket that carries Docker's stream format.

    Args:
        connection: The raw socket of an exec without a terminal, whose process is bash reading standard input.
        directory: Where to begin.
        exports: Output of ``export -p``, to begin with those variables.
    """

    def __init__(self, connection: socket.socket, directory: str, exports: str = "") -> None:
        self._socket = connection
        self._pending = bytearray()
        self.directory = directory
        self.exports = exports
        self.pid = 0
        """The shell's process id in its container."""
        connection.settimeout(None)
        self._send((_PRELUDE + f"{exports}\n").encode("utf-8", "surrogateescape"))
        begun = self.run(f"cd -- {_quote(directory)} && printf %s $$", timeout_s=30, limit=1000, stop=lambda: None)
        if begun.exit_code != 0 or not begun.text.isdigit():
            raise SandboxError(f"the shell did not start in {directory}: {begun.text.strip() or 'no answer'}")
        self.pid = int(begun.text)

    def run(self, command: str, *, timeout_s: float, limit: int, stop: Callable[[], None]) -> Outcome:
        """Run a command; at the time limit call ``stop``, which kills what runs, and wait a moment for the shell."""
        if "\0" in command:
            raise SandboxError("a command cannot hold a NUL character")
        nonce = secrets.token_hex(16)
        output = CappedOutput(nonce, limit)
        self._send(_STEP.format(nonce=nonce).encode() + command.encode("utf-8", "surrogateescape") + b"\0")
        ended = self._receive(output, time.monotonic() + timeout_s)
        if ended is not None:
            return self._outcome(output, alive=ended, timed_out=False)
        text, truncated = output.text()
        stop()
        alive = bool(self._receive(output, time.monotonic() + _GRACE_S))
        if alive and output.fields is not None:
            self._outcome(output, alive=True, timed_out=True)  # takes over the working directory
        return Outcome(text=text, truncated=truncated, exit_code=None, alive=alive, timed_out=True)

    def close(self) -> None:
        """Close the connection; the shell ends with it."""
        self._socket.close()

    def _outcome(self, output: CappedOutput, *, alive: bool, timed_out: bool) -> Outcome:
        text, truncated = output.text()
        exit_code = None
        if output.fields is not None:
            kind, status, rest = output.fields.split(b" ", 2)
            place = rest.decode("utf-8", "surrogateescape")
            if kind == b"exit":
                place, _, self.exports = place.partition("\n")
            self.directory = place
            exit_code = int(status)
            alive = kind == b"done"
        return Outcome(text=text, truncated=truncated, exit_code=exit_code, alive=alive, timed_out=timed_out)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise SandboxLostError(f"the shell's connection is gone: {error}") from error

    def _receive(self, output: CappedOutput, deadline: float) -> bool | None:
        """Read until the marker (True), the end of the stream (False) or the deadline (``None``)."""
        while output.fields is None:
            self._demultiplex(output)
            if output.fields is not None:
                break
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            if not select.select([self._socket], [], [], remaining)[0]:
                return None
            try:
                data = self._socket.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                return False
            self._pending += data
        return True

    def _demultiplex(self, output: CappedOutput) -> None:
        """Move the whole frames that have come to ``output``, of whichever stream they are."""
        at = 0
        while len(self._pending) - at >= _HEADER.size and output.fields is None:
            _, size = _HEADER.unpack_from(self._pending, at)
            if len(self._pending) - at < _HEADER.size + size:
                break
            output.feed(bytes(self._pending[at + _HEADER.size : at + _HEADER.size + size]))
            at += _HEADER.size + size
        del self._pending[:at]


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
