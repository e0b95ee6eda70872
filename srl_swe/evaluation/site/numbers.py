"""Evaluations as numbers: an arm in each row, all its seeds together, every number with its 95% interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from srl_swe.evaluation.site.charts import minus
from srl_swe.evaluation.site.runs import PHASES, EpisodeLine, Evaluation
from srl_swe.evaluation.statistics import NO_DATA, Interval, bootstrap_mean, mean_rate
from srl_swe.evaluation.steps import StepSummary, compare_steps, summarise_steps


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmNumbers:
    """One arm's evaluations, summed up."""

    name: str
    """The arm."""
    meaning: str
    """What it is, where its name tells."""
    seeds: int
    """Evaluations in it."""
    policy: str
    """Who acted."""
    rate: Interval
    """Solve rate."""
    solved: int
    """Episodes solved."""
    judged: int
    """Episodes that could be judged."""
    lost: int
    """Episodes that could not."""
    steps: StepSummary | None
    """Step similarity and what goes with it."""
    endings: Counter[str]
    """Episodes by how they ended."""
    answers: Interval
    """Answers an episode."""
    tokens: Interval
    """Tokens written in an episode; no data where nobody counted them."""
    records: tuple[dict[str, Any], ...]
    """The lines of ``steps.jsonl``."""
    episodes: tuple[EpisodeLine, ...]
    """The lines of ``results.jsonl``."""
    members: tuple[ArmNumbers, ...] = ()
    """Each seed by itself, where there are several."""


def arm_numbers(evaluations: Sequence[Evaluation]) -> list[ArmNumbers]:
    """A row an arm, in the order of its first evaluation."""
    arms: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        arms.setdefault(evaluation.arm, []).append(evaluation)
    return [_numbers(name, found) for name, found in arms.items()]


def solve_rate(episodes: Iterable[EpisodeLine]) -> Interval:
    """Solved of those that could be judged.

    Drawn episodes count where there are any, else the greedy ones. One a task: Wilson's interval; several: the mean
    over tasks, with a bootstrap of whole tasks. Where all tasks are at 0, or all at 1, a bootstrap would claim to know
    that exactly: there it is Wilson's, of the tasks.
    """
    judged = [e for e in episodes if e.solved is not None]
    judged = [e for e in judged if not e.greedy] or judged
    tasks: dict[str, list[float]] = {}
    for episode in judged:
        tasks.setdefault(episode.task_id, []).append(float(bool(episode.solved)))
    means = {task: sum(values) / len(values) for task, values in tasks.items()}
    return mean_rate(list(means.values()))


def repository_rows(arms: Sequence[ArmNumbers]) -> list[dict[str, Any]]:
    """A row a repository: solve rate and step similarity of every arm."""
    homes = {e.task_id: e.repository for arm in arms for e in arm.episodes}
    for arm in arms:
        for record in arm.records:  # without an episode the repository is not known: the task stands for it
            homes.setdefault(record["task_id"], record["task_id"])
    rows = []
    for repository in sorted(set(homes.values())):
        cells = []
        for arm in arms:
            judged = [e for e in arm.episodes if e.repository == repository and e.solved is not None]
            steps = [r for r in arm.records if homes[r["task_id"]] == repository]
            similarity = summarise_steps(steps).similarity if steps else NO_DATA
            solved = sum(bool(e.solved) for e in judged)
            cells.append({"rate": solve_rate(judged), "solved": solved, "of": len(judged), "similarity": similarity})
        rows.append({"repository": repository, "cells": cells})
    return rows


def findings(arms: Sequence[ArmNumbers]) -> list[str]:
    """What the numbers do and do not show, in sentences, for arms that were measured on the same steps or tasks.

    Each phase of a run is compared with the one before it; other arms with the first.
    """
    in_phases = all(arm.name.rpartition("/")[2] in PHASES for arm in arms)
    found = []
    for place, later in enumerate(arms):
        earlier = list(reversed(arms[:place])) if in_phases else arms[:place]
        pairs = ((arm, compare_steps(arm.records, later.records)) for arm in earlier)
        if pair := next(((arm, change) for arm, change in pairs if change), None):
            found.append(_steps_sentence(pair[0], later, pair[1]))
        tasks = {e.task_id for e in later.episodes}
        alike = (arm for arm in earlier if tasks and {e.task_id for e in arm.episodes} == tasks)
        if (base := next(alike, None)) and base.rate and later.rate:
            apart = "" if later.rate.is_disjoint(base.rate) else " The intervals overlap: no difference is shown."
            counts = [f"{arm.solved} of {arm.judged}" for arm in (base, later)]
            found.append(f"{base.name} to {later.name}: solved {counts[0]} → {counts[1]}.{apart}")
    return found


def _steps_sentence(earlier: ArmNumbers, later: ArmNumbers, change: Interval) -> str:
    assert earlier.steps is not None
    assert later.steps is not None
    was, now = earlier.steps.similarity, later.steps.similarity
    apart = "are disjoint" if now.is_disjoint(was) else "overlap"
    return (
        f"{earlier.name} to {later.name}: step similarity {was.value:.3f} → {now.value:.3f},"
        f" paired change {_signed(change)}; the two 95% intervals {apart}. {_reading(change)}"
    )


def gaps(evaluations: Sequence[Evaluation], *, trained: bool) -> list[str]:
    """What is not there, or not finished."""
    missing = [] if trained else ["No metrics.jsonl: nothing was trained here, so there are no curves."]
    if not evaluations:
        missing.append("No evaluation: there is neither results.jsonl nor steps.jsonl.")
    for evaluation in evaluations:
        name = f"“{evaluation.label}”"
        if not evaluation.episodes:
            missing.append(f"{name} has no episodes, so no solve rate.")
        if not evaluation.steps:
            missing.append(f"{name} has no step evaluation.")
        episodes = evaluation.meta.get("episodes")
        tasks = episodes.get("tasks", ()) if isinstance(episodes, dict) else ()
        done = len({e.task_id for e in evaluation.episodes})
        if evaluation.episodes and isinstance(tasks, dict) and len(tasks) > done:
            missing.append(f"{name} is not finished: {done} of {len(tasks)} tasks.")
        if lost := sum(e.solved is None for e in evaluation.episodes):
            missing.append(f"{name}: failed for no fault of the policy, and in no rate: {lost} episodes.")
    return missing


def _numbers(name: str, found: Sequence[Evaluation]) -> ArmNumbers:
    episodes = tuple(e for evaluation in found for e in evaluation.episodes)
    records = tuple(r for evaluation in found for r in evaluation.steps)
    judged = [e for e in episodes if e.solved is not None]
    counted = [e for e in judged if e.tokens is not None]
    members = tuple(_numbers(e.label, [e]) for e in found) if len(found) > 1 else ()
    models = [str(e.meta.get("steps", {}).get("model", "")) for e in found if isinstance(e.meta.get("steps"), dict)]
    return ArmNumbers(
        name=name,
        meaning=found[0].meaning if found[0].arm == name else "",
        seeds=len(found),
        policy=", ".join(dict.fromkeys([e.policy for e in episodes if e.policy] or [m for m in models if m])),
        rate=solve_rate(episodes),
        solved=sum(bool(e.solved) for e in judged),
        judged=len(judged),
        lost=len(episodes) - len(judged),
        steps=summarise_steps(records) if records else None,
        endings=Counter(e.ending for e in episodes),
        answers=bootstrap_mean([float(e.steps) for e in judged], [e.task_id for e in judged]),
        tokens=bootstrap_mean([float(e.tokens or 0) for e in counted], [e.task_id for e in counted]),
        records=records,
        episodes=episodes,
        members=members,
    )


def _reading(change: Interval) -> str:
    if not math.isfinite(change.low):
        return "One task only: nothing can be said about others."
    if change.low > 0:
        return "The change's interval is above zero."
    return (
        "The change's interval is below zero."
        if change.high < 0
        else "The change may be chance: its interval holds zero."
    )


def _signed(interval: Interval) -> str:
    if not math.isfinite(interval.low):
        return minus(f"{interval.value:+.3f}")
    return minus(f"{interval.value:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]")
