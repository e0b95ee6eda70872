"""Chat rows for fine-tuning: ``messages`` (OpenAI, TRL; SWE-smith's and R2E-Gym's trajectories), ``conversations``
(ShareGPT), or ``prompt`` and ``completion`` (TRL)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import Any

from srl_swe.environments.actions import NO_THOUGHT, format_action, format_answer
from srl_swe.environments.prompts import SYSTEM_PROMPT
from srl_swe.experts.formats.conversation import read_conversation
from srl_swe.experts.formats.fields import Field
from srl_swe.experts.formats.recordings import Recording, name_of
from srl_swe.records import Message, Step, Trajectory

NAME = "chat"
_KEYS = ("messages", "conversations", "conversation")


def recognises(value: Any) -> bool:
    """Whether a row has messages."""
    return isinstance(value, dict) and (any(value.get(key) is not None for key in _KEYS) or _is_prompted(value))


def _is_prompted(row: dict[str, Any]) -> bool:
    return isinstance(row.get("prompt"), list) and isinstance(row.get("completion"), list)


def read(row: Field, path: PurePath) -> Recording:
    """Read one.

    Raises:
        TrajectoryError: a field is missing or wrong.
    """
    messages = row.first(*_KEYS)
    if messages is None and _is_prompted(row.mapping()):
        listed = [*row["prompt"].members(), *row["completion"].members()]
    else:
        listed = list((messages if messages is not None else row["messages"]).decoded().members())
    conversation = read_conversation(listed)
    recording = from_conversation(row, path, NAME, conversation.problem, conversation.turns)
    return replace(recording, falls_silent=conversation.falls_silent)


def from_conversation(row: Field, path: PurePath, name: str, problem: str, turns: list[Any]) -> Recording:
    """A recording of a row that says about itself what data sets say: task, model, outcome."""
    identity = row.first("instance_id", "task_id", "id", "uuid")
    model, told = row.first("model", "model_name"), row.first("problem_statement")
    resolved = row.first("resolved", "target", "success")
    ended, copied = row.get("exit_status"), row.first("traj_id", "trajectory_id")
    extra = {"exit_status": ended.text()} if ended is not None else {}
    return Recording(
        format=name,
        task_id=identity.name() if identity is not None else name_of(path),
        problem=told.text() if told is not None else problem,
        turns=tuple(turns),
        model=model.text() if model is not None else "",
        resolved=resolved.flag() if resolved is not None else None,
        extra={**extra, "original_id": copied.text()} if copied is not None else extra,
    )


def trl_row(trajectory: Trajectory) -> dict[str, Any]:
    """A row for TRL's ``SFTTrainer``: ``messages``. A trailing observation stays: what is not the assistant's costs
    nothing."""
    return {"messages": _messages(trajectory), **_about(trajectory)}


def axolotl_row(trajectory: Trajectory) -> dict[str, Any]:
    """A row for Axolotl: ``conversations`` of ``from`` and ``value``."""
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    said = [{"from": names[m["role"]], "value": m["content"]} for m in _messages(trajectory)]
    return {"conversations": said, **_about(trajectory)}


def llama_factory_row(trajectory: Trajectory) -> dict[str, Any]:
    """A row for LLaMA-Factory's ``sharegpt``: the system prompt apart, and ``gpt`` the last to speak."""
    said = axolotl_row(trajectory)["conversations"]
    return {"conversations": said[1:-1], "system": said[0]["value"], **_about(trajectory)}


def _messages(trajectory: Trajectory) -> list[Message]:
    """Everything that the expert said and saw, in the answers' own grammar; nothing is cut."""
    messages = [{"role": "system", "content": SYSTEM_PROMPT}]
    messages.append({"role": "user", "content": trajectory.problem_statement})
    for step in trajectory.steps:
        messages.append({"role": "assistant", "content": _answer(step)})
        messages.append({"role": "user", "content": step.observation})
    return messages


def _answer(step: Step) -> str:
    if not step.runnable:
        return f"{step.thought}\n\n{step.action}".strip()
    thought = step.thought.replace("</think>", "").strip()
    return format_answer(thought, step.action) if thought else f"{NO_THOUGHT}\n{format_action(step.action)}"


def _about(trajectory: Trajectory) -> dict[str, Any]:
    about = {"id": trajectory.trajectory_id, "instance_id": trajectory.task_id, "model": trajectory.model}
    return {**about, "resolved": trajectory.resolved}
