"""Replays side by side, what they filter out, and why."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from srl_swe.errors import ConfigError
from srl_swe.experts.oracle import open_environment
from srl_swe.experts.replay import ReplayReport
from srl_swe.experts.secrets import secrets_in
from srl_swe.experts.trajectories import read_trajectories, write_trajectories
from srl_swe.experts.verification import Verification, verify, write_verified
from srl_swe.policies.scripted import apply_command
from srl_swe.records import PreparedTask, Step, Trajectory

SUITE = Path(__file__).parents[2] / "envs" / "starter"
TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture(scope="module")
def good(cents: PreparedTask) -> Trajectory:
    """Solves the task; its observations are real ones."""
    environment = open_environment(cents, max_steps=5)
    steps = []
    try:
        environment.reset()
        for action in ("ls", apply_command(cents.gold_patch), "git status --short", "submit"):
            observation, *_ = environment.step(f"<think></think>\n```bash\n{action}\n```")
            steps.append(Step(thought="", action=action, observation=observation))
    finally:
        environment.close()
    return Trajectory(
        trajectory_id="good",
        task_id=cents.task.task_id,
        split="train",
        problem_statement=cents.task.problem_statement,
        steps=tuple(steps),
        source="test",
        provenance={"task_hash": cents.task.content_hash},
    )


def spoiled(good: Trajectory, name: str, **steps: Step | None) -> Trajectory:
    """The same with some steps replaced: ``s0=…``."""
    changed = [steps.get(f"s{k}", step) for k, step in enumerate(good.steps)]
    return replace(good, trajectory_id=name, steps=tuple(step for step in changed if step is not None))


@pytest.mark.docker
def test_what_is_kept_and_why_the_rest_is_not(good: Trajectory, cents: PreparedTask, tmp_path: Path):
    first, _, third, _ = good.steps
    candidates = [
        good,
        spoiled(good, "unsolved", s1=None),
        spoiled(good, "open", s3=None),
        spoiled(good, "early", s0=replace(first, observation="exit code: 0\nother.py")),
        spoiled(good, "late", s2=replace(third, observation="exit code: 0\n M other.py")),
        spoiled(good, "secret", s0=replace(first, action=f"TOKEN={TOKEN} ls")),
        spoiled(good, "nul", s0=replace(first, action="ls \0")),
        replace(good, trajectory_id="stale", provenance={"task_hash": "older"}),
    ]
    reports: list[ReplayReport | None] = []
    journal = tmp_path / "out.jsonl.partial"
    tasks = {cents.task.task_id: cents}
    found = verify(candidates, tasks, journal=journal, on_report=lambda _, report: reports.append(report))
    assert [one.trajectory_id for one in found] == [t.trajectory_id for t in candidates]
    assert {one.trajectory_id: one.reasons() for one in found} == {
        "good": [],
        "unsolved": ["not solved", "early drift: step 2 of 3"],
        "open": ["not submitted"],
        "early": ["early drift: step 1 of 4"],
        "late": [],
        "secret": ["secret in step 1: GitHub token"],
        "nul": ["an action cannot be run: the command holds a NUL character"],
        "stale": [],
    }
    assert found[4].drifted == (2,)
    assert found[4].ratios[:2] == (1.0, 1.0)
    assert 0 < found[4].ratios[2] < 1
    assert found[4].reasons(early=1.0) == ["early drift: step 3 of 4"]
    assert [one.stale for one in found] == [False] * 7 + [True]
    assert len(reports) == 8
    assert reports.count(None) == 1

    out, rejected = tmp_path / "out.jsonl", tmp_path / "out.rejected.jsonl"
    assert write_verified(candidates, found, out, rejected) == (3, 5)
    kept = read_trajectories(out)
    assert [t.trajectory_id for t in kept] == ["good", "late", "stale"]
    assert all(t.resolved for t in kept)
    assert [t.provenance["replay"]["drifted"] for t in kept] == [[], [2], []]
    assert kept[0].steps == good.steps
    text = rejected.read_text()
    names = [json.loads(line)["trajectory_id"] for line in text.splitlines()]
    assert names == ["unsolved", "open", "early", "secret", "nul"]
    assert TOKEN not in text

    # What an interrupted call has done is not done again: this world has no image to do it in.
    journal.write_bytes(journal.read_bytes() + b'{"key": "cut o')
    lost = replace(cents, image="srl-swe/no-such-image:none")
    assert verify(candidates, {cents.task.task_id: lost}, journal=journal) == found
    other = replace(good, trajectory_id="other")
    (failed,) = verify([other], {cents.task.task_id: lost}, journal=journal)
    assert failed.infrastructure
    assert failed.resolved is None
    assert len(journal.read_text().splitlines()) == 8
    assert write_verified([other], [failed], tmp_path / "none.jsonl", tmp_path / "none.rejected.jsonl") == (0, 0)
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.docker
def test_the_command(good: Trajectory, tmp_path: Path):
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    unsolved = replace(spoiled(good, "unsolved", s1=None, s2=None), resolved=None)
    write_trajectories(file, [good, unsolved])

    def run(*options: object) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "srl_swe.cli", "replay", file, SUITE, "-j", "2", *options]
        return subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False, timeout=300)

    done = run("--verify-to", out)
    assert done.returncode == 0, done.stderr
    assert "1 kept" in done.stdout
    assert "1 rejected" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "out.rejected.jsonl"]
    assert [t.resolved for t in read_trajectories(out)] == [True]
    for options in (["--rejected", out], ["--early", "2"], ["--verify-to", file]):
        wrong = run(*options)
        assert wrong.returncode == 2
        assert wrong.stderr.startswith("error: ")
        assert "Traceback" not in wrong.stderr


@pytest.mark.docker
def test_the_command_is_interrupted_and_goes_on(good: Trajectory, tmp_path: Path):
    file, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    slow = spoiled(good, "slow", s0=replace(good.steps[0], action="sleep 50; ls"))
    write_trajectories(file, [good, slow])
    partial = out.with_name("out.jsonl.partial")
    line = [sys.executable, "-m", "srl_swe.cli", "replay", str(file), str(SUITE), "--verify-to", str(out)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 300
        while not (partial.exists() and partial.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=45)  # not for as long as the slow one sleeps
    assert running.returncode == 130, said
    assert "Traceback" not in said[1]
    assert not out.exists()
    (kept,) = [json.loads(text) for text in partial.read_text().splitlines()]
    assert kept["verification"]["trajectory_id"] == "good"
    write_trajectories(file, [good, spoiled(good, "quick")])
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [t.trajectory_id for t in read_trajectories(out)] == ["good", "quick"]
    assert not partial.exists()


def test_tampering_is_a_reason_of_its_own():
    found = Verification(trajectory_id="t", task_id="s/t", length=2, resolved=False, tampering=("forged",))
    assert found.reasons() == ["not solved", "tampering: forged"]


def test_a_file_that_is_no_journal(tmp_path):
    (tmp_path / "j").write_text('{"a": 1}\n')
    with pytest.raises(ConfigError, match="not the journal of a replay"):
        verify([], {}, journal=tmp_path / "j")
    with pytest.raises(ConfigError, match="jobs"):
        verify([], {}, jobs=0)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----", "private key"),
        ("-----BEGIN PRIVATE KEY-----", "private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        ("AWS_ACCESS_KEY_ID=AKIA" + "Q7" * 8, "AWS access key"),
        (f"git clone https://{TOKEN}@github.com/a/b", "GitHub token"),
        ("glpat-" + "x1" * 10, "GitLab token"),
        ("hf_" + "aB" * 17, "Hugging Face token"),
        ("export K=sk-ant-" + "a1-" * 12, "OpenAI or Anthropic key"),
        ("sk-proj-" + "a1B" * 14, "OpenAI or Anthropic key"),
        ("AIza" + "x" * 35, "Google API key"),
        ("postgres://admin:8f3kd92k@db.internal/x", "password in a URL"),
        ("curl -H 'Authorization: Bearer " + "abc123" * 4 + "'", "bearer token"),
        ("eyJ" + "a" * 16 + ".eyJ" + "b" * 20 + "." + "c" * 20, "JSON web token"),
    ],
)
def test_secrets_are_found(text, kind):
    assert kind in secrets_in(f"exit code: 0\n{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "key = settings['api_key']",
        "AKIA is a prefix",
        "http://user:password@host/path",
        "http://user:pass@host",
        "see https://docs.python.org:443/3/ or mail a@b.org",
        "sk-learn and task-based",
        "hf_hub_download(repo)",
        "-----BEGIN CERTIFICATE-----",
        "Authorization: Bearer TOKEN",
        "a1" * 20,
        "def test_hf_tokens_are_not_shown(monkeypatch_with_a_long_name):",
    ],
)
def test_what_only_looks_like_a_secret(text):
    assert secrets_in(text) == []
