"""``srl_swe/Math-v0``: one answer an episode, gymnasium's own machinery, and SRL on it by the same wrapper."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from public_maths import ROWS, TITLED

from srl_swe import ExpertReplay, MathEnv
from srl_swe.environments.repo import RepoEnv
from srl_swe.environments.scoring import score_action
from srl_swe.environments.solutions import format_solution, parse_solution
from srl_swe.errors import ConfigError, MalformedActionError
from srl_swe.experts.instances import step_instances
from srl_swe.experts.solutions import solution_trajectories
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.records import Ending, Trajectory
from srl_swe.rewards.mathematics import AnswerChecker, shared_checker
from srl_swe.tasks.folder import read_suite
from srl_swe.tasks.mathematics.importing import import_problems

NUMBER = "suite/rows-00001"
FRACTION = "suite/rows-00002"
PROOF = "suite/rows-00004"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("maths")
    rows = [ROWS["s1k-1.1"], ROWS["math"], ROWS["gsm8k"], ROWS["s1k"]]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_problems([str(folder / "rows.jsonl")], folder / "suite", split="train")
    yield str(folder / "suite")
    shared_checker().close()


@pytest.fixture(scope="module")
def expert(suite: str) -> Trajectory:
    return solution_trajectories(read_suite(Path(suite)))[0][0]


def answer(env: gymnasium.Env[str, str], task: str, text: str) -> tuple[float, dict[str, Any]]:
    env.reset(options={"task": task})
    _, reward, terminated, truncated, info = env.step(text)
    assert (terminated, truncated) == (True, False)
    return reward, info


def test_answers_are_scored_at_once(suite: str) -> None:
    env = MathEnv([suite])
    reward, info = answer(env, NUMBER, "<think>\nTwice.\n</think>\nIt is \\boxed{24}.")
    assert (reward, info["score"].value, info["ending"]) == (1.0, 1.0, Ending.SUBMITTED)
    assert (info["verdict"].solved, info["verdict"].answer, info["malformed"]) == (True, "24", 0)
    reward, info = answer(env, FRACTION, "0.25 + 0.25 = 0.5\n#### 0.5")
    assert (reward, info["verdict"].answer) == (1.0, "0.5")
    reward, info = answer(env, FRACTION, "<think>\\boxed{\\frac12}</think>It is three.")
    assert (reward, info["verdict"].solved) == (0.0, False), "what is thought is no answer"
    with pytest.raises(ResetNeeded):
        env.step("again")


@pytest.mark.parametrize("text", ["", "<think>24", "<think>a</think>", "<think>a</think>24<think>b</think>"])
def test_malformed_answers_are_wrong(suite: str, text: str) -> None:
    reward, info = answer(MathEnv([suite]), NUMBER, text)
    assert (reward, info["malformed"], info["ending"]) == (0.0, 1, Ending.MALFORMED)
    assert (info["score"].value, info["verdict"].solved) == (0.0, False)


def test_a_thought_may_be_required(suite: str) -> None:
    assert answer(MathEnv([suite], require_thought=True), NUMBER, "24")[1]["ending"] is Ending.MALFORMED


def test_what_cannot_be_judged_is_never_a_reward(suite: str) -> None:
    checker = AnswerChecker(memory_mb=32)
    _, info = answer(MathEnv([suite], checker=checker), FRACTION, "\\boxed{\\sqrt{1/4}}")
    checker.close()
    assert (info["ending"], info["score"].value, info["verdict"].solved) == (Ending.INFRASTRUCTURE, None, None)
    assert info["error"] == info["verdict"].infrastructure == "the answer could not be judged"


def test_only_problems_with_an_answer_are_drawn_and_the_seed_decides(suite: str) -> None:
    env = MathEnv([suite])
    drawn = [env.reset(seed=seed)[1]["task_id"] for seed in range(30)]
    assert set(drawn) == {NUMBER, FRACTION, "suite/rows-00003"}
    assert drawn == [env.reset(seed=seed)[1]["task_id"] for seed in range(30)]
    with pytest.raises(ConfigError, match=f"nobody knows the answer of {PROOF}"):
        env.reset(options={"task": PROOF})


def test_a_problem_may_begin_after_some_of_the_experts_steps(suite: str, expert: Trajectory) -> None:
    env = MathEnv([suite])
    observation, info = env.reset(options={"trajectory": expert, "step": 2})
    assert info["step"] == 2
    assert all((step.action in observation) == (k < 2) for k, step in enumerate(expert.steps))
    assert info["messages"][1]["content"].endswith("Write the rest of the solution.")
    assert env.step("So it is \\boxed{24}.")[1:3] == (1.0, True)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"task": "suite/none"}, "task"),
        ({"step": 1}, "step"),
        ({"step": "a"}, "step"),
        ({"wanted": "step"}, "wanted"),
        ({"wanted": "all"}, "wanted"),
        ({"trajectory": 1}, "trajectory"),
        ({"other": 1}, "other"),
    ],
)
def test_wrong_options_are_named(suite: str, options: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"options\['{key}'\]"):
        MathEnv([suite]).reset(options=options)


def test_wrong_arguments_are_named(suite: str) -> None:
    for arguments, name in (({}, "suites"), ({"suites": suite, "split": "x"}, "split"), ({"tasks": []}, "no problem")):
        with pytest.raises(ConfigError, match=name):
            MathEnv(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is a maths problem; srl_swe/Math-v0 takes those"):
        RepoEnv([suite])
    with pytest.raises(ResetNeeded):
        MathEnv([suite]).step("24")


def test_gymnasium_makes_and_checks_it(suite: str) -> None:
    arguments: dict[str, Any] = {"suites": [suite], "split": "train", "render_mode": "ansi"}
    assert json.loads(json.dumps(arguments)) == arguments
    env = gymnasium.make("srl_swe/Math-v0", **arguments)
    check_env(env.unwrapped)
    observation, info = env.reset(seed=3)
    assert env.render() == observation
    assert info["messages"][1]["content"] == f"{observation}\n\nWrite the solution."
    pickle.dumps(info)
    env.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vectors(suite: str, mode: str) -> None:
    envs = gymnasium.make_vec(
        "srl_swe/Math-v0",
        num_envs=3,
        vectorization_mode=mode,
        vector_kwargs={"shared_memory": False} if mode == "async" else {},
        suites=[suite],
        task=FRACTION,
    )
    envs.reset(seed=0)
    _, rewards, terminations, _, _ = envs.step(["\\boxed{\\frac{2}{4}}", "\\boxed{2}", "<think>"])
    assert (list(rewards), list(terminations)) == ([1.0, 0.0, 0.0], [True] * 3)
    envs.reset(seed=1)
    envs.close()


def test_srl_by_the_same_wrapper(suite: str, expert: Trajectory) -> None:
    """The student's step is scored; the expert's is what the solution goes on with."""
    env = ExpertReplay(gymnasium.make("srl_swe/Math-v0", suites=[suite]), expert)
    observation, info = env.reset()
    student = "<think>\nI call it n.\n</think>\n1. **Name it:** Let n be the number of pears."
    instances = step_instances(expert)
    for k, step in enumerate(expert.steps):
        assert info["messages"] == instances[k].messages, "what is trained on is what is played"
        assert step.action not in repr((observation, info))
        observation, reward, terminated, truncated, info = env.step(student)
        expected = score_action(student, step.action, domain="mathematics")
        assert (reward, info["score"], info["expert_step"]) == (expected.value, expected, k)
        assert step.action in observation
        assert (terminated, truncated) == (k == len(expert.steps) - 1, False)
    assert info["verdict"].solved is True, "the expert's own answer, at the end"
    _, info = env.reset(options={"step": 2})
    _, reward, terminated, _, _ = env.step(format_solution("Yes.", expert.steps[2].action))
    assert (reward, terminated) == (1.0, True)
    env.reset(options={"step": 1})
    assert env.step("2. no thought")[1] == -1.0


def test_replay_from_a_file(suite: str, expert: Trajectory, tmp_path: Path) -> None:
    proof = solution_trajectories([t for t in read_suite(Path(suite)) if t.task_id == PROOF])[0]
    write_trajectories(tmp_path / "t.jsonl", [expert, *proof])
    arguments = {"suites": [suite], "trajectories": str(tmp_path / "t.jsonl")}
    check_env(gymnasium.make("srl_swe/ExpertReplay-v0", **arguments).unwrapped, skip_render_check=True)
    env = gymnasium.make("srl_swe/ExpertReplay-v0", **arguments, trajectory=-1)
    env.reset()
    env.step("<think>a</think>b")
    _, _, terminated, _, info = env.step("<think>a</think>b")
    assert (terminated, info["ending"], info["verdict"]) == (True, Ending.SUBMITTED, None), "a proof has no verdict"


def test_the_form_is_read_and_written() -> None:
    assert parse_solution(format_solution("why", TITLED)) == ("why", TITLED)
    assert parse_solution(" 24 ", require_thought=False) == ("", "24")
    for thought, text in (("a</think>", "b"), ("a", "<think>"), ("a", " ")):
        with pytest.raises(MalformedActionError):
            format_solution(thought, text)
