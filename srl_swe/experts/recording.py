"""Record the oracle over many tasks: resumable, side by side, written atomically, failures of the world reported."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from srl_swe.errors import EngineUnavailableError, InfrastructureError, StorageError, TaskError, TrajectoryError
from srl_swe.experts.oracle import record
from srl_swe.experts.side_by_side import SideBySide
from srl_swe.experts.trajectories import (
    format_trajectory,
    parse_trajectory,
    read_trajectories,
    write_trajectories,
)
from srl_swe.experts.verification import verified, verify_one
from srl_swe.records import PreparedTask, Task, Trajectory
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.locks import file_lock
from srl_swe.tasks.prepare import prepare


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What became of one task and seed."""

    task_id: str
    """The task."""
    seed: int
    """The seed."""
    trajectory: Trajectory | None
    """``None``: it could not be recorded, or was not verified."""
    reused: bool = False
    """Whether it was there already."""
    error: str | None = None
    """Why it could not be recorded, or was not verified."""


def record_suite(
    tasks: Iterable[PreparedTask | Task],
    out: Path | str,
    *,
    seeds: Sequence[int] = (0,),
    backend: str = "docker",
    jobs: int = 1,
    verify: bool = False,
    on_progress: Callable[[Recorded], None] | None = None,
) -> list[Recorded]:
    """Record every task with every seed into one file.

    Each recording is kept in ``<out>.partial`` as it is made, so that an interrupted call goes on where it stopped;
    ``out`` itself is replaced in one go at the end. A recording of the same task content and seed is kept, one of an
    older content of the same task is dropped, and those of other tasks in ``out`` stay. A second call for the same
    file, in another process, waits for the first.

    Args:
        tasks: Those not prepared yet are, where a recording is missing.
        out: The file.
        seeds: Each gives one trajectory a task.
        backend: Sandbox backend.
        jobs: Recordings at a time.
        verify: Replay each in a fresh sandbox, those that were there unverified too, and keep what
            `Verification.reasons` has nothing against.
        on_progress: Called after each recording, from several threads.

    Raises:
        ConfigError: ``jobs`` is below 1.
        EngineUnavailableError: no container engine answers.
        TrajectoryError: ``out`` exists and is not a trajectory file.
        StorageError: it cannot be written.
    """
    out = Path(out)
    name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    with file_lock(cache_dir() / f"recording-{name}.lock"):
        journal = _Journal(out)
        recorder = _Recorder(journal=journal, backend=backend, verify=verify, on_progress=on_progress)
        wanted = [(task, seed) for task in tasks for seed in seeds]
        results = recorder.side.run(recorder.one, wanted, jobs=jobs, name="record")
        made = [result.trajectory for result in results if result.trajectory is not None]
        hashes = {_declaration(task).task_id: _declaration(task).content_hash for task, _ in wanted}
        journal.write(made, hashes, seeds)
        return results


@dataclass(kw_only=True, slots=True)
class _Recorder:
    """The recordings under way."""

    journal: _Journal
    backend: str
    verify: bool
    on_progress: Callable[[Recorded], None] | None
    side: SideBySide = field(default_factory=SideBySide)

    def one(self, wanted: tuple[PreparedTask | Task, int]) -> Recorded:
        task, seed = wanted
        earlier = self.journal.find(_declaration(task), seed)
        if earlier is not None and (not self.verify or "replay" in earlier.provenance):
            result = Recorded(task_id=earlier.task_id, seed=seed, trajectory=earlier, reused=True)
        else:
            result = self._record(task, seed, earlier)
        if self.on_progress is not None:
            self.on_progress(result)
        return result

    def _record(self, task: PreparedTask | Task, seed: int, earlier: Trajectory | None) -> Recorded:
        task_id = _declaration(task).task_id
        try:
            prepared = task if isinstance(task, PreparedTask) else prepare(task, backend=self.backend)
            trajectory = earlier if earlier is not None else self._really_record(prepared, seed)
            problem = ""
            if self.verify:
                trajectory, problem = self._verify(trajectory, prepared)
        except (EngineUnavailableError, StorageError):
            raise
        except (TaskError, InfrastructureError) as error:
            return Recorded(task_id=task_id, seed=seed, trajectory=None, error=str(error))
        if problem:
            return Recorded(task_id=task_id, seed=seed, trajectory=None, error=problem)
        self.journal.add(trajectory)
        return Recorded(task_id=task_id, seed=seed, trajectory=trajectory)

    def _really_record(self, prepared: PreparedTask, seed: int) -> Trajectory:
        try:
            return record(prepared, seed=seed, backend=self.backend, side=self.side)
        except EngineUnavailableError:
            raise
        except InfrastructureError:
            return record(prepared, seed=seed, backend=self.backend, side=self.side)

    def _verify(self, trajectory: Trajectory, prepared: PreparedTask) -> tuple[Trajectory, str]:
        found, _ = verify_one(trajectory, prepared, backend=self.backend, side=self.side)
        if found.infrastructure is not None:
            return trajectory, f"could not be replayed: {found.infrastructure}"
        return verified(trajectory, found), "; ".join(found.reasons())


class _Journal:
    """What is in a file, and what was recorded for it since."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._partial = out.with_name(out.name + ".partial")
        existing = read_trajectories(out) if out.exists() else []
        self._known = {_key(trajectory): trajectory for trajectory in (*existing, *self._unfinished())}
        self._lock = threading.Lock()

    def find(self, task: Task, seed: int) -> Trajectory | None:
        return self._known.get((task.task_id, task.content_hash, seed))

    def add(self, trajectory: Trajectory) -> None:
        try:
            with self._lock:
                self._partial.parent.mkdir(parents=True, exist_ok=True)
                torn = self._partial.exists() and not self._partial.read_bytes().endswith(b"\n")
                with self._partial.open("ab") as journal:
                    journal.write((b"\n" if torn else b"") + format_trajectory(trajectory))
        except OSError as error:
            raise StorageError(f"{self._partial}: cannot be written: {error.strerror or error}") from error

    def write(self, made: Sequence[Trajectory], hashes: dict[str, str], seeds: Sequence[int]) -> None:
        """Replace the file: with what was made, and what was not asked for."""
        others = [t for t in self._known.values() if t.task_id not in hashes or _is_other_seed(t, hashes, seeds)]
        if made or others:
            write_trajectories(self._out, [*others, *made])
            self._partial.unlink(missing_ok=True)

    def _unfinished(self) -> list[Trajectory]:
        """What an interrupted call had recorded; its last line may be cut in half, and is then recorded again."""
        trajectories = []
        if self._partial.exists():
            for number, line in enumerate(self._partial.read_bytes().split(b"\n"), start=1):
                with contextlib.suppress(TrajectoryError):
                    trajectories.append(parse_trajectory(line, where=f"{self._partial}:{number}"))
        return trajectories


def _declaration(task: PreparedTask | Task) -> Task:
    return task.task if isinstance(task, PreparedTask) else task


def _key(trajectory: Trajectory) -> tuple[str, str, int]:
    seed = trajectory.provenance.get("seed")
    task_hash = trajectory.provenance.get("task_hash")
    return (
        trajectory.task_id,
        task_hash if isinstance(task_hash, str) else f"unknown: {trajectory.trajectory_id}",
        seed if isinstance(seed, int) else -1,
    )


def _is_other_seed(trajectory: Trajectory, hashes: dict[str, str], seeds: Sequence[int]) -> bool:
    """Whether it is up to date, and of a seed that this call was not asked for."""
    _, task_hash, seed = _key(trajectory)
    return hashes[trajectory.task_id] == task_hash and seed not in seeds
