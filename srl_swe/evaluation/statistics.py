"""Intervals and tests: every number of the report stands with one, since the sets are small."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""
_EXACT_FLIPS = 16
"""Up to so many differences all choices of signs are gone through; beyond, some are drawn."""


class Interval(NamedTuple):
    """A number and its 95% interval; not-a-number throughout where there is no data."""

    value: float
    """The estimate."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""

    def __bool__(self) -> bool:
        """Whether there was any data."""
        return not math.isnan(self.value)

    def is_disjoint(self, other: Interval) -> bool:
        """Whether the two intervals have no number in common."""
        return bool(self) and bool(other) and (self.high < other.low or other.high < self.low)


NO_DATA = Interval(math.nan, math.nan, math.nan)
"""The interval of nothing."""


def wilson(successes: int, n: int, *, z: float = Z_95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927), which stays in [0, 1] and is sensible at 0 of n.

    Raises:
        ValueError: not 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return NO_DATA
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # At the ends the interval is exact in theory and a rounding error outside in practice.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(rate, low, high)


def bootstrap_mean(
    values: Sequence[float], clusters: Sequence[Hashable], seed: int = 0, *, resamples: int = 10_000
) -> Interval:
    """The mean of values ``[N]`` and its 95% percentile bootstrap interval, whole clusters resampled.

    Steps of one task are alike, so tasks (``clusters`` ``[N]``) are drawn with replacement, not steps. With a single
    cluster there is nothing to resample, and the interval is the whole range from minus to plus infinity.

    Raises:
        ValueError: the two sequences differ in length.
    """
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values but {len(clusters)} clusters")
    if not values:
        return NO_DATA
    sums_C, counts_C = _by_cluster(values, clusters)
    mean = float(sums_C.sum() / counts_C.sum())
    if len(sums_C) == 1:
        return Interval(mean, -math.inf, math.inf)
    drawn_RC = np.random.default_rng(seed).integers(len(sums_C), size=(resamples, len(sums_C)))
    means_R = sums_C[drawn_RC].sum(axis=1) / counts_C[drawn_RC].sum(axis=1)
    low, high = np.quantile(means_R, [0.025, 0.975])
    # Rounding may put the mean of equal values a hair outside.
    return Interval(mean, min(float(low), mean), max(float(high), mean))


def mean_rate(values: Sequence[float], clusters: Sequence[Hashable] | None = None, seed: int = 0) -> Interval:
    """The mean of rates ``[N]`` in [0, 1], one a task, and its 95% interval.

    Where every task gives 0 or 1 that is Wilson's; else a bootstrap of whole clusters. Where all clusters are at 0, or
    all at 1, a bootstrap would claim to know that exactly: there it is Wilson's too, of the clusters.

    Args:
        values: A task's rate each.
        clusters: What is resampled together, ``[N]``; ``None``: every task for itself.
        seed: Of the bootstrap.

    Raises:
        ValueError: the two sequences differ in length.
    """
    if clusters is None and set(values) <= {0.0, 1.0}:
        return wilson(round(sum(values)), len(values))
    clusters = range(len(values)) if clusters is None else clusters
    if values and len(set(values)) == 1 and values[0] in (0.0, 1.0):
        count = len(set(clusters))
        return wilson(round(values[0]) * count, count)
    interval = bootstrap_mean(values, clusters, seed)
    return Interval(interval.value, max(0.0, interval.low), min(1.0, interval.high)) if interval else interval


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided: the p-value for pairs of which so many differ in each direction.

    Twice the tail of the binomial distribution with probability 1/2 (McNemar 1947, without its approximation).

    Raises:
        ValueError: a count is negative.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"counts must be at least 0, not {only_first} and {only_second}")
    n, fewer = only_first + only_second, min(only_first, only_second)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(fewer + 1)) / (1 << n))


def sign_flip(
    differences: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    *,
    draws: int = 20_000,
) -> float:
    """The two-sided p-value of a paired randomisation test (Fisher 1935): could differences ``[N]`` have any sign?

    Exact for up to 16 clusters that differ, and where all differ by the same amount (`mcnemar` then); else over drawn
    signs, the observed ones counted among them. Of differences within one cluster all change their sign together.

    Raises:
        ValueError: the two sequences differ in length.
    """
    clusters = range(len(differences)) if clusters is None else clusters
    if len(differences) != len(clusters):
        raise ValueError(f"{len(differences)} differences but {len(clusters)} clusters")
    if not differences:
        return 1.0
    sums_C, _ = _by_cluster(differences, clusters)
    sums_C = sums_C[np.abs(sums_C) > 1e-12]
    sizes_C = np.abs(sums_C)
    if not len(sums_C):
        return 1.0
    if np.allclose(sizes_C, sizes_C[0]):
        return mcnemar(int((sums_C < 0).sum()), int((sums_C > 0).sum()))
    observed = abs(sums_C.sum()) - 1e-9
    if len(sums_C) <= _EXACT_FLIPS:
        signs_RC = np.array(list(itertools.product((-1.0, 1.0), repeat=len(sums_C))))
        return float((np.abs(signs_RC @ sums_C) >= observed).mean())
    signs_RC = np.random.default_rng(seed).choice((-1.0, 1.0), size=(draws, len(sums_C)))
    return (1 + int((np.abs(signs_RC @ sums_C) >= observed).sum())) / (1 + draws)


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Interval:
    """The mean of ``second - first`` over pairs ``[N]``, and its 95% paired bootstrap interval.

    Where no pair of outcomes (0 or 1) differs, a bootstrap would claim to know that exactly: there it is
    `newcombe_paired`'s interval.

    Raises:
        ValueError: the sequences differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values but {len(second)}")
    differences = [b - a for a, b in zip(first, second, strict=True)]
    if differences and len(set(differences)) == 1 and {*first, *second} <= {0.0, 1.0}:
        cells = [sum((a, b) == cell for a, b in zip(first, second, strict=True)) for cell in _CELLS]
        return newcombe_paired(*cells)
    return bootstrap_mean(differences, range(len(differences)) if clusters is None else clusters, seed)


_CELLS = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))


def newcombe_paired(both: int, only_first: int, only_second: int, neither: int) -> Interval:
    """The difference of two paired proportions, second less first, with Newcombe's score interval (1998, method 10).

    Raises:
        ValueError: a count is negative.
    """
    if min(both, only_first, only_second, neither) < 0:
        raise ValueError("counts must be at least 0")
    n = both + only_first + only_second + neither
    if n == 0:
        return NO_DATA
    a, b = wilson(both + only_first, n), wilson(both + only_second, n)
    products = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    association = float(both * neither - only_first * only_second)
    if association > 0:
        association = max(association - n / 2, 0.0)
    phi = association / math.sqrt(products) if products else 0.0

    def distance(first: float, second: float) -> float:
        return math.sqrt(max(0.0, first * first - 2 * phi * first * second + second * second))

    difference = b.value - a.value
    return Interval(
        difference,
        difference - distance(b.value - b.low, a.high - a.value),
        difference + distance(b.high - b.value, a.value - a.low),
    )


def _by_cluster(
    values: Sequence[float], clusters: Sequence[Hashable]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sum ``[C]`` and the number ``[C]`` of the values in each cluster, in the order in which they come."""
    names = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    index_N = np.array([names[c] for c in clusters])
    sums_C = np.bincount(index_N, weights=np.asarray(values, dtype=np.float64)).astype(np.float64)
    return sums_C, np.bincount(index_N).astype(np.float64)
