"""What a reset may be asked for, and that what is wrong is named."""

from __future__ import annotations

from typing import Any

import pytest

from srl_swe.environments.options import read_options
from srl_swe.errors import ConfigError
from srl_swe.records import Step, Trajectory

TASKS = ("s/one", "s/two")


def trajectory(task_id: str = "s/one", actions: tuple[str, ...] = ("ls", "pwd", "submit")) -> Trajectory:
    steps = tuple(Step(thought="", action=action, observation="exit code: 0") for action in actions)
    return Trajectory(
        trajectory_id="t", task_id=task_id, split="train", problem_statement="p", steps=steps, source="test"
    )


def test_what_is_right() -> None:
    expert = trajectory()
    for options in (None, {}, {"step": 0}, {"task": None, "step": None, "trajectory": None}):
        chosen = read_options(options, TASKS)
        assert (chosen.task_id, chosen.steps) == (None, ())
    assert read_options({"task": "s/two"}, TASKS).task_id == "s/two"
    chosen = read_options({"trajectory": expert, "step": 2}, TASKS)
    assert (chosen.task_id, chosen.steps) == ("s/one", expert.steps[:2])


@pytest.mark.parametrize(
    ("options", "key", "reason"),
    [
        ({"tasks": "s/one"}, "tasks", "expected task, step, trajectory"),
        ({"task": "s/on"}, "task", "did you mean s/one?"),
        ({"task": 3}, "task", "expected a task id"),
        ({"trajectory": {"task_id": "s/one"}}, "trajectory", "expected a Trajectory, not dict"),
        ({"trajectory": trajectory("s/three")}, "trajectory", "no task 's/three'"),
        ({"task": "s/two", "trajectory": trajectory()}, "trajectory", "belongs to s/one"),
        ({"step": 1}, "step", "needs options['trajectory']"),
        ({"step": -1, "trajectory": trajectory()}, "step", "whole number"),
        ({"step": True, "trajectory": trajectory()}, "step", "whole number"),
        ({"step": 1.0, "trajectory": trajectory()}, "step", "whole number"),
        ({"step": 4, "trajectory": trajectory()}, "step", "has 3 steps"),
        ({"step": 3, "trajectory": trajectory()}, "step", "has submitted before step 3"),
    ],
)
def test_what_is_wrong_is_named(options: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_options(options, TASKS)
    assert str(caught.value).startswith(f"options[{key!r}]")
    assert reason in str(caught.value)
