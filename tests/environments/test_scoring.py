"""The reward of one step."""

from __future__ import annotations

from difflib import SequenceMatcher

import pytest

from srl_swe.environments.actions import format_answer
from srl_swe.environments.scoring import score_action


def test_equal_commands_are_worth_one() -> None:
    score = score_action(format_answer("x", "ls -l"), "ls -l\n")
    assert score.value == 1.0
    assert score.parts == {"well_formed": 1.0, "similarity": 1.0}


@pytest.mark.parametrize("autojunk", [False, True])
def test_it_is_difflibs_ratio_of_the_commands_alone(autojunk: bool) -> None:
    student, expert = "grep -rn total src" * 20, "grep -rn 'sum' src tests" * 15
    expected = SequenceMatcher(None, student, expert, autojunk=autojunk).ratio()
    for thought in ("short", "a much longer thought about sums"):
        assert score_action(format_answer(thought, student), expert, autojunk=autojunk).value == expected


@pytest.mark.parametrize(
    "text", ["", "ls", "```bash\nls\n```", "<think>x</think>", "<think>x</think>```bash\nls\n```!"]
)
def test_malformed_is_minus_one(text: str) -> None:
    score = score_action(text, "ls")
    assert (score.value, score.parts) == (-1.0, {"well_formed": 0.0})


def test_the_thought_may_be_optional() -> None:
    assert score_action("```bash\nls\n```", "ls", require_thought=False).value == 1.0
