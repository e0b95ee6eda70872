"""Intervals: every number of the report stands with one, since the sets are small."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

Z_95 = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""


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
    names = {name: index for index, name in enumerate(dict.fromkeys(clusters))}
    index_N = np.array([names[c] for c in clusters])
    sums_C = np.bincount(index_N, weights=np.asarray(values, dtype=float))
    counts_C = np.bincount(index_N)
    mean = float(sums_C.sum() / counts_C.sum())
    if len(names) == 1:
        return Interval(mean, -math.inf, math.inf)
    drawn_RC = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    means_R = sums_C[drawn_RC].sum(axis=1) / counts_C[drawn_RC].sum(axis=1)
    low, high = np.quantile(means_R, [0.025, 0.975])
    # Rounding may put the mean of equal values a hair outside.
    return Interval(mean, min(float(low), mean), max(float(high), mean))
