"""Chat rows whose answers are several messages, and others that public data sets have; and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from srl_swe.errors import TrajectoryError
from srl_swe.experts.formats.reading import read_file
from srl_swe.records import Trajectory

ASKED = "I uploaded it.\n\n<github_issue>\nCents are lost.\n</github_issue>\n\nCan you help?"


def read(tmp_path: Path, row: dict[str, Any]) -> Trajectory:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (trajectory,) = read_file(path)
    return trajectory


def steps(trajectory: Trajectory) -> list[tuple[str, str, str]]:
    return [(step.thought, step.action, step.observation) for step in trajectory.steps]


def test_thought_call_and_answer_in_messages_of_their_own(tmp_path):
    def call(name: str, **arguments: str) -> str:
        return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"

    messages = [
        {"role": "system", "content": "Reason inside <think>."},
        {"role": "user", "content": ASKED},
        {"role": "reasoning", "content": "<think>I look.</think>"},
        {"role": "tool_call", "content": call("execute_bash", command="ls")},
        {"role": "tool_output", "content": "<tool_response>ledger\ntests</tool_response>"},
        {"role": "reasoning", "content": "<think>I read.</think>"},
        {"role": "reasoning", "content": "<think>All of it.</think>"},
        {"role": "tool_call", "content": call("str_replace_editor", command="view", path="a.py")},
        {"role": "tool_output", "content": "<tool_response>a = 1</tool_response>"},
        {"role": "reasoning", "content": "<think>Done.</think>"},
        {"role": "answer", "content": "<answer>It is mended.</answer>"},
    ]
    # As text, which is how some data sets keep a column of objects.
    trajectory = read(tmp_path, {"instance_id": "a-1", "messages": json.dumps(messages)})
    assert trajectory.problem_statement == "Cents are lost."
    assert steps(trajectory) == [
        ("I look.", "ls", "ledger\ntests"),
        ("I read.\n\nAll of it.", "str_replace_editor view a.py", "a = 1"),
        ("Done.\n\nIt is mended.", "submit", ""),
    ]


def test_llama_factorys_rows_with_tools(tmp_path):
    calls = [{"name": "bash", "arguments": {"command": word}} for word in ("ls", "pwd")]
    said = [
        {"from": "human", "value": "Mend it."},
        {"from": "function_call", "value": json.dumps(calls[0])},
        {"from": "observation", "value": "a.py"},
        {"from": "function_call", "value": json.dumps(calls)},
        {"from": "observation", "value": "a.py"},
        {"from": "observation", "value": "/testbed"},
        {"from": "gpt", "value": "It is mended."},
    ]
    trajectory = read(tmp_path, {"conversations": said, "tools": "[]"})
    assert [(action, seen) for _, action, seen in steps(trajectory)] == [
        ("ls", "a.py"),
        ("ls", "a.py"),
        ("pwd", "/testbed"),
        ("submit", ""),
    ]


def test_r2e_gyms_rows(tmp_path):
    messages = [
        {"role": "user", "content": ASKED},
        {
            "role": "assistant",
            "content": "I run.\n\n<function=execute_bash>\n  <parameter=cmd>pytest -q</parameter>\n</function>",
        },
        {"role": "user", "content": "Execution output of [execute_bash]:\nExit code: 0"},
        {"role": "assistant", "content": "<function=finish>\n  <parameter=command>submit</parameter>\n</function>"},
    ]
    trajectory = read(tmp_path, {"messages": messages})
    assert trajectory.problem_statement == "Cents are lost."
    assert steps(trajectory) == [("I run.", "pytest -q", "Exit code: 0"), ("", "submit", "")]


def test_trls_prompts_and_completions(tmp_path):
    completion = [{"role": "assistant", "content": "I look.\n\n```bash\nls\n```"}]
    trajectory = read(tmp_path, {"prompt": [{"role": "user", "content": ASKED}], "completion": completion})
    assert steps(trajectory) == [("I look.", "ls", "")]


def test_a_call_that_is_none_is_kept_as_text(tmp_path):
    messages = [{"role": "user", "content": "x"}, {"role": "tool_call", "content": "<tool_call>{oops</tool_call>"}]
    (step,) = read(tmp_path, {"messages": messages}).steps
    assert (step.action, step.runnable) == ("{oops", False)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"goal": "x", "m": []}, r"an object with goal, m\. Known are srl-swe, .*chat: \{\"instance_id\""),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "bot", "content": "y"}]},
            r"messages\[0\]: no message of an agent \(roles: assistant, .*\), but of bot$",
        ),
    ],
)
def test_what_is_said_of_the_rest(tmp_path, row, said):
    with pytest.raises(TrajectoryError, match=said):
        read(tmp_path, row)
