"""Chat rows for fine-tuning: ``messages`` (OpenAI, TRL; SWE-smith's trajectories) or ``conversations`` (ShareGPT)."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from srl_swe.experts.formats.conversation import read_conversation
from srl_swe.experts.formats.fields import Field
from srl_swe.experts.formats.recordings import Recording

NAME = "chat"
_KEYS = ("messages", "conversations", "conversation")


def recognises(value: Any) -> bool:
    """Whether a row has messages."""
    return isinstance(value, dict) and any(isinstance(value.get(key), list | str) for key in _KEYS)


def read(row: Field, path: PurePath) -> Recording:
    """Read one.

    Raises:
        TrajectoryError: a field is missing or wrong.
    """
    messages = row.first(*_KEYS)
    conversation = read_conversation((messages if messages is not None else row["messages"]).decoded().members())
    return from_conversation(row, path, NAME, conversation.problem, conversation.turns)


def from_conversation(row: Field, path: PurePath, name: str, problem: str, turns: list[Any]) -> Recording:
    """A recording of a row that says about itself what data sets say: task, model, outcome."""
    identity = row.first("instance_id", "task_id", "id", "uuid")
    model, told = row.first("model", "model_name"), row.first("problem_statement")
    resolved = row.first("resolved", "target", "success")
    ended, copied = row.get("exit_status"), row.first("traj_id", "trajectory_id")
    extra = {"exit_status": ended.text()} if ended is not None else {}
    return Recording(
        format=name,
        task_id=identity.name() if identity is not None else path.name.partition(".")[0],
        problem=told.text() if told is not None else problem,
        turns=tuple(turns),
        model=model.text() if model is not None else "",
        resolved=resolved.flag() if resolved is not None else None,
        extra={**extra, "original_id": copied.text()} if copied is not None else extra,
    )
