"""A whole experiment with a tiny model: stages, measures, budgets, a kill in the middle, an arm without signal."""

import json
import shutil
from pathlib import Path

import pytest
from small_trajectories import make_trajectory

from srl_swe.errors import ConfigError
from srl_swe.experiments.plan import read_experiment
from srl_swe.experiments.publish import publish
from srl_swe.experiments.run import run_experiment, trained_model
from srl_swe.experiments.schedule import schedule
from srl_swe.experiments.world import World
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.files import read_lines

PLAN = """
title = "Tiny"
seeds = [0, 1]

[budget]
unit = "trained_tokens"
amount = 300

[train]
model = "{model}"
trajectories = ["{train}"]
batch = 2
dtype = "float32"

[stages.warmup]
objective = "sft"
updates = 2
shared = true

[stages.sft]
objective = "sft"
updates = 50
learning_rate = 1e-2
budget = 1

[stages.srl]
objective = "srl"
updates = 1
group_size = 2
max_new_tokens = 4
max_refills = 1

[arms]
base = []
SFT = ["warmup", "sft"]
SRL = ["warmup", "srl"]

[measures.steps]
kind = "steps"
trajectories = ["{heldout}"]
samples = 1
most = 3
max_new_tokens = 8

[[claims]]
text = "SFT is better than nothing"
better = "SFT"
than = "base"
measure = "steps.similarity"
"""


@pytest.fixture
def plan(tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path) -> Path:
    heldout = tmp_path / "heldout.jsonl"
    write_trajectories(heldout, [make_trajectory(i, "heldout") for i in (7, 8)])
    path = tmp_path / "tiny.toml"
    path.write_text(PLAN.format(model=tiny_model_folder, train=trajectories_file, heldout=heldout))
    return path


def test_an_experiment_from_end_to_end(plan: Path, tmp_path: Path) -> None:
    read = read_experiment(plan)
    out = tmp_path / "out"
    world = World()
    assert [(line.finished, line.left) for line in schedule(read, out)] == [(False, None)] * 5
    run_experiment(read, out, world)
    rows, comparisons = publish(read, out, world)

    assert [(row.arm, row.runs) for row in rows] == [("base", 1), ("SFT", 2), ("SRL", 2)]
    assert set(rows[0].cells) == {"steps.similarity", "steps.well-formed", "steps.answer length"}
    assert comparisons[0].verdict in ("holds", "does not hold", "cannot be told")
    # The budget ends a stage at the update that reaches it.
    for seed in (0, 1):
        tokens = [line["trained_tokens"] for line in read_lines(out / f"warmup+sft/seed-{seed}" / "metrics.jsonl")]
        assert sum(tokens[:-1]) < 300 <= sum(tokens)
    # A tiny untrained model's answers are all malformed: no group varies, and the arm keeps the model it began with.
    note = json.loads((out / "warmup+srl/seed-0/done.json").read_text())["note"]
    assert "standard deviation" in note
    assert trained_model(out / "warmup+srl/seed-0") == trained_model(out / "warmup/shared")
    table = json.loads((out / "table.json").read_text())
    assert table["figures"].keys() >= {"SFT: steps.similarity", "SFT - base: steps.similarity"}
    markdown = (out / "table.md").read_text()
    assert "| SFT | 2 |" in markdown
    assert "SRL: warmup+srl/seed-0 ended after 0 updates: " in markdown
    for picture in ("curves.svg", "arms.svg"):
        assert (out / picture).read_text().startswith("<?xml")
    assert all(line.finished for line in schedule(read, out))
    # What is left of a stage with a budget is the budget's rest, not all the updates it may have.
    (out / "warmup+sft/seed-1/done.json").unlink()
    assert {line.name: line.left for line in schedule(read, out)}["warmup+sft/seed-1"] == 0
    metrics = out / "warmup+sft/seed-1" / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(lines[:-1]))
    rest = {line.name: line for line in schedule(read, out)}["warmup+sft/seed-1"]
    assert rest.left and rest.seconds and 0 < rest.left < 2 * rest.seconds < (rest.updates - rest.made) * rest.seconds


def test_what_a_budget_of_seconds_takes_is_known_beforehand(plan: Path, tmp_path: Path) -> None:
    plan.write_text(plan.read_text().replace('unit = "trained_tokens"', 'unit = "seconds"'))
    left = {line.name: line.left for line in schedule(read_experiment(plan), tmp_path / "out")}
    assert left["warmup+sft/seed-0"] == 300 and left["warmup/shared"] is None


def test_what_is_done_is_not_done_again(plan: Path, tmp_path: Path) -> None:
    read = read_experiment(plan)
    out = tmp_path / "out"
    run_experiment(read, out, World())
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    run_experiment(read, out, World())
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    del before[out / "experiment.toml"], after[out / "experiment.toml"]
    assert after == before


def test_the_table_is_made_again_from_the_results_alone(plan: Path, tmp_path: Path) -> None:
    read = read_experiment(plan)
    out, moved, results = (tmp_path / name for name in ("out", "moved", "results"))
    run_experiment(read, out, World())
    publish(read, out, World())
    # A folder that is moved keeps its models.
    out.rename(moved)
    assert Path(trained_model(moved / "warmup+sft/seed-1")).is_relative_to(moved)
    kept = {"done.json", "meta.json", "metrics.jsonl", "steps.jsonl"}
    shutil.copytree(moved, results, ignore=lambda _, names: {n for n in names if "." in n} - kept)
    run_experiment(read, results, World())
    publish(read, results, World())
    assert (results / "table.json").read_bytes() == (moved / "table.json").read_bytes()
    assert not list(results.rglob("*.safetensors"))
    # What begins with a model that is gone is not trained from anything else.
    shutil.rmtree(results / "warmup/shared/checkpoints")
    (results / "warmup+sft/seed-1/done.json").unlink()
    with pytest.raises(ConfigError, match=r"model is gone; delete \S*warmup/shared/done.json to train it again"):
        run_experiment(read, results, World())


def test_a_model_named_by_a_relative_path_is_found_after_an_arm_without_signal(
    plan: Path, tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_model_folder.parent)
    text = plan.read_text().replace(f'"{tiny_model_folder}"', f'"./{tiny_model_folder.name}"')
    text = text.replace('SFT = ["warmup", "sft"]\nSRL = ["warmup", "srl"]', 'SRL = ["srl"]\nSFT = ["warmup", "sft"]')
    plan.write_text(text.replace("seeds = [0, 1]", "seeds = [0]"))
    run_experiment(read_experiment(plan), tmp_path / "out", World())
    assert "standard deviation" in (tmp_path / "out/srl/seed-0/done.json").read_text()
    assert trained_model(tmp_path / "out/srl/seed-0") == tiny_model_folder.name


def test_a_folder_of_another_experiment_is_refused(plan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "experiment.toml").write_text(plan.read_text().replace("updates = 2", "updates = 3"))
    with pytest.raises(ConfigError, match="another stage 'warmup'"):
        run_experiment(read_experiment(plan), out, World())


def test_a_wrong_field_of_the_last_stage_is_found_before_the_first_is_run(plan: Path, tmp_path: Path) -> None:
    plan.write_text(plan.read_text().replace("group_size = 2", "group_size = 1"))
    with pytest.raises(ConfigError, match=r"stages\.srl: group_size"):
        run_experiment(read_experiment(plan), tmp_path / "out", World())
    assert not list((tmp_path / "out").rglob("metrics.jsonl"))


def test_a_measure_with_an_unknown_field_is_refused(plan: Path, tmp_path: Path) -> None:
    plan.write_text(plan.read_text().replace("most = 3", "most_steps = 3"))
    with pytest.raises(ConfigError, match=r"measures\.steps\.most_steps: unknown field"):
        run_experiment(read_experiment(plan), tmp_path / "out", World())
