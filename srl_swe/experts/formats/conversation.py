"""Chat messages, as every agent keeps them: who said what, which tools were called and what they gave back.

Read are OpenAI's messages (``tool_calls``, ``tool``), Anthropic's blocks (``tool_use``, ``tool_result``), plain texts
that hold an action (`replies`), and the same under other names (``from``/``value``, ``text``, ``ai``, ``gpt``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from srl_swe.experts.formats.fields import Field, compact
from srl_swe.experts.formats.recordings import Turn
from srl_swe.experts.formats.replies import read_reply, said_in
from srl_swe.records import ToolCall

_AGENT, _SYSTEM = ("assistant", "ai", "gpt", "model"), ("system", "developer")
_OBSERVATION = re.compile(r"\A(?:OBSERVATION:\n|Observation: )")
_TEXT_KEYS = ("text", "content", "output", "thinking")
_PROBLEMS = (
    re.compile(
        r"<pr_description>\s*(?:Consider the following PR description:\s*)?(.*?)\s*</pr_description>", re.DOTALL
    ),
    re.compile(r"<(issue_description|issue|problem_statement|task)>\s*(?P<it>.*?)\s*</\1>", re.DOTALL),
    re.compile(r"^Task Description:\n(.*?)\n\s*Current terminal state:", re.DOTALL | re.MULTILINE),
    re.compile(r"^ISSUE:\n(.*?)\n\s*INSTRUCTIONS:\n", re.DOTALL | re.MULTILINE),
    re.compile(r"^# Problem Statement\n(.*?)\n\n?IMPORTANT:", re.DOTALL | re.MULTILINE),
)


@dataclass(kw_only=True, slots=True)
class Conversation:
    """A conversation in its parts."""

    prompt: str = ""
    """What the agent was asked, before it acted."""
    turns: list[Turn] = field(default_factory=list)
    """What it did."""

    @property
    def problem(self) -> str:
        """The problem within the prompt, which tells of tools and rules too."""
        return find_problem(self.prompt)


def find_problem(prompt: str) -> str:
    """The problem within a prompt; the whole prompt where no part of it is marked as such."""
    for pattern in _PROBLEMS:
        if match := pattern.search(prompt):
            found = match["it"] if "it" in pattern.groupindex else match[1]
            if found.strip():
                return found.strip()
    return prompt.strip()


def read_conversation(messages: Iterable[Field]) -> Conversation:
    """The turns of a conversation.

    Raises:
        TrajectoryError: a message is not one.
    """
    conversation, waiting = Conversation(), Waiting()
    for message in messages:
        role = message.first("role", "from")
        name = role.name().lower() if role is not None else message["role"].text()
        if name in _SYSTEM or message.mapping().get("is_demo"):
            continue
        if name in _AGENT:
            conversation.turns += waiting.close()
            waiting = Waiting([*_agent_turns(message)])
        elif waiting.turns:
            for call_id, text in _results(message):
                waiting.give(call_id, text)
        else:
            asked = text_of(message.first("content", "value", "text"))
            conversation.prompt = f"{conversation.prompt}\n\n{asked}".strip()
    conversation.turns += waiting.close()
    return conversation


def text_of(content: Field | None) -> str:
    """The text of a message's content: a string, or a list of parts; a picture is named, not kept.

    Raises:
        TrajectoryError: it is neither.
    """
    if content is None:
        return ""
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


@dataclass(slots=True)
class Waiting:
    """The turns of one answer, whose observations are still to come."""

    turns: list[tuple[str, Turn]] = field(default_factory=list)
    given: dict[int, list[str]] = field(default_factory=dict)

    def give(self, call_id: str, text: str) -> None:
        """To the call with this id, else to the first that has nothing yet, else to the last."""
        known = [i for i, (name, _) in enumerate(self.turns) if call_id and name == call_id]
        empty = [i for i in range(len(self.turns)) if i not in self.given]
        index = (known or empty or [len(self.turns) - 1])[0]
        self.given.setdefault(index, []).append(text)

    def close(self, *, reward: float | None = None) -> Iterator[Turn]:
        """The turns with what they were given; a reward belongs to the last."""
        for index, (_, turn) in enumerate(self.turns):
            last = index == len(self.turns) - 1
            yield replace(turn, observation="\n".join(self.given.get(index, [])), reward=reward if last else None)


def _agent_turns(message: Field) -> Iterator[tuple[str, Turn]]:
    said = text_of(message.first("content", "value", "text"))
    reasoning = text_of(message.first("reasoning_content", "reasoning", "thinking"))
    calls = list(_calls(message))
    if calls:
        thought = "\n\n".join(part.strip() for part in (reasoning, said_in(said)) if part.strip())
        for index, (call_id, call) in enumerate(calls):
            yield call_id, Turn(thought="" if index else thought, call=call)
        return
    for index, reply in enumerate(read_reply(said)):
        thought = "\n\n".join(part.strip() for part in ("" if index else reasoning, reply.thought) if part.strip())
        yield "", Turn(thought=thought, call=reply.call, command=reply.command)


def _calls(message: Field) -> Iterator[tuple[str, ToolCall]]:
    called = message.get("tool_calls")
    if called is not None:
        for one in called.decoded().members():
            yield read_call(one)
    elif (old := message.get("function_call")) is not None:
        yield "", _function(old)
    content = message.get("content")
    if content is not None and isinstance(content.value, list):
        for part in content.members():
            if isinstance(part.value, dict) and part.value.get("type") == "tool_use":
                identity = part.get("id")
                arguments = compact(part.mapping().get("input") or {})
                yield _id(identity), ToolCall(name=part["name"].name(), arguments=arguments)


def read_call(one: Field) -> tuple[str, ToolCall]:
    """(id, call) of a member of ``tool_calls``.

    Raises:
        TrajectoryError: it is not one.
    """
    return _id(one.first("id", "tool_call_id")), _function(one.get("function") or one)


def _function(function: Field) -> ToolCall:
    return ToolCall(name=function["name"].name(), arguments=compact(function.mapping().get("arguments") or {}))


def _id(field: Field | None) -> str:
    return field.text() if field is not None else ""


def _results(message: Field) -> Iterator[tuple[str, str]]:
    content = message.first("content", "value", "text")
    if content is not None and isinstance(content.value, list):
        blocks = [p for p in content.members() if isinstance(p.value, dict) and p.value.get("type") == "tool_result"]
        for block in blocks:
            yield _id(block.get("tool_use_id")), text_of(block.get("content"))
        if blocks:
            return
    ids = message.get("tool_call_ids")
    first = ids.get(0) if ids is not None and isinstance(ids.value, list) else None
    yield _id(message.get("tool_call_id") or first), _OBSERVATION.sub("", text_of(content))
