"""Trajectories from a teacher behind a real server, in real containers."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from chat_servers import Reply, chat_server, completion

from srl_swe.environments.actions import SUBMIT, format_answer
from srl_swe.errors import ConfigError
from srl_swe.experts.attempts import Attempted, AttemptJournal, judge
from srl_swe.experts.generation import Budget, generate, rank, rejected_path, write_chosen
from srl_swe.experts.teaching import Attempt, Setting
from srl_swe.experts.trajectories import read_trajectories
from srl_swe.policies.endpoint import ChatEndpoint
from srl_swe.policies.scripted import apply_command
from srl_swe.records import Ending, PreparedTask, Step, Verdict

ROOT = Path(__file__).parents[2]
SETTING = Setting(max_steps=6)


@pytest.fixture(scope="module")
def fix(cents: PreparedTask) -> list[str]:
    """The commands that mend the task."""
    return [apply_command(cents.gold_patch)]


def teacher_that_solves(fix: list[str]):
    """At 0.2 it gives up, at 0.7 it looks about first, at 1.0 it babbles once and mends at once."""
    plans = {
        0.2: [format_answer("No idea.", SUBMIT)],
        0.7: [format_answer("Look.", "ls"), *(format_answer("Mend.", c) for c in fix), format_answer("So.", SUBMIT)],
        1.0: ["I think …", *(format_answer("Mend.", command) for command in fix), format_answer("So.", SUBMIT)],
    }

    def respond(body: dict, _: int) -> Reply:
        said = sum(message["role"] == "assistant" for message in body["messages"])
        return completion(plans[body["temperature"]][said])

    return respond


def endpoint(url: str, **options) -> ChatEndpoint:
    return ChatEndpoint(url, "school/teacher", **{"retries": 1, "backoff_s": 0.01, "timeout_s": 60, **options})


@pytest.mark.docker
def test_the_shortest_solved_attempt_is_kept_and_nothing_is_asked_twice(cents, fix, tmp_path):
    out, seen = tmp_path / "t.jsonl", list[Attempted]()
    prices = Budget(per_million_in=1.0, per_million_out=10.0)
    with chat_server(teacher_that_solves(fix)) as server:
        tried = generate([cents], endpoint(server.url), out, setting=SETTING, budget=prices, on_progress=seen.append)
        asked = len(server.requests)
        (kept,) = read_trajectories(out)
        again = generate([cents], endpoint(server.url), out, setting=SETTING, budget=prices)
        assert len(server.requests) == asked
    assert seen == tried == again
    assert [(a.attempt, a.temperature, a.outcome) for a in tried] == [
        (0, 0.2, "unsolved"),
        (1, 0.7, "solved"),
        (2, 1.0, "solved"),
    ]
    assert [step.action for step in kept.steps] == [*fix, SUBMIT]
    assert kept.steps[0].thought == "Mend."
    assert kept.steps[0].observation.startswith("exit code: 0")
    assert (kept.task_id, kept.split, kept.source, kept.model) == (
        cents.task.task_id,
        "train",
        "teacher",
        "school/teacher",
    )
    assert kept.resolved is True
    told = kept.provenance
    assert (told["attempt"], told["temperature"], told["malformed"], told["solved_attempts"]) == (2, 1.0, 1, 2)
    assert (told["task_hash"], told["endpoint"]) == (cents.task.content_hash, endpoint(server.url).host)
    calls = len(fix) + 2
    assert (told["prompt_tokens"], told["completion_tokens"]) == (100 * calls, 10 * calls)
    assert told["cost"] == pytest.approx(200e-6 * calls)
    assert 0 < told["agreement"] < 1
    rejected = [json.loads(line) for line in rejected_path(out).read_text().splitlines()]
    assert [(r["attempt"], r["reason"]) for r in rejected] == [
        (0, "the hidden tests fail"),
        (1, "solved, but 1 shorter or more agreed upon"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.attempts.jsonl", "t.jsonl", "t.rejected.jsonl"]


@pytest.mark.docker
def test_a_task_is_left_when_enough_is_solved_and_a_server_that_fails_is_not_judged(cents, fix, tmp_path):
    answer = teacher_that_solves(fix)
    out = tmp_path / "t.jsonl"
    too_long = (400, {}, b"maximum context length is 8 tokens")
    with chat_server(lambda _, __: too_long) as server:
        (tried,) = generate([cents], endpoint(server.url), tmp_path / "long.jsonl", attempts=1, setting=SETTING)
        assert (tried.outcome, len(server.requests)) == ("limit", 1)
    with chat_server(lambda _, __: (500, {}, b"down")) as server:
        tried = generate([cents], endpoint(server.url), out, attempts=1, temperatures=[1.0], setting=SETTING)
    assert [(a.outcome, a.steps) for a in tried] == [("infrastructure", ())] * 3
    assert "status 500: down" in tried[0].reason
    assert not out.exists()
    assert not rejected_path(out).exists()
    with chat_server(answer) as server:
        tried = generate([cents], endpoint(server.url), out, temperatures=[1.0], enough=1, setting=SETTING)
    assert [a.outcome for a in tried] == ["infrastructure"] * 3 + ["solved"]
    assert len(read_trajectories(out)) == 1


@pytest.mark.docker
def test_a_budget_stops_in_the_middle_and_a_larger_one_goes_on(cents, fix, tmp_path):
    out = tmp_path / "t.jsonl"
    with chat_server(teacher_that_solves(fix)) as server:

        def spend(tokens: int) -> list[Attempted]:
            options = {"temperatures": [0.7], "enough": 1, "setting": SETTING, "budget": Budget(tokens=tokens)}
            return generate([cents], endpoint(server.url), out, **options)

        (stopped,) = spend(110)
        assert (stopped.outcome, stopped.reason, stopped.tokens) == ("stopped", "the budget was used up", 110)
        assert len(spend(110)) == 1  # what earlier calls have spent counts
        assert len(server.requests) == 1
        assert [a.outcome for a in spend(10_000)] == ["stopped", "solved"]
    with chat_server(lambda _, __: completion("?", usage=False)) as server, pytest.raises(ConfigError, match="count"):
        generate([cents], endpoint(server.url), tmp_path / "u.jsonl", budget=Budget(tokens=10), setting=SETTING)


@pytest.mark.docker
def test_the_command_is_interrupted_and_goes_on(cents, fix, tmp_path):
    out, waiting, release = tmp_path / "t.jsonl", threading.Event(), threading.Event()
    answer = teacher_that_solves(fix)

    def respond(body: dict, number: int) -> Reply:
        if body["temperature"] == 1.0 and not release.is_set():
            waiting.set()
            release.wait(120)
        return answer(body, number)

    with chat_server(respond) as server:
        line = [sys.executable, "-m", "srl_swe.cli", "experts", "generate", str(ROOT / "envs" / "starter")]
        line += ["--endpoint", server.url, "--model", "m", "--to", str(out), "--task", cents.task.task_id]
        line += ["-j", "2", "--temperatures", "0.2,0.7,1.0", "--token-budget", "100000"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            assert waiting.wait(300)
            running.send_signal(signal.SIGINT)
            said = running.communicate(timeout=120)
        assert running.returncode == 130, said
        assert "Traceback" not in said[1]
        assert not release.is_set()
        assert len(read_trajectories(out)) == 1
        release.set()
        asked = len(server.requests)
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        assert len(server.requests) == asked + len(fix) + 2
    assert "2 of 3" in done.stdout
    assert "1 of 1 tasks solved" in done.stdout
    assert "1 stopped, 1 unsolved" in done.stdout
    assert read_trajectories(out)[0].provenance["attempt"] == 2


# ------------------------------------------------------------------------------------------------------- no containers
def attempted(k: int, *actions: str, outcome: str = "solved", task_id: str = "s/t", **fields) -> Attempted:
    defaults = {
        "task_hash": "h",
        "split": "train",
        "problem_statement": "It is wrong.",
        "license": "ours",
        "model": "m",
        "endpoint": "here",
        "temperature": 1.0,
        "prompt_version": "v",
        "reason": outcome,
        "malformed": 0,
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "cost": None,
        "seconds": 1.0,
    }
    steps = tuple(Step(thought="", action=action, observation="") for action in actions)
    return Attempted(task_id=task_id, attempt=k, outcome=outcome, steps=steps, **defaults | fields)


def test_of_equally_short_ones_the_one_that_agrees_most_comes_first():
    odd = attempted(0, "perl -pi -e s/a/b/ x.py", "submit")
    usual, alike = attempted(1, "sed -i s/a/b/ x.py", "submit"), attempted(2, "sed -i 's/a/b/' x.py", "submit")
    long = attempted(3, "ls", "sed -i s/a/b/ x.py", "submit")
    ranked = rank([odd, usual, alike, long])
    assert [a.attempt for a, _ in ranked] == [1, 2, 0, 3]
    assert ranked[0][1] > ranked[2][1]
    assert rank([odd]) == [(odd, None)]


def test_attempts_at_several_tasks_are_chosen_task_by_task(tmp_path):
    out = tmp_path / "t.jsonl"
    tried = [
        attempted(0, "a", "b", "submit"),
        attempted(1, "a", "submit"),
        attempted(0, "submit", task_id="s/u", outcome="unsolved"),
        attempted(1, task_id="s/u", outcome="infrastructure"),
        attempted(0, "c", "submit", task_id="s/v"),
    ]
    assert [t.trajectory_id for t in write_chosen(out, tried, keep=1)] == ["s/t@m-v-1", "s/v@m-v-0"]
    assert {json.loads(line)["task_id"] for line in rejected_path(out).read_text().splitlines()} == {"s/t", "s/u"}
    write_chosen(out, [], keep=1)
    assert not out.exists()
    assert rejected_path(out).read_text() == ""


@pytest.mark.parametrize(
    ("attempt", "outcome", "said"),
    [
        (Attempt(), "stopped", "budget"),
        (Attempt(ending=Ending.INFRASTRUCTURE, error="lost"), "infrastructure", "lost"),
        (Attempt(ending=Ending.SUBMITTED, verdict=Verdict(solved=None)), "infrastructure", "environment"),
        (Attempt(ending=Ending.MALFORMED, malformed=5), "malformed", "5 answers"),
        (Attempt(ending=Ending.STEP_LIMIT), "limit", "not submitted"),
        (Attempt(ending=Ending.CONTEXT_LIMIT), "limit", "not submitted"),
        (Attempt(ending=Ending.SUBMITTED, verdict=Verdict(solved=False, tampering=("forged",))), "tampering", "forged"),
        (Attempt(ending=Ending.SUBMITTED, verdict=Verdict(solved=False)), "unsolved", "hidden tests fail"),
        (Attempt(ending=Ending.SUBMITTED, verdict=Verdict(solved=True)), "solved", "pass"),
    ],
)
def test_what_becomes_of_an_attempt(attempt, outcome, said):
    judged, reason = judge(attempt)
    assert judged == outcome
    assert said in reason


def test_a_secret_is_not_kept():
    step = Step(thought="", action="export T=ghp_" + "a1B2" * 9, observation="")
    attempt = Attempt(ending=Ending.SUBMITTED, verdict=Verdict(solved=True), steps=[step])
    assert judge(attempt) == ("secret", "step 1 holds a secret: GitHub token")


def test_a_journal_survives_a_kill_and_refuses_what_is_none(tmp_path):
    path = tmp_path / "a.jsonl"
    journal = AttemptJournal(path)
    journal.add(attempted(0, "ls"))
    path.write_bytes(path.read_bytes() + b'{"task_id": "s/')
    journal = AttemptJournal(path)
    journal.add(attempted(1, "ls"))
    assert [a.attempt for a in AttemptJournal(path).attempts] == [0, 1]
    assert AttemptJournal(path).attempts == [attempted(0, "ls"), attempted(1, "ls")]
    path.write_text('{"steps": []}\n')
    with pytest.raises(ConfigError, match="attempt 1: not a teacher's attempt"):
        AttemptJournal(path)
    path.write_text(json.dumps(dataclasses.asdict(attempted(0, outcome="great"))) + "\n")
    with pytest.raises(ConfigError, match="outcome: expected one of solved"):
        AttemptJournal(path)


def test_wrong_arguments(tmp_path):
    teacher = endpoint("http://localhost:1/v1")
    for options in ({"attempts": 0}, {"keep": 0}, {"temperatures": []}, {"temperatures": [-1.0]}):
        with pytest.raises(ConfigError):
            generate([], teacher, tmp_path / "t.jsonl", **options)
    for budget in (Budget(cost=1.0), Budget(tokens=0), Budget(per_million_in=1.0), Budget(cost=-1.0)):
        with pytest.raises(ConfigError):
            generate([], teacher, tmp_path / "t.jsonl", budget=budget)
    (tmp_path / "mine.jsonl").write_text("precious\n")
    with pytest.raises(ConfigError, match="is there already"):
        generate([], teacher, tmp_path / "mine.jsonl")
    assert (tmp_path / "mine.jsonl").read_text() == "precious\n"


def test_the_prompt_version_changes_with_the_prompt():
    assert Setting().prompt_version == Setting(max_steps=3).prompt_version
    assert Setting().prompt_version != Setting(history=2).prompt_version
