"""Episodes that start late on an expert's way, and ever earlier as they are solved (arXiv 1707.05300)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from srl_swe.environments.actions import SUBMIT
from srl_swe.errors import ConfigError
from srl_swe.records import Trajectory

MOVE_AT = 0.5
"""Solve rate of a group from which on the next one of its task starts a step earlier."""


class ReverseCurriculum:
    """Where the next episodes of each task start: late on an expert's way.

    Args:
        trajectories: The experts' ways; of several to one task the shortest is taken. Tasks without one start at
            their beginning.
        left: How many of an expert's last steps are left to do at first.

    Raises:
        ConfigError: none of them can be followed: it was not solved, or an action of it cannot run.
    """

    def __init__(self, trajectories: Sequence[Trajectory], *, left: int = 1) -> None:
        self._ways: dict[str, Trajectory] = {}
        for trajectory in sorted(filter(_can_be_followed, trajectories), key=lambda t: len(t.steps)):
            self._ways.setdefault(trajectory.task_id, trajectory)
        if not self._ways:
            raise ConfigError(f"reverse_curriculum: none of {len(trajectories)} trajectories is solved and can be run")
        self._left = {task: min(left, len(way.steps)) for task, way in self._ways.items()}

    def start(self, task_id: str) -> dict[str, Any]:
        """The options of a reset: the expert's way, and how many of its steps are behind."""
        if (way := self._ways.get(task_id)) is None or (step := len(way.steps) - self._left[task_id]) == 0:
            return {}
        return {"trajectory": way, "step": step}

    def record(self, task_id: str, options: dict[str, Any], solve_rate: float) -> None:
        """Take note of a group that started with ``options``; one from an earlier place than now moves nothing."""
        if task_id in self._ways and options == self.start(task_id) and solve_rate >= MOVE_AT:
            self._left[task_id] = min(self._left[task_id] + 1, len(self._ways[task_id].steps))

    @property
    def metrics(self) -> dict[str, float]:
        """How much of the experts' ways is left to the student: the mean over tasks, and tasks at their beginning."""
        parts = [self._left[task] / len(way.steps) for task, way in self._ways.items()]
        return {
            "curriculum_left": sum(parts) / len(parts),
            "curriculum_whole": sum(part == 1 for part in parts) / len(parts),
        }

    def state_dict(self) -> dict[str, int]:
        """Steps left to the student, by task."""
        return dict(self._left)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from `state_dict`."""
        self._left |= {task: left for task, left in state.items() if task in self._ways}


def _can_be_followed(trajectory: Trajectory) -> bool:
    """Whether it is solved, every step can run, and none but the last submits."""
    steps = trajectory.steps
    submits = any(step.action.strip() == SUBMIT for step in steps[:-1])
    return trajectory.resolved is True and bool(steps) and all(step.runnable for step in steps) and not submits
