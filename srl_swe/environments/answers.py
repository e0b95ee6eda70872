"""An agent's answer in the form of its domain: a thought and a shell command, or a thought and a step of a solution."""

from __future__ import annotations

from srl_swe.environments.actions import format_answer, parse_action
from srl_swe.environments.solutions import format_solution, parse_solution
from srl_swe.records import Domain


def read_answer(text: str, *, domain: Domain = "repository", require_thought: bool = True) -> tuple[str, str]:
    """Split an answer into its thought, stripped, and its action: a command to the character, or a step, stripped.

    Raises:
        MalformedActionError: The answer is not in the domain's form; the message says in what way.
    """
    if domain == "mathematics":
        return parse_solution(text, require_thought=require_thought)
    thought, action = parse_action(text, require_thought=require_thought)
    return thought, action.command


def write_answer(thought: str, action: str, *, domain: Domain = "repository") -> str:
    """Write an answer; with an empty thought, the action alone.

    Raises:
        MalformedActionError: The thought or the action cannot be written in the form.
    """
    return format_solution(thought, action) if domain == "mathematics" else format_answer(thought, action)
