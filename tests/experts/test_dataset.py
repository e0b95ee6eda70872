"""Files of step instances: what is written is read back, and bad input is refused with nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from srl_swe.cli import main
from srl_swe.errors import ConfigError, TrajectoryError
from srl_swe.experts.dataset import format_instance, iter_instances, write_instances
from srl_swe.experts.instances import all_step_instances, step_instances
from srl_swe.experts.trajectories import read_trajectories

TRAIN, HELDOUT = (Path(__file__).parents[2] / f"trajectories/starter.{split}.jsonl" for split in ("train", "heldout"))


def test_what_is_written_is_read_back_with_a_card(tmp_path: Path) -> None:
    instances = all_step_instances(read_trajectories(HELDOUT))
    card = write_instances(tmp_path / "o.jsonl", iter(instances), dropped={"duplicate": 2})
    assert list(iter_instances(tmp_path / "o.jsonl")) == instances
    assert card["instances"] == sum(card["tasks"].values()) == len(instances)
    assert json.loads((tmp_path / "o.card.json").read_text()) == card
    assert "| duplicate | 2 |" in (tmp_path / "o.card.md").read_text()


def test_the_splits_are_never_mixed(tmp_path: Path) -> None:
    both = all_step_instances([read_trajectories(TRAIN)[0], read_trajectories(HELDOUT)[0]])
    with pytest.raises(ConfigError, match="one file for each split"):
        write_instances(tmp_path / "o.jsonl", both, dropped={})
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
    first = steps[0]
    pilot.write_text(json.dumps({"instance_id": first.instance_id, "rewards": [0, 1]}) + "\n")
    assert main(["experts", "instances", str(TRAIN), "--to", str(out), "--pilot", str(pilot)]) == 0
    assert list(iter_instances(out)) == [first]


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
