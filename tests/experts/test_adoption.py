"""Other agents' trajectories over our tasks: which task, whose paths, what came back. SWE-agent's demonstrations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from srl_swe.errors import ConfigError
from srl_swe.experts.adoption import adopt, find_task, rerecorded
from srl_swe.experts.formats.importing import import_trajectories
from srl_swe.experts.trajectories import read_trajectories
from srl_swe.experts.verification import verify, write_verified
from srl_swe.policies.scripted import apply_command
from srl_swe.records import PreparedTask, Step, Task, Trajectory
from srl_swe.tasks.folder import read_suite
from srl_swe.tasks.formats.importing import import_tasks
from srl_swe.tasks.formats.reading import Reading
from srl_swe.tasks.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("SRL_SWE_SHARED_DATA") or ROOT / "../shared/data")
BUGFIX = SHARED / "bugfix" / "manifest.jsonl"
DEMONSTRATIONS = SHARED / "trajectories" / "swe-agent" / "demonstrations"
NAME = "marshmallow-code__marshmallow-d2a0cdb7"


def foreign(*actions: str, task_id: str = "ledger-split-cents") -> Trajectory:
    steps = tuple(Step(thought="In /repo.", action=action, observation="/repo: fine") for action in actions)
    return Trajectory(
        trajectory_id="foreign",
        task_id=task_id,
        split="train",
        problem_statement="The code is in /repo.",
        steps=steps,
        source="chat",
    )


def test_the_task_is_found_by_id_by_name_or_because_it_was_said(cents_task: Task):
    other = replace(cents_task, task_id="other/ledger-split-cents")
    one, two = {cents_task.task_id: cents_task}, {cents_task.task_id: cents_task, other.task_id: other}
    assert find_task(foreign(task_id=cents_task.task_id), one, {}) is cents_task
    assert find_task(foreign(), one, {}) is cents_task
    assert find_task(foreign(), two, {}) is None  # which of the two?
    assert find_task(foreign(task_id="theirs-17"), two, {}) is None
    assert find_task(foreign(task_id="theirs-17"), two, {"theirs-17": other.task_id}) is other


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cd /repo && cat /repo/a.py", "cd /testbed && cat /testbed/a.py"),
        ("cat '/repo/a b'; ls /repo", "cat '/testbed/a b'; ls /testbed"),
        ("See /repo.", "See /testbed."),
        ("PYTHONPATH=/repo:/repo/src", "PYTHONPATH=/testbed:/testbed/src"),
        ("ls /repository /old/repo /repo-2 /repo.git ./repo", "ls /repository /old/repo /repo-2 /repo.git ./repo"),
        ("ls /workspace/repo/x /workspace", "ls /testbed/x /workspace"),
    ],
)
def test_paths_of_the_repository_become_ours(cents_task: Task, text: str, said: str):
    told = replace(foreign(text), provenance={"workdir": "/workspace/repo/", "format": "chat"})
    ours = adopt(told, cents_task, ["/repo"])
    assert ours.steps[0].action == said
    assert ours.steps[0].thought == "In /testbed."
    assert ours.steps[0].observation == "/testbed: fine"
    assert ours.problem_statement == "The code is in /testbed."
    assert (ours.task_id, ours.split) == (cents_task.task_id, cents_task.split)
    source = {"task_id": "ledger-split-cents", "workdir": ["/workspace/repo", "/repo"]}
    assert ours.provenance == {"format": "chat", "adopted_from": source}


def test_a_held_out_task_makes_a_held_out_trajectory(cents_task: Task):
    assert adopt(foreign("ls"), replace(cents_task, split="heldout")).split == "heldout"


def test_our_own_are_left_as_they_are(cents_task: Task):
    own = replace(foreign("ls"), task_id=cents_task.task_id)
    assert adopt(own, cents_task) is own


@pytest.mark.parametrize("alias", ["repo", "/", "//", ""])
def test_what_cannot_be_an_alias(cents_task: Task, alias: str):
    with pytest.raises(ConfigError, match="absolute path"):
        adopt(foreign("ls"), cents_task, [alias])


def test_only_what_ran_is_recorded_again():
    steps = (*foreign("ls", "look around", "submit", "ls").steps,)
    mixed = replace(foreign(), steps=(steps[0], replace(steps[1], runnable=False), *steps[2:]))
    again = rerecorded(mixed, ["exit code: 0", "submitted"])
    assert [(step.action, step.observation) for step in again.steps] == [
        ("ls", "exit code: 0"),
        ("submit", "submitted"),
    ]


@pytest.mark.docker
def test_the_command(cents: PreparedTask, tmp_path: Path):
    file, out = tmp_path / "theirs.jsonl", tmp_path / "ours.jsonl"
    looking = {"role": "assistant", "content": "I look.\n\n```bash\nls /workspace/ledger\n```"}
    mending = {
        "role": "assistant",
        "content": f"I mend.\n\n```bash\ncd /workspace/ledger\n{apply_command(cents.gold_patch)}\n```",
    }
    done = {"role": "assistant", "content": "```bash\nsubmit\n```"}
    seen = {"role": "user", "content": "OBSERVATION:\nfine"}
    asked = {"role": "user", "content": "<issue>\nCents are lost.\n</issue>"}
    messages = [asked, looking, seen, mending, seen, done]
    rows = [{"instance_id": name, "messages": messages} for name in ("theirs-1", "theirs-2")]
    chats = tmp_path / "chats.jsonl"
    chats.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_trajectories([chats], file)

    def run(*options: object) -> subprocess.CompletedProcess[str]:
        line = [
            sys.executable,
            "-m",
            "srl_swe.cli",
            "replay",
            file,
            ROOT / "envs/starter",
            "--verify-to",
            out,
            *options,
        ]
        return subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False, timeout=300)

    lost = run()
    assert (lost.returncode, lost.stdout) == (2, "")
    assert "theirs-1, theirs-2; --task-id THEIRS=OURS" in lost.stderr
    for options in (["--task-id", "theirs-1"], ["--task-id", "theirs-1=starter/none"]):
        assert run(*options).returncode == 2
    named = f"theirs-1={cents.task.task_id}"
    kept = run("--task-id", named, "--workdir-alias", "/workspace/ledger", "--rerecord")
    assert kept.returncode == 0, kept.stderr
    assert "left out: trajectories of tasks that these suites do not have: theirs-2" in kept.stderr
    (ours,) = read_trajectories(out)
    assert (ours.task_id, ours.resolved, len(ours.steps)) == (cents.task.task_id, True, 3)
    assert ours.steps[0].action == "ls /testbed"
    assert "exit code: 0" in ours.steps[0].observation
    assert "ledger" in ours.steps[0].observation


@pytest.mark.docker
@pytest.mark.skipif(not BUGFIX.is_file() or not DEMONSTRATIONS.is_dir(), reason=f"{SHARED} is not here")
@pytest.mark.skipif(not os.environ.get("SRL_SWE_MIRROR"), reason="SRL_SWE_MIRROR names no clone of marshmallow")
@pytest.mark.usefixtures("docker_client")
def test_a_demonstration_of_swe_agent_over_the_real_repository(tmp_path: Path):
    """Its fix rounds. The real one cuts off, which the last assertion of the hidden test asks for: 1999 ms are 1 s."""
    import_tasks(str(BUGFIX), Reading(suite=tmp_path / "bugfix"), only=[NAME])
    (task,) = read_suite(tmp_path / "bugfix")
    file, out = tmp_path / "theirs.jsonl", tmp_path / "ours.jsonl"
    folder = next(DEMONSTRATIONS.glob("*1867__default_sys-env_window100*"))
    import_trajectories([folder], file)
    (theirs,) = read_trajectories(file)
    assert theirs.provenance["workdir"] == "/marshmallow-code__marshmallow"
    ours = adopt(theirs, task)
    whole = verify([ours], {task.task_id: prepare(task)}, observations=True)
    assert whole[0].reasons(early=0) == ["not solved"]
    assert "344" in whole[0].observed[2]  # its own script, before
    assert "345" in whole[0].observed[7]  # and after

    hidden = task.folder / "tests" / "test_serialization.py"
    text = hidden.read_text()
    start = text.index("        user.d9 = dt.timedelta(milliseconds=1999)")
    hidden.write_text(text[:start] + text[text.index("    def test_datetime_list_field", start) :])
    (task,) = read_suite(tmp_path / "bugfix")
    found = verify([ours], {task.task_id: prepare(task)}, observations=True)
    assert found[0].reasons(early=0) == []
    assert len(found[0].observed) == len([step for step in ours.steps if step.runnable]) == 10
    assert write_verified([ours], found, out, tmp_path / "rejected.jsonl", rerecord=True) == (1, 0)
    (kept,) = read_trajectories(out)
    assert [kept.resolved, kept.steps[-1].action, kept.steps[-1].observation] == [True, "submit", "submitted"]
