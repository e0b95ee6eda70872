"""What `RepoEnv.reset` may be asked for, and `MathEnv.reset`."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from srl_swe.environments.actions import Action
from srl_swe.errors import ConfigError
from srl_swe.records import Step, Trajectory

_KEYS = ("task", "step", "trajectory")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResetOptions:
    """Options that were found to be right."""

    task_id: str | None
    """The task; ``None``: any."""
    steps: tuple[Step, ...]
    """The expert's steps before the opening state."""
    actions: tuple[str, ...] = ()
    """All of the expert's actions that can be run: those before the first ``submit``."""

    @property
    def runs(self) -> int:
        """How many of the actions lie before the opening state."""
        return sum(step.runnable for step in self.steps)


def read_options(options: Mapping[str, Any] | None, task_ids: Sequence[str]) -> ResetOptions:
    """Check the options of a reset.

    Args:
        options: ``task``: an id; ``trajectory``: a `Trajectory` (names its task where ``task`` is left out);
            ``step``: k, how many of the trajectory's actions lie before the opening state.
        task_ids: The tasks there are.

    Raises:
        ConfigError: An option is wrong; its key is named.
    """
    options = options or {}
    for key in options:
        if key not in _KEYS:
            raise ConfigError(f"options[{key!r}]: unknown; expected {', '.join(_KEYS)}")
    trajectory = options.get("trajectory")
    if trajectory is not None and not isinstance(trajectory, Trajectory):
        raise ConfigError(f"options['trajectory']: expected a Trajectory, not {type(trajectory).__name__}")
    task_id = read_task(options.get("task"), trajectory, task_ids)
    step = options.get("step")
    step = 0 if step is None else step
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        raise ConfigError(f"options['step']: expected a whole number from 0, not {step!r}")
    if step == 0:
        return ResetOptions(task_id=task_id, steps=())
    if trajectory is None:
        raise ConfigError(f"options['step']: step {step} needs options['trajectory'], whose actions lead there")
    steps = _read_steps(step, trajectory)
    return ResetOptions(task_id=task_id, steps=steps, actions=_runnable(trajectory))


def read_task(task_id: object, trajectory: Trajectory | None, task_ids: Sequence[str]) -> str | None:
    """Check which task is asked for, by its id or by its trajectory; ``None``: none is.

    Raises:
        ConfigError: there is no such task, or the two do not belong together; the option's key is named.
    """
    if task_id is None:
        if trajectory is None:
            return None
        task_id, key = trajectory.task_id, "trajectory"
    else:
        key = "task"
    if not isinstance(task_id, str):
        raise ConfigError(f"options['task']: expected a task id, not {task_id!r}")
    if task_id not in task_ids:
        close = difflib.get_close_matches(task_id, task_ids, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(f"options[{key!r}]: this environment has no task {task_id!r}{hint}")
    if trajectory is not None and trajectory.task_id != task_id:
        raise ConfigError(
            f"options['trajectory']: {trajectory.trajectory_id} belongs to {trajectory.task_id}, not to {task_id}"
        )
    return task_id


def _read_steps(step: int, trajectory: Trajectory) -> tuple[Step, ...]:
    if step > len(trajectory.steps):
        raise ConfigError(
            f"options['step']: {trajectory.trajectory_id} has {len(trajectory.steps)} steps, fewer than {step}"
        )
    steps = trajectory.steps[:step]
    if any(Action(command=before.action).kind == "submit" for before in steps):
        raise ConfigError(f"options['step']: {trajectory.trajectory_id} has submitted before step {step}")
    return steps


def _runnable(trajectory: Trajectory) -> tuple[str, ...]:
    actions = (step.action for step in trajectory.steps if step.runnable)
    return tuple(itertools.takewhile(lambda action: Action(command=action).kind != "submit", actions))
