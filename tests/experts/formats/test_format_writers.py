"""What is written for others is read back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shared_trajectories import FOLDER, needs_shared_trajectories

from srl_swe.environments.actions import parse_action
from srl_swe.errors import ConfigError, TrajectoryError
from srl_swe.experts.formats.reading import read_file
from srl_swe.experts.formats.writing import NAMES, write_file
from srl_swe.records import Step, ToolCall, Trajectory

OTHERS = [name for name in NAMES if name != "srl-swe"]
MADE = Trajectory(
    trajectory_id="suite/t@oracle-0",
    task_id="suite/t",
    split="train",
    problem_statement="# Totals are off\n\nSee `round_half`.",
    steps=(
        Step(thought="Is it ```bash\nls\n```?", action="cat <<'E'\n```\n````\nE", observation="exit code: 0\nx"),
        Step(thought="", action="Shall I go on?", observation="Do.", runnable=False),
        Step(thought="Done.", action="submit", observation="", reward=1.0),
    ),
    source="oracle",
    model="m",
    resolved=True,
    provenance={"seed": 0},
)


def seen(trajectory: Trajectory) -> list[tuple[str, str, str, bool]]:
    return [(s.thought, s.action, s.observation, s.runnable) for s in trajectory.steps]


def write_and_read(path: Path, trajectories: list[Trajectory], format: str) -> list[Trajectory]:
    assert write_file(path, trajectories, format=format) == len(trajectories)
    return list(read_file(path))


@pytest.mark.parametrize("format", OTHERS)
def test_thoughts_actions_and_observations_are_read_back(tmp_path: Path, format: str) -> None:
    (again,) = write_and_read(tmp_path / "t.jsonl", [MADE], format)
    assert seen(again) == seen(MADE)
    assert (again.task_id, again.model, again.resolved) == (MADE.task_id, MADE.model, MADE.resolved)
    assert again.problem_statement == MADE.problem_statement


def test_ours_and_atif_keep_more(tmp_path: Path) -> None:
    called = replace(
        MADE.steps[1], thought="Hm.", action='think {"a": 1}', call=ToolCall(name="think", arguments='{"a": 1}')
    )
    made = replace(MADE, steps=(MADE.steps[0], called, MADE.steps[2]))
    assert write_and_read(tmp_path / "t.jsonl", [made], "srl-swe") == [made]
    (again,) = write_and_read(tmp_path / "t.jsonl", [made], "atif")
    assert seen(again) == seen(made) and again.steps[1].call == called.call
    assert [step.reward for step in again.steps] == [None, None, 1.0]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_the_form_of_each(tmp_path: Path) -> None:
    for format in OTHERS:
        write_file(tmp_path / f"{format}.jsonl", [MADE], format=format)
    (trl,), (axolotl,), (factory,), (atif,) = (
        rows(tmp_path / f"{format}.jsonl") for format in ("trl", "axolotl", "llama-factory", "atif")
    )
    assert [m["role"] for m in trl["messages"]] == ["system", "user", *["assistant", "user"] * 3]
    thought, action = parse_action(trl["messages"][2]["content"])
    assert (thought, action.command) == (MADE.steps[0].thought, MADE.steps[0].action)
    assert [m["from"] for m in axolotl["conversations"]] == ["system", "human", *["gpt", "human"] * 3]
    assert [m["from"] for m in factory["conversations"]] == ["human", "gpt"] * 3  # it must alternate and end with gpt
    assert factory["system"] == trl["messages"][0]["content"]
    assert atif["schema_version"].startswith("ATIF-v1.") and atif["session_id"] and atif["agent"]["version"]
    assert [step["step_id"] for step in atif["steps"]] == [1, 2, 3, 4]
    for step in atif["steps"][1:]:
        calls = {call["tool_call_id"] for call in step.get("tool_calls", [])}
        assert {
            result["source_call_id"] for result in step["observation"]["results"] if "source_call_id" in result
        } == calls


@needs_shared_trajectories
@pytest.mark.parametrize("format", OTHERS)
@pytest.mark.parametrize(
    "name",
    [
        "nemo-gym/anyswe_agent__example_rollouts_claude_code.jsonl",
        "nemo-gym/mini_swe_agent_2__example_rollouts.jsonl",
        "mini-swe-agent-2/marshmallow-code__marshmallow-1343.traj.json",
        "swe-agent/demonstrations/function_calling_simple.traj",
    ],
)
def test_real_trajectories_are_read_back(tmp_path: Path, name: str, format: str) -> None:
    made = list(read_file(FOLDER / name))
    again = write_and_read(tmp_path / "t.jsonl", made, format)
    assert len(again) == len(made)
    for one, other in zip(made, again, strict=True):
        if format == "llama-factory":  # the last observation is left out
            one = replace(one, steps=(*one.steps[:-1], replace(one.steps[-1], observation="")))
        assert seen(other) == seen(one)


def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path) -> None:
    bad = replace(MADE, steps=(replace(MADE.steps[0], action="a\0b"),))
    for format, made in [(f, []) for f in NAMES] + [("trl", [MADE, bad]), ("axolotl", [bad])]:
        with pytest.raises(TrajectoryError):
            write_file(tmp_path / "t.jsonl", made, format=format)
    with pytest.raises(ConfigError, match="no format 'nonsense' to write; known: srl-swe, atif"):
        write_file(tmp_path / "t.jsonl", [MADE], format="nonsense")
    assert not list(tmp_path.iterdir())
