from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srl_swe.evaluation.statistics import (
    NO_DATA,
    Interval,
    bootstrap_mean,
    mcnemar,
    mean_rate,
    newcombe_paired,
    paired_difference,
    sign_flip,
    wilson,
)


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


@pytest.mark.parametrize(
    ("pair", "p"),
    # scipy 1.17: binomtest(b, b + c, 0.5).pvalue
    [
        ((1, 9), 0.021484375),
        ((3, 8), 0.2265625),
        ((7, 1), 0.0703125),
        ((5, 5), 1.0),
        ((0, 6), 0.03125),
        ((25, 10), 0.016673847800120715),
        ((0, 0), 1.0),
    ],
)
def test_mcnemar_known_values(pair, p):
    assert mcnemar(*pair) == pytest.approx(p, rel=1e-12)
    assert mcnemar(*reversed(pair)) == mcnemar(*pair)


def test_newcombe_known_values():
    # Fagerland, Lydersen and Laake 2014, on Bentur et al. (1, 1, 7 and 12 children): first less second, -0.507, -0.026.
    assert newcombe_paired(1, 1, 7, 12) == pytest.approx((0.2857, 0.0256, 0.5069), abs=5e-5)
    none = newcombe_paired(0, 0, 0, 40)
    assert none.value == 0
    assert none.high == -none.low == pytest.approx(wilson(0, 40).high)
    assert not newcombe_paired(0, 0, 0, 0)


def test_sign_flip_known_value():
    # scipy 1.17: permutation_test((d,), sum, permutation_type="samples", n_resamples=inf).pvalue
    differences = [0.5, -0.25, 0.75, 0.125, 0.0, 1.0, -0.5, 0.25, 0.375, 0.25]
    assert sign_flip(differences) == 0.1328125


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=40))
def test_sign_flip_of_outcomes_is_mcnemar(differences):
    assert sign_flip(differences) == mcnemar(differences.count(-1.0), differences.count(1.0))


def test_sign_flip_of_many_is_near_the_exact_one():
    differences = [0.25, -0.125, 0.5, 0.375, -0.25, 0.125, 0.75, -0.5] * 2
    exact = sign_flip(differences)
    drawn = sign_flip([*differences, *([1e-11] * 20)])  # too many to go through
    assert drawn == pytest.approx(exact, abs=0.01)
    assert drawn == sign_flip([*differences, *([1e-11] * 20)])


def test_sign_flip_keeps_clusters_together():
    # Ten steps of two tasks are two observations, not ten.
    assert sign_flip([0.5] * 10, ["a"] * 5 + ["b"] * 5) == 0.5
    assert sign_flip([0.5] * 10) == pytest.approx(2 / 1024)
    assert sign_flip([]) == sign_flip([0.0, 0.0]) == 1.0


def test_bootstrap_known_value():
    # scipy 1.17: bootstrap((x,), mean, method="percentile", n_resamples=200000): (0.22365, 0.30885)
    values = [0.229, 0.116, 0.21, 0.041, 0.159, 0.309, 0.491, 0.289, 0.222, 0.127, 0.059, 0.192, 0.489, 0.409, 0.473,
              0.109, 0.191, 0.355, 0.496, 0.254, 0.337, 0.441, 0.259, 0.286, 0.074, 0.177, 0.411, 0.185, 0.244, 0.314,
              0.287, 0.106, 0.106, 0.164, 0.28, 0.562, 0.169, 0.146, 0.45, 0.401]  # fmt: skip
    assert mean_rate(values) == pytest.approx((0.2650, 0.22365, 0.30885), abs=2e-3)


def test_rates_of_outcomes_are_wilsons():
    assert mean_rate([1.0, 0.0, 0.0, 0.0]) == wilson(1, 4)
    assert mean_rate([0.0] * 20) == wilson(0, 20)
    assert mean_rate([]) is NO_DATA or not mean_rate([])


def test_rates_by_repository_are_as_many_as_there_are_repositories():
    clusters = ["a"] * 10 + ["b"] * 10
    assert mean_rate([0.0] * 20, clusters) == wilson(0, 2)
    assert mean_rate([1.0] * 20, clusters) == wilson(2, 2)
    one = mean_rate([1.0] * 10 + [0.0] * 10, clusters)
    assert (one.low, one.value, one.high) == (0.0, 0.5, 1.0)
    # Of one repository nothing can be said about others.
    assert mean_rate([0.5, 1.0], ["a", "a"]) == (0.75, 0.0, 1.0)


def test_paired_differences():
    first, second = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    difference = paired_difference(first, second)
    assert difference.value == pytest.approx(1 / 3)
    assert difference.low == 0.0
    assert 0.5 < difference.high < 1
    assert paired_difference(first, first) == newcombe_paired(2, 0, 0, 4)
    assert paired_difference([0.0] * 3, [1.0] * 3).low > 0.0
    assert paired_difference([0.25, 0.5], [0.5, 0.75]).value == 0.25
    with pytest.raises(ValueError, match="values but"):
        paired_difference([1.0], [])
    assert not paired_difference([], [])


def test_impossible_pairs():
    with pytest.raises(ValueError, match="at least 0"):
        mcnemar(-1, 2)
    with pytest.raises(ValueError, match="at least 0"):
        newcombe_paired(-1, 2, 3, 4)
    with pytest.raises(ValueError, match="clusters"):
        sign_flip([1.0], [])
