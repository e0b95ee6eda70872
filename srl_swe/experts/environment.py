"""``srl_swe/ExpertReplay-v0``: an expert's trajectory from a file, as an environment that gymnasium can make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_swe.environments.expert_replay import ExpertReplay
from srl_swe.environments.mathematics import MathEnv
from srl_swe.environments.repo import RepoEnv
from srl_swe.errors import ConfigError
from srl_swe.experts.trajectories import read_trajectories, runnable_part
from srl_swe.records import Trajectory


def make_expert_replay(
    suites: str | Sequence[str],
    trajectories: str | Path,
    trajectory: int | str = 0,
    *,
    autojunk: bool = False,
    require_thought: bool = True,
    **options: Any,
) -> ExpertReplay:
    """Make the environment of an expert's task, wrapped in `ExpertReplay`. Every argument can be written as JSON.

    Args:
        suites: Suite folders that hold the task.
        trajectories: A file of trajectories, one JSON object a line.
        trajectory: Which of them: its place in the file, from 0 (below 0: from the end), or its ``trajectory_id``.
        autojunk: See `ExpertReplay`.
        require_thought: See `ExpertReplay`.
        options: Arguments of `RepoEnv` or, where the trajectory is a solution, of `MathEnv`, but ``task`` and
            ``tasks``; by default ``max_steps`` leaves room for the whole trajectory.

    Raises:
        ConfigError: An option is wrong, or there is no such trajectory.
        TaskError: A suite is wrong, or has no such task.
        TrajectoryError: The file cannot be read, or a line is wrong.
    """
    for name in {"task", "tasks"} & options.keys():
        raise ConfigError(f"{name}: the trajectory names its task")
    chosen = runnable_part(_choose(read_trajectories(trajectories), trajectory, where=str(trajectories)))
    environment: RepoEnv | MathEnv
    if chosen.domain == "mathematics":
        environment = MathEnv(suites, task=chosen.task_id, **options)
    else:
        options.setdefault("max_steps", len(chosen.steps) + 1)
        environment = RepoEnv(suites, task=chosen.task_id, **options)
    return ExpertReplay(environment, chosen, autojunk=autojunk, require_thought=require_thought)


def _choose(trajectories: Sequence[Trajectory], wanted: int | str, *, where: str) -> Trajectory:
    if isinstance(wanted, str):
        for trajectory in trajectories:
            if trajectory.trajectory_id == wanted:
                return trajectory
        raise ConfigError(f"trajectory: {where} holds no {wanted!r}")
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise ConfigError(f"trajectory: expected a number or a trajectory_id, not {wanted!r}")
    if not -len(trajectories) <= wanted < len(trajectories):
        raise ConfigError(f"trajectory: {where} holds {len(trajectories)}, there is no number {wanted}")
    return trajectories[wanted]
