"""Harbor's Agent Trajectory Interchange Format, versions 1.0 to 1.8 (https://harborframework.com/docs/trajectory-format).

A file holds one document; a file of several, one a line, is read and written too. What a delegate did
(``subagent_trajectories``) and context copied from an earlier part (``is_copied_context``) are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from srl_swe.environments.actions import SUBMIT
from srl_swe.experts.formats.content import find_problem, text_of
from srl_swe.experts.formats.conversation import Waiting
from srl_swe.experts.formats.fields import Field, compact
from srl_swe.experts.formats.recordings import Recording, Turn, name_of
from srl_swe.experts.formats.replies import read_reply, said_in
from srl_swe.records import Step, ToolCall, Trajectory

NAME = "atif"
VERSION = "ATIF-v1.4"
"""What is written: nothing newer is used, and every reader of a newer version takes it."""


def recognises(value: Any) -> bool:
    """Whether a row says so itself."""
    return isinstance(value, dict) and str(value.get("schema_version", "")).startswith("ATIF-v1.")


def read(row: Field, path: PurePath) -> Recording:
    """Read one.

    Raises:
        TrajectoryError: a field is missing or wrong.
    """
    steps = list(row["steps"].members())
    calls_tools = any(step.mapping().get("tool_calls") for step in steps)
    agent, extra = row.get("agent"), row.get("extra")
    name = agent.get("name") if agent is not None else None
    model = agent.get("model_name") if agent is not None else None
    resolved = extra.get("resolved") if extra is not None else None
    told = extra.first("problem_statement") if extra is not None else None
    return Recording(
        format=NAME,
        task_id=_task(row, extra, path),
        problem=told.text() if told is not None else find_problem(_prompt(steps)),
        turns=tuple(turn for step in steps for turn in _turns(step, calls_tools)),
        model=model.text() if model is not None else "",
        resolved=resolved.flag() if resolved is not None else None,
        falls_silent=True,
        extra={"agent": name.text()} if name is not None else {},
    )


def _task(row: Field, extra: Field | None, path: PurePath) -> str:
    """Harbor's documents do not name the task: it is in ``extra``, or else a file's or a session's name stands in."""
    named = extra.first("task_id", "instance_id", "task_name") if extra is not None else None
    stem = name_of(path)
    if named is None and stem.startswith("trajectory"):
        named = row.first("trajectory_id", "session_id")
    return named.name() if named is not None else stem


def _prompt(steps: list[Field]) -> str:
    """What the user asked before the agent acted; where nobody asked, the system prompt."""
    said: dict[str, list[str]] = {"user": [], "system": []}
    for step in steps:
        source = step["source"].text()
        if source == "agent":
            break
        if source in said:
            said[source].append(text_of(step.get("message")))
    return "\n\n".join(said["user"] or said["system"])


def _turns(step: Field, calls_tools: bool) -> Iterator[Turn]:
    if step["source"].text() != "agent" or step.mapping().get("is_copied_context"):
        return
    reasoning, message = text_of(step.get("reasoning_content")), text_of(step.get("message"))
    called = step.get("tool_calls")
    calls = [_call(one) for one in called.members()] if called is not None else []
    if calls:
        parts = (reasoning.strip(), said_in(message).strip())
        thought = "\n\n".join(part for part in parts if part)
        turns = [(key, Turn(thought="" if i else thought, call=call)) for i, (key, call) in enumerate(calls)]
    else:
        turns = [
            ("", Turn(thought=f"{'' if i else reasoning}\n\n{r.thought}".strip(), call=r.call, command=r.command))
            for i, r in enumerate(read_reply(message, calls_tools=calls_tools))
        ]
    waiting = Waiting(turns)
    results = step.at("observation", "results")
    for result in results.members() if results is not None else ():
        source = result.get("source_call_id")
        waiting.give(source.text() if source is not None else "", text_of(result.get("content")))
    yield from waiting.close(reward=_reward(step))


def _call(one: Field) -> tuple[str, ToolCall]:
    identity, arguments = one.get("tool_call_id"), one.get("arguments")
    call = ToolCall(name=one["function_name"].name(), arguments=compact(arguments.value if arguments else {}))
    return (identity.text() if identity is not None else "", call)


def _reward(step: Field) -> float | None:
    """The standard has none: it is where those who need one put it."""
    found = step.at("metrics", "reward") or step.at("metrics", "extra", "reward") or step.at("extra", "reward")
    return found.number() if found is not None else None


def to_row(trajectory: Trajectory) -> dict[str, Any]:
    """A trajectory as a document: its actions are calls of ``bash``, and the last one of ``submit``."""
    steps: list[dict[str, Any]] = [{"step_id": 1, "source": "user", "message": trajectory.problem_statement}]
    steps += [_step(step, number) for number, step in enumerate(trajectory.steps, start=2)]
    agent = {"name": trajectory.source, "version": "unknown"}
    if trajectory.model:
        agent["model_name"] = trajectory.model
    about: dict[str, Any] = {
        "task_id": trajectory.task_id,
        "split": trajectory.split,
        "provenance": trajectory.provenance,
    }
    if trajectory.resolved is not None:
        about["resolved"] = trajectory.resolved
    return {
        "schema_version": VERSION,
        "session_id": trajectory.trajectory_id,
        "agent": agent,
        "steps": steps,
        "final_metrics": {"total_steps": len(steps)},
        "extra": about,
    }


def _step(step: Step, number: int) -> dict[str, Any]:
    record: dict[str, Any] = {"step_id": number, "source": "agent", "message": step.thought}
    call = f"call_{number}"
    function = _written(step)
    if function is None:
        record["message"] = step.action
    else:
        record["tool_calls"] = [{"tool_call_id": call, "function_name": function[0], "arguments": function[1]}]
    source = {"source_call_id": call} if function is not None else {}
    record["observation"] = {"results": [{**source, "content": step.observation}]}
    if step.reward is not None:
        record["extra"] = {"reward": step.reward}
    return record


def _written(step: Step) -> tuple[str, dict[str, Any]] | None:
    """The call of a step: our command, or the source's own call where that cannot run; ``None``: it is text."""
    if step.runnable:
        return ("submit", {}) if step.action.strip() == SUBMIT else ("bash", {"command": step.action})
    if step.call is None:
        return None
    try:
        arguments = json.loads(step.call.arguments)
    except (ValueError, RecursionError):
        arguments = None
    return (step.call.name, arguments) if isinstance(arguments, dict) else None
