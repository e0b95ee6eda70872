from __future__ import annotations

import json

import pytest

from srl_swe.environments.actions import format_answer
from srl_swe.errors import ConfigError
from srl_swe.evaluation.steps import compare_steps, evaluate_steps, read_steps, summarise_steps
from srl_swe.records import StepInstance
from srl_swe.rewards.similarity import similarity


def instances(n=6):
    return [
        StepInstance(
            instance_id=f"tr{k // 2}#{k % 2}",
            task_id=f"suite/t{k // 2}",
            split="heldout",
            step=k % 2,
            messages=({"role": "user", "content": f"problem {k}"},),
            expert_action="ls src",
        )
        for k in range(n)
    ]


class Model:
    def __init__(self, *texts, fail_after=None):
        self.texts, self.calls, self.fail_after = texts, [], fail_after

    def __call__(self, conversations, n):
        if self.fail_after is not None and len(self.calls) >= self.fail_after:
            raise KeyboardInterrupt
        self.calls.append((len(conversations), n))
        return [[self.texts[k % len(self.texts)] for k in range(n)] for _ in conversations]


def test_scores_and_summary(tmp_path):
    model = Model(format_answer("t", "ls src"), format_answer("t", "ls"), "no action", format_answer("t", "ls src"))
    summary = evaluate_steps(model, instances(), tmp_path, name="m", samples=4, greedy=Model("nothing"), batch=4)
    assert model.calls == [(4, 4), (2, 4)]
    close = similarity("ls", "ls src")
    assert summary.similarity.value == pytest.approx((1 + close + 0 + 1) / 4)
    assert summary.reward.value == pytest.approx((1 + close - 1 + 1) / 4)
    assert summary.well_formed.value == pytest.approx(3 / 4)
    assert summary.greedy_similarity.value == 0
    assert (summary.instances, summary.samples) == (6, 24)
    record = read_steps(tmp_path)[0]
    assert [s["reward"] for s in record["samples"]] == [1, pytest.approx(close), -1, 1]
    assert record["samples"][2] == {"text": "no action", "reward": -1, "similarity": 0, "well_formed": False}
    assert record["context"] == "problem 0"


def test_goes_on_where_it_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        evaluate_steps(Model("x", fail_after=2), instances(), tmp_path, name="m", samples=1, batch=2)
    with (tmp_path / "steps.jsonl").open("a") as file:
        file.write('{"instance_id": "tr2')
    model = Model("x")
    assert evaluate_steps(model, instances(), tmp_path, name="m", samples=1, batch=2).instances == 6
    assert model.calls == [(2, 1)]


def test_other_instances_are_not_mixed(tmp_path):
    evaluate_steps(Model("x"), instances(), tmp_path, name="m", samples=1)
    with pytest.raises(ConfigError, match=r"steps\.instances"):
        evaluate_steps(Model("x"), instances(4), tmp_path, name="m", samples=1)
    with pytest.raises(ConfigError, match="at least one"):
        evaluate_steps(Model("x"), [], tmp_path / "new", name="m")
    (tmp_path / "steps.jsonl").write_text(json.dumps({"a": 1}) + "\n")
    with pytest.raises(ConfigError, match="not a step's record"):
        read_steps(tmp_path)


def test_paired_change(tmp_path):
    for name, text in (("a", "x"), ("b", format_answer("t", "ls src"))):
        evaluate_steps(Model(text), instances(), tmp_path / name, name="m", samples=2)
    change = compare_steps(read_steps(tmp_path / "a"), read_steps(tmp_path / "b"))
    assert change == (1, 1, 1)
    assert not compare_steps([], read_steps(tmp_path / "b"))
    assert not summarise_steps([]).similarity
