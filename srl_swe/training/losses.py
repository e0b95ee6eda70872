"""Losses over trained tokens. Each is a sum over tokens whose denominators are in the token weights, so that an update
may be computed in parts, of whole samples each, and the parts' losses and gradients added up.

==============  ===================  ==================================  ============================================
name            ratio ρ              clipped to                          mean over
==============  ===================  ==================================  ============================================
`grpo`          of each token        [1 - clip, 1 + clip]                each response's tokens, then responses
`clip_higher`   of each token        [1 - clip, 1 + clip_high]           the same
`token_level`   of each token        [1 - clip, 1 + clip_high]           all tokens of the update
`dr_grpo`       of each token        [1 - clip, 1 + clip]                responses × the longest response allowed
`gspo`          of each response     [1 - clip, 1 + clip_high]           each response's tokens, then responses
`cispo`         of each token, a     at most 1 + clip_high               all tokens of the update
                weight of log π
==============  ===================  ==================================  ============================================

`grpo` is SRL's own (arXiv 2510.25992, equation 2, from arXiv 2402.03300, with β = 0); the others are those of DAPO
(arXiv 2503.14476: `clip_higher` and, with ``clip_high`` set, `token_level`), arXiv 2503.20783, arXiv 2507.18071 and
arXiv 2506.13585. What `dr_grpo` needs of the advantages (no division by the standard deviation) is in
`srl_swe.training.advantages`.

Shapes: N trained tokens of all responses of a part of an update, laid end to end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from srl_swe.records import Sample
from srl_swe.training.config import LossName, TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedTokens:
    """Trained tokens of whole samples, laid end to end; N of them. A loss is additive over such parts of an update."""

    logprobs_N: torch.Tensor
    """The learner's, with gradient, in float32, of logits / temperature."""
    old_logprobs_N: torch.Tensor
    """The sampler's own."""
    reference_logprobs_N: torch.Tensor | None = None
    """The reference model's; ``None`` where no loss asks for them."""
    advantages_N: torch.Tensor
    """Of each token's response."""
    weights_N: torch.Tensor
    """`Loss.token_weights` of each token's sample: the denominators of the whole update."""
    sample_N: torch.Tensor
    """Which sample of the part a token belongs to: whole numbers from 0, ascending."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LossValue:
    """A part's loss, and what is counted beside it."""

    loss: torch.Tensor
    """A scalar with gradient."""
    clipped: int = 0
    """Trained tokens whose ratio is out of the clipping range."""
    truncated: int = 0
    """Trained tokens whose importance weight was cut to its cap."""


LossFunction = Callable[[TrainedTokens], LossValue]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """A loss and what its weights are normalised by."""

    function: LossFunction
    """Sums over tokens."""
    per_response: bool
    """True: mean over each response's tokens, then over responses. False: mean over all trained tokens."""
    clip: float | None = None
    """How far above 1 the ratio may go; ``None``: the loss has no ratio, and old log-probabilities are not used."""
    response_tokens: int | None = None
    """Divide each response's sum by this instead of its own length (Dr. GRPO); only with ``per_response``."""
    needs_reference: bool = False
    """Whether `TrainedTokens.reference_logprobs_N` must be there."""

    def token_weights(self, samples: Sequence[Sample]) -> list[float]:
        """The weight of each trained token of each sample: one number a sample.

        Samples with the same `Sample.response` are pieces of one response, such as the steps of an episode whose
        context is cut, and have one weight together.
        """
        counts = [sum(sample.loss_mask) for sample in samples]
        if not self.per_response:
            return [1.0 / max(1, sum(counts))] * len(samples)
        keys = [("alone", i) if s.response is None else ("piece", s.response) for i, s in enumerate(samples)]
        tokens: Counter[tuple[str, int]] = Counter()
        for key, count in zip(keys, counts, strict=True):
            tokens[key] += count
        lengths = [self.response_tokens or tokens[key] for key in keys]
        return [1.0 / (length * len(tokens)) if length else 0.0 for length in lengths]


def negative_log_likelihood(tokens: TrainedTokens) -> LossValue:
    """Imitation: -Σ w · A · log π. Old log-probabilities are not used."""
    return LossValue(loss=-(tokens.weights_N * tokens.advantages_N * tokens.logprobs_N).sum())


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyGradient:
    """A loss of GRPO's family: Σ w · (β · k3 - ι · surrogate(ρ, A)), with ρ = π / π_old.

    k3 = π_ref / π - log(π_ref / π) - 1 estimates the divergence from the reference model. ι is 1, or, with
    ``importance_cap``, the truncated importance weight min(π / π_old, cap) without gradient, and ρ is then taken
    against the learner's own log-probabilities: one update a batch makes those the current ones, so that ρ = 1 and what
    is left of the ratio is its gradient (arXiv 2510.25992 has no such weight; see https://fengyao.notion.site/off-policy-rl).
    """

    ratio: Literal["token", "response"] = "token"
    """Whether ρ is each token's, or the geometric mean over each sample's tokens."""
    surrogate: Literal["minimum", "weight"] = "minimum"
    """``minimum``: min(ρ A, clip(ρ) A); ``weight``: min(ρ, 1 + clip_high) · A · log π, the first without gradient."""
    clip: float = 0.2
    """ρ is clipped to [1 - clip, …; without use where the surrogate is ``weight``."""
    clip_high: float = 0.2
    """… 1 + clip_high]."""
    kl_coefficient: float = 0.0
    """β."""
    importance_cap: float | None = None
    """See above; ``None``: no such weight."""

    def __call__(self, tokens: TrainedTokens) -> LossValue:
        """See `LossFunction`."""
        logprobs_N = tokens.logprobs_N
        old_N, importance_N, truncated = self._importance(tokens)
        ratio_N = self._ratio(logprobs_N - old_N, tokens.sample_N)
        low = 0.0 if self.surrogate == "weight" else 1 - self.clip
        clipped_N = ratio_N.clamp(low, 1 + self.clip_high)
        if self.surrogate == "weight":
            gain_N = clipped_N.detach() * tokens.advantages_N * logprobs_N
        else:
            gain_N = torch.minimum(ratio_N * tokens.advantages_N, clipped_N * tokens.advantages_N)
        loss_N = -gain_N if importance_N is None else -importance_N * gain_N
        if self.kl_coefficient:
            assert tokens.reference_logprobs_N is not None, "a KL term needs the reference's log-probabilities"
            loss_N = loss_N + self.kl_coefficient * kl_estimate(logprobs_N, tokens.reference_logprobs_N)
        outside = int(((ratio_N < low) | (ratio_N > 1 + self.clip_high)).sum().item())
        return LossValue(loss=(tokens.weights_N * loss_N).sum(), clipped=outside, truncated=truncated)

    def _importance(self, tokens: TrainedTokens) -> tuple[torch.Tensor, torch.Tensor | None, int]:
        """What ρ is taken against, ι, and how many of ι were cut."""
        if self.importance_cap is None:
            return tokens.old_logprobs_N, None, 0
        own_N = tokens.logprobs_N.detach()
        weight_N = (own_N - tokens.old_logprobs_N).exp()
        cut = int((weight_N > self.importance_cap).sum().item())
        return own_N, weight_N.clamp(max=self.importance_cap), cut

    def _ratio(self, difference_N: torch.Tensor, sample_N: torch.Tensor) -> torch.Tensor:
        if self.ratio == "token" or not len(sample_N):
            return difference_N.exp()
        samples = int(sample_N.max().item()) + 1
        sums_S = difference_N.new_zeros(samples).index_add(0, sample_N, difference_N)
        counts_S = difference_N.new_zeros(samples).index_add(0, sample_N, torch.ones_like(difference_N))
        return (sums_S / counts_S.clamp(min=1)).exp()[sample_N]


def kl_estimate(logprobs_N: torch.Tensor, reference_N: torch.Tensor) -> torch.Tensor:
    """The k3 estimate of KL(π ‖ π_ref) at each token: never negative, unbiased (arXiv 2402.03300, equation 4)."""
    difference_N = reference_N - logprobs_N
    return difference_N.exp() - difference_N - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Member:
    """One member of the family."""

    clip: float = 0.2
    """Its paper's lower half-width."""
    clip_high: float | None = None
    """Its paper's upper one; ``None``: the same."""
    per_response: bool = True
    ratio: Literal["token", "response"] = "token"
    surrogate: Literal["minimum", "weight"] = "minimum"
    fixed_length: bool = False


_FAMILY: dict[LossName, _Member] = {
    "grpo": _Member(),
    "clip_higher": _Member(clip_high=0.28),
    "token_level": _Member(per_response=False),
    "dr_grpo": _Member(fixed_length=True),
    "gspo": _Member(clip=3e-4, clip_high=4e-4, ratio="response"),
    # The paper names no bound; 5 is what arXiv 2510.13786 found to do.
    "cispo": _Member(clip_high=4.0, per_response=False, surrogate="weight"),
}


def policy_loss(
    name: LossName,
    *,
    longest_response: int,
    clip: float | None = None,
    clip_high: float | None = None,
    kl_coefficient: float = 0.0,
    importance_cap: float | None = None,
) -> Loss:
    """A loss of the family by its name.

    Args:
        name: See the table in the module's docstring.
        longest_response: Most tokens a response may have; `dr_grpo` divides by it.
        clip: Lower half-width of the clipping range; ``None``: the paper's.
        clip_high: Upper one; ``None``: ``clip`` if that is given to a symmetric loss, else the paper's.
        kl_coefficient: β of the KL term.
        importance_cap: Cap of the importance weight between sampler and learner; ``None``: the plain ratio.
    """
    member = _FAMILY[name]
    low = member.clip if clip is None else clip
    high = clip_high if clip_high is not None else (low if member.clip_high is None else member.clip_high)
    function = PolicyGradient(
        ratio=member.ratio,
        surrogate=member.surrogate,
        clip=low,
        clip_high=high,
        kl_coefficient=kl_coefficient,
        importance_cap=importance_cap,
    )
    return Loss(
        function=function,
        per_response=member.per_response,
        clip=high,
        response_tokens=longest_response if member.fixed_length else None,
        needs_reference=kl_coefficient > 0,
    )


def configured_loss(config: TrainConfig, *, longest_response: int) -> Loss:
    """The loss that a run's configuration names; see `policy_loss`."""
    return policy_loss(
        config.loss,
        longest_response=longest_response,
        clip=config.clip,
        clip_high=config.clip_high,
        kl_coefficient=config.kl_coefficient,
        importance_cap=config.importance_cap,
    )
