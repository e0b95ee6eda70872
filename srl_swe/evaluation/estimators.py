"""What n drawn answers of one task say about drawing k: pass@k, majority@k, and the best of k by a score."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np

_SUBSETS = 2_000
"""Up to so many subsets all are gone through; beyond, so many are drawn."""


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The probability that of k of n answers, drawn without replacement, at least one is right.

    Unbiased for k independent answers (Chen et al. 2021, arXiv 2107.03374, equation 1): 1 - C(n - c, k) / C(n, k).

    Raises:
        ValueError: not 0 <= correct <= n, or not 1 <= k <= n.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} right answers of {n}")
    _check_k(n, k)
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def majority_at_k(answers: Sequence[Hashable | None], correct: Sequence[bool], k: int, seed: int = 0) -> float:
    """The expected outcome of a vote among k of n answers, drawn without replacement.

    The mean over all subsets of k, or over drawn ones where there are many. Answers that are equal vote together;
    ``None`` has no vote, and where nobody votes the outcome is wrong. A tie is broken at random: it counts for as much
    as the fraction of the tied that is right.

    Args:
        answers: ``[n]``, each in a form that is equal for equal answers; see `equal_answers`.
        correct: ``[n]``: whether each is right.
        k: How many vote.
        seed: Of the drawn subsets.

    Raises:
        ValueError: the sequences differ in length, or not 1 <= k <= n.
    """
    n = len(answers)
    if n != len(correct):
        raise ValueError(f"{n} answers but {len(correct)} outcomes")
    _check_k(n, k)
    if math.comb(n, k) <= _SUBSETS:
        subsets = list(itertools.combinations(range(n), k))
    else:
        generator = np.random.default_rng(seed)
        subsets = [tuple(generator.choice(n, size=k, replace=False).tolist()) for _ in range(_SUBSETS)]
    return math.fsum(_vote(answers, correct, subset) for subset in subsets) / len(subsets)


def best_of_k(scores: Sequence[float], correct: Sequence[bool], k: int) -> float:
    """The expected outcome where of k of n answers, drawn without replacement, the one with the highest score is taken.

    Exact: the i-th lowest of n is the highest of k with probability C(i - 1, k - 1) / C(n, k). Among equal scores
    each is as likely to be taken.

    Raises:
        ValueError: the sequences differ in length, or not 1 <= k <= n.
    """
    n = len(scores)
    if n != len(correct):
        raise ValueError(f"{n} scores but {len(correct)} outcomes")
    _check_k(n, k)
    expected, below = 0.0, 0
    for _, group in itertools.groupby(sorted(zip(scores, correct, strict=True)), key=lambda pair: pair[0]):
        outcomes = [right for _, right in group]
        above = below + len(outcomes)
        # The highest of k is in this group where all k are among the lowest `above`, but not all among those below it.
        chance = (math.comb(above, k) - math.comb(below, k)) / math.comb(n, k)
        expected += chance * sum(outcomes) / len(outcomes)
        below = above
    return expected


def equal_answers(answers: Sequence[str | None], same: Callable[[str, str], bool]) -> list[int | None]:
    """Number answers so that those which are the same by ``same`` have the same number; ``None`` stays ``None``.

    Each is compared with the first of every group so far: what is near to both of two groups joins the earlier one.
    """
    firsts: list[str] = []
    numbers: list[int | None] = []
    for answer in answers:
        if answer is None:
            numbers.append(None)
            continue
        found = next((i for i, first in enumerate(firsts) if first == answer or same(first, answer)), None)
        if found is None:
            found = len(firsts)
            firsts.append(answer)
        numbers.append(found)
    return numbers


def _vote(answers: Sequence[Hashable | None], correct: Sequence[bool], subset: Sequence[int]) -> float:
    groups: dict[Hashable, list[bool]] = {}
    for i in subset:
        if answers[i] is not None:
            groups.setdefault(answers[i], []).append(correct[i])
    if not groups:
        return 0.0
    most = max(map(len, groups.values()))
    tied = [sum(group) / len(group) for group in groups.values() if len(group) == most]
    return math.fsum(tied) / len(tied)


def _check_k(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k must be from 1 to the {n} answers there are, not {k}")
