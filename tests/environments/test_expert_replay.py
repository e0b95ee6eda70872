"""`ExpertReplay` over a small environment of its own: it needs nothing but text actions."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest

from srl_swe.environments.actions import format_answer, parse_action
from srl_swe.environments.expert_replay import ExpertReplay
from srl_swe.environments.scoring import score_action
from srl_swe.environments.spaces import UnicodeText
from srl_swe.errors import ConfigError
from srl_swe.records import Step, Trajectory

ACTIONS = ("look around", "take the 'key'", "open\n```\nthe door", "leave it all")
EXPERT = Trajectory(
    trajectory_id="house#1",
    task_id="house",
    split="train",
    problem_statement="Get out.",
    steps=tuple(Step(thought="hidden thought", action=a, observation=f"did {k}") for k, a in enumerate(ACTIONS)),
    source="test",
)


class House(gymnasium.Env[str, str]):
    """Remembers what it was told to do."""

    def __init__(self, limit: int = 99) -> None:
        self.observation_space = UnicodeText(1000)
        self.action_space = UnicodeText(1000)
        self.done: list[str] = []
        self.limit = limit
        self.options: dict[str, Any] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.done, self.options = [], options
        return "Get out.", {"messages": ()}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.done.append(parse_action(action)[1].command)
        return f"did {len(self.done)}", 0.5, False, len(self.done) >= self.limit, {"messages": tuple(self.done)}


def test_the_student_is_scored_and_the_expert_acts() -> None:
    house = House()
    env = ExpertReplay(house, EXPERT)
    env.reset(seed=1)
    student = format_answer("hm", "look")
    for k, expert in enumerate(ACTIONS):
        observation, reward, terminated, truncated, info = env.step(student)
        expected = score_action(student, expert)
        assert (observation, reward) == (f"did {k + 1}", expected.value)
        assert (info["score"], info["expert_step"]) == (expected, k)
        assert (terminated, truncated) == (k == len(ACTIONS) - 1, False)
    assert house.done == list(ACTIONS)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(student)


def test_the_experts_next_action_is_never_shown() -> None:
    env = ExpertReplay(House(), EXPERT)
    observation, info = env.reset()
    for k in range(len(ACTIONS)):
        seen = repr((observation, info))
        assert all(action not in seen and repr(action)[1:-1] not in seen for action in ACTIONS[k:])
        assert "hidden thought" not in seen
        observation, _, _, _, info = env.step("nonsense")


def test_malformed_answers_cost_one_and_the_path_goes_on() -> None:
    house = House()
    env = ExpertReplay(house, EXPERT)
    env.reset()
    _, reward, terminated, _, info = env.step("nonsense")
    assert (reward, terminated, info["score"].value) == (-1.0, False, -1.0)
    assert house.done == [ACTIONS[0]]


def test_it_may_begin_later() -> None:
    house = House()
    env = ExpertReplay(house, EXPERT)
    env.reset(options={"step": 3})
    assert house.options == {"task": "house", "trajectory": EXPERT, "step": 3}
    _, reward, terminated, _, info = env.step(format_answer("out", ACTIONS[3]))
    assert (reward, terminated, info["expert_step"]) == (1.0, True, 3)


def test_the_wrapped_environment_may_end_it() -> None:
    env = ExpertReplay(House(limit=2), EXPERT)
    env.reset()
    env.step("x")
    _, _, terminated, truncated, _ = env.step("x")
    assert (terminated, truncated) == (False, True)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("x")


@pytest.mark.parametrize("options", [{"step": 4}, {"step": -1}, {"step": "1"}, {"task": "garden"}, {"trajectory": 1}])
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        ExpertReplay(House(), EXPERT).reset(options=options)


def test_steps_before_the_first_reset_are_refused() -> None:
    with pytest.raises(gymnasium.error.ResetNeeded):
        ExpertReplay(House(), EXPERT).step("x")
