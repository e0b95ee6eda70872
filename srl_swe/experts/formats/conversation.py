"""Chat messages, as every agent keeps them: who said what, which tools were called and what they gave back.

Read are OpenAI's messages (``tool_calls``, ``tool``), Anthropic's blocks (``tool_use``, ``tool_result``), plain texts
that hold an action (`replies`), and the same under other names (``from``/``value``, ``text``, ``ai``, ``gpt``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from srl_swe.experts.formats.content import find_problem, identity, joined, read_call, read_function, text_of
from srl_swe.experts.formats.fields import Field, compact
from srl_swe.experts.formats.items import read_items
from srl_swe.experts.formats.parted import CALLING, PARTS, whole_answers
from srl_swe.experts.formats.recordings import Turn
from srl_swe.experts.formats.replies import read_reply, said_in
from srl_swe.records import ToolCall

_AGENT, _SYSTEM, _ASKING = ("assistant", "ai", "gpt", "model"), ("system", "developer"), ("user", "human")
_OBSERVATION = re.compile(r"\A(?:OBSERVATION:\n|Observation: |Execution output of \[\w+\]:\n)")
"""What SWE-agent, mini-swe-agent and R2E-Gym's agent put before what a tool gave back."""


@dataclass(kw_only=True, slots=True)
class Conversation:
    """A conversation in its parts."""

    prompt: str = ""
    """What the agent was asked, before it acted; where nobody asked, the system prompt."""
    turns: list[Turn] = field(default_factory=list)
    """What it did."""
    falls_silent: bool = False
    """Whether it ended by saying something: agents whose answers are several messages end their work like that."""

    @property
    def problem(self) -> str:
        """The problem within the prompt, which tells of tools and rules too."""
        return find_problem(self.prompt)


def read_conversation(messages: Iterable[Field]) -> Conversation:
    """The turns of a conversation.

    Raises:
        TrajectoryError: a message is not one.
    """
    messages = list(messages)
    roles = [_role(message) for message in messages]
    silent = any(role in PARTS for role in roles) and roles[-1] not in CALLING
    conversation, waiting = Conversation(falls_silent=silent), Waiting()
    listed, rules = list(whole_answers(messages)), ""
    calls_tools = any(True for message in listed for _ in _calls(message))
    for message in listed:
        name = _role(message)
        if name in _SYSTEM and not rules:
            rules = text_of(message.first("content", "value", "text", "system_prompt"))
        if name in _SYSTEM or message.mapping().get("is_demo"):
            continue
        if name in _AGENT:
            conversation.turns += waiting.close()
            waiting = Waiting([*_agent_turns(message, calls_tools)])
        elif waiting.turns:
            for call_id, text in _results(message):
                waiting.give(call_id, text)
        else:
            asked = text_of(message.first("content", "value", "text"))
            conversation.prompt = f"{conversation.prompt}\n\n{asked}".strip()
    conversation.turns += waiting.close()
    strange = dict.fromkeys(role for role in roles if role not in (*_AGENT, *_SYSTEM, *_ASKING))
    if strange and not conversation.turns:
        agent = ", ".join((*_AGENT, *PARTS))
        listed[0].fail(f"no message of an agent (roles: {agent}), but of {', '.join(strange)}")
    conversation.prompt = conversation.prompt or rules
    return conversation


def _role(message: Field) -> str:
    """Who speaks. mini-swe-agent keeps whole responses of OpenAI's Responses API among its messages, and their calls'
    outputs: those have no role."""
    role = message.first("role", "from")
    if role is not None:
        return role.name().lower()
    if "output" in message.mapping():
        return "tool" if message.mapping().get("type") == "function_call_output" else "assistant"
    return message["role"].text()


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

    def give_last(self, text: str) -> None:
        """To the last."""
        self.given.setdefault(len(self.turns) - 1, []).append(text)

    def close(self, *, reward: float | None = None) -> Iterator[Turn]:
        """The turns with what they were given; a reward belongs to the last."""
        for index, (_, turn) in enumerate(self.turns):
            last = index == len(self.turns) - 1
            yield replace(turn, observation="\n".join(self.given.get(index, [])), reward=reward if last else None)


def _agent_turns(message: Field, calls_tools: bool) -> Iterator[tuple[str, Turn]]:
    if isinstance(message.mapping().get("output"), list):
        items = list(message["output"].members())
        called = [item for item in items if str(item.mapping().get("type")).endswith("_call")]
        turns = read_items(items)
        ids = [identity(item.first("call_id", "id")) for item in called]
        yield from zip([*ids, *[""] * (len(turns) - len(ids))], turns, strict=False)
        return
    said = text_of(message.first("content", "value", "text"))
    reasoning = text_of(message.first("reasoning_content", "reasoning", "thinking", "thinking_blocks"))
    calls = list(_calls(message))
    if calls:
        thought = joined(reasoning, said_in(said))
        for index, (call_id, call) in enumerate(calls):
            yield call_id, Turn(thought="" if index else thought, call=call)
        return
    for index, reply in enumerate(read_reply(said, calls_tools=calls_tools)):
        thought = joined("" if index else reasoning, reply.thought)
        yield "", Turn(thought=thought, call=reply.call, command=reply.command)


def _calls(message: Field) -> Iterator[tuple[str, ToolCall]]:
    called = message.get("tool_calls")
    if called is not None:
        for one in called.decoded().members():
            yield read_call(one)
    elif (old := message.get("function_call")) is not None:
        yield "", read_function(old)
    content = message.get("content")
    if content is not None and isinstance(content.value, list):
        for part in content.members():
            if isinstance(part.value, dict) and part.value.get("type") == "tool_use":
                arguments = compact(part.mapping().get("input") or {})
                yield identity(part.get("id")), ToolCall(name=part["name"].name(), arguments=arguments)


def _results(message: Field) -> Iterator[tuple[str, str]]:
    content = message.first("content", "value", "text", "output")
    if content is not None and isinstance(content.value, list):
        blocks = [p for p in content.members() if isinstance(p.value, dict) and p.value.get("type") == "tool_result"]
        for block in blocks:
            yield identity(block.get("tool_use_id")), text_of(block.get("content"))
        if blocks:
            return
    ids = message.get("tool_call_ids")
    first = ids.get(0) if ids is not None and isinstance(ids.value, list) else None
    yield identity(message.first("tool_call_id", "call_id") or first), _OBSERVATION.sub("", text_of(content))
