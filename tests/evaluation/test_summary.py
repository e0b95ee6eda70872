from __future__ import annotations

import json
import math

import pytest

from srl_swe.errors import ConfigError
from srl_swe.evaluation.comparison import compare_runs
from srl_swe.evaluation.runner import parse_result
from srl_swe.evaluation.statistics import wilson
from srl_swe.evaluation.submissions import choose_episodes, submissions
from srl_swe.evaluation.summary import summarise, write_summary
from srl_swe.files import append_line
from srl_swe.records import Ending, EpisodeResult


def result(task, solved, *, repository="r", **more):
    ending = Ending.SUBMITTED if solved is not None else Ending.INFRASTRUCTURE
    return EpisodeResult(
        task_id=f"s/{task}",
        repository=repository,
        split="heldout",
        policy="p",
        solved=solved,
        ending=more.pop("ending", ending),
        steps=more.pop("steps", 3),
        patch=more.pop("patch", f"patch of {task}"),
        **more,
    )


def samples(task, outcomes, **more):
    """``more``: a list for each, or one value for all."""
    return [
        result(task, outcome, sample=i, **{k: v[i] if isinstance(v, list) else v for k, v in more.items()})
        for i, outcome in enumerate(outcomes)
    ]


def test_rates_are_over_tasks_and_infrastructure_failures_are_in_none():
    results = [
        *samples("a", [True, True, False, False]),
        *samples("b", [False, False, None, None]),
        *samples("c", [True, None, True, True]),
    ]
    found = summarise(results).sampled
    assert (found.tasks, found.episodes, found.lost, found.solved) == (3, 12, 3, 5)
    assert found.rate.value == pytest.approx((0.5 + 0 + 1) / 3)
    rows = {row.k: (row.rate.value, row.tasks) for row in found.pass_at}
    # pass@2 of a: 1 - 1/6; pass@4: of a alone, which has four judged episodes.
    assert rows == {1: (pytest.approx(0.5), 3), 2: (pytest.approx((5 / 6 + 0 + 1) / 3), 3), 4: (1.0, 1)}
    assert found.rate.low < found.rate.value < found.rate.high
    assert found.endings == {"infrastructure": 3, "submitted": 9}
    assert found == summarise(list(reversed(results))[::-1]).sampled


def test_greedy_and_drawn_episodes_are_not_mixed():
    results = [result("a", True, greedy=True), *samples("a", [False, False]), result("b", False, greedy=True)]
    found = summarise(results)
    assert found.greedy.rate == wilson(1, 2)
    assert found.greedy.pass_at == ()
    assert found.sampled.rate == wilson(0, 1)
    assert list(found.series) == ["greedy", "sampled"]
    assert summarise([]).series == {}


def test_votes_and_best_of_k():
    answers = ["4", "4", "5", "6"]
    right = [True, True, False, False]
    results = [
        *samples("a", right, answer=answers, logprob=[-9.0, -8.0, -1.0, -2.0], completion_tokens=[90, 10, 1, 2]),
        *samples("b", right, answer=["4.0", "4", "4.00", None], logprob=[-1.0, -2.0, -3.0, -4.0], completion_tokens=1),
    ]
    found = summarise(results).sampled
    assert [row.k for row in found.majority_at] == [1, 2, 4]
    assert found.majority_at[2].rate.value == pytest.approx((1 + (1 + 1 + 0) / 3) / 2)  # b: three answers that differ
    same = summarise(results, same=lambda one, other: float(one) == float(other)).sampled
    assert same.majority_at[2].rate.value == pytest.approx((1 + 2 / 3) / 2)
    assert found.best_by_sum[2].rate.value == pytest.approx((0 + 1) / 2)
    # By the token, a's first (-0.1) is the best.
    assert found.best_by_mean[2].rate.value == pytest.approx((1 + 1) / 2)
    assert found.best_by_sum[2].rate == wilson(1, 2)
    assert summarise(samples("a", right)).sampled.best_by_sum == ()
    assert summarise(samples("a", right)).sampled.majority_at == ()


def test_repositories_tokens_and_costs():
    results = [
        *samples("a", [True, False], repository="x", prompt_tokens=100, completion_tokens=[10, 30], cost=0.5),
        *samples("b", [False, None], repository="y", prompt_tokens=[50, None], completion_tokens=[20, None]),
    ]
    found = summarise(results).sampled
    assert [(r.repository, r.tasks, r.solved_tasks, r.rate.value) for r in found.repositories] == [
        ("x", 1, 1, 0.5),
        ("y", 1, 0, 0.0),
    ]
    assert (found.total_prompt_tokens, found.total_completion_tokens, found.cost) == (250, 60, 1.0)
    assert found.completion_tokens.value == pytest.approx(20)
    by_repository = summarise(results, cluster="repository").sampled
    assert by_repository.rate.value == found.rate.value


def test_the_summary_is_json(tmp_path):
    path = write_summary(tmp_path, summarise([*samples("a", [True, None]), *samples("b", [None, None])]))
    record = json.loads(path.read_text())
    assert record["sampled"]["rate"]["value"] == 1.0
    assert record["sampled"]["lost"] == 3
    assert record["sampled"]["cost"] is None
    assert record["sampled"]["prompt_tokens"] == {"value": None, "low": None, "high": None}


def test_lines_of_earlier_versions(tmp_path):
    old = {"task_id": "s/a", "repository": "r", "split": "heldout", "policy": "p", "solved": True,
           "ending": "submitted", "steps": 2, "malformed": 0, "seconds": 1.0, "patch": "", "tampering": [],
           "error": None}  # fmt: skip
    found = parse_result(old, tmp_path)
    assert (found.greedy, found.sample, found.prompt_tokens, found.answer) == (False, 0, None, None)
    assert summarise([found]).sampled.rate == wilson(1, 1)


def write(folder, results, hashes=None):
    for one in results:
        fields = {name: getattr(one, name) for name in EpisodeResult.__dataclass_fields__}
        append_line(folder / "results.jsonl", fields | {"tampering": list(one.tampering)})
    tasks = hashes or {one.task_id: "hash" for one in results}
    (folder / "meta.json").write_text(json.dumps({"episodes": {"tasks": tasks}}))
    return folder


def outcomes(solved, of, **more):
    return [result(f"t{i:02}", i in solved, **more) for i in range(of)]


def test_one_episode_a_task_is_mcnemars(tmp_path):
    one = write(tmp_path / "one", outcomes(range(12), 40))
    two = write(tmp_path / "two", outcomes({*range(9), *range(20, 28)}, 40))
    found = compare_runs(one, two)
    assert (found.tasks, found.only_first, found.only_second) == (40, 3, 8)
    assert found.solve_rate.p == pytest.approx(0.2265625)
    assert found.solve_rate.change.value == pytest.approx(5 / 40)
    assert found.verdict == "two solves 5 more of 40 tasks; p = 0.23: the difference could be chance."
    assert compare_runs(two, one).verdict == found.verdict
    three = write(tmp_path / "three", outcomes(range(24), 40))
    verdict = compare_runs(one, three).verdict
    assert verdict == "three solves 12 more of 40 tasks; p < 0.001: the difference is unlikely to be chance."
    same = compare_runs(one, one)
    assert same.verdict.endswith("solve equally many of 40 tasks: no difference is shown.")
    assert same.solve_rate.change.low < 0 < same.solve_rate.change.high


def test_several_episodes_a_task_are_compared_by_rate(tmp_path):
    one = write(tmp_path / "a" / "after", [r for i in range(8) for r in samples(f"t{i}", [False] * 3 + [i < 2])])
    two = write(tmp_path / "b" / "after", [r for i in range(8) for r in samples(f"t{i}", [True] * 2 + [False, i < 2])])
    found = compare_runs(one, two)
    assert found.names == ("a/after", "b/after")
    assert found.test == "paired randomisation test"
    assert found.solve_rate.p == pytest.approx(2 / 2**8)
    assert found.verdict == (
        "b/after solves 56.2% of the time, the other 6.2%, on 8 tasks; p = 0.0078: the difference is unlikely to be "
        "chance."
    )
    assert found.solve_rate.change.value == pytest.approx(0.5)


def test_what_cannot_be_compared_is_left_out_and_said(tmp_path):
    one = write(tmp_path / "one", [result("a", True), result("b", None), result("c", True), result("d", True)])
    hashes = {"s/a": "hash", "s/b": "hash", "s/c": "another", "s/e": "hash"}
    two = write(tmp_path / "two", [result("a", False), result("b", True), result("c", True), result("e", True)], hashes)
    found = compare_runs(one, two)
    assert found.tasks == 1
    assert found.left_out == (
        "2 tasks in one run only",
        "1 task whose content differs between the runs",
        "1 task not judged in both, for a failure of the infrastructure",
    )
    with pytest.raises(ConfigError, match="no results"):
        compare_runs(one, tmp_path / "nothing")
    three = write(tmp_path / "three", [result("z", True)])
    with pytest.raises(ConfigError, match="no task was judged in both: 5 tasks in one run only"):
        compare_runs(one, three)
    four = write(tmp_path / "four", [result("a", True, greedy=True)])
    with pytest.raises(ConfigError, match="cannot be compared"):
        compare_runs(one, four)


def test_steps_and_tokens_are_compared_too(tmp_path):
    one = write(tmp_path / "one", outcomes(range(3), 6, completion_tokens=100, steps=4))
    two = write(tmp_path / "two", outcomes(range(3), 6, completion_tokens=150, steps=4))
    others = {other.name: other for other in compare_runs(one, two).others}
    assert others["tokens written"].change.value == 50
    assert others["tokens written"].p == pytest.approx(2 / 64)
    assert others["steps"].p == 1.0
    assert "tokens read" not in others


def test_predictions_of_a_run():
    drawn = samples("a", [True, False], logprob=[-5.0, -1.0], completion_tokens=[1, 1], patch=["first", "second"])
    results = [result("a", False, greedy=True, patch="most likely"), *drawn]
    assert [p.patch for p in submissions(choose_episodes(results))] == ["most likely"]
    assert [p.patch for p in submissions(choose_episodes(drawn))] == ["first"]
    assert [p.patch for p in submissions(choose_episodes(results, "1"))] == ["second"]
    best = submissions(choose_episodes(results, "best"))
    assert [(p.instance_id, p.model, p.patch) for p in best] == [("a", "p", "second")]
    lost = [result("a", None), result("b", True)]
    assert [p.instance_id for p in submissions(choose_episodes(lost))] == ["b"]
    two = [result("a", True), EpisodeResult(task_id="other/a", repository="r", split="train", policy="p", solved=True,
                                            ending=Ending.SUBMITTED, steps=1)]  # fmt: skip
    assert [p.instance_id for p in submissions(two)] == ["other/a", "s/a"]
    with pytest.raises(ConfigError, match="no such episode"):
        choose_episodes(drawn, "greedy")
    with pytest.raises(ConfigError, match="log-probabilities"):
        choose_episodes(samples("a", [True, True]), "best")
    with pytest.raises(ConfigError, match="expected greedy"):
        choose_episodes(drawn, "worst")


def test_an_interval_of_one_task_is_not_claimed():
    found = summarise(samples("a", [True, False])).sampled
    assert (found.rate.low, found.rate.high) == (0.0, 1.0)
    assert math.isinf(found.steps.high)
