"""OpenHands: rows of ``output.jsonl`` (``history`` of events) and bare lists of events (https://docs.all-hands.dev).

An event is an action or an observation. Newer ones have ids, and an observation names its ``cause``; where the model
called a function, ``tool_call_metadata`` keeps its own words. The oldest hold an action's arguments beside its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from srl_swe.experts.formats import openhands_sdk
from srl_swe.experts.formats.content import find_problem, read_call, text_of
from srl_swe.experts.formats.fields import Field, compact
from srl_swe.experts.formats.recordings import Recording, Turn, name_of
from srl_swe.records import ToolCall

NAME = "openhands"
_NOT_DONE = ("system", "message", "recall", "change_agent_state", "null", "pause", "resume", "condensation")
"""Events that are no action on the repository."""
_TOLD = ("thought", "final_thought", "keep_prompt", "is_confirmed", "action_risk", "kernel_init_code", "action")
_ABOUT = ("id", "timestamp", "source", "message", "cause", "args", "tool_call_metadata", "llm_metrics", "outputs")
"""Keys beside an old action's arguments."""


def recognises(value: Any) -> bool:
    """Whether a row has a history of events, or is one."""
    events = value.get("history") if isinstance(value, dict) else value
    if not isinstance(events, list) or not events:
        return isinstance(value, dict) and isinstance(events, list) and "test_result" in value  # it failed to start
    first = events[0] if isinstance(events[0], list) else events[:3]
    # SWE-agent's messages have an action too, but a role with it
    return any(
        isinstance(e, dict) and ("action" in e or "observation" in e or openhands_sdk.is_event(e)) and "role" not in e
        for e in first
    )


def read(row: Field, path: PurePath) -> Recording:
    """Read one.

    Raises:
        TrajectoryError: a field is missing or wrong.
    """
    bare = isinstance(row.value, list)
    events = list(_flat(row if bare else row["history"]))
    new = bool(events) and openhands_sdk.is_event(events[0].value)
    first = None if bare else row.get("instruction")
    prompt = first.text() if first is not None else (openhands_sdk.asked(events) if new else _asked(events))
    told = None if bare else row.at("instance", "problem_statement") or row.at("swe_instance", "problem_statement")
    acts = [event for event in events if event.get("action") is not None and not _is_idle(event)]
    called = new or (bool(acts) and all(event.get("tool_call_metadata") is not None for event in acts))
    model = None if bare else row.at("metadata", "llm_config", "model")
    error = None if bare else row.get("error")
    return Recording(
        format=NAME,
        task_id=name_of(path) if bare else _task(row, path),
        problem=told.text() if told is not None else find_problem(prompt),
        turns=tuple(openhands_sdk.turns(events) if new else _turns(events)),
        dialect=NAME if called else "openhands-events",
        model=model.text() if model is not None else "",
        resolved=None if bare else _resolved(row),
        extra={"error": compact(error.value)} if error is not None and error.value else {},
    )


def _flat(events: Field) -> Iterator[Field]:
    """The events; the oldest files hold pairs of an action and its observation."""
    for event in events.members():
        if isinstance(event.value, list):
            yield from event.members()
        else:
            yield event


def _task(row: Field, path: PurePath) -> str:
    if (identity := row.get("instance_id")) is not None:
        return identity.name()
    issue = row.get("issue")  # the issue resolver's rows
    if issue is None:
        return name_of(path)
    return f"{issue['owner'].name()}__{issue['repo'].name()}-{compact(issue['number'].value)}"


def _resolved(row: Field) -> bool | None:
    found = row.at("report", "resolved") or row.at("test_result", "report", "resolved") or row.get("resolved")
    return found.flag() if found is not None else None


def _asked(events: list[Field]) -> str:
    for event in events:
        action = event.get("action")
        if action is not None and action.value == "message":
            return text_of(event.at("args", "content") or event.get("content"))
    return ""


def _turns(events: list[Field]) -> Iterator[Turn]:
    """Pair every action with its observation: the one that names it as its cause, else the next one."""
    seen = {cause.value: event for event in events if (cause := _cause(event)) is not None}
    for index, event in enumerate(events):
        action = event.get("action")
        if action is None or (event.get("source") or action).value == "user":
            continue
        name = action.name()
        if name == "message" and index and _from_agent(event):
            yield Turn(
                thought=text_of(event.at("args", "content") or event.get("content")), observation=_answer(events, index)
            )
        elif not _is_idle(event):
            number = event.get("id")
            known = number is not None and isinstance(number.value, int)
            observation = seen.get(number.value) if number is not None and known else _next(events, index)
            yield _turn(event, name, observation)


def _is_idle(event: Field) -> bool:
    return event["action"].value in _NOT_DONE


def _cause(event: Field) -> Field | None:
    cause = event.get("cause") if event.get("observation") is not None else None
    return cause if cause is not None and isinstance(cause.value, int) else None


def _from_agent(event: Field) -> bool:
    return bool((event.get("source") or Field("agent", "")).value == "agent")


def _next(events: list[Field], index: int) -> Field | None:
    following = events[index + 1] if index + 1 < len(events) else None
    return following if following is not None and following.get("observation") is not None else None


def _answer(events: list[Field], index: int) -> str:
    following = events[index + 1] if index + 1 < len(events) else None
    action = following.get("action") if following is not None else None
    if following is None or action is None:
        return ""
    return text_of(following.at("args", "content") or following.get("content"))


def _turn(event: Field, name: str, observation: Field | None) -> Turn:
    arguments = event.get("args") or event
    thought = text_of(arguments.first("thought", "final_thought"))
    call = _model_call(event) or _event_call(name, arguments)
    folder = observation.at("extras", "metadata", "working_dir") if observation is not None else None
    return Turn(
        thought=thought,
        call=call,
        observation=text_of(observation.get("content")) if observation is not None else "",
        folder=folder.text() if folder is not None else "",
    )


def _model_call(event: Field) -> ToolCall | None:
    """The call as the model made it."""
    about = event.get("tool_call_metadata")
    choices = event.at("tool_call_metadata", "model_response", "choices")
    message = choices[0].at("message", "tool_calls") if choices is not None and choices.value else None
    if about is None or message is None:
        return None
    wanted = about.get("tool_call_id")
    for one in message.members():
        identity, call = read_call(one)
        if wanted is None or identity == wanted.value:
            return call
    return None


def _event_call(name: str, arguments: Field) -> ToolCall:
    kept = {k: v for k, v in arguments.mapping().items() if k not in _TOLD and k not in _ABOUT and v is not None}
    return ToolCall(name=name, arguments=compact(dict(kept)))
