"""Makes a sandbox of an enclosure: named sessions, time limits, files, snapshots."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import posixpath
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.records import CommandResult
from srl_swe.sandbox import program_files
from srl_swe.sandbox.enclosure import Enclosure, ShellState
from srl_swe.sandbox.network.allow_list import parse_allowed
from srl_swe.sandbox.network.relay import Relay
from srl_swe.sandbox.protocol import (
    DEFAULT_TIMEOUT_S,
    KILLED_EXIT_CODE,
    MAIN_SESSION,
    TIMEOUT_EXIT_CODE,
    Backend,
    SandboxSpec,
)
from srl_swe.sandbox.session import SHELL, Outcome, ShellSession, ShellSilentError

_SILENCES, _SILENCE_S = 10, 0.2

_open: weakref.WeakSet[ShellSandbox] = weakref.WeakSet()


class LastingShell:
    """A session: a shell, and after its end another one that goes on where it was. One call at a time."""

    def __init__(
        self,
        enclosure: Enclosure,
        spec: SandboxSpec,
        state: ShellState,
        *,
        others: Callable[[], list[int]],
        relay: Relay | None,
        steady: threading.RLock,
        kept: bool,
    ) -> None:
        """Open the first shell.

        Args:
            enclosure: Where it runs.
            spec: Output limit and mode.
            state: Where to begin.
            others: Gives the root processes of the other sessions, which a time limit spares.
            relay: Its way to the network, if it has one: spared too, and started again where it has died.
            kept: Whether the state is a snapshot's: a folder that a shell cannot enter any more is then no error.
            steady: Held while processes are killed and while a shell starts, whose processes nobody knows yet.

        Raises:
            SandboxError: it does not start.
        """
        self._enclosure = enclosure
        self._spec = spec
        self._others = others
        self._relay = relay
        self._steady = steady
        self._interrupted = False
        self._runs = 0
        self._tolerated_mb = 0.0
        self._guard: threading.Thread | None = None
        self._calls = threading.Lock()
        self._ended = False
        self._changing = threading.Lock()
        self._shell: ShellSession | None = self._start_near(state) if kept else self._start(state)

    @property
    def root(self) -> list[int]:
        """The process that all of the session's have as their ancestor; empty where there is none."""
        return list(self._shell.pids[-1:]) if self._shell is not None else []

    @property
    def state(self) -> ShellState:
        """Where it is.

        Raises:
            SandboxLostError: it is closed.
        """
        return self._living().state

    def run(self, command: str, timeout_s: float) -> CommandResult:
        """See `srl_swe.sandbox.protocol.Sandbox.run`."""
        with self._calls:
            start = time.monotonic()
            if self._relay is not None:
                with self._steady:
                    self._relay.keep()
            outcome = self._run(command, timeout_s)
            while not outcome.taken:
                outcome = self._run(command, timeout_s)
        # Without a word from the session, all its processes were killed.
        exit_code = KILLED_EXIT_CODE if outcome.exit_code is None else outcome.exit_code
        return CommandResult(
            output=outcome.text,
            exit_code=TIMEOUT_EXIT_CODE if outcome.timed_out else exit_code,
            timed_out=outcome.timed_out,
            truncated=outcome.truncated,
            seconds=time.monotonic() - start,
        )

    def ready(self) -> ShellState:
        """Return where the shell is; if it has ended by itself, where another one goes on."""
        with self._calls:
            return self._idle().state

    def end(self) -> None:
        """Kill what runs in the session, and close it."""
        self._ended = True  # first: a thread whose command is killed here must not go on in a new shell
        self._kill()
        self.close()

    def close(self) -> None:
        """Close the shell. A thread that waits for a command is woken, and learns that the sandbox is lost."""
        with self._changing:
            self._ended = True
            shell, self._shell = self._shell, None
        if shell is not None:
            shell.close()

    def _run(self, command: str, timeout_s: float) -> Outcome:
        shell = self._idle()
        self._interrupted = True  # stays so where this is left by an exception, Ctrl-C for example
        run = self._runs
        try:
            outcome = shell.run(
                command,
                timeout_s=timeout_s,
                stop=lambda: self._kill(shell),
                tick=lambda: self._guard_disk(run),
            )
        finally:
            self._runs += 1
        self._interrupted = False
        if not outcome.taken:
            self._replace(shell)
        elif not outcome.alive:
            if outcome.timed_out:  # the shell itself is busy
                self._kill()
            self._replace(shell)
        return outcome

    def _kill(self, shell: ShellSession | None = None) -> None:
        """Kill what belongs to the session or to none, but the shell itself where it is given."""
        with self._steady:
            trees = [*self._others(), *(self._relay.pids if self._relay is not None else ())]
            self._enclosure.kill(spared=shell.pids if shell else (), spared_trees=trees)

    def _guard_disk(self, run: int) -> None:
        """Look in the background whether a command has written too much: counting takes its time on a large tree."""
        if self._guard is None or not self._guard.is_alive():
            self._guard = threading.Thread(target=self._hold_disk_limit, args=(run,), daemon=True)
            self._guard.start()

    def _hold_disk_limit(self, run: int) -> None:
        """Kill what runs where too much has been written: as with memory, the command learns it the hard way.

        The shell too, since a loop in it would only go on. What was written stays, and is tolerated from then on: who
        cleans up must not be killed for it.
        """
        # Where the sandbox cannot be asked, the command's own end says so.
        with contextlib.suppress(SandboxError):
            limit = self._spec.limits.disk_mb
            written = self._enclosure.written_mb() or 0
            if written <= limit:
                self._tolerated_mb = 0.0
            elif written > self._tolerated_mb and run == self._runs:
                self._kill()
                self._tolerated_mb = self._enclosure.written_mb() or written

    def _living(self) -> ShellSession:
        if self._shell is None:
            raise SandboxLostError("the sandbox or its session is closed")
        return self._shell

    def _idle(self) -> ShellSession:
        """The shell, or another one where it ended by itself or its last command was never waited for."""
        shell = self._living()
        if self._interrupted:
            self._kill()
            self._interrupted = False
        elif shell.idle():
            return shell
        self._replace(shell)
        return self._living()

    def _replace(self, shell: ShellSession) -> None:
        """Go on in a new shell where the old one was."""
        if not self._ended:
            shell.close()
            self._enclosure.check()
            another = self._start_near(shell.state)
            with self._changing:
                if not self._ended:
                    self._shell = another
                    return
            another.close()
        # By another thread, at any moment until here.
        raise SandboxLostError("the sandbox or its session is closed")

    def _start_near(self, state: ShellState) -> ShellSession:
        """Start a shell in a folder, or in the first one above that can be entered."""
        silent = 0
        while True:
            try:
                return self._start(state)
            except SandboxLostError:
                raise
            except ShellSilentError:
                # Processes that have just been killed still count for a moment, and then none can be started; and an
                # engine may take a moment to notice that a container has ended.
                silent += 1
                self._enclosure.check()
                if silent > _SILENCES:
                    raise
                time.sleep(_SILENCE_S)
            except SandboxError:
                if state.directory in ("/", ""):
                    self._enclosure.check()
                    raise
                state = dataclasses.replace(state, directory=posixpath.dirname(state.directory))

    def _start(self, state: ShellState) -> ShellSession:
        with self._steady:
            channel = self._enclosure.start(SHELL)
            try:
                return ShellSession(
                    channel, state, output_chars=self._spec.limits.output_chars, stateless=self._spec.stateless
                )
            except BaseException:
                channel.hang_up()
                channel.close()
                raise


class ShellSandbox:
    """A `srl_swe.sandbox.protocol.Sandbox` in an enclosure, which it owns."""

    def __init__(
        self, enclosure: Enclosure, spec: SandboxSpec, *, backend: Backend, state: ShellState | None = None
    ) -> None:
        """Open the main session.

        Args:
            enclosure: Removed by `close`, and where this fails.
            spec: What was asked for.
            backend: Opens the forks.
            state: A snapshot's; ``None``: begin in ``spec.workdir``.

        Raises:
            SandboxError: no shell starts.
        """
        self.spec = spec
        self._enclosure = enclosure
        self._backend = backend
        self._kept = state is not None
        self._state = state or ShellState(directory=spec.workdir)
        self._relay: Relay | None = None
        self._sessions: dict[str, LastingShell] = {}
        self._opening = threading.Lock()
        self._steady = threading.RLock()
        self._process = os.getpid()
        self._closed = False
        self._on_close: Callable[[], None] = lambda: None
        _open.add(self)
        try:
            if spec.network:
                self._relay = Relay(enclosure, parse_allowed(spec.network))
            self._session(MAIN_SESSION)
        except ShellSilentError as error:
            self.close()
            # What an engine says of an unknown user may have been lost.
            raise SandboxError(f"{error} (as user {spec.user!r})") from error
        except BaseException:
            self.close()
            raise

    @property
    def belongs_here(self) -> bool:
        """Whether this process opened it, and not one that this was forked from."""
        return self._process == os.getpid()

    @property
    def enclosure(self) -> Enclosure:
        """What it runs in."""
        return self._enclosure

    def run(self, command: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, session: str = MAIN_SESSION) -> CommandResult:
        """See `srl_swe.sandbox.protocol.Sandbox.run`."""
        if "\0" in command:
            raise SandboxError("a command cannot hold a NUL character")
        return self._session(session).run(command, timeout_s)

    def end_session(self, session: str) -> None:
        """See `srl_swe.sandbox.protocol.Sandbox.end_session`."""
        with self._opening:
            ended = self._sessions.pop(session, None)
        if ended is not None:
            ended.end()

    def read_file(self, path: str) -> bytes:
        """See `srl_swe.sandbox.protocol.Sandbox.read_file`."""
        with self._noticing_loss():
            return program_files.read_file(self._enclosure, self._absolute(path))

    def write_file(self, path: str, data: bytes) -> None:
        """See `srl_swe.sandbox.protocol.Sandbox.write_file`."""
        with self._noticing_loss():
            program_files.write_file(self._enclosure, self._absolute(path), data)

    def snapshot(self, *, lasting: bool = False) -> str:
        """See `srl_swe.sandbox.protocol.Sandbox.snapshot`."""
        return self._enclosure.save(self._session(MAIN_SESSION).ready(), lasting=lasting)

    def fork(self, count: int) -> list[ShellSandbox]:
        """See `srl_swe.sandbox.protocol.Sandbox.fork`."""
        snapshot = self.snapshot()
        left = count
        counting = threading.Lock()

        def one_is_closed() -> None:
            nonlocal left
            with counting:
                left -= 1
            if left <= 0:
                self._backend.remove_snapshot(snapshot)

        forks: list[ShellSandbox] = []
        try:
            for _ in range(count):
                fork = self._backend.open(dataclasses.replace(self.spec, image=snapshot))
                assert isinstance(fork, ShellSandbox)
                fork._on_close = one_is_closed
                forks.append(fork)
        except BaseException:
            left = len(forks)
            for fork in forks:
                fork.close()
            if not forks:
                self._backend.remove_snapshot(snapshot)
            raise
        if not forks:
            self._backend.remove_snapshot(snapshot)
        return forks

    def close(self) -> None:
        """See `srl_swe.sandbox.protocol.Sandbox.close`."""
        with self._opening:
            closed, self._closed = self._closed, True
            sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session.close()
        if self._relay is not None:
            self._relay.close()
        self._enclosure.remove()
        _open.discard(self)
        if not closed:
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _session(self, name: str) -> LastingShell:
        with self._opening:
            if self._closed:
                raise SandboxLostError("the sandbox is closed")
            if name not in self._sessions:
                self._sessions[name] = LastingShell(
                    self._enclosure,
                    self.spec,
                    self._first_state(name),
                    others=lambda: self._roots(name),
                    relay=self._relay,
                    steady=self._steady,
                    kept=name == MAIN_SESSION and self._kept,
                )
            return self._sessions[name]

    def _first_state(self, name: str) -> ShellState:
        state = self._state if name == MAIN_SESSION else ShellState(directory=self.spec.workdir)
        # Last, in place of what a snapshot says of the network that it had.
        network = self._relay.exports if self._relay is not None else ""
        return dataclasses.replace(state, exports=f"{state.exports}\n{network}")

    def _roots(self, name: str) -> list[int]:
        """The root processes of all sessions but one."""
        return [pid for other, shell in list(self._sessions.items()) if other != name for pid in shell.root]

    def _absolute(self, path: str) -> str:
        return posixpath.join(self._session(MAIN_SESSION).state.directory, path)

    @contextlib.contextmanager
    def _noticing_loss(self) -> Iterator[None]:
        """Tell a sandbox that is gone from a file that cannot be had."""
        try:
            yield
        except SandboxLostError:
            raise
        except SandboxError:
            self._enclosure.check()
            raise


@atexit.register
def close_all() -> None:
    """Close every sandbox that this process opened and nobody closed: on the way out, of Ctrl-C too."""
    for sandbox in list(_open):
        if sandbox.belongs_here:
            sandbox.close()
