"""A student's episodes become trajectories, and a set of trajectories stays varied."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from srl_swe.errors import ConfigError
from srl_swe.experts.diversity import action_similarity, agreement, diverse, mean_similarity
from srl_swe.experts.self_improvement import trajectories_of_episodes
from srl_swe.experts.trajectories import read_trajectories, write_trajectories
from srl_swe.records import Step, Trajectory

FIX = ("grep -rn total src", "sed -i 's/a/b/' src/money.py", "python -m pytest -q", "submit")
OTHER = ("git ls-files", "cat tests/test_money.py | head -40", "git apply fix.patch", "git diff", "submit")


def episode(task: str, *actions: str | None, **fields: object) -> dict:
    """A line of ``transcripts.jsonl``."""
    transcript = [
        {"answer": f"<think>why</think>{a}", "thought": "why" if a else "", "action": a, "observation": "exit code: 0"}
        for a in actions
    ]
    record = {
        "task_id": task,
        "repository": "r",
        "split": "train",
        "policy": "student",
        "solved": True,
        "ending": "submitted",
        "steps": len(actions),
        "malformed": actions.count(None),
        "seconds": 1.0,
        "tampering": [],
        "error": None,
        "problem": "It is wrong.",
        "tests": {},
        "transcript": transcript,
    }
    return record | fields


def trajectory(name: str, *actions: str, task_id: str = "s/a") -> Trajectory:
    return Trajectory(
        trajectory_id=name,
        task_id=task_id,
        split="train",
        problem_statement="It is wrong.",
        steps=tuple(Step(thought="", action=action, observation="") for action in actions),
        source="test",
    )


def test_solved_episodes_become_trajectories_and_others_are_refused_with_a_reason():
    records = [
        episode("s/a", "ls", None, *FIX),
        episode("s/b", *FIX, split="heldout"),
        episode("s/c", *FIX, solved=False),
        episode("s/d", *FIX, solved=None),
        episode("s/e", *FIX, tampering=["forged"], solved=False),
        episode("s/f", *FIX, policy="gold"),
        episode("s/g", "ls"),
        episode("s/h", "export T=ghp_" + "a1B2" * 9, *FIX),
    ]
    kept, refused = trajectories_of_episodes(records, {"s/a": "hash"}, round_number=3, first=10)
    (made,) = kept
    assert [step.action for step in made.steps] == ["ls", *FIX]
    assert [step.thought for step in made.steps] == ["why"] * 5
    assert (made.trajectory_id, made.source, made.model) == ("s/a@student-round3-10", "student", "student")
    assert (made.resolved, made.problem_statement) == (True, "It is wrong.")
    told = made.provenance
    assert (told["round"], told["malformed"], told["task_hash"]) == (3, 1, "hash")
    assert [(r.task_id, r.reason) for r in refused] == [
        ("s/b", "held-out task"),
        ("s/c", "not solved"),
        ("s/d", "not judged"),
        ("s/e", "tampering"),
        ("s/f", "the policy gold is no student"),
        ("s/g", "not submitted"),
        ("s/h", "secret"),
    ]
    with pytest.raises(ConfigError, match=r"t\.jsonl: line 2 is not an episode: 'policy'"):
        trajectories_of_episodes([records[0], {"task_id": "s/b"}], {}, where="t.jsonl")


def test_similarity_of_actions():
    one, same, other = trajectory("1", *FIX), trajectory("2", *FIX), trajectory("3", *OTHER)
    assert action_similarity(one.steps, same.steps) == 1.0
    assert action_similarity(one.steps, other.steps) < 0.5
    assert agreement(one.steps, []) is None
    assert agreement(one.steps, [same.steps, other.steps]) == (1 + action_similarity(one.steps, other.steps)) / 2
    assert mean_similarity([one]) is None
    assert mean_similarity([one, same, other]) < mean_similarity([one, same, same])


def test_near_duplicates_are_dropped_and_a_task_has_a_cap():
    one, near = trajectory("one", *FIX), trajectory("near", "ls", *FIX)
    other, third = trajectory("other", *OTHER), trajectory("third", "echo something quite different here", "submit")
    elsewhere = trajectory("elsewhere", *FIX, task_id="s/b")
    kept, dropped = diverse([near, one, other, elsewhere], threshold=0.9, per_task=2)
    assert [t.trajectory_id for t in kept] == ["one", "other", "elsewhere"]
    assert [d.trajectory.trajectory_id for d in dropped] == ["near"]
    assert dropped[0].reason.startswith("near duplicate of one (similarity 0.9")
    kept, dropped = diverse([one, near], threshold=0.9, per_task=5)
    assert [d.reason.partition(" (")[0] for d in dropped] == ["near duplicate of one"]
    assert diverse([one, near], threshold=1.0, per_task=5)[1] == []
    kept, dropped = diverse([third, other], earlier=[one], per_task=2)
    assert [t.trajectory_id for t in kept] == ["third"]
    assert [d.reason for d in dropped] == ["the task has 2 already"]
    assert diverse([replace(one, trajectory_id="again")], earlier=[one])[0] == []


def test_the_command(tmp_path: Path):
    results, out, known = tmp_path / "results", tmp_path / "round2.jsonl", tmp_path / "round1.jsonl"
    results.mkdir()

    def run(*options: object, records: list[dict]) -> subprocess.CompletedProcess[str]:
        text = "".join(json.dumps(record) + "\n" for record in records)
        (results / "transcripts.jsonl").write_text(text)
        line = [sys.executable, "-m", "srl_swe.cli", "experts", "from-episodes", results, "--to", out, *options]
        return subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False, timeout=120)

    (results / "meta.json").write_text(json.dumps({"episodes": {"tasks": {"s/a": "hash"}}}))
    done = run("--round", "2", records=[episode("s/a", *FIX), episode("s/b", *FIX, split="heldout")])
    assert done.returncode == 0, done.stderr
    (made,) = read_trajectories(out)
    assert (made.provenance["round"], made.provenance["task_hash"]) == (2, "hash")
    assert "held-out task" in done.stdout
    out.rename(known)

    again = run("--earlier", known, records=[episode("s/a", *FIX)])
    assert (again.returncode, out.exists()) == (1, False)
    assert "near duplicate" in again.stdout
    write_trajectories(known, [trajectory("x", *OTHER)])
    assert run("--earlier", known, records=[episode("s/a", *FIX)]).returncode == 0
    out.unlink()

    for records, said in (([episode("s/b", *FIX, split="heldout")], "never trained on"), ([], "holds no episode")):
        failed = run(records=records)
        assert (failed.returncode, out.exists()) == (2, False)
        assert said in failed.stderr
        assert "Traceback" not in failed.stderr
