"""The engine protocol: token ids in, token ids and the sampler's own log-probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from srl_swe.records import Completion, Sampling

if TYPE_CHECKING:
    from torch import Tensor


class Engine(Protocol):
    """Generates completions with some version of a model's weights. Nothing is ever re-tokenised.

    Log-probabilities are the sampler's own: of logits / temperature over the whole vocabulary (top_p = 1), in float32;
    at temperature 0 they are those of temperature 1.
    """

    @property
    def weight_version(self) -> int:
        """Version of the weights in use, as last given to `load`; 0 at the start."""
        ...

    @property
    def context_length(self) -> int:
        """Most tokens of a prompt and its completion together."""
        ...

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[list[Completion]]:
        """Return ``n`` completions of each prompt, in the prompts' order.

        A completion ends with an end-of-turn token, at ``sampling.max_new_tokens``, or where the context is full. With
        ``sampling.seed``, a completion's draws depend on the seed, its prompt and its place among the prompt's ``n``,
        not on the other prompts.

        Raises:
            ContextLengthError: a prompt leaves no room for a token.
            InfrastructureError: the engine failed or is closed; no completion is to be invented.
        """
        ...

    def load(self, weights: Iterable[tuple[str, Tensor]] | None, version: int) -> None:
        """Take over ``weights`` as ``version``: all of the model's, by their names in transformers.

        `srl_swe.policies.models.LoadedModel.weights` gives them. ``None``: the engine works on the learner's own
        parameters (the embedded one does), and only the version is new.

        Raises:
            ConfigError: ``weights`` is ``None``, and the engine has its own.
            InfrastructureError: the engine could not take them over, or is closed.
        """
        ...

    def close(self) -> None:
        """Free what the engine holds. Closing twice is harmless."""
        ...
