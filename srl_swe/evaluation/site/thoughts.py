"""How much is thought, what kind of thing, by evaluation and over training; what answers cost against the base."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from srl_swe.evaluation.site.charts import Series
from srl_swe.evaluation.site.curves import Curve, arm_series
from srl_swe.evaluation.site.markers import KINDS, Thinking, ThoughtTally
from srl_swe.evaluation.site.numbers import ArmNumbers
from srl_swe.evaluation.site.rollout_entries import RolloutNumbers, UpdateNumbers
from srl_swe.evaluation.site.runs import Training
from srl_swe.evaluation.statistics import NO_DATA, Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class ThoughtRow:
    """An arm's thoughts in answers of one kind."""

    arm: str
    """The arm."""
    where: str
    """In which answers: to single steps, or in episodes."""
    thinking: Thinking
    """Their numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UseRow:
    """What an arm's answers cost, against the first arm that was measured in the same way."""

    arm: str
    """The arm."""
    what: str
    """What is counted."""
    value: Interval
    """How many."""
    ratio: float
    """By the base's; not-a-number where the base has none."""


def thought_rows(tallies: Mapping[str, Mapping[str, ThoughtTally]], arms: Sequence[str]) -> list[ThoughtRow]:
    """A row for each kind of answers and arm that has some.

    Args:
        tallies: By kind of answers, and arm.
        arms: Their order.
    """
    return [
        ThoughtRow(arm=arm, where=where, thinking=by_arm[arm].summary())
        for where, by_arm in tallies.items()
        for arm in arms
        if arm in by_arm
    ]


def use_rows(arms: Sequence[ArmNumbers], thoughts: Sequence[ThoughtRow]) -> list[UseRow]:
    """Tokens an episode where they are counted, and characters an answer."""
    found = [(arm.name, "tokens an episode", arm.tokens) for arm in arms]
    found += [(row.arm, f"characters an answer, {row.where}", row.thinking.length) for row in thoughts]
    bases: dict[str, float] = {}
    rows = []
    for name, what, value in found:
        if value:
            base = bases.setdefault(what, value.value)
            rows.append(UseRow(arm=name, what=what, value=value, ratio=value.value / base if base else math.nan))
    return sorted(rows, key=lambda row: list(bases).index(row.what))


def thought_curves(trainings: Sequence[Training], colours: Mapping[str, int], rollouts: RolloutNumbers) -> list[Curve]:
    """Over the updates: words of a thought, phrases of each kind in it, tokens of an answer by the first update's."""

    def of(value: Callable[[UpdateNumbers, UpdateNumbers], Interval]) -> tuple[Series, ...]:
        def points(training: Training) -> Iterator[tuple[int, Interval]]:
            updates = rollouts.updates.get(training.label, {})
            for update, numbers in updates.items():
                if interval := value(numbers, next(iter(updates.values()))):
                    yield update, interval

        return arm_series(trainings, colours, points)

    curves = [Curve(title="Words of a thought", series=of(lambda n, _: n.thinking.words))]
    for kind in KINDS:
        series = of(lambda n, _, kind=kind: n.thinking.markers[kind])  # type: ignore[misc]
        curves.append(Curve(title=f"Phrases of {kind}, an answer", series=series))
    curves.append(Curve(title="Tokens of an answer, by the first update's", series=of(_by_first)))
    return [curve for curve in curves if curve.series]


def _by_first(numbers: UpdateNumbers, first: UpdateNumbers) -> Interval:
    """Tokens an answer, as a multiple of the first update's: what the model that training began with wrote."""
    base = first.tokens.value
    return Interval(*(end / base for end in numbers.tokens)) if base > 0 else NO_DATA
