"""Advantages and losses against values worked by hand."""

import dataclasses
import math

import pytest
import torch

from srl_swe.records import Sample
from srl_swe.training.advantages import group_advantages
from srl_swe.training.config import LossName
from srl_swe.training.losses import (
    Loss,
    LossValue,
    PolicyGradient,
    TrainedTokens,
    kl_estimate,
    negative_log_likelihood,
    policy_loss,
)


def test_advantages_by_hand() -> None:
    # mean 0.5, population std 0.5
    assert group_advantages([0.0, 1.0, 0.0, 1.0], min_std=0.05) == [-1.0, 1.0, -1.0, 1.0]


def test_equal_rewards_never_vary() -> None:
    assert group_advantages([0.1] * 3, min_std=0.0) is None  # numpy's std of them is 1.4e-17


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
    loss = PolicyGradient()
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


def family(
    name: LossName, ratios: list[float], advantages: list[float], samples: list[int], **options: float
) -> tuple[float, list[float], LossValue]:
    """Loss, gradient and counts of tokens with given ratios, each with weight 1."""
    loss = policy_loss(name, longest_response=10, **options)  # type: ignore[arg-type]
    logprobs = torch.tensor([math.log(r) for r in ratios], dtype=torch.float64, requires_grad=True)
    made = dataclasses.replace(tokens(logprobs, torch.tensor(advantages), 1.0), sample_N=torch.tensor(samples))
    value = loss.function(made)
    value.loss.backward()
    assert logprobs.grad is not None
    return value.loss.item(), logprobs.grad.tolist(), value


def test_clip_higher_leaves_more_room_above() -> None:
    value, gradient, counted = family("clip_higher", [1.25, 1.25, 0.75], [1.0, -1.0, -1.0], [0, 1, 2])
    assert value == pytest.approx(-(1.25 - 1.25 - 0.8))
    assert gradient == pytest.approx([-1.25, 1.25, 0.0])
    assert counted.clipped == 1


def test_gspo_has_one_ratio_a_response() -> None:
    """Geometric means: √(4 · 1) = 2 is clipped, √(0.5 · 2) = 1 is not; each token bears half of the gradient."""
    value, gradient, counted = family("gspo", [4.0, 1.0, 0.5, 2.0], [1.0, 1.0, 3.0, 3.0], [0, 0, 1, 1], clip=0.1)
    assert value == pytest.approx(-(2 * 1.0004 + 2 * 3.0))
    assert gradient == pytest.approx([0.0, 0.0, -3.0, -3.0])
    assert counted.clipped == 2


def test_cispo_bounds_the_weight_and_keeps_the_gradient() -> None:
    value, gradient, counted = family("cispo", [8.0, 0.5], [1.0, -1.0], [0, 1])
    assert value == pytest.approx(-(5 * math.log(8) - 0.5 * math.log(0.5)))
    assert gradient == pytest.approx([-5.0, 0.5])
    assert counted.clipped == 1


def test_dr_grpo_divides_by_the_longest_response_and_not_by_the_std() -> None:
    assert policy_loss("dr_grpo", longest_response=10).token_weights([sample(1), sample(3)]) == [1 / 20, 1 / 20]
    assert group_advantages([0.0, 1.0, 1.0, 2.0], min_std=0.1, scale=False) == [-1.0, 0.0, 0.0, 1.0]


def test_truncated_importance_weights_by_hand() -> None:
    """The weight is π / π_old, cut to 2 and without gradient; what is left of the ratio is 1."""
    value, gradient, counted = family("grpo", [3.0, 0.5], [1.0, -1.0], [0, 1], importance_cap=2.0)
    assert value == pytest.approx(-(2.0 - 0.5))
    assert gradient == pytest.approx([-2.0, 0.5])
    assert (counted.clipped, counted.truncated) == (0, 1)


def test_divergence_from_the_reference_by_hand() -> None:
    logprobs = torch.tensor([-1.0, -2.0], requires_grad=True)
    reference = torch.tensor([-1.0, -2.0 + math.log(2)])
    assert kl_estimate(logprobs, reference).tolist() == pytest.approx([0.0, 2 - math.log(2) - 1])
    loss = policy_loss("grpo", longest_response=10, kl_coefficient=0.5)
    assert loss.needs_reference
    made = dataclasses.replace(tokens(logprobs, torch.zeros(2), 1.0), reference_logprobs_N=reference)
    value = loss.function(made).loss
    value.backward()
    assert value.item() == pytest.approx(0.5 * (1 - math.log(2)))
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx([0.0, 0.5 * (1 - 2)])


def test_pieces_of_an_episode_weigh_as_one_response() -> None:
    first, second = (dataclasses.replace(sample(n), response=0) for n in (1, 3))
    whole = dataclasses.replace(sample(2), response=1)
    loss = policy_loss("grpo", longest_response=10)
    assert loss.token_weights([first, second, whole]) == [1 / 8, 1 / 8, 1 / 4]
    assert policy_loss("token_level", longest_response=10).token_weights([first, second, whole]) == [1 / 6] * 3


def test_groups_without_variance_have_advantages_of_zero_where_none_is_dropped() -> None:
    assert group_advantages([0.1] * 3, min_std=None) == [0.0] * 3


def sample(trained: int) -> Sample:
    return Sample(
        token_ids=(1,) * (trained + 1),
        loss_mask=(False, *([True] * trained)),
        old_logprobs=(0.0,) * (trained + 1),
        advantage=1.0,
    )


def test_weights_per_response_and_per_token() -> None:
    samples = [sample(1), sample(3)]
    assert Loss(function=negative_log_likelihood, per_response=True).token_weights(samples) == [0.5, 1 / 6]
    assert Loss(function=negative_log_likelihood, per_response=False).token_weights(samples) == [0.25, 0.25]


def test_imitation_by_hand() -> None:
    logprobs = torch.tensor([-1.0, -3.0])
    assert negative_log_likelihood(tokens(logprobs, torch.ones(2), 0.5)).loss.item() == 2.0
