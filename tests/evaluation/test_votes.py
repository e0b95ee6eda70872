"""Votes on maths answers: by what they mean, compared by the real verifier in its process."""

from __future__ import annotations

import pytest

from srl_swe.evaluation.estimators import equal_answers
from srl_swe.evaluation.summary import summarise
from srl_swe.evaluation.votes import SameAnswers
from srl_swe.records import Ending, EpisodeResult
from srl_swe.rewards.mathematics import AnswerChecker


@pytest.fixture
def same():
    checker = AnswerChecker()
    yield SameAnswers(checker)
    checker.close()


def test_answers_that_mean_the_same_vote_together(same):
    answers = [r"\frac{1}{2}", "0.5", None, "2", "1/2", "2.0", "x+1", "1+x"]
    assert equal_answers(answers, same) == [0, 0, None, 1, 0, 1, 2, 2]
    assert same.failures == 0


def test_a_pair_is_compared_once(same):
    """Two groups of answers, repeated: only answers that are new are compared, with the first of each group."""
    asked = []

    def counted(first, second):
        asked.append((first, second))
        return same(first, second)

    equal_answers(["1/2", "1/3", "0.5", "1/3", "0.5"] * 10, counted)
    # 1/3 is not 1/2; 0.5 is 1/2; each time it comes again it is looked up, not compared.
    assert set(asked) == {("1/2", "1/3"), ("1/2", "0.5")}
    assert len(same._known) == 2


def test_majority_at_k_of_results(same):
    """Three of four are a half, written in three ways: the vote of all four is right, and not one by text."""
    answers = [r"\frac12", "0.5", "1/2", "3"]
    results = [
        EpisodeResult(
            task_id="m/p",
            repository="m",
            split="heldout",
            policy="p",
            solved=answer != "3",
            ending=Ending.SUBMITTED,
            steps=1,
            patch="",
            sample=i,
            answer=answer,
        )
        for i, answer in enumerate(answers)
    ]
    by_meaning = {row.k: row.rate.value for row in summarise(results, same=same).sampled.majority_at}
    by_text = {row.k: row.rate.value for row in summarise(results).sampled.majority_at}
    assert by_meaning == {1: 0.75, 2: pytest.approx(0.75), 4: 1.0}
    assert by_text[4] == pytest.approx(0.75)


def test_a_failure_of_the_verifier_is_counted_and_no_agreement():
    """A worker that has no memory to start in."""
    checker = AnswerChecker(memory_mb=1)
    same = SameAnswers(checker)
    assert equal_answers(["x+1", "1+x"], same) == [0, 1]
    assert same.failures == 1
    checker.close()
