from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srl_swe.evaluation.estimators import best_of_k, equal_answers, majority_at_k, pass_at_k


def test_pass_at_k_known_values():
    # scipy 1.17: 1 - hypergeom(n, c, k).pmf(0)
    assert pass_at_k(20, 3, 5) == pytest.approx(0.6008771929824561, rel=1e-12)
    assert pass_at_k(200, 7, 100) == pytest.approx(0.9929911171242, rel=1e-9)
    assert pass_at_k(5, 0, 5) == 0
    assert pass_at_k(5, 1, 5) == 1
    assert pass_at_k(8, 3, 1) == pytest.approx(3 / 8)


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_what_all_subsets_say(case):
    n, correct, k = case
    subsets = list(itertools.combinations([True] * correct + [False] * (n - correct), k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_is_unbiased():
    # The mean over many draws of n = 6 with probability 0.3 is 1 - 0.7^k; the plug-in estimate would be too low.
    generator = random.Random(0)
    counts = [sum(generator.random() < 0.3 for _ in range(6)) for _ in range(20_000)]
    for k in (1, 2, 5):
        assert sum(pass_at_k(6, c, k) for c in counts) / len(counts) == pytest.approx(1 - 0.7**k, abs=0.01)


@pytest.mark.parametrize("arguments", [(3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4)])
def test_impossible_counts(arguments):
    with pytest.raises(ValueError, match="answers"):
        pass_at_k(*arguments)


def test_majority():
    right = [True, True, False, False, False]
    assert majority_at_k(["4", "4", "5", "6", None], right, 5) == 1
    # One of five votes alone is an unanswered one, which is wrong.
    assert majority_at_k(["4", "4", "5", "6", None], right, 1) == pytest.approx(2 / 5)
    # A tie counts for the fraction of the tied that is right.
    assert majority_at_k(["4", "5"], [True, False], 2) == 0.5
    assert majority_at_k([None, None], [False, False], 2) == 0
    # Of three, by hand: {4,4,5} in 1 of 3 pairs is right, the two others are ties.
    assert majority_at_k(["4", "4", "5"], [True, True, False], 2) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert majority_at_k(["5", "5", "4"], [False, False, True], 3) == 0


def test_majority_over_drawn_subsets_is_seeded_and_near():
    answers = ["a"] * 12 + ["b"] * 8
    right = [answer == "a" for answer in answers]
    value = majority_at_k(answers, right, 9, seed=3)
    assert value == majority_at_k(answers, right, 9, seed=3)
    exact = sum(math.comb(12, i) * math.comb(8, 9 - i) for i in range(5, 10)) / math.comb(20, 9)
    assert value == pytest.approx(exact, abs=0.03)


@given(
    st.lists(st.tuples(st.sampled_from([-3.0, -2.0, -1.5, -1.0]), st.booleans()), min_size=1, max_size=7),
    st.data(),
)
def test_best_of_k_is_what_all_subsets_say(pairs, data):
    scores, right = zip(*pairs, strict=True)
    k = data.draw(st.integers(1, len(pairs)))
    expected = []
    for subset in itertools.combinations(pairs, k):
        best = max(score for score, _ in subset)
        tied = [correct for score, correct in subset if score == best]
        expected.append(sum(tied) / len(tied))
    assert best_of_k(scores, right, k) == pytest.approx(sum(expected) / len(expected))


def test_equal_answers():
    def near(one, other):
        return abs(float(one) - float(other)) < 0.2

    assert equal_answers(["1", None, "1.1", "3", "1.0"], near) == [0, None, 0, 1, 0]


@pytest.mark.parametrize("estimate", [majority_at_k, best_of_k])
def test_different_lengths(estimate):
    with pytest.raises(ValueError, match="outcomes"):
        estimate([1.0], [], 1)
