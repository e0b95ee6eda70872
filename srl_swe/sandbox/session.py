"""A shell that stays open, spoken to over one socket.

Bash runs a loop: it prints a marker with the last exit status, the working directory and the exported variables, reads
the next command up to a NUL byte, and evaluates it with empty standard input and with its output on the connection.
Nothing is launched for it, neither here nor there, so that a builtin costs what a round trip costs. Because the loop is
one line, error messages read as those of ``bash -c`` do, whatever was run before.

Around bash stands a tiny ``sh`` that only waits for it to end and then says so; a background job that holds the
connection open would otherwise hide it.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from srl_swe.errors import SandboxError
from srl_swe.sandbox.output import CappedOutput

# The shell's own standard error goes nowhere: what `set -x` says about the loop is nobody's output.
SHELL = (
    "sh",
    "-c",
    "exec 2>/dev/null; IFS= read -r token; "
    """bash --noprofile --norc -c 'IFS= read -r -d "" REPLY; eval "$REPLY"'; """
    r"""printf '\036%s dead %d %s\036' "$token" "$?" "$token" """,
)
"""Started with its input, output and errors on the connection."""

# Sent once, so that no process list shows the nonce.
# - `\builtin` and `[[` withstand aliases and functions of the names used (a fork bomb is a function called `:`), the
#   array's random name `readonly` and `unset`. Its second element is what `$?` is to be.
# - The marker comes before a command is read, not after it was run: a stray `break` or `continue` acts on these loops.
# - `>&2` makes bash put descriptor 1 back after an `exec >file`; 19 is for an `exit` after one.
# - "deaf": a command closed what commands are read from, and the next one was not taken.
_LOOP = r"""
\builtin unset REPLY; exec 19>&1;
\builtin trap '{{ \builtin printf "\036{nonce} exit %d\0%s\0" "$?" "${{PWD-}}"; \builtin export -p;
 \builtin printf " {nonce}\036"; }} >&19' EXIT;
while [[ 1 ]]; do
 while \builtin printf '\036{nonce} done %d\0%s\0' "$?" "${{PWD-}}"; \builtin export -p; \builtin printf ' {nonce}\036';
 \builtin mapfile -d '' -n 2 -t SRL_{name}; [[ ${{#SRL_{name}[@]}} == 2 ]] ||
 {{ \builtin trap - EXIT; \builtin printf '\036{nonce} deaf 0 {nonce}\036'; \builtin exit; }}; do
 if [[ ${{SRL_{name}[1]}} == 0 ]]; then \builtin eval "${{SRL_{name}[0]}}" </dev/null 2>&1 >&2;
 else (\builtin exit "${{SRL_{name}[1]}}") || \builtin eval "${{SRL_{name}[0]}}" </dev/null 2>&1 >&2; fi;
 done;
done
"""
_HEADER = struct.Struct(">BxxxL")
_START_S = 30.0
_GRACE_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one command ended."""

    text: str
    """Its output."""
    truncated: bool
    """Whether the middle of the output was left out."""
    exit_code: int | None
    """``None``: it was stopped, or the connection ended without a word."""
    alive: bool
    """Whether the shell can take another command."""
    taken: bool
    """Whether it was begun at all."""
    timed_out: bool
    """Whether it was stopped at its time limit."""


class ShellSession:
    """One bash on the other end of a socket that carries Docker's stream format.

    Args:
        connection: The raw socket of an exec without a terminal, whose process is `SHELL`.
        directory: Where to begin.
        exports: Output of ``export -p``, to begin with those variables.
        limit: Most characters of output that are kept of a command.

    Raises:
        SandboxError: it did not start there.
    """

    def __init__(self, connection: socket.socket, directory: str, exports: str, limit: int) -> None:
        self._socket = connection
        self._limit = limit
        self._reading = threading.Lock()
        self._pending = bytearray()
        self._nonce = secrets.token_hex(16)
        self._output = CappedOutput(self._nonce, limit)
        self._status = 0
        self._usable = True
        self.directory = directory
        """The working directory after the last command."""
        self.exports = exports
        """The exported variables after the last command, as ``export -p`` prints them."""
        self.pids: tuple[str, ...] = ()
        """Process ids in the container that belong to the session itself."""
        loop = " ".join(_LOOP.format(nonce=self._nonce, name=secrets.token_hex(4)).split("\n"))
        self._send(f"{self._nonce}\n{loop}\0".encode())
        begun = self._outcome(self._receive(_START_S), timed_out=False)
        if begun.alive:
            begin = f"{exports}\n\\builtin cd -- {shlex.quote(directory)} && \\builtin printf '%s %s' $$ $PPID"
            begun = self.run(begin, timeout_s=_START_S, stop=lambda: None)
            self.pids = tuple(begun.text.split()[-2:])
        if begun.exit_code != 0 or not begun.alive or not all(pid.isdigit() for pid in self.pids):
            # What the engine has to say about an unknown user or a missing bash comes without frames.
            reason = begun.text.strip() or self._pending.decode("utf-8", "replace").strip() or "no answer"
            raise SandboxError(f"the shell did not start in {directory}: {reason}")

    def run(self, command: str, *, timeout_s: float, stop: Callable[[], None]) -> Outcome:
        """Run a command; at the time limit call ``stop``, which kills what runs, and wait a moment for the shell."""
        self._usable = False
        self._send(command.encode("utf-8", "surrogateescape") + f"\0{self._status}\0".encode())
        if self._receive(timeout_s):
            return self._outcome(True, timed_out=False)
        text, truncated = self._output.text()
        stop()
        alive = self._outcome(self._receive(_GRACE_S), timed_out=True).alive
        return Outcome(text=text, truncated=truncated, exit_code=None, alive=alive, taken=True, timed_out=True)

    def idle(self) -> bool:
        """Whether the shell waits for a command: it has not ended since, and no run of it was interrupted."""
        if self._usable:
            self._usable = self._listen(0.0) and self._output.fields is None
        return self._usable

    def hang_up(self) -> None:
        """Wake a thread that waits in `run`: closing alone would leave it waiting until its time limit.

        Return when it has woken. The socket must not be closed before: its descriptor would be given to the next one
        that is opened, and the thread would go on waiting for that.
        """
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._reading.acquire(timeout=_GRACE_S):
            self._reading.release()

    def close(self) -> None:
        """Close the connection; the shell ends with it."""
        self._usable = False
        self._socket.close()

    def _outcome(self, ended: bool, *, timed_out: bool) -> Outcome:
        """Say what has come, take over the shell's state, and begin the next output."""
        text, truncated = self._output.text()
        kind, exit_code = b"", None
        if self._output.fields is not None:
            words, _, state = self._output.fields.partition(b"\0")
            kind, status = words.split()[:2]
            exit_code, self._usable = int(status), kind == b"done"
            place, _, exports = state.partition(b"\0")
            if place.startswith(b"/"):
                self.directory = place.decode("utf-8", "surrogateescape")
                self.exports = exports.decode("utf-8", "surrogateescape")
            self._status = exit_code
            rest, self._output = self._output.rest(), CappedOutput(self._nonce, self._limit)
            self._output.feed(rest)
        return Outcome(
            text=text,
            truncated=truncated,
            exit_code=exit_code,
            alive=ended and self._usable,
            taken=kind != b"deaf",
            timed_out=timed_out,
        )

    def _send(self, data: bytes) -> None:
        # A shell that has just ended takes nothing; what it said last is still to be read.
        self._socket.settimeout(None)
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def _receive(self, seconds: float) -> bool:
        """Read until the marker or the end of the stream (True) or until the time is over."""
        deadline = time.monotonic() + seconds
        while self._output.fields is None and not self._output.endless:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            if not self._listen(remaining):
                return True
        return True

    def _listen(self, seconds: float) -> bool:
        """Read once, if something comes in time; return whether the stream goes on."""
        self._demultiplex()
        if self._output.fields is not None:
            return True
        try:
            with self._reading:
                self._socket.settimeout(seconds)
                data = self._socket.recv(1 << 18)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        self._pending += data
        self._demultiplex()
        return bool(data)

    def _demultiplex(self) -> None:
        """Move the whole frames that have come to the output, of whichever stream they are."""
        at = 0
        while len(self._pending) - at >= _HEADER.size and self._output.fields is None:
            _, size = _HEADER.unpack_from(self._pending, at)
            if len(self._pending) - at < _HEADER.size + size:
                break
            self._output.feed(bytes(self._pending[at + _HEADER.size : at + _HEADER.size + size]))
            at += _HEADER.size + size
        del self._pending[:at]
