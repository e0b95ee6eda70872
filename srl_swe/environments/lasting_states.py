"""Snapshots of states on experts' paths that outlive the process that made them: a list on the disk, bounded by size.

``srl-swe replay --snapshots`` fills it, and whoever opens a task at an expert's step looks there first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from srl_swe.errors import ConfigError, InfrastructureError
from srl_swe.files import write_atomically
from srl_swe.sandbox import get_backend
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.locks import file_lock
from srl_swe.sandbox.protocol import SandboxSpec

CAPACITY_MB = 4096.0
"""What all of a machine's may take on the disk, in MiB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    reference: str
    size_mb: float
    used: float
    """When it was last asked for, seconds since 1970."""


class LastingStates:
    """One machine's lasting snapshots of one backend. Safe to use from several threads and processes.

    The list is ``states/<backend>-<engine>.json`` in the cache. Snapshots asked for longest ago are removed where all
    together exceed the capacity; one that an open sandbox stands on is removed later.
    """

    def __init__(self, backend: str = "docker", *, capacity_mb: float = CAPACITY_MB) -> None:
        """Read nothing yet.

        Args:
            backend: What the snapshots are of.
            capacity_mb: Most that they may take on the disk, in MiB; kept where one is added.

        Raises:
            ConfigError: the capacity is below 0, or there is no such backend.
        """
        if not capacity_mb >= 0:
            raise ConfigError(f"lasting snapshots: their capacity must be at least 0 MiB, not {capacity_mb}")
        self._backend = get_backend(backend)
        self._capacity_mb = capacity_mb
        # A reference means something to one engine only.
        engine = os.environ.get("CONTAINER_HOST" if backend.startswith("podman") else "DOCKER_HOST", "")
        self._name = f"{backend.replace(':', '-')}-{hashlib.sha256(engine.encode()).hexdigest()[:8]}"

    @property
    def _file(self) -> Path:
        return cache_dir() / "states" / f"{self._name}.json"

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._read())

    @property
    def size_mb(self) -> float:
        """What they take on the disk, in MiB, as the backend counts."""
        return sum(kept.size_mb for kept in self._read().values())

    def find(self, key: str) -> str | None:
        """The reference of the state with this key, which is thereby the one used last; ``None``: there is none."""
        if key not in self._read():  # the common case, for those who never made any: nothing is locked or written
            return None
        with self._listed() as listed:
            kept = listed.get(key)
            if kept is not None:
                listed[key] = _Kept(reference=kept.reference, size_mb=kept.size_mb, used=time.time())
        return None if kept is None else kept.reference

    def add(self, key: str, reference: str) -> None:
        """Put a lasting snapshot on the list, and remove what is then too much.

        Raises:
            StorageError: the list cannot be written.
        """
        size_mb = self._backend.snapshot_mb(reference)
        with self._listed() as listed:
            if (earlier := listed.pop(key, None)) is not None:
                self._remove(earlier.reference)
            listed[key] = _Kept(reference=reference, size_mb=size_mb, used=time.time())
            total = sum(kept.size_mb for kept in listed.values())
            for old, kept in sorted(listed.items(), key=lambda item: item[1].used):
                if total <= self._capacity_mb:
                    break
                if self._remove(kept.reference):
                    del listed[old]
                    total -= kept.size_mb

    def forget(self, key: str) -> None:
        """Take one off the list that turned out to be gone, or of no use."""
        with self._listed() as listed:
            if (kept := listed.pop(key, None)) is not None:
                self._remove(kept.reference)

    def clear(self) -> int:
        """Remove all; return how many are gone."""
        with self._listed() as listed:
            gone = [key for key, kept in listed.items() if self._remove(kept.reference)]
            for key in gone:
                del listed[key]
        return len(gone)

    def _remove(self, reference: str) -> bool:
        with contextlib.suppress(InfrastructureError):
            return self._backend.remove_snapshot(reference)
        return False

    def _read(self) -> dict[str, _Kept]:
        try:
            return {key: _Kept(**kept) for key, kept in json.loads(self._file.read_text()).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self._file}: not a list of snapshots; remove it ({error})") from error

    @contextlib.contextmanager
    def _listed(self) -> Iterator[dict[str, _Kept]]:
        """The list, for one process at a time; written at the end if it was changed."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(self._file.with_suffix(".lock")):
            before = self._read()
            listed = dict(before)
            yield listed
            if listed != before:
                write_atomically(self._file, json.dumps({key: asdict(kept) for key, kept in listed.items()}))


def state_key(spec: SandboxSpec, actions: Sequence[str], *, command_timeout_s: float) -> str:
    """What the state after these actions, in a sandbox like this, is listed by."""
    return hashlib.sha256(repr((spec, tuple(actions), float(command_timeout_s))).encode()).hexdigest()
