"""Every real file that is at hand: how many rows, trajectories and steps it gives, and what those are."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from shared_trajectories import FOLDER, needs_shared_trajectories

from srl_swe.environments.actions import NO_THOUGHT, Action, format_action, format_answer, parse_action
from srl_swe.errors import TrajectoryError
from srl_swe.experts.formats.importing import import_trajectories
from srl_swe.experts.formats.outcomes import read_outcomes
from srl_swe.experts.formats.reading import Tally, read_file
from srl_swe.experts.trajectories import read_trajectories
from srl_swe.records import Step, Trajectory

pytestmark = needs_shared_trajectories

TABLE: dict[str, tuple[str, int, int, int, int]] = {
    name: tuple(row) for name, row in json.loads((Path(__file__).with_name("real_files.json")).read_text()).items()
}
"""By file: format, rows, trajectories, steps, steps that can run."""


def read(name: str) -> tuple[list[Trajectory], Tally]:
    tally = Tally()
    return list(read_file(FOLDER / name, skip_bad=True, tally=tally)), tally


def test_the_table_has_every_file() -> None:
    files = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert files == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_every_row_is_read_or_reported(name: str) -> None:
    trajectories, tally = read(name)
    kind, rows, read_rows, steps, runnable = TABLE[name]
    assert (tally.rows, tally.trajectories, tally.steps, tally.runnable) == (rows, read_rows, steps, runnable)
    assert tally.rows == len(trajectories) + tally.skipped
    assert list(tally.formats) == ([kind] if kind else [])
    for trajectory in trajectories:
        counted = Counter(trajectory.provenance.get("not_runnable") or {})
        assert counted.total() == sum(not step.runnable for step in trajectory.steps)
        for step in trajectory.steps:
            if step.runnable:  # in our grammar, to the character
                answer = f"{NO_THOUGHT}\n{format_action(step.action)}"
                assert parse_action(answer if not step.thought else format_answer(step.thought, step.action)) == (
                    step.thought,
                    Action(command=step.action),
                )
        assert trajectory.problem_statement.strip() and all(step.action.strip() for step in trajectory.steps)
        assert len({t.trajectory_id for t in trajectories}) == len(trajectories)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[0] != "" and not name.endswith(".yaml")])
def test_no_action_of_a_file_is_lost(name: str) -> None:
    """Counted a second time, straight from the JSON."""
    text = (FOLDER / name).read_text()
    rows = [json.loads(text)] if name.endswith((".traj", ".json")) else [json.loads(line) for line in text.splitlines()]
    trajectories, _ = read(name)
    assert [len(t.steps) for t in trajectories] == [count_actions(row) for row in rows]


def count_actions(row: Any) -> int:
    if isinstance(row, dict) and "trajectory" in row:  # SWE-agent, SWE-smith
        return len(row["trajectory"])
    if isinstance(row, dict) and ("response" in row or "expected_action" in row):  # NeMo-Gym
        return count_items(row["response"]["output"]) if "response" in row else 1
    messages = row if isinstance(row, list) else row.get("messages") or row["history"]
    if "role" in messages[0]:
        return sum(max(1, len(m.get("tool_calls") or [])) for m in messages if m["role"] == "assistant")
    idle = ("system", "message", "recall")  # OpenHands
    return sum("action" in event and event["action"] not in idle for event in messages)


def count_items(output: list[dict[str, Any]]) -> int:
    """Calls, and messages that no call follows."""
    kinds = [item["type"] for item in output] + [""]
    spoken = sum(a == "message" and b != "function_call" for a, b in itertools.pairwise(kinds))
    return kinds.count("function_call") + spoken


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[1] > row[2]])
def test_a_bad_row_is_fatal_unless_it_may_be_skipped(name: str) -> None:
    with pytest.raises(TrajectoryError, match=r":1: .*(known format|missing)"):
        list(read_file(FOLDER / name))


SAMPLES = [
    # file, trajectory, step; then how thought, action and observation begin: checked by hand against the file
    ("mini-swe-agent-1/astropy__astropy-12907.traj.json", 0, 0, "I need to explore", "ls -R", "<returncode>0"),
    ("mini-swe-agent-1/astropy__astropy-12907.traj.json", 0, -1, "Everything looks good", "submit", "diff --git"),
    ("mini-swe-agent-2/github_issue.traj.json", 0, 1, "I need to find", "ls -la", "<returncode>0"),
    ("mini-swe-agent-2/marshmallow-code__marshmallow-1343.traj.json", 0, 0, "I'll start", "pwd && ls -la", "<return"),
    ("swe-smith/ft_xml_example.jsonl", 2, 1, "Let's examine", "str_replace_editor view /testbed/pydantic/", "Here's"),
    ("swe-smith/ft_xml_example.jsonl", 0, -1, "Now let's submit", "submit", ""),
    ("openhands/multi_swe_bench_output.jsonl", 0, 0, "The task involves", "ls -l /workspace/pony", "total 300"),
    ("openhands/multi_swe_bench_output.jsonl", 0, -2, "It seems that", "think {", "Your thought has been"),
    ("openhands/resolver_output.jsonl", 0, 0, "Certainly! I'll add", "touch LICENSE", "\r\nroot@"),
    ("openhands/resolver_output.jsonl", 0, -1, "The MIT License", "submit", ""),
    (
        "nemo-gym/anyswe_agent__example_rollouts_claude_code.jsonl",
        0,
        0,
        "Looking at",
        "str_replace_editor view",
        "1\t#",
    ),
    ("nemo-gym/anyswe_agent__example_rollouts_claude_code.jsonl", 0, -1, "I've made the fix", "submit", ""),
    (
        "nemo-gym/anyswe_agent__example_rollouts_opencode.jsonl",
        0,
        0,
        "The issue",
        "find . -type f -name sep",
        "/testbed",
    ),
    ("nemo-gym/harbor_agent__example_output.jsonl", 0, 0, "The terminal is", "ls -la /app/", "New Terminal Output"),
    ("nemo-gym/mini_swe_agent_2__example_rollouts.jsonl", 0, 1, "", "find . -type f -name", "<returncode>0"),
    ("nemo-gym/swe_pivot__example.jsonl", 0, 0, "", "str_replace_editor str_replace /workspace/proj/foo.py", ""),
    (
        "swe-agent/demonstrations/function_calling_simple.traj",
        0,
        0,
        "The `SyntaxError`",
        "find . -name miss",
        "Found 1",
    ),
    (
        "swe-agent/demonstrations/str_replace_anthropic_demo.yaml",
        0,
        0,
        "Let’s start",
        "str_replace_editor view",
        "Here",
    ),
]


@pytest.mark.parametrize(("name", "row", "step", "thought", "action", "observation"), SAMPLES)
def test_samples(name: str, row: int, step: int, thought: str, action: str, observation: str) -> None:
    found = read(name)[0][row].steps[step]
    assert found.thought.startswith(thought) and bool(found.thought) == bool(thought)
    assert found.action.startswith(action)
    assert found.observation.startswith(observation) and bool(found.observation) == bool(observation)


def test_the_first_edit_in_every_tool_format_of_swe_agent() -> None:
    """The same work was recorded in eight formats; the second edit, by lines, cursors or search, mends the file."""
    files = sorted((FOLDER / "swe-agent/demonstrations").glob("replay__*/*.traj"))
    assert len(files) == 8
    for path in files:
        (trajectory,) = read_file(path)
        edit = next(step for step in trajectory.steps if "round(value" in step.action and step.runnable)
        assert "int(round(value.total_seconds()" in edit.action and "src/marshmallow/fields.py" in edit.action
        assert edit.call is not None and edit.call.name == "edit"
        assert "File updated" in edit.observation or "[File:" in edit.observation or "replaced" in edit.observation
        assert trajectory.steps[-1].action == "submit"


def test_what_mini_swe_agent_refused_is_what_cannot_run() -> None:
    for name in (name for name in TABLE if name.startswith("mini-swe-agent-1/") and TABLE[name][0]):
        for step in read(name)[0][0].steps:
            assert step.runnable != step.observation.startswith("Please always provide EXACTLY ONE action")


def test_outcomes_and_rewards() -> None:
    trajectories, _ = read("nemo-gym/anyswe_agent__example_rollouts_opencode.jsonl")
    assert [t.resolved for t in trajectories] == [False, True, True, True, True]
    assert [t.steps[-1].reward for t in trajectories] == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert all(step.reward is None for t in trajectories for step in t.steps[:-1])


def test_calls_are_kept_to_the_character() -> None:
    row = json.loads((FOLDER / "mini-swe-agent-2/pvlib__pvlib-python-1072.traj.json").read_text())
    called = [c["function"]["arguments"] for m in row["messages"] for c in m.get("tool_calls") or []]
    steps: tuple[Step, ...] = read("mini-swe-agent-2/pvlib__pvlib-python-1072.traj.json")[0][0].steps
    assert [step.call.arguments for step in steps if step.call] == called


def test_official_outcomes_are_joined_to_their_trajectories(tmp_path: Path) -> None:
    outcomes = read_outcomes([FOLDER / "mini-swe-agent-1/reports.jsonl"])
    files = sorted((FOLDER / "mini-swe-agent-1").glob("*.traj.json"))
    import_trajectories(files, tmp_path / "t.jsonl", outcomes=outcomes)
    reported = [json.loads(line) for line in (FOLDER / "mini-swe-agent-1/reports.jsonl").read_text().splitlines()]
    solved = {row["instance_id"]: row["resolved"] for row in reported}
    read_back = {t.task_id: t.resolved for t in read_trajectories(tmp_path / "t.jsonl")}
    assert read_back == {task: resolved for task, resolved in solved.items() if task in read_back}
    assert set(read_back.values()) == {True, False}


def test_outcomes_of_swe_smith() -> None:
    folder = FOLDER / "swe-smith/run_evaluation"
    each = {path.parent.name: json.loads(path.read_text())["resolved"] for path in folder.glob("*/report.json")}
    assert read_outcomes(folder.glob("*/report.json")) == each
    summary = read_outcomes([folder / "report.json"])
    assert each.items() <= summary.items()
