"""What messages are made of: texts and parts, and the problem within a prompt."""

from __future__ import annotations

import re

from srl_swe.experts.formats.fields import Field, compact
from srl_swe.records import ToolCall

_TEXT_KEYS = ("text", "content", "output", "thinking")
_PROBLEMS = (
    re.compile(
        r"<pr_description>\s*(?:Consider the following PR description:\s*)?(.*?)\s*</pr_description>", re.DOTALL
    ),
    re.compile(r"<(issue_description|github_issue|issue|problem_statement|task)>\s*(?P<it>.*?)\s*</\1>", re.DOTALL),
    re.compile(r"^Task Description:\n(.*?)\n\s*Current terminal state:", re.DOTALL | re.MULTILINE),
    re.compile(r"^ISSUE:\n(.*?)\n\s*INSTRUCTIONS:\n", re.DOTALL | re.MULTILINE),
    re.compile(r"^# Problem Statement\n(.*?)\n\n?IMPORTANT:", re.DOTALL | re.MULTILINE),
)
"""How prompts mark the problem: SWE-smith and mini-swe-agent, OpenHands and R2E-Gym, Terminus, SWE-agent before 1.0,
OpenHands' issue resolver."""


def find_problem(prompt: str) -> str:
    """The problem within a prompt; the whole prompt where no part of it is marked as such."""
    for pattern in _PROBLEMS:
        if match := pattern.search(prompt):
            found = match["it"] if "it" in pattern.groupindex else match[1]
            if found.strip():
                return found.strip()
    return prompt.strip()


def text_of(content: Field | None) -> str:
    """The text of a message's content: a string, or a list of parts; a picture is named, not kept.

    Raises:
        TrajectoryError: it is neither.
    """
    if content is None:
        return ""
    if isinstance(content.value, dict):
        return _part(content)
    if not isinstance(content.value, list):
        return content.text()
    return "\n".join(part for part in map(_part, content.members()) if part)


def _part(part: Field) -> str:
    if isinstance(part.value, str):
        return part.text()
    kind = part.get("type")
    if kind is not None and kind.value in ("tool_use", "tool_result", "function_call"):
        return ""
    found = part.first(*_TEXT_KEYS)
    if found is not None:
        return found.text()
    return f"[{kind.text() if kind is not None else 'part'}]"


def joined(*parts: str) -> str:
    """Those that are not blank, as paragraphs."""
    return "\n\n".join(part.strip() for part in parts if part.strip())


def read_call(one: Field) -> tuple[str, ToolCall]:
    """(id, call) of a member of OpenAI's ``tool_calls``.

    Raises:
        TrajectoryError: it is not one.
    """
    return identity(one.first("id", "tool_call_id")), read_function(one.get("function") or one)


def read_function(function: Field) -> ToolCall:
    """The call of an object with ``name`` and ``arguments``.

    Raises:
        TrajectoryError: it is not one.
    """
    return ToolCall(name=function["name"].name(), arguments=compact(function.mapping().get("arguments") or {}))


def identity(field: Field | None) -> str:
    """An id; empty for none."""
    return field.text() if field is not None else ""
