"""Advantages and losses against values worked by hand."""

import math

import pytest
import torch

from srl_swe.records import Sample
from srl_swe.training.advantages import group_advantages
from srl_swe.training.losses import Loss, TrainedTokens, clipped_policy_gradient, negative_log_likelihood


def test_advantages_by_hand() -> None:
    # mean 0.5, population std 0.5
    assert group_advantages([0.0, 1.0, 0.0, 1.0], min_std=0.05) == [-1.0, 1.0, -1.0, 1.0]


def test_groups_that_do_not_exceed_the_bound_are_dropped() -> None:
    assert group_advantages([-1.0] * 8, min_std=0.0) is None
    assert group_advantages([0.4, 0.5], min_std=0.05) is None  # the std is exactly 0.05
    assert group_advantages([0.4, 0.51], min_std=0.05) is not None


@pytest.mark.parametrize("rewards", [[], [float("nan"), 1.0]])
def test_bad_rewards_are_refused(rewards: list[float]) -> None:
    with pytest.raises(ValueError, match="finite reward"):
        group_advantages(rewards, min_std=0.1)


def tokens(logprobs: torch.Tensor, advantages: torch.Tensor, weight: float) -> TrainedTokens:
    return TrainedTokens(
        logprobs_N=logprobs,
        old_logprobs_N=torch.zeros(len(logprobs)),
        advantages_N=advantages,
        weights_N=torch.full((len(logprobs),), weight),
        sample_N=torch.zeros(len(logprobs), dtype=torch.long),
    )


def test_clipping_by_hand() -> None:
    loss = clipped_policy_gradient(0.2)
    ratios = [1.5, 0.5, 1.5, 0.5]
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    logprobs = torch.tensor([math.log(r) for r in ratios], requires_grad=True)
    value = loss(tokens(logprobs, advantages, 0.25)).loss
    # min(1.5, 1.2) + min(0.5, 0.8) + min(-1.5, -1.2) + min(-0.5, -0.8)
    assert value.item() == pytest.approx(-(1.2 + 0.5 - 1.5 - 0.8) / 4)
    value.backward()
    # A clipped token has no gradient: a good one that is already likelier, a bad one that is already less likely.
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx([0.0, -0.125, 0.375, 0.0])


def test_weights_per_response_and_per_token() -> None:
    def sample(trained: int) -> Sample:
        return Sample(
            token_ids=(1,) * (trained + 1),
            loss_mask=(False, *([True] * trained)),
            old_logprobs=(0.0,) * (trained + 1),
            advantage=1.0,
        )

    samples = [sample(1), sample(3)]
    assert Loss(function=negative_log_likelihood, per_response=True).token_weights(samples) == [0.5, 1 / 6]
    assert Loss(function=negative_log_likelihood, per_response=False).token_weights(samples) == [0.25, 0.25]


def test_imitation_by_hand() -> None:
    logprobs = torch.tensor([-1.0, -3.0])
    assert negative_log_likelihood(tokens(logprobs, torch.ones(2), 0.5)).loss.item() == 2.0
