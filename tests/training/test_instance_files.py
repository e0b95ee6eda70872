"""Training straight from files of step instances: the same steps, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_trajectories import make_trajectory

from srl_swe.cli import main
from srl_swe.environments.prompts import OBSERVATION_CHARS
from srl_swe.errors import ConfigError, TrajectoryError
from srl_swe.experts.dataset import format_instance, write_instances
from srl_swe.experts.instances import step_instances
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import read_training_steps
from srl_swe.training.instance_files import read_instance_files


def write(path: Path, *numbers: int, split: str = "train") -> Path:
    write_instances(path, [step for n in numbers for step in step_instances(make_trajectory(n, split))])
    return path


def test_the_steps_are_those_of_the_trajectories(tmp_path: Path, trajectories_file: Path) -> None:
    out = tmp_path / "steps.jsonl"
    assert main(["experts", "instances", str(trajectories_file), "--to", str(out)]) == 0
    cut = read_training_steps([trajectories_file], history=2, observation_chars=OBSERVATION_CHARS)
    read = read_training_steps([], history=2, observation_chars=OBSERVATION_CHARS, instances=[out])
    # What t0 to t3 do first is the same, but for the problem.
    assert read == cut


@pytest.mark.parametrize("objective", ["sft", "srl"])
def test_the_command_trains_on_them(tmp_path: Path, tiny_model_folder: Path, objective: str) -> None:
    files = [str(write(tmp_path / f"{k}.jsonl", k)) for k in range(2)]
    command = ["train", "--objective", objective, "--instances", *files, "--model", str(tiny_model_folder)]
    command += ["--out", str(tmp_path / "run"), "--updates", "1", "--batch", "2", "--dtype", "float32"]
    if objective == "srl":
        # A random model's answers are all malformed: there is nothing to learn from, and that is said.
        command += ["--group-size", "2", "--max-new-tokens", "4", "--max-refills", "0"]
        assert main(command) == 2
        return
    assert main(command) == 0
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 1
    assert json.loads((tmp_path / "run/config.json").read_text())["config"]["instances"] == files


def test_held_out_instances_are_refused(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.jsonl", 0), write(tmp_path / "bad.jsonl", 1, split="heldout")
    with pytest.raises(ConfigError, match=r"bad\.jsonl:1: step instance 't1#0' is held out; training refuses it"):
        read_instance_files([good, bad])


def test_a_task_in_both_splits_is_refused_with_both_places(tmp_path: Path) -> None:
    train, heldout = write(tmp_path / "a.jsonl", 0, 1), write(tmp_path / "b.jsonl", 2, 1, split="heldout")
    with pytest.raises(
        ConfigError, match=r"b\.jsonl:4: split: .*'suite/task-1' is heldout here and train at .*a\.jsonl:4"
    ):
        read_instance_files([train, heldout])
    with pytest.raises(ConfigError, match=r"a\.jsonl:4: split: .* is train here and heldout at .*b\.jsonl:4"):
        read_instance_files([heldout, train])


def test_an_instance_in_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"b\.jsonl:1: instance_id: 't0#0' is also at .*a\.jsonl:1"):
        read_instance_files([write(tmp_path / "a.jsonl", 0), write(tmp_path / "b.jsonl", 0)])


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="instances: no such file"):
        read_instance_files([tmp_path / "none.jsonl"])
    line = format_instance(step_instances(make_trajectory(0))[0])
    (tmp_path / "bad.jsonl").write_bytes(line + b"{\n")
    with pytest.raises(TrajectoryError, match=r"bad\.jsonl:2: not valid JSON"):
        read_instance_files([tmp_path / "bad.jsonl"])


@pytest.mark.parametrize("option", [{"history": None}, {"history": 1}, {"observation_chars": 10}])
def test_options_without_effect_are_refused(tmp_path: Path, option: dict[str, int | None]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(option))}: has no effect with instances"):
        TrainConfig(out=tmp_path, instances=(tmp_path / "i.jsonl",), **option)  # type: ignore[arg-type]
    both = (tmp_path / "i.jsonl",)
    TrainConfig(out=tmp_path, instances=both, trajectories=both, **option)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected at least one file"):
        TrainConfig(out=tmp_path)
