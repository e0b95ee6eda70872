"""Conversations in which one answer is several messages: what the agent thought, what it called, what it said.

| roles | written by |
|---|---|
| ``function_call``, ``observation`` | LLaMA-Factory's ShareGPT rows with tools |
| ``reasoning``, ``tool_call``, ``tool_output``, ``answer``, in tags | data sets for reasoning with tools |

A call is JSON text, ``{"name": …, "arguments": …}`` or a list of such, or ``<tool_call>`` around it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from srl_swe.experts.formats.content import joined, text_of
from srl_swe.experts.formats.fields import Field

_THINKING = ("reasoning", "thinking", "thought")
CALLING = ("tool_call", "function_call")
"""Roles of messages that are a call, or should have been."""
_SAYING = ("answer",)
PARTS = (*_THINKING, *CALLING, *_SAYING)
"""Roles of an agent's messages, besides those of a whole answer."""
_TAG = re.compile(r"</?(?:think|tool_call|tool_response|answer)>")


def whole_answers(messages: Iterable[Field]) -> Iterator[Field]:
    """The messages, with the parts of an answer put together as OpenAI's; others are left as they are.

    Raises:
        TrajectoryError: a message is not one.
    """
    thought = ""
    for message in messages:
        name = _role(message)
        if name in _THINKING:
            thought = joined(thought, _bare(message))
        elif name in CALLING and (calls := _calls(_bare(message))):
            yield _made(message, role="assistant", content=thought, tool_calls=[{"function": call} for call in calls])
            thought = ""
        elif name in PARTS:
            yield _made(message, role="assistant", content=joined(thought, _bare(message)))
            thought = ""
        elif thought and name == "assistant":
            yield _made(message, **{**message.mapping(), "reasoning_content": thought})
            thought = ""
        elif name in ("tool_output", "tool_response"):
            yield _made(message, **{**message.mapping(), "role": "tool", "content": _bare(message)})
        else:
            yield message
    if thought:
        yield Field({"role": "assistant", "content": thought}, message.where, message.path)


def _role(message: Field) -> str:
    role = message.mapping().get("role") or message.mapping().get("from")
    return role.lower() if isinstance(role, str) else ""


def _bare(message: Field) -> str:
    return _TAG.sub("", text_of(message.first("content", "value", "text"))).strip()


def _calls(text: str) -> list[dict[str, Any]]:
    """The calls that a text is; none where it is something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    listed = value if isinstance(value, list) else [value]
    named = [call for call in listed if isinstance(call, dict) and isinstance(call.get("name"), str) and call["name"]]
    return named if len(named) == len(listed) else []


def _made(message: Field, **fields: Any) -> Field:
    return Field(fields, message.where, message.path)
