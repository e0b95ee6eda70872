"""An experiment on maths with a tiny model: experts of a suite, step instances, a reverse curriculum, two measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from srl_swe.errors import ConfigError
from srl_swe.experiments.plan import read_experiment
from srl_swe.experiments.publish import publish
from srl_swe.experiments.run import run_experiment
from srl_swe.experiments.world import World
from srl_swe.experts.dataset import format_instance
from srl_swe.experts.instances import step_instances
from srl_swe.experts.solutions import solution_trajectories
from srl_swe.files import read_lines
from srl_swe.tasks.mathematics.importing import import_problems

PLAN = """
title = "Tiny sums"
seeds = [0]

[train]
model = "{model}"
dtype = "float32"
batch = 2

[stages.sft]
objective = "sft"
trajectories = ["{suite}"]
updates = 2

[stages.sft-instances]
objective = "sft"
instances = ["{instances}"]
updates = 1

[stages.srl]
objective = "srl"
trajectories = ["{suite}"]
updates = 1
dynamic_sampling = false
group_size = 2
max_new_tokens = 4

[stages.reverse]
objective = "rlvr"
suites = ["{suite}"]
trajectories = ["{suite}"]
reverse_curriculum = true
updates = 1
dynamic_sampling = false
group_size = 2
max_new_tokens = 4

[arms]
base = []
SFT = ["sft"]
"SFT on instances" = ["sft-instances"]
SRL = ["sft", "srl"]
"SFT→RLVR" = ["sft", "reverse"]

[measures.sums]
kind = "mathematics"
{where}
samples = 2
most = 2
max_new_tokens = 8

[measures.steps]
kind = "steps"
trajectories = ["{suite}"]
samples = 1
most = 2
max_new_tokens = 8

[[claims]]
text = "SRL is better than SFT"
better = "SRL"
than = "SFT"
measure = "sums.accuracy"
"""


def rows(numbers: range) -> str:
    return "".join(
        json.dumps(
            {"question": f"What is {n} and 3, doubled?", "answer": f"It is {n + 3}.\nDoubled.\n#### {2 * n + 6}"}
        )
        + "\n"
        for n in numbers
    )


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model_folder: Path) -> dict[str, object]:
    """A suite with both splits, rows of held-out problems, and step instances."""
    monkeypatch.setenv("SRL_SWE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "train.jsonl").write_text(rows(range(6)))
    (tmp_path / "heldout.jsonl").write_text(rows(range(10, 14)))
    suite = tmp_path / "sums"
    _, train = import_problems([str(tmp_path / "train.jsonl")], suite, split="train")
    import_problems([str(tmp_path / "heldout.jsonl")], suite, split="heldout")
    trajectories, _ = solution_trajectories(train)
    instances = tmp_path / "instances.jsonl"
    instances.write_bytes(b"".join(format_instance(i) for t in trajectories for i in step_instances(t)))
    return {"model": tiny_model_folder, "suite": suite, "instances": instances}


def write_plan(tmp_path: Path, places: dict[str, object], where: str) -> Path:
    path = tmp_path / "sums.toml"
    path.write_text(PLAN.format(**places, where=where))
    return path


def test_every_arm_trains_on_maths_and_is_measured(places: dict[str, object], tmp_path: Path) -> None:
    read = read_experiment(write_plan(tmp_path, places, f'files = ["{tmp_path / "heldout.jsonl"}"]'))
    out, world = tmp_path / "out", World()
    run_experiment(read, out, world)
    table, comparisons = publish(read, out, world)

    assert [row.arm for row in table] == ["base", "SFT", "SFT on instances", "SRL", "SFT→RLVR"]
    for row in table:
        assert row.cells.keys() >= {"sums.accuracy", "sums.answered", "sums.answer length", "steps.similarity"}
        # A tiny untrained model solves nothing; at most eight tokens an answer.
        assert row.cells["sums.accuracy"].value == 0
        assert 0 < row.cells["sums.answer length"].value <= 8
    assert comparisons[0].verdict == "cannot be told"
    # Nothing is lost: two problems, two samples each, all judged.
    results = read_lines(out / "base" / "measures" / "sums" / "results.jsonl")
    assert len(results) == 4
    assert all(result["solved"] is False for result in results)
    # Episodes of the curriculum begin at the last of the expert's steps.
    metrics = read_lines(out / "sft+reverse" / "seed-0" / "metrics.jsonl")
    assert metrics[0]["curriculum_left"] == 0.5
    costs = {row.arm: row.cost for row in table}
    assert costs["SRL"].sampled_tokens > 0 == costs["SFT"].sampled_tokens
    assert costs["SRL"].trained_tokens > costs["SFT"].trained_tokens > 0
    assert costs["SRL"].updates == 3


def test_a_maths_measure_needs_one_place(places: dict[str, object], tmp_path: Path) -> None:
    for where in ("", f'files = ["{tmp_path / "heldout.jsonl"}"]\nsuites = ["{places["suite"]}"]'):
        read = read_experiment(write_plan(tmp_path, places, where))
        with pytest.raises(ConfigError, match=r"measures\.sums\.suites: expected suites or files"):
            run_experiment(read, tmp_path / "out", World())


def test_wrong_solutions_are_no_experts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worked solution that comes to another answer than the problem's is left out."""
    monkeypatch.setenv("SRL_SWE_CACHE", str(tmp_path / "cache"))
    columns = {"problem": "q", "answer": "a", "solution": "s"}
    lines = [
        {"q": f"What is {n} + 1?", "a": str(n + 1), "s": f"1. Take {n}.\n2. Add 1: \\boxed{{{n + right}}}."}
        for n, right in ((1, 1), (2, 5))
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    import_problems([str(tmp_path / "rows.jsonl")], tmp_path / "suite", columns=columns, split="train")
    (file,) = World().trajectories([str(tmp_path / "suite")], "train")
    assert [record["resolved"] for record in read_lines(file)] == [True]
