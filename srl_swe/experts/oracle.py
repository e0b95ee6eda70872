"""The oracle expert: turns a gold patch into a natural trajectory by really running it in the task's container."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import srl_swe
from srl_swe.environments.actions import format_answer
from srl_swe.environments.repo import RepoEnv
from srl_swe.errors import InfrastructureError
from srl_swe.experts.plans import PlannedStep, make_plan
from srl_swe.experts.side_by_side import SideBySide
from srl_swe.experts.thoughts import thought_for
from srl_swe.records import PreparedTask, Step, Task, Trajectory, Verdict
from srl_swe.sandbox import open_sandbox

SOURCE = "oracle"
"""The ``source`` of trajectories made here."""


def record(
    prepared: PreparedTask, *, seed: int = 0, backend: str = "docker", side: SideBySide | None = None
) -> Trajectory:
    """Record one trajectory: plan it from the gold patch, run it action by action, keep what came back.

    The plan and its wording depend on the task's content and the seed alone. ``resolved`` is the hidden tests' verdict
    on the state that the actions led to, not a promise of the plan.

    Args:
        prepared: The task, its image built.
        seed: Decides between ways of doing and saying the same thing.
        backend: Sandbox backend.
        side: The work that this is a part of, for an interruption; by default nothing else.

    Raises:
        TaskError: the gold patch cannot be made by text edits.
        InfrastructureError: the sandbox or the grading failed.
    """
    task_hash = prepared.task.content_hash
    rng = random.Random(f"{task_hash}:{seed}")
    side = side or SideBySide()
    with open_sandbox(prepared.image, backend=backend) as sandbox, side.holding(sandbox):
        plan = make_plan(prepared, sandbox, rng)
    environment = open_environment(prepared, max_steps=len(plan) + 1, backend=backend)
    with side.holding(environment):
        steps, verdict = _run(prepared, plan, rng, environment)
    return Trajectory(
        trajectory_id=f"{prepared.task.task_id}@{SOURCE}-{seed}",
        task_id=prepared.task.task_id,
        split=prepared.task.split,
        problem_statement=prepared.task.problem_statement,
        steps=tuple(steps),
        source=SOURCE,
        resolved=verdict.solved,
        provenance={
            "task_hash": task_hash,
            "seed": seed,
            "mistakes": [k for k, planned in enumerate(plan) if planned.kind == "slip"],
            "package_version": srl_swe.__version__,
            "license": license_of(prepared.task),
        },
    )


def open_environment(prepared: PreparedTask, *, max_steps: int, backend: str = "docker") -> RepoEnv:
    """The environment of one task, not yet reset."""
    return RepoEnv(tasks=[prepared], max_steps=max_steps, backend=backend)


def _run(
    prepared: PreparedTask, plan: list[PlannedStep], rng: random.Random, environment: RepoEnv
) -> tuple[list[Step], Verdict]:
    steps: list[Step] = []
    seen = ""
    try:
        environment.reset()
        for planned in plan:
            thought = thought_for(planned, seen, rng)
            seen, _, terminated, truncated, info = environment.step(format_answer(thought, planned.command))
            steps.append(Step(thought=thought, action=planned.command, observation=seen))
            if terminated or truncated:
                break
    finally:
        environment.close()
    return steps, verdict_of(info, prepared)


def verdict_of(info: Mapping[str, Any], prepared: PreparedTask) -> Verdict:
    """The verdict at the end of an episode.

    Raises:
        InfrastructureError: there is none, because the sandbox or the grading failed.
    """
    verdict = info.get("verdict")
    if not isinstance(verdict, Verdict):
        reason = info.get("error") or info.get("ending")
        raise InfrastructureError(f"{prepared.task.task_id}: the episode ended ungraded: {reason}")
    if verdict.solved is None:
        raise InfrastructureError(f"{prepared.task.task_id}: could not be graded: {verdict.infrastructure}")
    return verdict


def license_of(task: Task) -> str:
    """Under which terms the task's source, which observations quote, may be passed on."""
    if task.source.kind == "folder":
        return "that of the suite the repository belongs to"
    return "that of the repository, whose source the observations quote; not to be redistributed with this package"
