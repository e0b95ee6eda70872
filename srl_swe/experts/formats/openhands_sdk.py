"""The events of OpenHands' software-agent SDK (https://docs.openhands.dev/sdk/arch/events), told by their ``kind``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from srl_swe.experts.formats.content import identity, joined, read_call, text_of
from srl_swe.experts.formats.conversation import Waiting
from srl_swe.experts.formats.fields import Field, compact
from srl_swe.experts.formats.recordings import Turn
from srl_swe.records import ToolCall

_ANSWERS = ("ObservationEvent", "AgentErrorEvent", "UserRejectObservation")


def is_event(value: Any) -> bool:
    """Whether a value is such an event."""
    return isinstance(value, dict) and str(value.get("kind", "")).endswith(("Event", "Observation", "Condensation"))


def asked(events: Sequence[Field]) -> str:
    """What the user wrote before the agent acted."""
    for event in events:
        if event["kind"].value == "MessageEvent" and identity(event.get("source")) == "user":
            return text_of(event.at("llm_message", "content"))
    return ""


def turns(events: Sequence[Field]) -> Iterator[Turn]:
    """The turns that the events make; an observation names the call that it answers.

    Raises:
        TrajectoryError: an event is not one.
    """
    waiting = Waiting()
    for event in events:
        kind = event["kind"].text()
        if kind == "ActionEvent":
            waiting.turns.append((identity(event.get("tool_call_id")), _turn(event)))
        elif kind in _ANSWERS:
            waiting.give(identity(event.get("tool_call_id")), _seen(event))
        elif kind == "MessageEvent":
            content = text_of(event.at("llm_message", "content"))
            if identity(event.get("source")) == "agent":
                waiting.turns.append(("", Turn(thought=joined(_reasoning(event), content))))
            elif waiting.turns:
                waiting.give_last(content)
    yield from waiting.close()


def _turn(event: Field) -> Turn:
    called = event.get("tool_call")
    if called is not None:
        call = read_call(called)[1]
    else:
        arguments = {k: v for k, v in event["action"].mapping().items() if k != "kind" and v is not None}
        call = ToolCall(name=event["tool_name"].name(), arguments=compact(dict(arguments)))
    return Turn(thought=joined(_reasoning(event), text_of(event.get("thought"))), call=call)


def _reasoning(event: Field) -> str:
    return text_of(event.first("reasoning_content") or event.at("llm_message", "reasoning_content"))


def _seen(event: Field) -> str:
    if (error := event.first("error", "rejection_reason")) is not None:
        return error.text()
    observation = event.get("observation")
    return text_of(observation.first("content", "output", "text")) if observation is not None else ""
