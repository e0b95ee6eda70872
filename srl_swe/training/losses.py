"""Losses over trained tokens. Each is a sum whose denominators are in the token weights.

Shapes: N trained tokens of all responses of an update, laid end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from srl_swe.records import Sample

LossFunction = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""``(logprobs_N, old_logprobs_N, advantages_N, weights_N) -> scalar``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """A loss and what its weights are normalised by."""

    function: LossFunction
    """Sums over tokens."""
    per_response: bool
    """True: mean over each response's tokens, then over responses (GRPO). False: mean over all trained tokens."""
    clip: float | None = None
    """Half-width of the range the probability ratio is clipped to; ``None``: the loss has no ratio."""

    def token_weights(self, samples: Sequence[Sample]) -> list[float]:
        """The weight of each trained token of each sample: one number a sample."""
        counts = [sum(sample.loss_mask) for sample in samples]
        if self.per_response:
            return [1.0 / (count * len(samples)) if count else 0.0 for count in counts]
        return [1.0 / max(1, sum(counts))] * len(samples)


def negative_log_likelihood(
    logprobs_N: torch.Tensor, old_logprobs_N: torch.Tensor, advantages_N: torch.Tensor, weights_N: torch.Tensor
) -> torch.Tensor:
    """Imitation: -Σ w · A · log π. Old log-probabilities are not used."""
    del old_logprobs_N
    return -(weights_N * advantages_N * logprobs_N).sum()


def clipped_policy_gradient(clip: float) -> LossFunction:
    """GRPO's objective without a KL term: -Σ w · min(ρ A, clip(ρ, 1 - c, 1 + c) A), ρ = π / π_old."""

    def loss(
        logprobs_N: torch.Tensor, old_logprobs_N: torch.Tensor, advantages_N: torch.Tensor, weights_N: torch.Tensor
    ) -> torch.Tensor:
        ratio_N = (logprobs_N - old_logprobs_N).exp()
        clipped_N = ratio_N.clamp(1 - clip, 1 + clip)
        return -(weights_N * torch.minimum(ratio_N * advantages_N, clipped_N * advantages_N)).sum()

    return loss
