"""The engine protocol: token ids in, token ids and the sampler's own log-probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from srl_swe.records import Completion, Sampling


class Engine(Protocol):
    """Generates completions with some version of a model's weights. Nothing is ever re-tokenised."""

    @property
    def weight_version(self) -> int:
        """Version of the weights in use, as last given to `load`; 0 at the start."""
        ...

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[list[Completion]]:
        """Return ``n`` completions of each prompt, in the prompts' order.

        Raises:
            InfrastructureError: the engine failed; no completion is to be invented.
        """
        ...

    def load(self, version: int) -> None:
        """Take over the learner's current weights as ``version``."""
        ...
