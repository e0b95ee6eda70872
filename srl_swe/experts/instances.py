"""Cut trajectories into step instances: what the student sees at step k, and the action that it should come close to.

The paper's form (arXiv 2510.25992, section 3): the problem and the last two action-observation pairs, without the
expert's thoughts; one instance for each step.
"""

from __future__ import annotations

from collections.abc import Iterable

from srl_swe.environments.prompts import OBSERVATION_CHARS, chat
from srl_swe.records import StepInstance, Trajectory


def step_instances(
    trajectory: Trajectory,
    *,
    history: int | None = 2,
    skip_first: bool = False,
    skip_mistakes: bool = True,
    observation_chars: int = OBSERVATION_CHARS,
) -> list[StepInstance]:
    """One instance for each step of a trajectory, in order.

    Args:
        trajectory: Where to cut.
        history: How many of the last action-observation pairs the student sees; ``None``: all of them.
        skip_first: Leave out step 0, as the paper does: N - 1 instances of N steps.
        skip_mistakes: Leave out the steps that the trajectory's provenance names as ``mistakes``: later ones mend them,
            and the student sees them before those, but is not to come close to them.
        observation_chars: Longest observation shown, with head and tail kept.
    """
    mistakes = trajectory.provenance.get("mistakes", []) if skip_mistakes else []
    return [
        StepInstance(
            instance_id=f"{trajectory.trajectory_id}#{k}",
            task_id=trajectory.task_id,
            split=trajectory.split,
            step=k,
            messages=chat(
                trajectory.problem_statement, trajectory.steps[:k], last=history, observation_chars=observation_chars
            ),
            expert_action=step.action,
            expert_thought=step.thought,
        )
        for k, step in enumerate(trajectory.steps)
        if not (skip_first and k == 0) and k not in mistakes
    ]


def all_step_instances(
    trajectories: Iterable[Trajectory],
    *,
    history: int | None = 2,
    skip_first: bool = False,
    observation_chars: int = OBSERVATION_CHARS,
) -> list[StepInstance]:
    """The instances of several trajectories, one after the other; see `step_instances`."""
    return [
        instance
        for trajectory in trajectories
        for instance in step_instances(
            trajectory, history=history, skip_first=skip_first, observation_chars=observation_chars
        )
    ]
