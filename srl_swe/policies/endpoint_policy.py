"""A model behind a server as a policy: it is asked by every episode for itself, many at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from srl_swe.policies.endpoint import ChatEndpoint
from srl_swe.records import ChatAnswer, Message

Price = Callable[[int, int], float | None]
"""(tokens read, tokens written) -> what they cost; ``None``: no price is known."""


class EndpointPolicy:
    """A `srl_swe.policies.protocol.RemotePolicy`.

    Args:
        endpoint: The server and the model.
        temperature: Of the answers; 0 asks for the most likely one.
        price: Of tokens.
        name: How results name it; the model's name by default.
    """

    def __init__(
        self, endpoint: ChatEndpoint, *, temperature: float, price: Price | None = None, name: str | None = None
    ) -> None:
        self._endpoint, self._temperature, self._price = endpoint, temperature, price
        self._name = name or endpoint.model

    @property
    def name(self) -> str:
        """How results name it."""
        return self._name

    def answer_one(self, conversation: Sequence[Message]) -> ChatAnswer:
        """See `srl_swe.policies.protocol.RemotePolicy.answer_one`."""
        answer = self._endpoint.answer(conversation, temperature=self._temperature)
        if self._price is None or answer.prompt_tokens is None or answer.completion_tokens is None:
            return answer
        return dataclasses.replace(answer, cost=self._price(answer.prompt_tokens, answer.completion_tokens))

    def close(self) -> None:
        """End the requests under way."""
        self._endpoint.close()
