"""Run a trajectory again, step by step, and see whether the world still answers as it did when it was recorded."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from srl_swe.environments.actions import NO_THOUGHT, format_action, format_answer
from srl_swe.errors import TrajectoryError
from srl_swe.experts.oracle import open_environment, verdict_of
from srl_swe.records import Ending, PreparedTask, Step, Trajectory
from srl_swe.rewards.similarity import similarity

_VARYING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b\d+(?:\.\d+)?\s?(?:seconds|s|ms|us)\b(?: \(\d+:\d\d:\d\d\))?"), "<duration>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z| ?[+-]\d\d:?\d\d)?)?"), "<date>"),
    (
        re.compile(
            r"\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2}"
            r"(?: \d\d:\d\d(?::\d\d)?)?(?: +\d{4})?\b"
        ),
        "<date>",
    ),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<address>"),
    (re.compile(r"/tmp/[\w.+-]+(?:/pytest-\d+)?"), "<temporary>"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "<commit>"),
)


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

    @property
    def drifted(self) -> tuple[int, ...]:
        """The steps whose observations drifted."""
        return tuple(step.step for step in self.steps if step.drift)


def replay(trajectory: Trajectory, prepared: PreparedTask, *, backend: str = "docker") -> ReplayReport:
    """Run every action of a trajectory in a new sandbox and compare the observations; what cannot run is passed over.

    Raises:
        TrajectoryError: the trajectory belongs to another task.
        InfrastructureError: the sandbox or the grading failed.
    """
    if trajectory.task_id != prepared.task.task_id:
        raise TrajectoryError(
            f"{trajectory.trajectory_id}: belongs to the task {trajectory.task_id}, not to {prepared.task.task_id}"
        )
    steps: list[ReplayedStep] = []
    runnable = [(k, step) for k, step in enumerate(trajectory.steps) if step.runnable]
    ending: Ending | None = None
    resolved: bool | None = None
    environment = open_environment(prepared, max_steps=len(trajectory.steps) + 1, backend=backend)
    try:
        environment.reset()
        for k, step in runnable:
            observed, _, terminated, truncated, info = environment.step(_answer(step))
            ratio, drift = compare(step.observation, observed)
            steps.append(
                ReplayedStep(
                    step=k,
                    action=step.action,
                    recorded=step.observation,
                    observed=observed,
                    ratio=ratio,
                    drift=drift,
                )
            )
            if terminated or truncated:
                ending, resolved = info["ending"], verdict_of(info, prepared).solved
                break
    finally:
        environment.close()
    recorded_hash = trajectory.provenance.get("task_hash")
    return ReplayReport(
        trajectory_id=trajectory.trajectory_id,
        task_id=trajectory.task_id,
        steps=tuple(steps),
        skipped=len(runnable) - len(steps),
        ending=ending,
        resolved=resolved,
        stale=recorded_hash is not None and recorded_hash != prepared.task.content_hash,
    )


def _answer(step: Step) -> str:
    """The step as an answer that the environment takes, with a thought or without."""
    return (
        format_answer(step.thought, step.action)
        if step.thought.strip()
        else f"{NO_THOUGHT}\n{format_action(step.action)}"
    )


def mark(trajectory: Trajectory, report: ReplayReport) -> Trajectory:
    """The trajectory with ``resolved`` as the replay found it."""
    return replace(trajectory, resolved=report.resolved)


def compare(recorded: str, observed: str) -> tuple[float, bool]:
    """(similarity of two observations, whether they drifted apart).

    Durations, dates, addresses, temporary names and commit ids may vary, and so may the order of lines: the order in
    which ``grep -r`` visits files is the file system's.
    """
    before, after = normalise(recorded), normalise(observed)
    if before == after or sorted(before.splitlines()) == sorted(after.splitlines()):
        return 1.0, False
    return similarity(before, after), True


def normalise(observation: str) -> str:
    """The observation with what legitimately varies from run to run replaced by placeholders."""
    for pattern, placeholder in _VARYING:
        observation = pattern.sub(placeholder, observation)
    return "\n".join(line.rstrip() for line in observation.splitlines())
