"""Episodes as a measure, from their beginning and from an expert's last steps, in containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from srl_swe.errors import ConfigError
from srl_swe.experiments.measures import make_gauge
from srl_swe.experiments.plan import read_experiment
from srl_swe.experiments.world import World
from srl_swe.policies.scripted import DoNothingPolicy

PLAN = """
title = "Late starts"
seeds = [0]

[train]
objective = "sft"
trajectories = ["trajectories/starter.train.jsonl"]

[arms]
base = []

[measures.whole]
kind = "episodes"
suites = ["envs/starter"]
most = 2

[measures.late]
kind = "episodes"
suites = ["envs/starter"]
trajectories = ["trajectories/starter.heldout.jsonl"]
left = {left}
most = 2
"""


def gauges(tmp_path: Path, left: int):
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.format(left=left))
    experiment = read_experiment(path)
    return [make_gauge(experiment, measure, World()) for measure in experiment.measures]


@pytest.mark.docker
def test_who_only_hands_in_solves_what_the_expert_has_all_but_done(tmp_path: Path) -> None:
    solved = []
    for name, gauge in zip(("whole", "late"), gauges(tmp_path, 1), strict=True):
        gauge.run(lambda _: DoNothingPolicy(), tmp_path / name)
        found = gauge.read(tmp_path / name)["solved"]
        solved.append([observation.value for observation in found.values()])
        # Two repositories are too few to resample.
        assert [observation.cluster for observation in found.values()] == list(found)
    assert solved == [[0.0, 0.0], [1.0, 1.0]]


@pytest.mark.docker
def test_a_folder_of_other_starts_is_refused(tmp_path: Path) -> None:
    _, one = gauges(tmp_path, 1)
    one.run(lambda _: DoNothingPolicy(), tmp_path / "late")
    _, two = gauges(tmp_path, 2)
    with pytest.raises(ConfigError, match="starts"):
        two.run(lambda _: DoNothingPolicy(), tmp_path / "late")


def test_steps_left_need_the_experts_whose_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="left: goes with trajectories"):
        gauges(tmp_path, 0)
