"""Rows of every format, written by hand: what the agent thought, did and saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import format_samples as samples
import pytest

from srl_swe.errors import ConfigError, TrajectoryError
from srl_swe.experts.formats.reading import NAMES, read_file, recognise
from srl_swe.records import Trajectory

CASES: list[tuple[Any, str, str, str, list[tuple[str, str, str, bool]]]] = [
    # row, format, task, problem, steps as (thought, action, observation's beginning, runnable)
    (
        samples.SWE_AGENT,
        "swe-agent",
        "row",
        "Totals are off.",
        [
            ("Look.", "str_replace_editor view src/money.py --view_range 1 4", "[File:", True),
            (
                "Mend.",
                "sed -i 3,3d src/money.py && str_replace_editor insert src/money.py --insert_line 2 --new_str C",
                "[File:",
                True,
            ),
            ("", "submit", "diff", True),
        ],
    ),
    (
        samples.MINI_1,
        "mini-swe-agent",
        "owner__repo-1",
        "Off.",
        [
            ("Look.", "ls -la", "<returncode>0", True),
            ("", "THOUGHT: Two.\n```bash\na\n```\n```bash\nb\n```", "Please", False),
            ("", "submit", "diff", True),
        ],
    ),
    (
        samples.MINI_2,
        "mini-swe-agent",
        "owner__repo-2",
        "Mend it.",
        [("Two at once.", "ls", "src", True), ("", "pwd", "/testbed", True), ("Done.", "submit", "diff", True)],
    ),
    (
        samples.OPENHANDS,
        "openhands",
        "owner__repo-3",
        "Off.",
        [
            ("Look.", "ls", "src", True),
            ("", "Shall I?", "Go on.", False),
            ("Hm.", "think {}", "Logged.", False),
            ("Done.", "submit", "", True),
        ],
    ),
    (
        {"instruction": "Mend it.", "instance_id": "p", "history": samples.OPENHANDS_PAIRS},
        "openhands",
        "p",
        "Mend it.",
        [("Look.", "ls", "src", True), ("Done.", "submit", "", True)],
    ),
    (
        samples.OPENHANDS_SDK,
        "openhands",
        "owner__repo-4",
        "Mend it.",
        [("Hm.\n\nLook.", "ls", "src", True), ("", "task_tracker {}", "no plan", False), ("", "submit", "", True)],
    ),
    (
        samples.NEMO_GYM,
        "nemo-gym",
        "owner__repo-5",
        "Off.",
        [("Look.", "str_replace_editor view a.py --view_range 5 -1", "5\tx", True), ("Done.", "submit", "", True)],
    ),
    (
        samples.NEBIUS_SWE_AGENT,
        "nebius",
        "owner__repo-6",
        "Totals are off.",
        [("Look.", "find src -name money.py", "Found 1", True), ("Done.", "submit", "", True)],
    ),
    (
        samples.NEBIUS_OPENHANDS,
        "nebius",
        "owner__repo-7",
        "Off.",
        [("Look.", "ls", "src", True), ("", "submit", "", True)],
    ),
    (
        samples.ATIF,
        "atif",
        "owner__repo-8",
        "Mend it.",
        [
            ("Hm.\n\nTwo at once.", "ls", "src", True),
            ("", 'TodoWrite {"todos": []}', "noted", False),
            ("Done.", "submit", "", True),
        ],
    ),
    (
        samples.CHAT_XML,
        "chat",
        "owner__repo-9",
        "Off.",
        [
            ("View.", "str_replace_editor view /testbed/a.py --view_range 3 9", "3\tx", True),
            ("", "submit", "", True),
        ],
    ),
    (
        samples.CHAT_TICKS,
        "chat",
        "owner__repo-10",
        "Off.",
        [("See:\n```python\nx = 1\n```\nLook.", "ls src", "money.py", True), ("", "submit", "", True)],
    ),
    (
        samples.CHAT_ANTHROPIC,
        "chat",
        "a-1",
        "Mend it.",
        [("Hm.\nWrite.", "mkdir -p a && cat > a/b.py <<'EOF'\nx = 1\nEOF", "written", True)],
    ),
    (
        samples.CHAT_SHAREGPT,
        "chat",
        "g-1",
        "Mend it.",
        [("", "ls", "src", True), ("Use ```bash\nthis\n```?", "cat <<E\n```\nE", "", True)],
    ),
    (
        samples.SWE_AGENT_JSON,
        "swe-agent",
        "row",
        "Mend it.",
        [("Go.", 'goto {"line_number": 5}', "No file open.", False)],
    ),
    (
        samples.OURS,
        "srl-swe",
        "starter/t",
        "Off.",
        [("Look.", "ls", "exit code: 0", True), ("", "submit", "", True)],
    ),
]


def read_one(tmp_path: Path, row: Any, **options: Any) -> Trajectory:
    path = tmp_path / "row.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (trajectory,) = read_file(path, **options)
    return trajectory


@pytest.mark.parametrize("case", CASES, ids=[f"{case[1]}-{case[2]}" for case in CASES])
def test_a_row_is_told_by_its_content_and_read(tmp_path: Path, case: Any) -> None:
    row, name, task, problem, steps = case
    assert recognise(row) == name
    trajectory = read_one(tmp_path, row)
    assert (trajectory.task_id, trajectory.problem_statement) == (task, problem)
    assert [(s.thought, s.action, s.runnable) for s in trajectory.steps] == [(t, a, r) for t, a, _, r in steps]
    for step, (_, _, observation, _) in zip(trajectory.steps, steps, strict=True):
        assert step.observation.startswith(observation) and bool(step.observation) == bool(observation)


def test_what_a_row_says_about_itself(tmp_path: Path) -> None:
    atif, nebius = read_one(tmp_path, samples.ATIF), read_one(tmp_path, samples.NEBIUS_SWE_AGENT)
    assert (atif.model, atif.resolved, atif.trajectory_id) == ("m", True, "owner__repo-8@atif-0")
    assert [step.reward for step in atif.steps] == [None, 0.5, None]
    assert (nebius.model, nebius.resolved) == ("swe-agent-llama-70b", True)
    assert read_one(tmp_path, samples.NEBIUS_OPENHANDS).resolved is False
    assert read_one(tmp_path, samples.OPENHANDS).resolved is True
    assert read_one(tmp_path, samples.SWE_AGENT).resolved is None
    assert read_one(tmp_path, samples.ATIF, split="heldout").split == "heldout"
    assert read_one(tmp_path, samples.OURS).split == "heldout"


@pytest.mark.parametrize("minor", range(9))
def test_every_version_of_atif(tmp_path: Path, minor: int) -> None:
    assert len(read_one(tmp_path, samples.ATIF | {"schema_version": f"ATIF-v1.{minor}"}).steps) == 3


def test_the_call_is_kept_as_the_source_wrote_it(tmp_path: Path) -> None:
    calls = [step.call for step in read_one(tmp_path, samples.SWE_AGENT).steps]
    assert [(c.name, c.arguments) for c in calls if c] == [
        ("open", "src/money.py 3\n"),
        ("edit", "3:3\nC\nend_of_edit\n"),
    ]
    assert calls[-1] is None


def test_reasons_are_counted(tmp_path: Path) -> None:
    reasons = read_one(tmp_path, samples.OPENHANDS).provenance["not_runnable"]
    assert reasons == {"a thought": 1, "an answer without an action": 1}


def test_a_format_may_be_forced(tmp_path: Path) -> None:
    row = samples.CHAT_XML | {"schema": 1, "trajectory_id": "x"}
    with pytest.raises(TrajectoryError, match=r"row\.jsonl:1: problem_statement: missing"):
        read_one(tmp_path, row)
    assert len(read_one(tmp_path, row, format="chat").steps) == 2
    with pytest.raises(ConfigError, match="no format 'nonsense'; known: srl-swe, atif"):
        read_one(tmp_path, row, format="nonsense")
    with pytest.raises(TrajectoryError, match=r"row\.jsonl:1: trajectory: missing"):
        read_one(tmp_path, row, format="nebius")
    assert {case[1] for case in CASES} == set(NAMES)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [{"role": "user"}, {"content": "x"}]}, r"messages\[1\]\.role: missing"),
        ({"messages": [{"role": "user", "content": 3}]}, r"messages\[0\]\.content: expected a string, found 3"),
        ({"messages": "[{"}, r"messages: not valid JSON"),
        ({"messages": [{"role": "user", "content": "x"}]}, r"holds no step"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, r"problem statement: not found"),
        (samples.SWE_AGENT | {"trajectory": [{"action": 3}]}, r"trajectory\[0\]\.action: expected a string, found 3"),
        (
            samples.ATIF | {"steps": [{"source": "agent", "tool_calls": [{}]}]},
            r"steps\[0\]\.tool_calls\[0\]\.function_name",
        ),
        (samples.NEMO_GYM | {"resolved": "yes"}, r"resolved: expected true or false, found \"yes\""),
        ({"a": 1, "b": 2}, r"not a trajectory of a known format: an object with a, b"),
        ([], r"not a trajectory of a known format: a list of 0"),
        (3, r"not a trajectory of a known format: 3"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(TrajectoryError, match=r"row\.jsonl:1: " + message):
        read_one(tmp_path, row)


def test_half_a_surrogate_pair_does_not_cost_the_row(tmp_path: Path) -> None:
    row = json.loads(json.dumps(samples.MINI_1))
    row["messages"][3]["content"] = "cut \ud83d"
    assert read_one(tmp_path, row).steps[0].observation == "cut \ufffd"


def changed(row: Any) -> Any:
    """A copy to change."""
    return json.loads(json.dumps(row))


def test_a_block_of_code_is_no_action_of_an_agent_that_calls_tools(tmp_path: Path) -> None:
    shown = "Done; now run:\n```bash\npytest\n```"
    nemo, atif, chat = (changed(row) for row in (samples.NEMO_GYM, samples.ATIF, samples.CHAT_ANTHROPIC))
    nemo["response"]["output"][-1]["content"][0]["text"] = shown
    atif["steps"][-1]["message"] = shown
    chat["messages"].append({"role": "assistant", "content": shown})
    for row in (nemo, atif, chat):
        last = read_one(tmp_path, row).steps[-1]
        assert (last.thought, last.action, last.call) == (shown, "submit", None)


def test_what_was_done_before_a_pivot_belongs_to_its_trajectory(tmp_path: Path) -> None:
    row = {
        "uuid": "u-1",
        "responses_create_params": {
            "input": [
                {"role": "system", "content": "Choose."},
                {"role": "user", "content": "Mend it."},
                {"role": "assistant", "content": "Look."},
                {"type": "function_call", "call_id": "c1", "name": "execute_bash", "arguments": '{"command": "ls"}'},
                {"type": "function_call_output", "call_id": "c1", "output": "src"},
            ]
        },
        "expected_action": {"type": "function_call", "name": "think", "arguments": "{}"},
    }
    trajectory = read_one(tmp_path, row)
    assert trajectory.problem_statement == "Mend it."
    assert [(s.thought, s.action, s.observation) for s in trajectory.steps] == [
        ("Look.", "ls", "src"),
        ("", "think {}", ""),
    ]


def test_where_nobody_asked_the_system_prompt_stands_in(tmp_path: Path) -> None:
    atif, chat = changed(samples.ATIF), changed(samples.CHAT_XML)
    atif["steps"][0]["source"] = "system"
    chat["messages"][0]["content"] = "Rules."
    del chat["messages"][1]
    assert read_one(tmp_path, atif).problem_statement == "Mend it."
    assert read_one(tmp_path, chat).problem_statement == "Rules."


def test_a_run_that_never_started(tmp_path: Path) -> None:
    row = {"instance_id": "x", "instruction": "Mend it.", "test_result": {}, "history": [], "error": "no runtime"}
    with pytest.raises(TrajectoryError, match=r"row\.jsonl:1: holds no step"):
        read_one(tmp_path, row)


def test_terminus_writes_its_commands_into_its_answer(tmp_path: Path) -> None:
    answer = {"analysis": "A.", "plan": "P.", "commands": [{"keystrokes": "ls\n"}, {"keystrokes": "C-c"}]}
    last = {"analysis": "", "plan": "", "commands": [], "task_complete": True}
    messages = [{"role": "user", "content": "Task Description:\nMend it.\n\nCurrent terminal state:\n$"}]
    for said, seen in ((answer, "src"), (last, "")):
        messages += [{"role": "assistant", "content": json.dumps(said)}, {"role": "user", "content": seen}]
    trajectory = read_one(tmp_path, {"messages": messages})
    assert trajectory.problem_statement == "Mend it."
    assert [(s.thought, s.action, s.observation, s.runnable) for s in trajectory.steps] == [
        ("A.\n\nP.", "ls", "src", True),
        ("", 'bash_command {"keystrokes": "C-c"}', "", False),
        ("", "submit", "", True),
    ]


def test_thinking_apart_from_the_answer_is_thought(tmp_path: Path) -> None:
    swe_agent = changed(samples.SWE_AGENT)
    swe_agent["history"][3]["thinking_blocks"] = [{"type": "thinking", "thinking": "Hm."}]
    assert read_one(tmp_path, swe_agent).steps[0].thought == "Hm.\n\nLook."
    chat = changed(samples.CHAT_XML)
    chat["messages"][2]["reasoning_content"] = "Hm."
    assert read_one(tmp_path, chat).steps[0].thought == "Hm.\n\nView."


def test_the_calls_of_swe_smiths_tool_rows(tmp_path: Path) -> None:
    row = {
        "instance_id": "x",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Mend it."}]},
            {
                "role": "assistant",
                "content": "Look.",
                "thought": "Look.",
                "action": "ls",
                "tool_calls": [samples.chat_call("bash", "c1", command="ls")],
            },
            {"role": "tool", "content": [{"type": "text", "text": "OBSERVATION:\nsrc"}], "tool_call_ids": ["c1"]},
            {"role": "assistant", "content": "", "tool_calls": [samples.chat_call("submit", "c2")]},
        ],
    }
    trajectory = read_one(tmp_path, row)
    assert [(s.thought, s.action, s.observation) for s in trajectory.steps] == [
        ("Look.", "ls", "src"),
        ("", "submit", ""),
    ]
    assert trajectory.provenance["dialect"] == "swe-agent"
