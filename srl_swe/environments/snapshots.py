"""States on an expert's path, kept as snapshots: opening step k costs a container, whatever k is."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Sequence

from srl_swe.environments.lasting_states import LastingStates, state_key
from srl_swe.errors import EngineUnavailableError, InfrastructureError, SandboxError
from srl_swe.sandbox import get_backend
from srl_swe.sandbox.pool import SandboxPool
from srl_swe.sandbox.protocol import Sandbox, SandboxSpec

_Key = tuple[SandboxSpec, tuple[str, ...]]


@dataclasses.dataclass(kw_only=True, slots=True)
class _Kept:
    """A snapshot in the cache."""

    reference: str
    size_mb: float
    users: int = 0
    """Openings that are under way: it must not go now."""


class ExpertStates:
    """Opens sandboxes at the state after a prefix of an expert's actions. Safe to use from several threads.

    When a state is first asked for, the whole trajectory is replayed once, in one container, and a snapshot is taken
    after each action: each is one layer on the task's image, so that no chain of layers grows with k. Snapshots that
    were asked for longest ago are removed where all together exceed ``capacity_mb``. Before any of that, the lasting
    snapshots that an earlier process has made are looked through.
    """

    def __init__(
        self,
        pool: SandboxPool,
        *,
        backend: str = "docker",
        command_timeout_s: float = 60.0,
        capacity_mb: float = 4096.0,
        lasting: LastingStates | None = None,
    ) -> None:
        """Make nothing yet.

        Args:
            pool: Where sandboxes come from; closed by its owner.
            backend: The pool's.
            command_timeout_s: Seconds an expert's action may take.
            capacity_mb: What all snapshots together may take on the disk, in MiB.
            lasting: Snapshots of earlier processes; by default the backend's own.
        """
        self._pool = pool
        self._backend = get_backend(backend)
        self._command_timeout_s = command_timeout_s
        self._capacity_mb = capacity_mb
        self._lasting = LastingStates(backend) if lasting is None else lasting
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._lingering: list[str] = []
        self._replays: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()
        self.replays = 0
        """How often a trajectory was replayed."""

    @property
    def size_mb(self) -> float:
        """What the snapshots take on the disk, in MiB, as the backend counts."""
        with self._lock:
            return sum(kept.size_mb for kept in self._kept.values())

    @property
    def count(self) -> int:
        """How many snapshots there are."""
        with self._lock:
            return len(self._kept)

    def open(self, spec: SandboxSpec, actions: Sequence[str], step: int) -> Sandbox:
        """Open a sandbox in which the first ``step`` of an expert's actions have been run.

        Args:
            spec: The task's.
            actions: All the bare commands of the trajectory that can be run, those after ``step`` too.
            step: k, from 0 to ``len(actions)``.

        Raises:
            InfrastructureError: The sandbox failed; nothing stays open.
        """
        if step == 0:
            return self._pool.open(spec)
        whole = tuple(actions)
        if (sandbox := self._open_lasting(spec, whole[:step])) is not None:
            return sandbox
        key = (spec, whole[:step])
        with self._lock:
            replaying = self._replays.setdefault((spec, whole), threading.Lock())
        with replaying:
            reference = self._pin(key) or self._replay(spec, whole, step)
        try:
            return self._pool.open(dataclasses.replace(spec, image=reference))
        finally:
            self._unpin(key)

    def keep(self, spec: SandboxSpec, actions: Sequence[str], sandbox: Sandbox, lasting: LastingStates) -> bool:
        """Make the state of a sandbox, in which these actions have been run, a lasting one; whether it is new.

        Raises:
            SandboxError: There can be no snapshot of it.
            StorageError: The list of lasting states cannot be written.
        """
        key = state_key(spec, actions, command_timeout_s=self._command_timeout_s)
        if lasting.find(key) is not None:
            return False
        lasting.add(key, sandbox.snapshot(lasting=True))
        return True

    def _open_lasting(self, spec: SandboxSpec, actions: Sequence[str]) -> Sandbox | None:
        key = state_key(spec, actions, command_timeout_s=self._command_timeout_s)
        if (reference := self._lasting.find(key)) is None:
            return None
        try:
            return self._pool.open(dataclasses.replace(spec, image=reference))
        except EngineUnavailableError:
            raise
        except SandboxError:  # somebody removed it, behind our back
            self._lasting.forget(key)
            return None

    def close(self) -> None:
        """Remove the snapshots; what cannot be removed now is found by the next sweep."""
        with self._lock:
            self._lingering += [kept.reference for kept in self._kept.values()]
            self._kept.clear()
            self._replays.clear()
            self._remove_lingering()

    def _replay(self, spec: SandboxSpec, actions: tuple[str, ...], step: int) -> str:
        """Run the actions from the beginning, and keep the state after each; return the one asked for, pinned."""
        self.replays += 1
        pinned = ""
        sandbox = self._pool.open(spec)
        try:
            for k, command in enumerate(actions, start=1):
                sandbox.run(command, timeout_s=self._command_timeout_s)
                key = (spec, actions[:k])
                if key not in self._kept:
                    reference = sandbox.snapshot()
                    self._keep(key, reference, pinned=k == step)
                    pinned = reference if k == step else pinned
        except InfrastructureError:
            if not pinned:
                raise  # else it is a later state that cannot be reached; it fails where it is asked for
        finally:
            self._pool.discard(sandbox)
        return pinned

    def _keep(self, key: _Key, reference: str, *, pinned: bool) -> None:
        size_mb = self._backend.snapshot_mb(reference)
        with self._lock:
            self._kept[key] = _Kept(reference=reference, size_mb=size_mb, users=int(pinned))
            self._evict()

    def _pin(self, key: _Key) -> str | None:
        """Keep a snapshot from being removed while it is opened; ``None`` where there is none."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            kept.users += 1
            self._kept.move_to_end(key)
            return kept.reference

    def _unpin(self, key: _Key) -> None:
        with self._lock:
            if (kept := self._kept.get(key)) is not None:  # not where `close` came before
                kept.users -= 1
                self._evict()

    def _evict(self) -> None:
        total = sum(kept.size_mb for kept in self._kept.values())
        for key, kept in list(self._kept.items()):
            if total <= self._capacity_mb:
                break
            if not kept.users:
                del self._kept[key]
                self._lingering.append(kept.reference)
                total -= kept.size_mb
        self._remove_lingering()

    def _remove_lingering(self) -> None:
        """Remove what is not wanted any more, but what an open sandbox stands on: that is tried again."""
        left = []
        # The last made first: an image that another one stands on cannot be removed before it.
        for reference in reversed(self._lingering):
            gone = False
            with contextlib.suppress(InfrastructureError):
                gone = self._backend.remove_snapshot(reference)
            if not gone:
                left.append(reference)
        self._lingering = left[::-1]
