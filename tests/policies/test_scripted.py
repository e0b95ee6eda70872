from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from srl_swe.environments.actions import parse_action
from srl_swe.errors import ConfigError
from srl_swe.policies.scripted import DoNothingPolicy, ExpertPolicy, GoldPolicy, apply_command
from srl_swe.records import PreparedTask, RepositorySource, Step, Task, Trajectory

FIRST = ({"role": "system", "content": "s"}, {"role": "user", "content": "p"})
LATER = (*FIRST, {"role": "assistant", "content": "a"}, {"role": "user", "content": "o"})


def prepared(name="t"):
    task = Task(
        task_id=f"suite/{name}",
        suite="suite",
        repository="r",
        split="train",
        problem_statement="p",
        folder=Path(),
        source=RepositorySource(kind="folder", location="."),
        test_paths=("t.py",),
        fail_to_pass=("t.py::t",),
    )
    return PreparedTask(task=task, image="i", gold_patch="gold\n", test_files=())


def trajectory(name, *actions, resolved=True, thought="because"):
    steps = tuple(Step(thought=thought, action=action, observation="") for action in actions)
    return Trajectory(
        trajectory_id=f"{name}@{len(actions)}",
        task_id=f"suite/{name}",
        split="train",
        problem_statement="p",
        steps=steps,
        source="oracle",
        resolved=resolved,
    )


def commands(policy, conversation, *tasks):
    return [parse_action(answer.text)[1].command for answer in policy.act([conversation] * len(tasks), list(tasks))]


def test_nothing_submits():
    assert commands(DoNothingPolicy(), FIRST, prepared()) == ["submit"]


def test_gold_applies_then_submits():
    assert commands(GoldPolicy(), FIRST, prepared()) == [apply_command("gold\n")]
    assert commands(GoldPolicy(), LATER, prepared()) == ["submit"]


def test_expert_goes_through_its_recording_and_starts_again():
    policy = ExpertPolicy([trajectory("a", "ls", "ls", "submit"), trajectory("b", "cat x")])
    a, b = prepared("a"), prepared("b")
    assert commands(policy, FIRST, a, b) == ["ls", "cat x"]
    assert commands(policy, LATER, a, b) == ["ls", "submit"]
    assert commands(policy, LATER, a) == ["submit"]
    assert commands(policy, FIRST, a) == ["ls"]


def test_expert_prefers_what_was_solved():
    policy = ExpertPolicy([trajectory("a", "bad", resolved=None), trajectory("a", "good"), trajectory("a", "third")])
    assert commands(policy, FIRST, prepared("a")) == ["good"]


@pytest.mark.parametrize("thought", ["", "  ", "a </think> b"])
def test_expert_thoughts_that_cannot_be_written(thought):
    assert commands(ExpertPolicy([trajectory("a", "ls", thought=thought)]), FIRST, prepared("a")) == ["ls"]


def test_a_task_without_a_trajectory_is_named():
    with pytest.raises(ConfigError, match="suite/a"):
        ExpertPolicy([]).act([FIRST], [prepared("a")])
    with pytest.raises(ConfigError, match="suite/a, suite/c"):
        ExpertPolicy([trajectory("b", "ls")]).require(["suite/a", "suite/b", "suite/c"])


def test_apply_command_takes_any_patch(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "f").write_text("one\n")
    nasty = "`` ```bash $(x) 'EOF' \"</bash>\" é"
    patch = f"--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n one\n+{nasty}\n"
    subprocess.run(["bash", "-c", apply_command(patch)], cwd=tmp_path, check=True)
    assert (tmp_path / "f").read_text() == f"one\n{nasty}\n"
