"""How hard each step is, from a pilot's rewards, and which steps are worth training on.

A step whose answers all earn the same reward has no advantage to learn from: what tells is the spread.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError
from srl_swe.records import StepInstance


@dataclass(frozen=True, kw_only=True, slots=True)
class Difficulty:
    """What a pilot says about one step instance."""

    mean: float
    """Mean reward of its answers."""
    std: float
    """Population standard deviation of its rewards, as in the objective's filter."""
    answers: int
    """How many there were."""


def read_pilot(path: Path | str) -> dict[str, Difficulty]:
    """Difficulty by instance id, from lines with ``rewards``, or with ``samples`` as a step evaluation writes them.

    Raises:
        ConfigError: the file cannot be read or is empty, a line is wrong, or an instance occurs twice.
    """
    found: dict[str, Difficulty] = {}
    try:
        with Path(path).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    name, rewards = _parse(line, where=f"{path}:{number}")
                    if name in found:
                        raise ConfigError(f"{path}:{number}: instance_id: {name!r} occurs twice")
                    std = statistics.pstdev(rewards)
                    found[name] = Difficulty(mean=statistics.fmean(rewards), std=std, answers=len(rewards))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not found:
        raise ConfigError(f"{path}: holds no pilot results (the file is empty)")
    return found


def select_informative(
    instances: Iterable[StepInstance],
    pilot: dict[str, Difficulty],
    *,
    epsilon: float = 0.05,
    mean_at_least: float = -math.inf,
    mean_at_most: float = math.inf,
    top: int | None = None,
    per_task: int | None = None,
) -> tuple[list[StepInstance], dict[str, int]]:
    """The steps worth training on, in their own order, and how many were dropped for which reason.

    Args:
        instances: Where to choose from.
        pilot: See `read_pilot`.
        epsilon: Keep a step if the standard deviation of its rewards exceeds this.
        mean_at_least: Least mean reward.
        mean_at_most: Greatest mean reward.
        top: Keep this many at most, those with the greatest spread; equal ones by instance id.
        per_task: Keep this many of each task at most, chosen likewise, before ``top`` is.

    Raises:
        ConfigError: a bound is out of range.
    """
    if not epsilon >= 0:
        raise ConfigError(f"epsilon: expected 0 or more, got {epsilon}")
    if not mean_at_least <= mean_at_most:
        raise ConfigError(f"mean rewards: expected a range, got {mean_at_least} to {mean_at_most}")
    for name, value in (("top", top), ("per_task", per_task)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}: expected a positive number, got {value}")
    dropped: Counter[str] = Counter()
    kept: list[tuple[int, StepInstance]] = []
    for place, instance in enumerate(instances):
        known = pilot.get(instance.instance_id)
        if known is None:
            dropped["not in the pilot"] += 1
        elif not known.std > epsilon:
            dropped["too little spread"] += 1
        elif not mean_at_least <= known.mean <= mean_at_most:
            dropped["mean out of bounds"] += 1
        else:
            kept.append((place, instance))
    kept.sort(key=lambda item: (-pilot[item[1].instance_id].std, item[1].instance_id))
    of_task: Counter[str] = Counter()
    chosen: list[tuple[int, StepInstance]] = []
    for place, instance in kept:
        if per_task is not None and of_task[instance.task_id] == per_task:
            dropped["over the task's cap"] += 1
        elif top is not None and len(chosen) == top:
            dropped["not among the top"] += 1
        else:
            of_task[instance.task_id] += 1
            chosen.append((place, instance))
    return [instance for _, instance in sorted(chosen, key=lambda item: item[0])], dict(dropped)


def _parse(line: bytes, *, where: str) -> tuple[str, list[float]]:
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("instance_id"), str):
        raise ConfigError(f"{where}: instance_id: expected an object with this string")
    rewards = record.get("rewards")
    if rewards is None and isinstance(record.get("samples"), list):
        rewards = [sample.get("reward") if isinstance(sample, dict) else None for sample in record["samples"]]
    if not isinstance(rewards, list) or not rewards or not all(map(_is_reward, rewards)):
        raise ConfigError(f"{where}: rewards (or each sample's reward): expected a non-empty list of finite numbers")
    return record["instance_id"], rewards


def _is_reward(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
