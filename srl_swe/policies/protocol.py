"""Who acts in an episode. A policy here answers many conversations in one call; one elsewhere, each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from srl_swe.records import ChatAnswer, Message, PreparedTask


class Policy(Protocol):
    """Anything that answers conversations."""

    @property
    def name(self) -> str:
        """How results name it, such as ``gold`` or the model's id."""

    def act(self, conversations: Sequence[tuple[Message, ...]], tasks: Sequence[PreparedTask]) -> list[ChatAnswer]:
        """Return one answer for each conversation.

        Args:
            conversations: The chat so far of each live episode. It may leave out earlier steps (a line in it says so),
                but a conversation without an assistant message is always the first step of an episode.
            tasks: The task of each episode, in the same order. A model must not look at it (it holds the gold patch
                and the hidden tests); the scripted policies need it. Several live episodes may share a task only where
                several samples a task were asked for, which those that repeat a recording refuse.

        Raises:
            ContextLengthError: a conversation is too long; asked one by one, the others will be answered.
            InfrastructureError: none could be answered.
        """


@runtime_checkable
class RemotePolicy(Protocol):
    """Anything that answers one conversation at a time, many at once: its own side batches, not ours."""

    @property
    def name(self) -> str:
        """How results name it."""

    def answer_one(self, conversation: Sequence[Message]) -> ChatAnswer:
        """Return an answer. Called from several threads.

        Raises:
            ContextLengthError: the conversation is too long.
            InfrastructureError: it was not answered.
        """

    def close(self) -> None:
        """End the calls under way."""
