"""Nebius's data sets: a ``trajectory`` of messages, in SWE-agent's words (``text``, role ``ai``;
nebius/SWE-agent-trajectories) or as function calls (nebius/SWE-rebench-openhands-trajectories; nvidia's are alike)."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from srl_swe.experts.formats.chat import from_conversation
from srl_swe.experts.formats.conversation import read_conversation
from srl_swe.experts.formats.fields import Field
from srl_swe.experts.formats.recordings import Recording

NAME = "nebius"


def recognises(value: Any) -> bool:
    """Whether a row's trajectory is a list of messages."""
    messages = value.get("trajectory") if isinstance(value, dict) else None
    return isinstance(messages, list) and bool(messages) and isinstance(messages[0], dict) and "role" in messages[0]


def read(row: Field, path: PurePath) -> Recording:
    """Read one.

    Raises:
        TrajectoryError: a field is missing or wrong.
    """
    conversation = read_conversation(row["trajectory"].decoded().members())
    return from_conversation(row, path, NAME, conversation.problem, conversation.turns)
