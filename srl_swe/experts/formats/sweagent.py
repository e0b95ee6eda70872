"""SWE-agent's ``.traj`` (https://swe-agent.com/latest/usage/trajectories/), of every version, and SWE-smith's.

``trajectory`` holds the steps; ``history`` the messages, with the calls that the steps leave out; a demonstration holds
``history`` alone. Before 1.0 a step's ``state`` was JSON text, and there was no ``replay_config``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from srl_swe.experts.formats.content import find_problem, joined, read_call, text_of
from srl_swe.experts.formats.conversation import read_conversation
from srl_swe.experts.formats.fields import Field
from srl_swe.experts.formats.recordings import Recording, Turn, name_of
from srl_swe.records import ToolCall

NAME = "swe-agent"


def recognises(value: Any) -> bool:
    """Whether a row is a ``.traj``, or a demonstration made from one."""
    if not isinstance(value, dict):
        return False
    steps, history = value.get("trajectory"), value.get("history")
    if isinstance(steps, list):
        return "info" in value or any(isinstance(step, dict) and "action" in step for step in steps)
    return isinstance(history, list) and bool(history) and isinstance(history[0], dict) and "role" in history[0]


def read(row: Field, path: PurePath) -> Recording:
    """Read one.

    Raises:
        TrajectoryError: a field is missing or wrong.
    """
    config = row.get("replay_config")
    config = config.decoded() if config is not None else None
    statement = config.at("problem_statement") if config is not None else None
    history = row.get("history")
    messages = [m for m in history.members() if not m.mapping().get("is_demo")] if history is not None else []
    told = statement.at("text") if statement is not None else None
    problem = told.text() if told is not None else find_problem(_prompt(messages))
    if "trajectory" in row.mapping():
        turns = tuple(_steps(row["trajectory"], messages))
    else:
        turns = tuple(read_conversation(messages).turns)
    model = config.at("agent", "model", "name") if config is not None else None
    identity = statement.at("id") if statement is not None else None
    exit_status = row.at("info", "exit_status")
    return Recording(
        format=NAME,
        task_id=identity.name() if identity is not None else name_of(path),
        problem=problem,
        turns=turns,
        dialect=NAME,
        model=model.text() if model is not None else "",
        extra={"exit_status": exit_status.text()} if exit_status is not None else {},
    )


def _prompt(messages: list[Field]) -> str:
    return next((text_of(m.get("content")) for m in messages if m["role"].value == "user"), "")


def _steps(steps: Field, messages: list[Field]) -> Iterator[Turn]:
    acting = [m for m in messages if m["role"].value == "assistant"]
    position = 0
    for step in steps.members():
        action = step["action"].text()
        call, reasoning = None, ""
        for index in range(position, len(acting)):
            if (said := acting[index].get("action")) is not None and said.value == step["action"].value:
                call, position = _called(acting[index]), index + 1
                reasoning = text_of(acting[index].get("thinking_blocks"))
                break
        thought = step.first("thought", "response")
        observation = step.get("observation")
        yield Turn(
            thought=joined(reasoning, thought.text() if thought is not None else ""),
            call=call,
            command=action,
            observation=text_of(observation),
            folder=_folder(step),
        )


def _called(message: Field) -> ToolCall | None:
    calls = message.get("tool_calls")
    first = calls.get(0) if calls is not None else None
    return read_call(first)[1] if first is not None else None


def _folder(step: Field) -> str:
    state = step.get("state")
    if state is None or not state.value:
        return ""
    folder = state.decoded().at("working_dir")
    return folder.text() if folder is not None else ""
