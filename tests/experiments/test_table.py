"""Means, two-way intervals and verdicts, against what can be worked out by hand."""

import math

import numpy as np
import pytest

from srl_swe.errors import ConfigError
from srl_swe.evaluation.statistics import newcombe_paired, wilson
from srl_swe.experiments.measures import Measured, Observation
from srl_swe.experiments.plan import Claim
from srl_swe.experiments.table import Cost, as_markdown, compare, summarise, two_way_interval

COST = Cost(updates=2, trained_tokens=1234, sampled_tokens=0, seconds=5)


def run(*values: float) -> Measured:
    """A run measured on as many units, two of a cluster."""
    return {"steps.similarity": {f"u{i}": Observation(value=v, cluster=f"c{i // 2}") for i, v in enumerate(values)}}


def claim(margin: float | None = None) -> Claim:
    return Claim(text="A is better", better="A", than="B", measure="steps.similarity", margin=margin)


def test_the_interval_of_one_seed_is_that_of_the_clusters() -> None:
    """Clusters of means 0 and 1: a draw of two has the mean 0, 1/2 or 1 with probabilities 1/4, 1/2, 1/4."""
    interval = two_way_interval(np.array([[0.0, 0.0, 1.0, 1.0]]), ["a", "a", "b", "b"])
    assert interval == (0.5, 0.0, 1.0)


def test_seeds_widen_the_interval() -> None:
    """Units that do not differ, seeds that do: all of the spread is the seeds'."""
    values = np.array([[0.2] * 4, [0.4] * 4, [0.6] * 4])
    interval = two_way_interval(values, ["a", "a", "b", "b"])
    assert interval.value == pytest.approx(0.4)
    assert interval.low == pytest.approx(0.2, abs=0.07)
    assert interval.high == pytest.approx(0.6, abs=0.07)


def test_one_cluster_says_nothing_of_others() -> None:
    assert two_way_interval(np.array([[1.0, 2.0]]), ["a", "a"]) == (1.5, -math.inf, math.inf)


def test_clusters_of_unequal_size_weigh_by_their_units() -> None:
    interval = two_way_interval(np.array([[1.0, 1.0, 1.0, 0.0]]), ["a", "a", "a", "b"])
    assert interval.value == 0.75


def test_a_paired_difference_has_none_of_the_units_own_spread() -> None:
    first = [run(0.1, 0.9, 0.3, 0.7)]
    second = [run(0.0, 0.8, 0.2, 0.6)]
    found = compare(claim(), {"A": first, "B": second})
    assert found.difference.low == pytest.approx(0.1)
    assert found.difference.high == pytest.approx(0.1)
    assert found.verdict == "holds"
    assert compare(claim(), {"A": second, "B": first}).verdict == "does not hold"
    assert "holds (A − B: +0.100 [+0.100, +0.100])" in found.sentence


def test_chance_is_called_chance() -> None:
    first, second = [run(1.0, 1.0, 0.0, 0.0)], [run(0.0, 0.0, 1.0, 1.0)]
    assert compare(claim(), {"A": first, "B": second}).verdict == "cannot be told"


def test_no_difference_within_a_margin() -> None:
    first, second = [run(1.0, 1.0, 1.0, 1.0)], [run(1.05, 1.05, 1.05, 1.05)]
    assert compare(claim(margin=0.1), {"A": first, "B": second}).verdict == "holds"
    assert compare(claim(margin=0.01), {"A": first, "B": second}).verdict == "does not hold"


def test_the_untrained_model_is_compared_with_every_seed() -> None:
    found = compare(claim(), {"A": [run(0.5, 0.5, 0.5, 0.5), run(0.7, 0.7, 0.7, 0.7)], "B": [run(0.1, 0.1, 0.1, 0.1)]})
    assert found.difference.value == pytest.approx(0.5)


def test_units_are_matched_by_name_not_by_place() -> None:
    turned: Measured = {"steps.similarity": dict(reversed(run(0.1, 0.2, 0.3, 0.4)["steps.similarity"].items()))}
    found = compare(claim(margin=0.1), {"A": [run(0.1, 0.2, 0.3, 0.4)], "B": [turned]})
    assert found.difference == (0.0, 0.0, 0.0)


def test_other_units_are_no_comparison() -> None:
    with pytest.raises(ConfigError, match="not measured on the same things"):
        compare(claim(), {"A": [run(0.1, 0.2)], "B": [run(0.1, 0.2, 0.3)]})
    with pytest.raises(ConfigError, match="not measured on the same things"):
        summarise("A", [run(0.1, 0.2), run(0.1)], COST)


def test_the_table() -> None:
    row = summarise("A", [run(0.0, 0.0, 1.0, 1.0)], COST)
    text = as_markdown([row], [compare(claim(), {"A": [run(0.5, 0.6)] * 2, "B": [run(0.4, 0.5)] * 2})])
    assert "| A | 1 | 0.500 [0.000, 1.000] | 2 | 1,234 | 0 | 5 |" in text
    assert "| A is better (A − B, steps.similarity) |" in text


def test_outcomes_that_are_all_the_same_are_not_known_exactly() -> None:
    """Nothing solved on four tasks, two clusters: Wilson's interval of the clusters, and Newcombe's of the pairs."""
    row = summarise("A", [run(0.0, 0.0, 0.0, 0.0)] * 2, COST)
    assert row.cells["steps.similarity"] == wilson(0, 2)
    found = compare(claim(margin=0.1), {"A": [run(0.0, 0.0, 0.0, 0.0)], "B": [run(0.0, 0.0, 0.0, 0.0)]})
    assert found.difference == newcombe_paired(0, 0, 0, 4)
    assert found.verdict == "cannot be told"
