"""A shell that stays open, spoken to over one channel.

Bash runs a loop: it prints a marker with the last exit status, the working directory and the exported variables, reads
the next command up to a NUL byte, and evaluates it with empty standard input and with its output on the connection.
Nothing is launched for it, neither here nor there, so that a builtin costs what a round trip costs. Because the loop is
one line, error messages read as those of ``bash -c`` do, whatever was run before. A stateless session evaluates each
command in a subshell of its own, which costs a fork.

Around bash stands a tiny ``sh`` that only waits for it to end and then says so; a background job that holds the
connection open would otherwise hide it.
"""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass

from srl_swe.errors import SandboxError
from srl_swe.sandbox.enclosure import Channel, ShellState
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
# - What comes first is the state to begin with; its errors are the answer's text.
_LOOP = r"""
\builtin mapfile -d '' -n 1 -t SRL_{name}; \builtin eval "${{SRL_{name}[0]}}" 2>&1;
\builtin unset REPLY; exec 19>&1;
\builtin trap '{{ \builtin printf "\036{nonce} exit %d\0%s\0" "$?" "${{PWD-}}"; \builtin export -p;
 \builtin printf " {nonce}\036"; }} >&19' EXIT;
while [[ 1 ]]; do
 while \builtin printf '\036{nonce} done %d\0%s\0' "$?" "${{PWD-}}"; \builtin export -p; \builtin printf ' {nonce}\036';
 \builtin mapfile -d '' -n 2 -t SRL_{name}; [[ ${{#SRL_{name}[@]}} == 2 ]] ||
 {{ \builtin trap - EXIT; \builtin printf '\036{nonce} deaf 0 {nonce}\036'; \builtin exit; }}; do
{evaluate}
 done;
done
"""
_EVALUATE = r""" if [[ ${{SRL_{name}[1]}} == 0 ]]; then \builtin eval "${{SRL_{name}[0]}}" </dev/null 2>&1 >&2;
 else (\builtin exit "${{SRL_{name}[1]}}") || \builtin eval "${{SRL_{name}[0]}}" </dev/null 2>&1 >&2; fi;"""
_EVALUATE_APART = r""" ( \builtin exec 19>&-; \builtin eval "${{SRL_{name}[0]}}" ) </dev/null 2>&1;"""
_START_S = 30.0
_TICK_S = 2.0
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


class ShellSilentError(SandboxError):
    """A shell did not start, and nothing was said about it."""


class ShellSession:
    """One bash on the other end of a channel.

    Args:
        channel: To a program started as `SHELL`; closed by `close`.
        state: Where to begin, and with which variables.
        output_chars: Most characters of output that are kept of a command.
        stateless: Whether each command gets a subshell.

    Raises:
        ShellSilentError: it did not start, and does not say why.
        SandboxError: it did not start there.
    """

    def __init__(self, channel: Channel, state: ShellState, *, output_chars: int, stateless: bool = False) -> None:
        self._channel = channel
        self._limit = output_chars
        self._nonce = secrets.token_hex(16)
        self._output = CappedOutput(self._nonce, output_chars)
        self._status = 0
        self._usable = True
        self.state = state
        """Working directory and exported variables after the last command."""
        self.pids: tuple[int, ...] = ()
        """The shell and what waits for it, as process ids in the sandbox; the last is the parent of all."""
        name = secrets.token_hex(4)
        evaluate = (_EVALUATE_APART if stateless else _EVALUATE).format(name=name)
        loop = " ".join(_LOOP.format(nonce=self._nonce, name=name, evaluate=evaluate).split("\n"))
        place = f"\\builtin cd -- {shlex.quote(state.directory)} && \\builtin printf '%s %s' $$ $PPID"
        begin = f"{state.exports}\n{place} || \\builtin exit 1"
        channel.send(f"{self._nonce}\n{loop}\0{begin}\0".encode("utf-8", "surrogateescape"))
        begun = self._outcome(self._receive(_START_S), timed_out=False)
        words = begun.text.split()[-2:]
        if not begun.alive or len(words) != 2 or not all(word.isdigit() for word in words):
            reason = begun.text.strip()
            kind = SandboxError if reason else ShellSilentError
            raise kind(f"the shell did not start in {state.directory}: {reason or 'no answer'}")
        self.pids = tuple(map(int, words))

    def run(
        self, command: str, *, timeout_s: float, stop: Callable[[], None], tick: Callable[[], None] | None = None
    ) -> Outcome:
        """Run a command; at the time limit call ``stop``, which kills what runs, and wait a moment for the shell.

        Args:
            tick: called every few seconds meanwhile.
        """
        self._usable = False
        self._channel.send(command.encode("utf-8", "surrogateescape") + f"\0{self._status}\0".encode())
        if self._receive(timeout_s, tick):
            return self._outcome(True, timed_out=False)
        text, truncated = self._output.text()
        stop()
        alive = self._outcome(self._receive(_GRACE_S), timed_out=True).alive
        if alive:
            # Now bash says which of its jobs were killed: that is nobody's output.
            self._channel.send(f"(\\builtin exit {self._status})\0{self._status}\0".encode())
            alive = self._outcome(self._receive(_GRACE_S), timed_out=True).alive
        return Outcome(text=text, truncated=truncated, exit_code=None, alive=alive, taken=True, timed_out=True)

    def idle(self) -> bool:
        """Whether the shell waits for a command: it has not ended since, and no run of it was interrupted."""
        if self._usable:
            self._usable = self._listen(0.0) and self._output.fields is None
        return self._usable

    def close(self) -> None:
        """Close the connection; the shell ends with it. A thread that waits in `run` is woken before."""
        self._usable = False
        self._channel.hang_up()
        self._channel.close()

    def _outcome(self, ended: bool, *, timed_out: bool) -> Outcome:
        """Say what has come, take over the shell's state, and begin the next output."""
        text, truncated = self._output.text()
        kind, exit_code = b"", None
        if self._output.fields is not None:
            words, _, state = self._output.fields.partition(b"\0")
            kind, status = words.split()[:2]
            exit_code, self._usable = int(status), kind == b"done"
            place, _, exports = (part.decode("utf-8", "surrogateescape") for part in state.partition(b"\0"))
            if place.startswith("/"):
                self.state = ShellState(directory=place, exports=exports)
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

    def _receive(self, seconds: float, tick: Callable[[], None] | None = None) -> bool:
        """Read until the marker or the end of the stream (True) or until the time is over."""
        now = time.monotonic()
        deadline, ticked = now + seconds, now
        while self._output.fields is None and not self._output.endless:
            now = time.monotonic()
            if now >= deadline:
                return False
            if tick is not None and now - ticked >= _TICK_S:
                tick()
                ticked = now
            if not self._listen(min(deadline - now, _TICK_S)):
                return True
        return True

    def _listen(self, seconds: float) -> bool:
        """Read once, if something comes in time; return whether the stream goes on."""
        data = self._channel.receive(seconds)
        if data:
            self._output.feed(data)
        return data is None or bool(data)
