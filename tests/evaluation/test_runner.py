from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from srl_swe.environments.actions import parse_action
from srl_swe.errors import (
    ConfigError,
    ContextLengthError,
    EngineUnavailableError,
    MalformedActionError,
    SandboxError,
    SandboxLostError,
)
from srl_swe.evaluation.runner import evaluate, read_results, solve_rate
from srl_swe.policies.scripted import DoNothingPolicy, ExpertPolicy, GoldPolicy
from srl_swe.records import ChatAnswer, Ending, PreparedTask, RepositorySource, Task, Verdict


def make_task(folder, name, *, repository="repo"):
    folder.mkdir(exist_ok=True)
    source = RepositorySource(kind="folder", location=str(folder))
    task = Task(
        task_id=f"suite/{name}",
        suite="suite",
        repository=repository,
        split="heldout",
        problem_statement="It is broken.",
        folder=folder,
        source=source,
        test_paths=("test_x.py",),
        fail_to_pass=("test_x.py::test_x",),
    )
    return PreparedTask(task=task, image="image", gold_patch="patch of " + name, test_files=())


class World:
    """What all the environments of a test share: how they fail, and what is open."""

    def __init__(self):
        self.lock = threading.Lock()
        self.opened = Counter()
        self.open = 0
        self.most_open = 0
        self.reset_failures = {}
        self.grading_failures = Counter()

    def __call__(self, prepared, max_steps):
        return FakeEnvironment(self, prepared, max_steps)


class FakeEnvironment:
    """Solved if a command mentioning ``git apply`` came before the submission."""

    def __init__(self, world, prepared, max_steps):
        self.world, self.prepared, self.max_steps = world, prepared, max_steps
        self.task_id = prepared.task.task_id
        self.is_open, self.steps, self.fixed = False, 0, False
        self.messages = ({"role": "system", "content": "s"}, {"role": "user", "content": "p"})

    def reset(self, *, seed=None, options=None):  # noqa: ARG002
        assert options == {"task": self.task_id}
        with self.world.lock:
            self.world.opened[self.task_id] += 1
            failures = self.world.reset_failures.get(self.task_id, [])
            if failures:
                raise failures.pop(0)
            self.is_open = True
            self.world.open += 1
            self.world.most_open = max(self.world.most_open, self.world.open)
        return "p", {"messages": self.messages}

    def step(self, text):
        assert self.is_open
        self.steps += 1
        ending = verdict = error = None
        try:
            command = parse_action(text)[1].command
        except MalformedActionError:
            command = ""
        self.fixed |= "git apply" in command
        if command == "submit":
            ending, verdict = Ending.SUBMITTED, Verdict(solved=self.fixed)
            with self.world.lock:
                if self.world.grading_failures[self.task_id] > 0:
                    self.world.grading_failures[self.task_id] -= 1
                    ending, verdict = Ending.INFRASTRUCTURE, Verdict(solved=None, infrastructure="grader lost")
        elif self.steps >= self.max_steps:
            ending = Ending.STEP_LIMIT
        self.messages += ({"role": "assistant", "content": text}, {"role": "user", "content": "o"})
        info = {"messages": self.messages, "ending": ending, "verdict": verdict, "error": error}
        truncated = ending is Ending.STEP_LIMIT
        return "o", 0.0, ending is not None and not truncated, truncated, info

    def patch(self):
        return "diff" if self.fixed else ""

    def close(self):
        with self.world.lock:
            self.world.open -= self.is_open
            self.is_open = False


class Scripted:
    """Answers from a function of the conversation."""

    name = "scripted"

    def __init__(self, answer):
        self.answer = answer
        self.waves = []

    def act(self, conversations, tasks):
        self.waves.append(len(conversations))
        return [ChatAnswer(text=self.answer(c, t)) for c, t in zip(conversations, tasks, strict=True)]


@pytest.fixture
def tasks(tmp_path):
    return [make_task(tmp_path / "task", f"t{k}", repository=f"r{k % 2}") for k in range(6)]


def test_gold_solves_everything_in_batches(tmp_path, tasks):
    world = World()
    results = evaluate(GoldPolicy(), tasks, tmp_path / "out", concurrency=3, environments=world)
    assert [r.task_id for r in results] == [t.task.task_id for t in tasks]
    assert all(r.solved and r.ending is Ending.SUBMITTED and r.steps == 2 and r.patch == "diff" for r in results)
    assert (world.open, world.most_open) == (0, 3)
    assert sorted(read_results(tmp_path / "out"), key=lambda r: r.task_id) == results
    assert solve_rate(results).value == 1


def test_nothing_solves_nothing(tmp_path, tasks):
    results = evaluate(DoNothingPolicy(), tasks, tmp_path / "out", environments=World())
    assert [r.solved for r in results] == [False] * 6
    transcript = json.loads((tmp_path / "out" / "transcripts.jsonl").read_text().splitlines()[0])
    assert transcript["transcript"][0]["action"] == "submit"


def test_step_limit_and_malformed_answers(tmp_path, tasks):
    policy = Scripted(lambda *_: "I would rather talk.")
    world = World()
    (result, *_) = evaluate(policy, tasks, tmp_path / "out", max_steps=3, concurrency=2, environments=world)
    assert (result.solved, result.ending, result.steps, result.malformed) == (False, Ending.STEP_LIMIT, 3, 3)
    assert set(policy.waves) <= {1, 2}


def test_infrastructure_failures_are_tried_again_and_never_a_reward(tmp_path, tasks):
    world = World()
    world.reset_failures = {"suite/t1": [SandboxError("once")], "suite/t2": [SandboxLostError("a"), SandboxError("b")]}
    world.grading_failures["suite/t3"] = 1
    world.grading_failures["suite/t4"] = 2
    out = tmp_path / "out"
    results = {r.task_id: r for r in evaluate(GoldPolicy(), tasks, out, environments=world)}
    assert [results[f"suite/t{k}"].solved for k in range(6)] == [True, True, None, True, None, True]
    assert "b" in results["suite/t2"].error
    assert results["suite/t4"].error == "grader lost"
    assert results["suite/t4"].ending is Ending.INFRASTRUCTURE
    assert solve_rate(list(results.values())) == (1.0, pytest.approx(0.51, abs=0.01), 1.0)
    assert world.open == 0
    again = evaluate(GoldPolicy(), tasks, out, environments=world)  # the engine is well again
    assert all(r.solved for r in again)
    assert world.opened == Counter({f"suite/t{k}": n for k, n in enumerate([1, 2, 3, 2, 3, 1])})
    assert len(read_results(out)) == 6
    assert len((out / "transcripts.jsonl").read_text().splitlines()) == 6


def test_no_engine_ends_it(tmp_path, tasks):
    world = World()
    world.reset_failures = {"suite/t1": [EngineUnavailableError("none answers")]}
    with pytest.raises(EngineUnavailableError):
        evaluate(GoldPolicy(), tasks, tmp_path / "out", environments=world)
    assert world.open == 0


def test_interrupted_it_closes_everything_and_goes_on_later(tmp_path, tasks):
    world, out = World(), tmp_path / "out"
    gold = GoldPolicy()

    def interrupted(conversation, task):
        if task.task.task_id == "suite/t3":
            raise KeyboardInterrupt
        return gold.act([conversation], [task])[0].text

    policy = Scripted(interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(policy, tasks, out, concurrency=2, environments=world)
    assert world.open == 0
    first = (out / "results.jsonl").read_bytes()
    assert len(read_results(out)) in (2, 3)  # that of t2 may have ended just before
    # Killed in the middle of a line, twice.
    (out / "results.jsonl").write_bytes(first + b'{"task_id": "suite/t3", "solv')
    with (out / "transcripts.jsonl").open("a") as transcripts:
        transcripts.write('{"task_id": "suite/t3", "transcript": []}\n{"task_id"')
    results = evaluate(Scripted(lambda c, t: gold.act([c], [t])[0].text), tasks, out, concurrency=2, environments=world)
    assert all(r.solved for r in results)
    assert (out / "results.jsonl").read_bytes().startswith(first)
    assert world.opened["suite/t0"] == world.opened["suite/t1"] == 1
    lines = [json.loads(line) for line in (out / "transcripts.jsonl").read_text().splitlines()]
    assert sorted(line["task_id"] for line in lines) == [t.task.task_id for t in tasks]
    assert all(line["transcript"] for line in lines)


def test_a_finished_run_opens_nothing(tmp_path, tasks):
    out = tmp_path / "out"
    first = evaluate(DoNothingPolicy(), tasks, out, environments=World())
    world = World()
    assert evaluate(DoNothingPolicy(), tasks, out, environments=world) == first
    assert not world.opened


def test_several_samples_and_a_greedy_episode(tmp_path, tasks):
    world, out = World(), tmp_path / "out"
    first = evaluate(DoNothingPolicy(), tasks[:2], out, samples=2, concurrency=3, environments=world)
    assert [r.key for r in first] == [("suite/t0", False, 0), ("suite/t0", False, 1), ("suite/t1", False, 0),
                                      ("suite/t1", False, 1)]  # fmt: skip
    arguments = {"samples": 3, "greedy": DoNothingPolicy(), "environments": world}
    more = evaluate(DoNothingPolicy(), tasks[:2], out, **arguments)
    assert [r.key for r in more[:4]] == [("suite/t0", True, 0), *[("suite/t0", False, i) for i in range(3)]]
    assert world.opened == Counter({"suite/t0": 4, "suite/t1": 4})
    assert [r for r in more if not r.greedy and r.sample < 2] == first
    assert json.loads((out / "meta.json").read_text())["plan"] == {"samples": 3, "greedy": True}
    fewer = evaluate(DoNothingPolicy(), tasks[:2], out, samples=1, environments=world)
    assert [r.key for r in fewer] == [("suite/t0", False, 0), ("suite/t1", False, 0)]
    assert len(read_results(out)) == len((out / "transcripts.jsonl").read_text().splitlines()) == 8
    assert solve_rate(read_results(out)).low == 0.0


def test_who_acts_greedily_and_who_does_not(tmp_path, tasks):
    results = evaluate(DoNothingPolicy(), tasks[:2], tmp_path / "out", greedy=GoldPolicy(), environments=World())
    assert [(r.greedy, r.solved) for r in results] == [(True, True), (False, False)] * 2
    assert solve_rate(results).value == 1  # the greedy ones


def test_tokens_and_scores_are_added_up(tmp_path, tasks):
    class Counting(DoNothingPolicy):
        def act(self, conversations, tasks):
            answers = super().act(conversations, tasks)
            return [replace(a, prompt_tokens=7, completion_tokens=2, logprob=-0.5, cost=0.1) for a in answers]

    (found, *_) = evaluate(Counting(), tasks[:1], tmp_path / "out", environments=World())
    assert (found.prompt_tokens, found.completion_tokens, found.logprob, found.cost) == (7, 2, -0.5, 0.1)
    (step,) = json.loads((tmp_path / "out" / "transcripts.jsonl").read_text())["transcript"]
    assert (step["completion_tokens"], step["finish_reason"]) == (2, "stop")


def test_a_context_that_is_too_long_ends_its_episode_alone(tmp_path, tasks):
    def answer(conversation, task):
        if len(conversation) > 2 and task.task.task_id == "suite/t1":
            raise ContextLengthError("too long")
        return GoldPolicy().act([conversation], [task])[0].text

    results = evaluate(Scripted(answer), tasks, tmp_path / "out", concurrency=6, environments=World())
    endings = {r.task_id: (r.ending, r.solved) for r in results}
    assert endings.pop("suite/t1") == (Ending.CONTEXT_LIMIT, False)
    assert set(endings.values()) == {(Ending.SUBMITTED, True)}


def test_a_slow_episode_holds_nobody_back(tmp_path, tasks):
    others = threading.Event()
    world = World()

    class Slow(FakeEnvironment):
        def step(self, text):
            if self.task_id == "suite/t0":
                assert others.wait(60)  # until all the others are done
            return super().step(text)

    def answer(conversation, task):
        if task.task.task_id == "suite/t5" and len(conversation) > 2:
            others.set()
        return GoldPolicy().act([conversation], [task])[0].text

    environments = lambda prepared, max_steps: Slow(world, prepared, max_steps)  # noqa: E731
    results = evaluate(Scripted(answer), tasks, tmp_path / "out", concurrency=2, environments=environments)
    assert all(r.solved for r in results)


def test_a_mistake_in_the_policy_ends_the_run(tmp_path, tasks):
    world = World()

    class Wrong(DoNothingPolicy):
        def act(self, conversations, tasks):
            return super().act(conversations, tasks)[1:]

    with pytest.raises(ValueError, match="argument"):
        evaluate(Wrong(), tasks, tmp_path / "out", environments=world)
    assert world.open == 0


def test_a_recording_is_not_sampled(tmp_path, tasks):
    with pytest.raises(ConfigError, match="one sample a task"):
        evaluate(ExpertPolicy([]), tasks, tmp_path / "out", samples=2, environments=World())


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_runner import FakeEnvironment, World, make_task
from srl_swe.evaluation.runner import evaluate
from srl_swe.policies.scripted import GoldPolicy

world, folder = World(), Path(sys.argv[2])

class Slow(FakeEnvironment):
    def step(self, text):
        time.sleep(0.05)
        return super().step(text)

tasks = [make_task(folder / "task", f"t{k}") for k in range(3)]
evaluate(GoldPolicy(), tasks, folder / "out", samples=20, environments=lambda p, m: Slow(world, p, m))
print(sum(world.opened.values()))
"""


def test_killed_it_goes_on_to_the_single_sample(tmp_path):
    line = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    results = tmp_path / "out" / "results.jsonl"
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not (results.exists() and len(results.read_bytes().splitlines()) > 5):
            time.sleep(0.01)
        process.kill()
    before = read_results(tmp_path / "out")
    assert 5 < len(before) < 60
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 60 - len(before)
    after = read_results(tmp_path / "out")
    assert after[: len(before)] == before
    assert len({r.key for r in after}) == len(after) == 60


@pytest.mark.parametrize("change", ["policy", "tasks", "max_steps", "settings"])
def test_results_of_something_else_are_not_mixed(tmp_path, tasks, change):
    out = tmp_path / "out"
    evaluate(GoldPolicy(), tasks[:2], out, environments=World())
    arguments = {"policy": GoldPolicy(), "tasks": tasks[:2], "max_steps": 30, "settings": {}}
    arguments |= {
        change: {"policy": DoNothingPolicy(), "tasks": tasks[:1], "max_steps": 3, "settings": {"t": 1}}[change]
    }
    policy, chosen = arguments.pop("policy"), arguments.pop("tasks")
    with pytest.raises(ConfigError, match="this folder holds results with"):
        evaluate(policy, chosen, out, environments=World(), **arguments)


def test_bad_arguments(tmp_path, tasks):
    with pytest.raises(ConfigError, match="twice"):
        evaluate(GoldPolicy(), [tasks[0], tasks[0]], tmp_path, environments=World())
    with pytest.raises(ConfigError, match="concurrency"):
        evaluate(GoldPolicy(), tasks, tmp_path, concurrency=0, environments=World())
    (tmp_path / "results.jsonl").write_text('{"task_id": "x", "solved": true}\n')
    with pytest.raises(ConfigError, match="not an episode's result"):
        read_results(tmp_path)
