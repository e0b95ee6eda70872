"""How alike trajectories are by what was done in them: to choose between attempts, and to keep a set of them varied."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from srl_swe.records import Step, Trajectory
from srl_swe.rewards.similarity import similarity

_MOST_CHARS = 8000  # an action of many thousand characters would cost seconds to compare, and say no more


def action_similarity(first: Sequence[Step], second: Sequence[Step]) -> float:
    """Similarity of two sequences of actions, from 0 to 1; thoughts and observations are left out."""
    return similarity(_text(first), _text(second))


def agreement(steps: Sequence[Step], others: Iterable[Sequence[Step]]) -> float | None:
    """Mean similarity to the other attempts that solved the same task; ``None``: there is no other."""
    return _mean(action_similarity(steps, other) for other in others)


def mean_similarity(trajectories: Sequence[Trajectory]) -> float | None:
    """Mean similarity of the action sequences of every two trajectories; ``None``: fewer than two."""
    return _mean(action_similarity(a.steps, b.steps) for a, b in itertools.combinations(trajectories, 2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """A trajectory that is not kept."""

    trajectory: Trajectory
    """Which."""
    reason: str
    """Why."""


def diverse(
    trajectories: Iterable[Trajectory],
    *,
    threshold: float = 0.9,
    per_task: int = 2,
    earlier: Iterable[Trajectory] = (),
) -> tuple[list[Trajectory], list[Dropped]]:
    """Keep those that say something new, the shortest of a task first.

    Args:
        trajectories: The candidates.
        threshold: One that is at least as similar as this to one that is kept, of the same task, is dropped.
        per_task: Most that are kept for a task, the earlier ones included.
        earlier: What is had already.

    Returns:
        What is kept, in the order of the tasks' first appearance, and what is not.
    """
    by_task: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        by_task.setdefault(trajectory.task_id, []).append(trajectory)
    known: dict[str, list[Trajectory]] = {}
    for trajectory in earlier:
        known.setdefault(trajectory.task_id, []).append(trajectory)
    kept: list[Trajectory] = []
    dropped: list[Dropped] = []
    for task_id, candidates in by_task.items():
        had = known.get(task_id, [])
        for candidate in sorted(candidates, key=lambda t: len(t.steps)):
            reason = _why_not(candidate, had, threshold=threshold, per_task=per_task)
            if reason is None:
                had.append(candidate)
                kept.append(candidate)
            else:
                dropped.append(Dropped(trajectory=candidate, reason=reason))
    return kept, dropped


def _why_not(candidate: Trajectory, had: Sequence[Trajectory], *, threshold: float, per_task: int) -> str | None:
    if len(had) >= per_task:
        return f"the task has {len(had)} already"
    for other in had:
        if (ratio := action_similarity(candidate.steps, other.steps)) >= threshold:
            return f"near duplicate of {other.trajectory_id} (similarity {ratio:.2f})"
    return None


def _text(steps: Sequence[Step]) -> str:
    return "\n".join(step.action.strip() for step in steps)[:_MOST_CHARS]


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return statistics.fmean(listed) if listed else None
