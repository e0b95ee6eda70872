"""What the arms came to: a mean with its interval for each arm and quantity, what it cost, and the claims compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from srl_swe.errors import ConfigError
from srl_swe.evaluation.statistics import Interval, paired_difference, wilson
from srl_swe.experiments.measures import Measured
from srl_swe.experiments.plan import Claim

RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one arm used up, in the mean over seeds; the stages that it shares with other arms count fully."""

    updates: float
    """Optimiser steps."""
    trained_tokens: float
    """Tokens that the loss was taken over."""
    sampled_tokens: float
    """Tokens that were drawn from the model for training."""
    seconds: float
    """Of the training loops."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One arm."""

    arm: str
    """Its name."""
    runs: int
    """Trained models: one a seed, or one for all where nothing in it depends on the seed."""
    cells: dict[str, Interval]
    """By ``MEASURE.QUANTITY``."""
    cost: Cost
    """What it used up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One claim and what was found."""

    claim: Claim
    """What is claimed."""
    difference: Interval
    """Of the first arm to the second, in the quantity's own unit."""
    verdict: str
    """``holds``, ``does not hold`` or ``cannot be told``."""

    @property
    def sentence(self) -> str:
        """In words."""
        d = self.difference
        found = f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]" if d else "no data"
        return f"{self.claim.text}: {self.verdict} ({self.claim.better} − {self.claim.than}: {found})"


def grid(runs: Sequence[Measured], quantity: str) -> tuple[np.ndarray, list[str], list[str]]:
    """One quantity of one arm's runs as values ``[S, U]``, with the units' names and clusters ``[U]``.

    Raises:
        ConfigError: the runs were not measured on the same units.
    """
    units = list(runs[0][quantity])
    if any(set(run[quantity]) != set(units) for run in runs):
        raise ConfigError(f"{quantity}: the runs of an arm were not measured on the same things")
    values_SU = np.array([[run[quantity][unit].value for unit in units] for run in runs], dtype=float)
    return values_SU, units, [runs[0][quantity][unit].cluster for unit in units]


def two_way_interval(values_SU: np.ndarray, clusters: Sequence[str], *, seed: int = 0) -> Interval:
    """The mean and its 95% percentile bootstrap interval, whole clusters and whole seeds resampled independently.

    With one seed only clusters are resampled: the interval then says nothing of other seeds.
    """
    names = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    cluster_U = np.array([names[c] for c in clusters])
    sums_SC = np.stack([np.bincount(cluster_U, weights=row, minlength=len(names)) for row in values_SU])
    counts_C = np.bincount(cluster_U, minlength=len(names))
    mean = float(values_SU.mean())
    if len(names) == 1:
        return Interval(mean, -np.inf, np.inf)
    random = np.random.default_rng(seed)
    drawn_RC = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    seeds = len(values_SU)
    drawn_RS = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES)
    means_R = ((drawn_RS @ sums_SC) * drawn_RC).sum(axis=1) / (seeds * (drawn_RC @ counts_C))
    low, high = np.quantile(means_R, [0.025, 0.975])
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def summarise(arm: str, runs: Sequence[Measured], cost: Cost) -> Row:
    """One arm's row."""
    cells: dict[str, Interval] = {}
    for quantity in dict.fromkeys(name for run in runs for name in run):
        values_SU, _, clusters = grid(runs, quantity)
        cells[quantity] = _mean_interval(values_SU, clusters)
    return Row(arm=arm, runs=len(runs), cells=cells, cost=cost)


def compare(claim: Claim, arms: Mapping[str, Sequence[Measured]]) -> Comparison:
    """The paired difference of two arms: by unit, and by seed where both have several.

    Raises:
        ConfigError: the quantity is unknown, or the arms were not measured on the same units.
    """
    for arm in (claim.better, claim.than):
        if any(claim.measure not in run for run in arms[arm]):
            known = ", ".join(dict.fromkeys(name for run in arms[arm] for name in run))
            raise ConfigError(f"claim {claim.text!r}: no quantity {claim.measure!r}; there are {known}")
    first_SU, units, clusters = grid(arms[claim.better], claim.measure)
    second_SU, others, _ = grid(arms[claim.than], claim.measure)
    if set(units) != set(others):
        raise ConfigError(f"claim {claim.text!r}: the two arms were not measured on the same things")
    second_SU = second_SU[:, [others.index(unit) for unit in units]]
    if len(first_SU) != len(second_SU) and 1 not in (len(first_SU), len(second_SU)):
        raise ConfigError(f"claim {claim.text!r}: {len(first_SU)} runs against {len(second_SU)}")
    difference = _difference_interval(first_SU, second_SU, clusters)
    return Comparison(claim=claim, difference=difference, verdict=_verdict(claim, difference, float(second_SU.mean())))


def _mean_interval(values_SU: np.ndarray, clusters: Sequence[str]) -> Interval:
    """Where all outcomes are 0, or all 1, a bootstrap would claim to know that exactly: there it is Wilson's."""
    value = float(values_SU.flat[0])
    if value in (0.0, 1.0) and bool((values_SU == value).all()):
        count = len(set(clusters))
        return wilson(round(value) * count, count)
    return two_way_interval(values_SU, clusters)


def _difference_interval(first_SU: np.ndarray, second_SU: np.ndarray, clusters: Sequence[str]) -> Interval:
    """Where no two outcomes (0 or 1) differ, likewise: there it is Newcombe's, of the units of one seed."""
    outcomes = {*first_SU.flat, *second_SU.flat} <= {0.0, 1.0}
    if outcomes and bool((first_SU == second_SU).all()):
        return paired_difference(second_SU[0].tolist(), first_SU[0].tolist())
    return two_way_interval(first_SU - second_SU, clusters)


def _verdict(claim: Claim, difference: Interval, second: float) -> str:
    if claim.margin is not None:
        bound = claim.margin * abs(second)
        if -bound <= difference.low and difference.high <= bound:
            return "holds"
        return "does not hold" if difference.low > bound or difference.high < -bound else "cannot be told"
    if difference.low > 0:
        return "holds"
    return "does not hold" if difference.high < 0 else "cannot be told"


def as_markdown(rows: Sequence[Row], comparisons: Sequence[Comparison]) -> str:
    """The table and the claims, as they stand in a document."""
    quantities = list(dict.fromkeys(name for row in rows for name in row.cells))
    heads = ["arm", "runs", *quantities, "updates", "trained tokens", "sampled tokens", "seconds"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "|".join(["---"] + ["---:"] * (len(heads) - 1)) + "|"]
    for row in rows:
        cells = [_cell(row.cells.get(quantity)) for quantity in quantities]
        cost = row.cost
        costs = [f"{v:,.0f}" for v in (cost.updates, cost.trained_tokens, cost.sampled_tokens, cost.seconds)]
        lines.append("| " + " | ".join([row.arm, str(row.runs), *cells, *costs]) + " |")
    if comparisons:
        lines += ["", "| claim | difference | verdict |", "|---|---:|---|"]
        for c in comparisons:
            lines.append(
                f"| {c.claim.text} ({c.claim.better} − {c.claim.than}, {c.claim.measure}) | {_cell(c.difference)} "
                f"| {c.verdict} |"
            )
    return "\n".join(lines) + "\n"


def _cell(interval: Interval | None) -> str:
    if not interval:
        return "–"
    form = ".3f" if abs(interval.value) < 10 else ".1f"  # rates, and lengths
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"
