"""An experiment's file: what it says, and what is refused with file and field."""

from pathlib import Path

import pytest

from srl_swe.errors import ConfigError
from srl_swe.experiments.plan import read_experiment
from srl_swe.experiments.run import arm_folders, chain_folders, runs

PLAN = """
title = "A comparison"
seeds = [3, 5]

[budget]
unit = "trained_tokens"
amount = 1000

[train]
model = "a-model"
trajectories = ["experts.jsonl"]

[stages.warmup]
objective = "sft"
updates = 2
shared = true

[stages.sft]
objective = "sft"
budget = 2

[stages.srl]
objective = "srl"
budget = 1

[arms]
base = []
warm = ["warmup"]
SFT = ["warmup", "sft"]
SRL = ["warmup", "srl"]

[measures.steps]
kind = "steps"
trajectories = ["heldout.jsonl"]

[[claims]]
text = "SRL is better"
better = "SRL"
than = "SFT"
measure = "steps.similarity"
"""


def written(tmp_path: Path, text: str = PLAN) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return path


def test_a_plan_is_read(tmp_path: Path) -> None:
    plan = read_experiment(written(tmp_path))
    assert (plan.title, plan.seeds, plan.model) == ("A comparison", (3, 5), "a-model")
    assert plan.stages["sft"].fields == {
        "model": "a-model",
        "trajectories": ["experts.jsonl"],
        "objective": "sft",
    }
    assert (plan.stages["sft"].budget, plan.stages["warmup"].budget) == (2, None)
    assert plan.budget is not None
    assert (plan.budget.unit, plan.budget.amount) == ("trained_tokens", 1000)
    assert plan.arms["SRL"] == ("warmup", "srl")
    assert plan.claims[0].margin is None


def test_every_stage_is_run_once_for_each_chain_that_leads_to_it(tmp_path: Path) -> None:
    plan = read_experiment(written(tmp_path))
    folders = [str(run.folder) for run in runs(plan, Path("o"))]
    assert folders == [
        "o/warmup/shared",
        "o/warmup+sft/seed-3",
        "o/warmup+srl/seed-3",
        "o/warmup+sft/seed-5",
        "o/warmup+srl/seed-5",
    ]
    assert arm_folders(plan, "base", Path("o")) == [Path("o/base")]
    assert arm_folders(plan, "warm", Path("o")) == [Path("o/warmup/shared")]
    assert chain_folders(plan, "SRL", 5, Path("o")) == [Path("o/warmup/shared"), Path("o/warmup+srl/seed-5")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "A comparison"', "", "title: missing"),
        ("seeds = [3, 5]", "seeds = [3, 3]", "seeds: a seed is listed twice"),
        ("seeds = [3, 5]", "seeds = []", "seeds: expected a list of whole numbers"),
        ("updates = 2", "updats = 2", "stages.warmup.updats: no field of the training configuration"),
        ("updates = 2", "seed = 2", "stages.warmup.seed: the experiment sets it itself"),
        ("shared = true", 'shared = "yes"', "stages.warmup.shared: expected true or false"),
        ("budget = 2", "budget = -2", "stages.sft.budget: expected a number above 0"),
        ('unit = "trained_tokens"\namount = 1000', 'unit = "hours"\namount = 1', "budget.unit: expected one of"),
        ('unit = "trained_tokens"\namount = 1000', 'unit = "seconds"', "budget.amount"),
        ('SFT = ["warmup", "sft"]', 'SFT = ["warmup", "sgd"]', "arms.SFT: no stage 'sgd'"),
        ('SFT = ["warmup", "sft"]', 'SFT = ["sft", "warmup"]', "'warmup' is shared by all seeds, but comes after"),
        ('SFT = ["warmup", "sft"]', 'SFT = ["warmup"]', "stages.sft: no arm uses it"),
        ('kind = "steps"', 'kind = "leaps"', "measures.steps: expected a table whose kind is one of"),
        ('better = "SRL"', 'better = "SRM"', "names no arm of the experiment: 'SRM'"),
        ('measure = "steps.similarity"', 'measure = "leaps.similarity"', "names no measure"),
        ("[[claims]]", "[[clams]]", "clams: unknown field"),
        ("[arms]", "[arms", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in PLAN
    path = written(tmp_path, PLAN.replace(old, new))
    with pytest.raises(ConfigError) as error:
        read_experiment(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="file not found"):
        read_experiment(tmp_path / "none.toml")
