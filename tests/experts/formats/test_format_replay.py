"""Another agent's trajectory over one of our tasks, imported and really run: it mends the task."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from srl_swe.experts.formats.reading import read_file
from srl_swe.experts.replay import replay
from srl_swe.experts.trajectories import read_trajectories
from srl_swe.records import PreparedTask, Step
from srl_swe.tasks.folder import read_task
from srl_swe.tasks.prepare import prepare

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[3]
TASK = ROOT / "envs/starter/tasks/ledger-split-cents"
Call = dict[str, Any]


@pytest.fixture(scope="module")
def prepared(docker_client: docker.DockerClient) -> PreparedTask:
    return prepare(read_task(TASK), client=docker_client)


@pytest.fixture(scope="module")
def expert(prepared: PreparedTask) -> tuple[Step, ...]:
    """Our own expert's steps, to be told in other agents' words."""
    recorded = read_trajectories(ROOT / "trajectories/starter.train.jsonl")
    return next(t.steps for t in recorded if t.task_id == prepared.task.task_id)


def edits(action: str) -> tuple[str, str, str] | None:
    """(path, old, new) of an edit."""
    words = shlex.split(action)
    return (words[2], words[4], words[6]) if words[:2] == ["str_replace_editor", "str_replace"] else None


def claude_code(action: str) -> tuple[str, Call]:
    if edit := edits(action):
        return "Edit", {"file_path": edit[0], "old_string": edit[1], "new_string": edit[2]}
    return "Bash", {"command": action, "description": "…"}


def codex(action: str) -> tuple[str, Call]:
    if edit := edits(action):
        old, new = (
            "\n".join(f"{sign}{line}" for line in text.split("\n")) for sign, text in zip("-+", edit[1:], strict=True)
        )
        patch = f"*** Begin Patch\n*** Update File: {edit[0]}\n@@\n{old}\n{new}\n*** End Patch"
        return "apply_patch", {"input": patch}
    return "shell", {"command": ["bash", "-lc", action]}


def openhands(action: str) -> tuple[str, Call]:
    if edit := edits(action):
        return "str_replace_editor", {"command": "str_replace", "path": edit[0], "old_str": edit[1], "new_str": edit[2]}
    return ("finish", {"message": "Done."}) if action == "submit" else ("execute_bash", {"command": action})


@pytest.mark.parametrize("tell", [claude_code, codex, openhands])
def test_it_mends_the_task(
    tmp_path: Path, prepared: PreparedTask, expert: tuple[Step, ...], tell: Callable[[str], tuple[str, Call]]
) -> None:
    output: list[dict[str, Any]] = []
    for number, step in enumerate(expert):
        if step.action == "submit" and tell is not openhands:  # these agents end by falling silent
            break
        name, arguments = tell(step.action)
        output.append(
            {"type": "function_call", "call_id": str(number), "name": name, "arguments": json.dumps(arguments)}
        )
        output.append({"type": "function_call_output", "call_id": str(number), "output": step.observation})
    plan = {"type": "function_call", "call_id": "p", "name": "update_plan", "arguments": "{}"}
    talk = {"type": "message", "role": "assistant", "content": "All done."}
    row = {
        "instance_id": prepared.task.task_id,
        "responses_create_params": {"input": prepared.task.problem_statement},
        "response": {"output": [plan, *output, *([talk] if tell is not openhands else [])]},
    }
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    (imported,) = read_file(path)
    assert imported.steps[-1].action == "submit" and not imported.steps[0].runnable
    report = replay(imported, prepared)
    assert report.resolved is True and report.skipped == 0
    assert [step.step for step in report.steps] == list(range(1, len(imported.steps)))
    assert report.steps[0].observed == expert[0].observation
