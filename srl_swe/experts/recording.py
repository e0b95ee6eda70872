"""Record the oracle over many tasks: resumable, written atomically, failures of the world retried once and reported."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from srl_swe.errors import InfrastructureError, StorageError, TaskError, TrajectoryError
from srl_swe.experts.oracle import record
from srl_swe.experts.trajectories import (
    format_trajectory,
    parse_trajectory,
    read_trajectories,
    write_trajectories,
)
from srl_swe.records import PreparedTask, Trajectory
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.locks import file_lock


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What became of one task and seed."""

    task_id: str
    """The task."""
    seed: int
    """The seed."""
    trajectory: Trajectory | None
    """``None``: it could not be recorded."""
    reused: bool = False
    """Whether it was there already."""
    error: str | None = None
    """Why it could not be recorded."""


def record_suite(
    prepared_tasks: Iterable[PreparedTask],
    out: Path | str,
    *,
    seeds: Sequence[int] = (0,),
    backend: str = "docker",
    on_progress: Callable[[Recorded], None] | None = None,
) -> list[Recorded]:
    """Record every task with every seed into one file.

    Each recording is kept in ``<out>.partial`` as it is made, so that an interrupted call goes on where it stopped;
    ``out`` itself is replaced in one go at the end. A recording of the same task content and seed is kept, one of an
    older content of the same task is dropped, and those of other tasks in ``out`` stay. A second call for the same
    file, in another process, waits for the first.

    Args:
        prepared_tasks: May be a generator that builds images as it goes.
        out: The file.
        seeds: Each gives one trajectory a task.
        backend: Sandbox backend.
        on_progress: Called after each recording.

    Raises:
        TrajectoryError: ``out`` exists and is not a trajectory file.
        StorageError: it cannot be written.
    """
    out = Path(out)
    name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    with file_lock(cache_dir() / f"recording-{name}.lock"):
        return _record_all(prepared_tasks, out, seeds, backend, on_progress)


def _record_all(
    prepared_tasks: Iterable[PreparedTask],
    out: Path,
    seeds: Sequence[int],
    backend: str,
    on_progress: Callable[[Recorded], None] | None,
) -> list[Recorded]:
    partial = out.with_name(out.name + ".partial")
    known = {_key(t): t for t in (*_existing(out), *_journal(partial))}
    results: list[Recorded] = []
    hashes: dict[str, str] = {}
    for prepared in prepared_tasks:
        task_id, task_hash = prepared.task.task_id, prepared.task.content_hash
        hashes[task_id] = task_hash
        for seed in seeds:
            earlier = known.get((task_id, task_hash, seed))
            if earlier is not None:
                result = Recorded(task_id=task_id, seed=seed, trajectory=earlier, reused=True)
            else:
                result = _record_one(prepared, seed, backend=backend)
                if result.trajectory is not None:
                    _append(partial, result.trajectory)
            results.append(result)
            if on_progress is not None:
                on_progress(result)
    made = [r.trajectory for r in results if r.trajectory is not None]
    others = [t for t in known.values() if t.task_id not in hashes or _is_other_seed(t, hashes, seeds)]
    if made or others:
        write_trajectories(out, [*others, *made])
        partial.unlink(missing_ok=True)
    return results


def _record_one(prepared: PreparedTask, seed: int, *, backend: str) -> Recorded:
    task_id = prepared.task.task_id
    for attempt in range(2):
        try:
            return Recorded(task_id=task_id, seed=seed, trajectory=record(prepared, seed=seed, backend=backend))
        except TaskError as error:
            return Recorded(task_id=task_id, seed=seed, trajectory=None, error=str(error))
        except InfrastructureError as error:
            if attempt:
                return Recorded(task_id=task_id, seed=seed, trajectory=None, error=str(error))
    raise AssertionError("unreachable")


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


def _existing(out: Path) -> list[Trajectory]:
    return read_trajectories(out) if out.exists() else []


def _journal(partial: Path) -> list[Trajectory]:
    """What an interrupted call had recorded; its last line may be cut in half, and is then recorded again."""
    trajectories = []
    if partial.exists():
        for number, line in enumerate(partial.read_bytes().split(b"\n"), start=1):
            with contextlib.suppress(TrajectoryError):
                trajectories.append(parse_trajectory(line, where=f"{partial}:{number}"))
    return trajectories


def _append(partial: Path, trajectory: Trajectory) -> None:
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        torn = partial.exists() and not partial.read_bytes().endswith(b"\n")
        with partial.open("ab") as journal:
            journal.write((b"\n" if torn else b"") + format_trajectory(trajectory))
    except OSError as error:
        raise StorageError(f"{partial}: cannot be written: {error.strerror or error}") from error
