"""Cut trajectories into step instances: what the student sees at step k, and the action that it should come close to.

The paper's form (arXiv 2510.25992, section 3): the problem and the last two action-observation pairs, without the
expert's thoughts; one instance for each step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from srl_swe.environments.prompts import OBSERVATION_CHARS, chat
from srl_swe.records import Step, StepInstance, Trajectory


def step_instances(
    trajectory: Trajectory,
    *,
    history: int | None = 2,
    skip_first: bool = False,
    observation_chars: int = OBSERVATION_CHARS,
) -> list[StepInstance]:
    """One instance for each step of a trajectory whose action can run, in order.

    Args:
        trajectory: Where to cut.
        history: How many of the last action-observation pairs the student sees; ``None``: all of them.
        skip_first: Leave out step 0, as the paper does: N - 1 instances of N steps.
        observation_chars: Longest observation shown, with head and tail kept.
    """
    seen = [_as_seen(step) for step in trajectory.steps]
    return [
        StepInstance(
            instance_id=f"{trajectory.trajectory_id}#{k}",
            task_id=trajectory.task_id,
            split=trajectory.split,
            step=k,
            messages=chat(trajectory.problem_statement, seen[:k], last=history, observation_chars=observation_chars),
            expert_action=step.action,
            expert_thought=step.thought,
        )
        for k, step in enumerate(trajectory.steps)
        if step.runnable and not (skip_first and k == 0)
    ]


def _as_seen(step: Step) -> Step:
    """An action that cannot run is shown as the text it is, not as a command."""
    return step if step.runnable else replace(step, thought=step.action, action="")


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
