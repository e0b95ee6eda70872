from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srl_swe.evaluation.statistics import NO_DATA, Interval, bootstrap_mean, wilson


def test_wilson_known_values():
    # Newcombe 1998, table I: 81 of 263 and 0 of 20, Wilson's method.
    assert wilson(81, 263) == pytest.approx((0.3080, 0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.0, 0.1611), abs=5e-5)
    assert wilson(29, 29) == pytest.approx((1.0, 0.8830, 1.0), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_rate_and_stays_in_range(pair):
    successes, n = pair
    interval = wilson(successes, n)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    mirrored = wilson(n - successes, n)
    assert interval.low == pytest.approx(1 - mirrored.high)


def test_nothing_has_no_interval():
    assert not wilson(0, 0)
    assert not bootstrap_mean([], [])
    assert not NO_DATA.is_disjoint(Interval(0, 0, 0))


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (1, 0)])
def test_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, n)


def test_bootstrap_is_seeded_and_holds_its_mean():
    values, clusters = [0.1, 0.4, 0.2, 0.9, 0.3, 0.35], ["a", "a", "b", "b", "c", "d"]
    one = bootstrap_mean(values, clusters, 7)
    assert one == bootstrap_mean(values, clusters, 7)
    assert one.value == pytest.approx(sum(values) / len(values))
    assert one.low < one.value < one.high


def test_bootstrap_resamples_clusters_not_values():
    # Four equal values a task: a hundred steps of ten tasks say no more than ten.
    tasks = [k / 9 for k in range(10)]
    single = bootstrap_mean(tasks, range(10))
    repeated = bootstrap_mean([v for v in tasks for _ in range(10)], [k for k in range(10) for _ in range(10)])
    assert repeated == pytest.approx(single)


def test_bootstrap_agrees_with_the_normal_interval():
    values = [math.sin(k * 12.9898) * 0.5 for k in range(400)]
    interval = bootstrap_mean(values, range(400))
    mean = sum(values) / 400
    error = math.sqrt(sum((v - mean) ** 2 for v in values) / 399 / 400)
    assert interval.low == pytest.approx(mean - 1.96 * error, abs=0.1 * error)
    assert interval.high == pytest.approx(mean + 1.96 * error, abs=0.1 * error)


def test_one_cluster_says_nothing_about_others():
    assert bootstrap_mean([0.2, 0.4], ["a", "a"]) == (pytest.approx(0.3), -math.inf, math.inf)


def test_different_lengths():
    with pytest.raises(ValueError, match="clusters"):
        bootstrap_mean([1.0], [])


def test_disjoint():
    assert Interval(0.2, 0.1, 0.3).is_disjoint(Interval(0.5, 0.4, 0.6))
    assert not Interval(0.2, 0.1, 0.3).is_disjoint(Interval(0.35, 0.3, 0.6))
