"""The reward of one step: how close the student's action is to the expert's (arXiv 2510.25992, equation 4)."""

from __future__ import annotations

from collections.abc import Sequence

from srl_swe.environments.actions import parse_actions
from srl_swe.environments.answers import read_answer
from srl_swe.errors import MalformedActionError
from srl_swe.records import Domain, Score
from srl_swe.rewards.similarity import similarity

MALFORMED_REWARD = -1.0
"""The paper's reward for an answer that does not follow the form."""


def score_action(
    text: str,
    expert_action: str,
    *,
    autojunk: bool = False,
    require_thought: bool = True,
    domain: Domain = "repository",
) -> Score:
    """Score a student's answer against the expert's action.

    Only the actions (commands, or steps of a solution) are compared, without thought and fence, each without
    surrounding whitespace.

    Args:
        text: The student's whole answer.
        expert_action: The expert's bare action, as in `Step.action`.
        autojunk: difflib's heuristic; see `srl_swe.rewards.similarity`.
        require_thought: Whether an answer without a thought is malformed, as in the paper.
        domain: The form of the answer; see `srl_swe.environments.answers`.

    Returns:
        ``value`` in [0, 1], or -1 where the answer is malformed; parts ``well_formed`` (0 or 1) and, where well-formed,
        ``similarity``.
    """
    try:
        _, action = read_answer(text, domain=domain, require_thought=require_thought)
    except MalformedActionError:
        return Score(value=MALFORMED_REWARD, parts={"well_formed": 0.0})
    value = similarity(action.strip(), expert_action.strip(), autojunk=autojunk)
    return Score(value=value, parts={"well_formed": 1.0, "similarity": value})


def score_actions(
    text: str, expert_actions: Sequence[str], *, autojunk: bool = False, require_thought: bool = True
) -> Score:
    """Score a student's whole plan against all of the expert's commands at once (the paper's holistic similarity).

    Args:
        text: The student's whole answer: a thought and then one command after the other, each in a block of its own.
        expert_actions: The expert's bare commands, in order.
        autojunk: difflib's heuristic; see `srl_swe.rewards.similarity`.
        require_thought: Whether an answer without a thought is malformed.

    Returns:
        As `score_action`.
    """
    try:
        _, actions = parse_actions(text, require_thought=require_thought)
    except MalformedActionError:
        return Score(value=MALFORMED_REWARD, parts={"well_formed": 0.0})
    student = "\n".join(action.command.strip() for action in actions)
    value = similarity(student, "\n".join(action.strip() for action in expert_actions), autojunk=autojunk)
    return Score(value=value, parts={"well_formed": 1.0, "similarity": value})
