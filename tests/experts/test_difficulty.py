"""Which steps a pilot finds worth training on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from srl_swe.errors import ConfigError
from srl_swe.experts.difficulty import Difficulty, read_pilot, select_informative
from srl_swe.records import StepInstance


def instance(name: str, task: str = "s/t") -> StepInstance:
    return StepInstance(
        instance_id=name, task_id=task, split="train", step=0, messages=(), expert_action="ls", expert_thought=""
    )


def pilot(**stds: float) -> dict[str, Difficulty]:
    return {name: Difficulty(mean=0.5, std=std, answers=4) for name, std in stds.items()}


def test_a_pilot_is_read_in_both_forms(tmp_path: Path) -> None:
    file = tmp_path / "steps.jsonl"
    lines = [{"instance_id": "a", "rewards": [0, 1]}, {"instance_id": "b", "samples": [{"reward": -1.0}]}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_pilot(file) == {
        "a": Difficulty(mean=0.5, std=0.5, answers=2),
        "b": Difficulty(mean=-1.0, std=0.0, answers=1),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("{", ":1: not valid JSON"),
        ("[]", ":1: instance_id"),
        ('{"instance_id": "a", "rewards": []}', ":1: rewards"),
        ('{"instance_id": "a", "rewards": [NaN]}', ":1: rewards"),
        ('{"instance_id": "a", "samples": [3]}', ":1: rewards"),
        ('{"instance_id": "a", "rewards": [1]}\n' * 2, ":2: instance_id: 'a' occurs twice"),
    ],
)
def test_a_wrong_pilot_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.jsonl").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_pilot(tmp_path / "p.jsonl")


def test_a_missing_pilot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_pilot(tmp_path / "none.jsonl")


def test_every_step_dropped_is_counted_by_reason() -> None:
    known = pilot(a=0.3, b=0.05, c=0.4, d=0.2, e=0.2) | {"f": Difficulty(mean=0.95, std=0.2, answers=4)}
    tasks = {"a": "s/1", "c": "s/1", "d": "s/2", "e": "s/3"}
    instances = [instance(name, tasks.get(name, "s/4")) for name in "abcdefg"]
    kept, dropped = select_informative(instances, known, mean_at_most=0.9, top=2, per_task=1)
    assert [i.instance_id for i in kept] == ["c", "d"]
    reasons = (
        "too little spread",
        "mean out of bounds",
        "not in the pilot",
        "over the task's cap",
        "not among the top",
    )
    assert dropped == dict.fromkeys(reasons, 1)
    again, _ = select_informative(reversed(instances), known, mean_at_most=0.9, top=2, per_task=1)
    assert [i.instance_id for i in again] == ["d", "c"]


@pytest.mark.parametrize("option", [{"epsilon": -1}, {"epsilon": float("nan")}, {"top": 0}, {"per_task": 0}])
def test_bounds_out_of_range_are_refused(option: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        select_informative([], {}, **option)  # type: ignore[arg-type]
