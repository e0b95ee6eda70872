"""Who acts in an episode: one batched call answers every live conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from srl_swe.records import Message, PreparedTask


class Policy(Protocol):
    """Anything that answers conversations."""

    @property
    def name(self) -> str:
        """How results name it, such as ``gold`` or the model's id."""

    def act(self, conversations: Sequence[tuple[Message, ...]], tasks: Sequence[PreparedTask]) -> list[str]:
        """Return one answer text for each conversation.

        Args:
            conversations: The chat so far of each live episode. It may leave out earlier steps (a line in it says so),
                but a conversation without an assistant message is always the first step of an episode.
            tasks: The task of each episode, in the same order. A model must not look at it (it holds the gold patch
                and the hidden tests); the scripted policies need it. No two live episodes share a task.
        """
