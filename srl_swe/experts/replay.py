"""Run a trajectory again, step by step, and see whether the world still answers as it did when it was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from srl_swe.environments.actions import NO_THOUGHT, format_action
from srl_swe.environments.lasting_states import LastingStates
from srl_swe.environments.repo import RepoEnv
from srl_swe.errors import TrajectoryError
from srl_swe.experts.observations import compare
from srl_swe.experts.oracle import open_environment, verdict_of
from srl_swe.records import Ending, PreparedTask, Step, Trajectory


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayedStep:
    """One step, as recorded and as it went this time."""

    step: int
    """Counted from 0."""
    action: str
    """The action that was run."""
    recorded: str
    """The observation in the trajectory."""
    observed: str
    """The observation this time."""
    ratio: float
    """Similarity of the two, after normalising what may vary: 1.0 where nothing else differs."""
    drift: bool
    """Whether they differ in anything but what may vary."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayReport:
    """How a replay went."""

    trajectory_id: str
    """The trajectory."""
    task_id: str
    """The task."""
    steps: tuple[ReplayedStep, ...]
    """The steps that were run; fewer than recorded where the episode ended early."""
    skipped: int
    """Steps after the episode had ended."""
    ending: Ending | None
    """How the episode ended; ``None``: the trajectory stopped without a submission."""
    resolved: bool | None
    """Whether the end was graded as solved; ``None``: never submitted."""
    stale: bool
    """Whether the task's content has changed since the recording."""
    tampering: tuple[str, ...] = ()
    """What grading found to be forged, missing or surplus."""

    @property
    def drifted(self) -> tuple[int, ...]:
        """The steps whose observations drifted."""
        return tuple(step.step for step in self.steps if step.drift)


def replay(
    trajectory: Trajectory,
    prepared: PreparedTask,
    *,
    backend: str = "docker",
    environment: RepoEnv | None = None,
    lasting: LastingStates | None = None,
) -> ReplayReport:
    """Run every action of a trajectory in a new sandbox and compare the observations; what cannot run is passed over.

    Args:
        trajectory: What to run.
        prepared: Its task.
        backend: Sandbox backend.
        environment: The task's, for a caller that may have to close it meanwhile; made here by default.
        lasting: Where the state after each action is kept for later processes; ``None``: it is not.

    Raises:
        TrajectoryError: the trajectory belongs to another task.
        InfrastructureError: the sandbox or the grading failed.
    """
    if trajectory.task_id != prepared.task.task_id:
        raise TrajectoryError(
            f"{trajectory.trajectory_id}: belongs to the task {trajectory.task_id}, not to {prepared.task.task_id}"
        )
    runnable = [(k, step) for k, step in enumerate(trajectory.steps) if step.runnable]
    if environment is None:
        environment = open_environment(prepared, max_steps=len(trajectory.steps) + 1, backend=backend)
    try:
        environment.reset()
        steps, info = _run(runnable, environment, lasting)
    finally:
        environment.close()
    ending: Ending | None = info.get("ending")
    verdict = verdict_of(info, prepared) if ending is not None else None
    recorded_hash = trajectory.provenance.get("task_hash")
    return ReplayReport(
        trajectory_id=trajectory.trajectory_id,
        task_id=trajectory.task_id,
        steps=tuple(steps),
        skipped=len(runnable) - len(steps),
        ending=ending,
        resolved=None if verdict is None else verdict.solved,
        stale=recorded_hash is not None and recorded_hash != prepared.task.content_hash,
        tampering=() if verdict is None else verdict.tampering,
    )


def _run(
    runnable: Sequence[tuple[int, Step]], environment: RepoEnv, lasting: LastingStates | None
) -> tuple[list[ReplayedStep], dict[str, Any]]:
    """Run the actions until the episode ends; what came back of each, and what was said at last."""
    steps: list[ReplayedStep] = []
    info: dict[str, Any] = {}
    for k, step in runnable:
        observed, _, terminated, truncated, info = environment.step(f"{NO_THOUGHT}\n{format_action(step.action)}")
        ratio, drift = compare(step.observation, observed)
        steps.append(
            ReplayedStep(
                step=k, action=step.action, recorded=step.observation, observed=observed, ratio=ratio, drift=drift
            )
        )
        if terminated or truncated:
            break
        if lasting is not None:
            environment.keep_state(lasting)
    return steps, info


def mark(trajectory: Trajectory, report: ReplayReport) -> Trajectory:
    """The trajectory with ``resolved`` as the replay found it."""
    return replace(trajectory, resolved=report.resolved)
