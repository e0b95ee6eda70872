"""The student's own solved episodes as the trajectories of its next round, each new in what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import srl_swe
from srl_swe.environments.actions import SUBMIT
from srl_swe.errors import ConfigError
from srl_swe.experts.secrets import secrets_of
from srl_swe.records import Step, Trajectory

SOURCE = "student"
"""The ``source`` of trajectories made here."""
_SCRIPTED = ("gold", "expert", "nothing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """An episode that is no trajectory."""

    task_id: str
    """The task."""
    reason: str
    """Why."""


def trajectories_of_episodes(
    records: Iterable[Mapping[str, Any]],
    hashes: Mapping[str, str],
    *,
    round_number: int = 1,
    first: int = 0,
    where: str = "",
) -> tuple[list[Trajectory], list[Refused]]:
    """The episodes that were solved, as trajectories. Those of held-out tasks are refused, whatever became of them.

    Answers without an action are left out: they changed nothing.

    Args:
        records: Lines of an evaluation's ``transcripts.jsonl``.
        hashes: Content hash of each task when it was evaluated, from its ``meta.json``.
        round_number: Which round of self-improvement the trajectories are for.
        first: Number of the first record, to keep the ids of several evaluations apart.
        where: The file's name, for errors.

    Raises:
        ConfigError: a line is not an episode.
    """
    kept: list[Trajectory] = []
    refused: list[Refused] = []
    for number, record in enumerate(records, start=first):
        try:
            trajectory = _trajectory(record, hashes, round_number=round_number, number=number)
            reason = _why_not(record, trajectory)
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{where}: line {number - first + 1} is not an episode: {error}") from error
        if reason is None:
            kept.append(trajectory)
        else:
            refused.append(Refused(task_id=trajectory.task_id, reason=reason))
    return kept, refused


def _trajectory(record: Mapping[str, Any], hashes: Mapping[str, str], *, round_number: int, number: int) -> Trajectory:
    task_id, model = record["task_id"], record["policy"]
    steps = tuple(
        Step(thought=step["thought"], action=step["action"], observation=step["observation"])
        for step in record["transcript"]
        if step["action"] is not None
    )
    provenance = {
        "round": round_number,
        "malformed": record["malformed"],
        "package_version": srl_swe.__version__,
        "license": "that of the task's repository, whose source the observations quote",
    }
    if task_id in hashes:
        provenance["task_hash"] = hashes[task_id]
    return Trajectory(
        trajectory_id=f"{task_id}@{model}-round{round_number}-{number}",
        task_id=task_id,
        split=record["split"],
        problem_statement=record["problem"],
        steps=steps,
        source=SOURCE,
        model=model,
        resolved=record["solved"],
        provenance=provenance,
    )


def _why_not(record: Mapping[str, Any], trajectory: Trajectory) -> str | None:
    if trajectory.split != "train":
        return "held-out task"
    if trajectory.model in _SCRIPTED:
        return f"the policy {trajectory.model} is no student"
    if trajectory.resolved is None:
        return "not judged"
    if record["tampering"]:
        return "tampering"
    if not trajectory.resolved:
        return "not solved"
    if not trajectory.steps or trajectory.steps[-1].action.strip() != SUBMIT:
        return "not submitted"
    return "secret" if any(secrets_of(trajectory)) else None
