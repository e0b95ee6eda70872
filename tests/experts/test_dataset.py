"""Files of step instances: what is written is read back, and bad input is refused with nothing left behind."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from srl_swe.cli import main
from srl_swe.errors import ConfigError, TrajectoryError
from srl_swe.experts.dataset import Account, format_instance, iter_instances, write_instances
from srl_swe.experts.instances import all_step_instances, step_instances
from srl_swe.experts.trajectories import read_trajectories, write_trajectories
from srl_swe.records import Step, Trajectory

TRAIN, HELDOUT = (Path(__file__).parents[2] / f"trajectories/starter.{split}.jsonl" for split in ("train", "heldout"))


def test_what_is_written_is_read_back_with_a_card(tmp_path: Path) -> None:
    instances = all_step_instances(read_trajectories(HELDOUT))
    card = write_instances(tmp_path / "o.jsonl", iter(instances), Account(dropped=Counter(duplicate=2)))
    assert list(iter_instances(tmp_path / "o.jsonl")) == instances
    assert card["instances"] == sum(card["tasks"].values()) == len(instances)
    assert json.loads((tmp_path / "o.card.json").read_text()) == card
    assert "| duplicate | 2 |" in (tmp_path / "o.card.md").read_text()


def test_the_splits_are_never_mixed(tmp_path: Path) -> None:
    both = all_step_instances([read_trajectories(TRAIN)[0], read_trajectories(HELDOUT)[0]])
    with pytest.raises(ConfigError, match="one file for each split"):
        write_instances(tmp_path / "o.jsonl", both)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mixed.jsonl").write_bytes(b"".join(map(format_instance, both)))
    with pytest.raises(TrajectoryError, match="split: heldout, but the file began with train"):
        list(iter_instances(tmp_path / "mixed.jsonl"))


@pytest.mark.parametrize("field", ["schema", "instance_id", "split", "step", "messages", "expert_action"])
def test_a_wrong_field_is_named(tmp_path: Path, field: str) -> None:
    record = json.loads(format_instance(step_instances(read_trajectories(TRAIN)[0])[0]))
    (tmp_path / "o.jsonl").write_text(json.dumps(record | {field: None}) + "\n")
    with pytest.raises(TrajectoryError, match=f"o.jsonl:1: {field}: expected"):
        list(iter_instances(tmp_path / "o.jsonl"))


def test_the_command_line_cuts_and_selects(tmp_path: Path) -> None:
    out, pilot = tmp_path / "o.jsonl", tmp_path / "p.jsonl"
    steps = all_step_instances(read_trajectories(TRAIN), skip_first=True)
    assert main(["experts", "instances", str(TRAIN), "--to", str(out), "--skip-first", "--history", "all"]) == 0
    card = json.loads((tmp_path / "o.card.json").read_text())
    assert card["instances"] + card["dropped"].get("duplicate", 0) == len(steps)
    assert card["instances"] + sum(card["dropped"].values()) == card["steps"]
    first = steps[0]
    pilot.write_text(json.dumps({"instance_id": first.instance_id, "rewards": [0, 1]}) + "\n")
    assert main(["experts", "instances", str(TRAIN), "--to", str(out), "--pilot", str(pilot)]) == 0
    assert list(iter_instances(out)) == [first]


def test_the_card_says_where_every_step_went(tmp_path: Path) -> None:
    steps = tuple(Step(thought="", action=f"ls {k}", observation="", runnable=k != 3) for k in range(5))
    first = Trajectory(
        trajectory_id="a", task_id="s/t", split="train", problem_statement="Off.", steps=steps, source="oracle"
    )
    second = replace(first, trajectory_id="b", source="swe-agent", model="m")
    slipped = replace(first, trajectory_id="c", task_id="s/u", problem_statement="On.", provenance={"mistakes": [1]})
    write_trajectories(tmp_path / "t.jsonl", [first, second])
    write_trajectories(tmp_path / "u.jsonl", [slipped])
    files = [str(tmp_path / f"{name}.jsonl") for name in "tu"]
    assert main(["experts", "instances", *files, "--to", str(tmp_path / "o.jsonl"), "--skip-first"]) == 0
    card = json.loads((tmp_path / "o.card.json").read_text())
    assert card["sources"] == [
        {"source": "oracle", "model": "", "trajectories": 2, "steps": 10, "instances": 5},
        {"source": "swe-agent", "model": "m", "trajectories": 1, "steps": 5, "instances": 0},
    ]
    reasons = {"action cannot run": 3, "first step": 3, "mistake that later steps mend": 1, "duplicate": 3}
    assert card["dropped"] == dict(sorted(reasons.items()))
    assert card["instances"] + sum(card["dropped"].values()) == card["steps"] == 15
    assert card["instances"] == sum(row["instances"] for row in card["sources"]) == sum(card["tasks"].values())
    assert "| swe-agent | m | 1 | 5 | 0 |" in (tmp_path / "o.card.md").read_text()


def test_a_pilot_chooses_by_the_mean_reward_too(tmp_path: Path) -> None:
    steps = all_step_instances(read_trajectories(TRAIN)[:1])
    means = [0.1, 0.5, 0.9]
    lines = [
        json.dumps({"instance_id": step.instance_id, "rewards": [mean - 0.1, mean + 0.1]})
        for step, mean in zip(steps, means, strict=False)
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    command = [
        "experts",
        "instances",
        str(TRAIN),
        "--to",
        str(tmp_path / "o.jsonl"),
        "--pilot",
        str(tmp_path / "p.jsonl"),
    ]
    for bounds, kept in (
        (["--min-mean", "0.3"], [1, 2]),
        (["--max-mean", "0.6"], [0, 1]),
        (["--min-mean", "0.2", "--max-mean", "0.8"], [1]),
    ):
        assert main([*command, *bounds]) == 0
        assert [i.step for i in iter_instances(tmp_path / "o.jsonl")] == [steps[k].step for k in kept]
        card = json.loads((tmp_path / "o.card.json").read_text())
        assert card["dropped"]["mean out of bounds"] == 3 - len(kept)
        assert card["instances"] + sum(card["dropped"].values()) == card["steps"]
    assert main([*command, "--min-mean", "0.8", "--max-mean", "0.2"]) == 2
    assert main([*command[:-2], "--min-mean", "0.8"]) == 2


def test_a_task_in_both_splits_is_refused_with_both_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trajectory = read_trajectories(TRAIN)[0]
    for name, split in (("a", "train"), ("b", "heldout")):
        write_trajectories(tmp_path / f"{name}.jsonl", [replace(trajectory, split=split)])  # type: ignore[arg-type]
    files = [str(tmp_path / f"{name}.jsonl") for name in "ab"]
    assert main(["experts", "instances", *files, "--to", str(tmp_path / "o.jsonl")]) == 2
    said = capsys.readouterr().err
    assert "is heldout here and train at" in said and all(file in said for file in files)


@pytest.mark.parametrize(
    "extra",
    [[str(HELDOUT)], ["--budget", "0"], ["--history", "-1"], ["--top", "3"], ["--pilot", "nowhere.jsonl"], ["no"]],
)
def test_the_command_line_refuses_bad_input(tmp_path: Path, extra: list[str]) -> None:
    assert main(["experts", "instances", str(TRAIN), *extra, "--to", str(tmp_path / "o.jsonl")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_trajectories_are_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_bytes(TRAIN.read_bytes())
    assert main(["experts", "instances", str(file), "--to", str(file)]) == 2
    assert file.read_bytes() == TRAIN.read_bytes()
    assert list(tmp_path.iterdir()) == [file]
