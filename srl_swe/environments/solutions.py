"""The form of an answer in mathematics, and the chat that asks for it.

An answer is a thought and then text: the next step of a solution, or the solution::

    answer    = ws , [ thought , ws ] , text , ws ;
    thought   = "<think>" , { any text without "</think>" } , "</think>" ;
    text      = any text that is not blank, without "<think>" and "</think>" ;

The student sees the problem and the steps so far, all of them: they are the state (arXiv 2510.25992, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from srl_swe.environments.actions import split_thought
from srl_swe.errors import MalformedActionError
from srl_swe.records import Message, Trajectory

Wanted = Literal["step", "answer"]
"""What is asked for: the next step of a solution alone, or the (rest of the) solution with its final answer."""

SYSTEM_PROMPT = """\
Solve the problem step by step. Think briefly, then write what is asked for:
<think>
why
</think>
text
Put the final answer in \\boxed{}."""
"""Short on purpose, as that of repositories."""

_THINK, _UNTHINK = "<think>", "</think>"
_ASKED = {
    ("step", False): "Write only the first step.",
    ("step", True): "Write only the next step.",
    ("answer", False): "Write the solution.",
    ("answer", True): "Write the rest of the solution.",
}


def parse_solution(text: str, *, require_thought: bool = True) -> tuple[str, str]:
    """Split an answer into its thought (empty where there is none) and its text, both stripped.

    Raises:
        MalformedActionError: The answer is not in the form; the message says in what way.
    """
    thought, rest = split_thought(text, require_thought=require_thought)
    if not rest.strip():
        raise MalformedActionError("empty answer: nothing follows the thought")
    for tag in (_THINK, _UNTHINK):
        if tag in rest:
            raise MalformedActionError(f"{tag} after the thought: there must be exactly one thought")
    return thought, rest.strip()


def format_solution(thought: str, text: str) -> str:
    """Write an answer; with an empty thought, the text alone.

    Raises:
        MalformedActionError: The thought or the text holds a tag of thoughts, or the text is blank.
    """
    if not text.strip():
        raise MalformedActionError("empty answer: the text is blank")
    if _UNTHINK in thought or _THINK in text or _UNTHINK in text:
        raise MalformedActionError(f"the thought holds {_UNTHINK}, or the text holds {_THINK} or {_UNTHINK}")
    return f"{_THINK}\n{thought.strip()}\n{_UNTHINK}\n{text.strip()}" if thought.strip() else text.strip()


def problem_text(problem: str, steps: Sequence[str], *, left_out: int = 0) -> str:
    """Return the problem and the solution so far, as the student sees them."""
    parts = [problem.strip()]
    if steps or left_out:
        parts.append("Solution so far:")
        if left_out:
            parts.append(f"({left_out} earlier step{'s' if left_out > 1 else ''} left out)")
    return "\n\n".join([*parts, *(step.strip() for step in steps)])


def whole_solution(trajectory: Trajectory) -> str:
    """Return all steps of an expert's solution, as one text."""
    return "\n\n".join(step.action.strip() for step in trajectory.steps)


def solution_chat(
    problem: str, steps: Sequence[str], *, wanted: Wanted = "step", last: int | None = None
) -> tuple[Message, ...]:
    """Return the conversation in which the student writes the next step, or the rest.

    Args:
        problem: The problem statement, shown whole: half a problem cannot be solved.
        steps: The solution so far.
        wanted: What is asked for.
        last: How many of the last steps are shown; ``None``: all of them.

    Returns:
        A system message, and one of the user: the problem, the solution so far, and what is asked for.
    """
    shown = steps if last is None else steps[max(0, len(steps) - last) :]
    text = problem_text(problem, shown, left_out=len(steps) - len(shown))
    asked = f"{text}\n\n{_ASKED[wanted, bool(steps)]}"
    return ({"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": asked})
