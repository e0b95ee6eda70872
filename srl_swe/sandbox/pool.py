"""Sandboxes made ready before they are asked for, and removed after use where nobody waits for it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import OrderedDict, deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

from srl_swe.errors import ConfigError, InfrastructureError, SandboxError
from srl_swe.sandbox.backends import get_backend
from srl_swe.sandbox.protocol import Backend, Sandbox, SandboxSpec

_log = logging.getLogger(__name__)
_WORKERS = 2  # an engine starts containers one after the other: more of them gain nothing


class SandboxPool:
    """Opens sandboxes, from spares where it has one. None is ever used twice.

    What was asked for last is what spares are kept of; a spare of what was asked for longest ago makes room. Safe to
    use from several threads. With ``size=0`` everything is done when it is asked for.
    """

    def __init__(self, backend: str | Backend = "docker", *, size: int = 0, memory_mb: int | None = None) -> None:
        """Start nothing yet.

        Args:
            backend: A name for `get_backend`, or a backend.
            size: Most spares.
            memory_mb: Most memory that spares may use, by their limits, in MiB; ``None``: ``size`` is the only bound.

        Raises:
            ConfigError: a bound is negative, or there is no such backend.
        """
        if size < 0:
            raise ConfigError(f"pool: size must be at least 0, not {size}")
        if memory_mb is not None and memory_mb < 0:
            raise ConfigError(f"pool: memory_mb must be at least 0, not {memory_mb}")
        self._backend = get_backend(backend) if isinstance(backend, str) else backend
        self._size = size
        self._memory_mb = memory_mb
        self._spares: OrderedDict[SandboxSpec, deque[Future[Sandbox]]] = OrderedDict()
        self._workers: ThreadPoolExecutor | None = None
        self._lock = threading.RLock()

    def open(self, spec: SandboxSpec) -> Sandbox:
        """Return a sandbox in which nothing has been run, and begin the next spare of its kind.

        Raises:
            EngineUnavailableError: what runs the sandboxes is not there.
            SandboxError: it could not be opened.
        """
        sandbox = self._take(spec)
        if sandbox is None:
            sandbox = self._backend.open(spec)
        self.expect(spec)
        return sandbox

    def expect(self, spec: SandboxSpec, count: int = 1) -> None:
        """Have ``count`` spares of a kind made ready, as far as the bounds allow."""
        with self._lock:
            spares = self._spares.setdefault(spec, deque())
            self._spares.move_to_end(spec)
            while len(spares) < count and self._make_room(spec):
                spares.append(self._submit(spec))
            if not spares:
                del self._spares[spec]

    def ready(self, spec: SandboxSpec) -> int:
        """Return how many spares of a kind could be had at once."""
        with self._lock:
            return sum(spare.done() and spare.exception() is None for spare in self._spares.get(spec, ()))

    def discard(self, sandbox: Sandbox) -> None:
        """Remove a sandbox, in the background where there are spares; what cannot be removed is left to a sweep."""
        with self._lock:
            if self._workers is not None:
                self._workers.submit(_close, sandbox)
                return
        _close(sandbox)

    def close(self) -> None:
        """Remove the spares; return when all that was discarded is gone. May be called again; `open` starts anew."""
        with self._lock:
            workers, self._workers = self._workers, None
            spares = [spare for kind in self._spares.values() for spare in kind]
            self._spares.clear()
        for spare in spares:
            _abandon(spare)
        if workers is not None:
            workers.shutdown(wait=True)

    def _take(self, spec: SandboxSpec) -> Sandbox | None:
        """Return a spare that is alive, waiting for one that is being opened; ``None`` where there is none."""
        while True:
            with self._lock:
                spares = self._spares.get(spec)
                spare = spares.popleft() if spares else None
            if spare is None:
                return None
            try:
                sandbox = spare.result()
            except (CancelledError, InfrastructureError) as error:
                _log.info("a spare sandbox of %s could not be opened: %s", spec.image, error)
                continue
            try:
                sandbox.run("true", timeout_s=10)
                return sandbox
            except SandboxError:  # the engine was restarted, or somebody removed it
                _close(sandbox)

    def _submit(self, spec: SandboxSpec) -> Future[Sandbox]:
        if self._workers is None:
            self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="sandbox-pool")
        return self._workers.submit(self._backend.open, spec)

    def _make_room(self, spec: SandboxSpec) -> bool:
        """Whether one more spare is within the bounds, after spares of other kinds have been given up for it."""
        while not self._has_room(spec):
            # The first is what was asked for longest ago; the last is this kind.
            oldest = next(iter(self._spares))
            if oldest == spec:
                return False
            spares = self._spares[oldest]
            if spares:
                _abandon(spares.popleft())
            if not spares:
                del self._spares[oldest]
        return True

    def _has_room(self, spec: SandboxSpec) -> bool:
        count = sum(map(len, self._spares.values()))
        used_mb = sum(len(spares) * kind.limits.memory_mb for kind, spares in self._spares.items())
        fits = self._memory_mb is None or used_mb + spec.limits.memory_mb <= self._memory_mb
        return count < self._size and fits


def _abandon(spare: Future[Sandbox]) -> None:
    """Close a spare that nobody has taken, now or as soon as it is open."""

    def close(done: Future[Sandbox]) -> None:
        if not done.cancelled() and done.exception() is None:
            _close(done.result())

    if not spare.cancel():
        spare.add_done_callback(close)


def _close(sandbox: Sandbox) -> None:
    # One that cannot be removed is labelled with its owner: the next sweep finds it.
    with contextlib.suppress(InfrastructureError):
        sandbox.close()
