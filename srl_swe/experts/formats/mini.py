"""mini-swe-agent's ``.traj.json`` (https://mini-swe-agent.com/latest/usage/output_files/): version 1 (one fenced block
an answer), version 2 (function calls; a message says how it ended), and a bare list of messages."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from srl_swe.experts.formats.conversation import read_conversation
from srl_swe.experts.formats.fields import Field
from srl_swe.experts.formats.recordings import Recording, name_of

NAME = "mini-swe-agent"


def recognises(value: Any) -> bool:
    """Whether a row says so itself, or is a bare list of messages."""
    if isinstance(value, dict):
        info = value.get("info")  # all that the first versions had to say
        named = str(value.get("trajectory_format", "")).startswith(NAME)
        return named or ("messages" in value and isinstance(info, dict) and "exit_status" in info)
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "role" in value[0]


def read(row: Field, path: PurePath) -> Recording:
    """Read one.

    Raises:
        TrajectoryError: a field is missing or wrong.
    """
    bare = isinstance(row.value, list)
    conversation = read_conversation((row if bare else row["messages"]).members())
    info = None if bare else row.get("info")
    identity = None if bare else row.get("instance_id")
    model = info.at("config", "model", "model_name") if info is not None else None
    ended = info.at("exit_status") if info is not None else None
    return Recording(
        format=NAME,
        task_id=identity.name() if identity is not None else name_of(path),
        problem=conversation.problem,
        turns=tuple(conversation.turns),
        dialect=NAME,
        model=model.text() if model is not None else "",
        extra={"exit_status": ended.text()} if ended is not None else {},
    )
