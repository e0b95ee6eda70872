"""The packed learner equals the naive one; its updates do what they say."""

import copy
import math
import random

import pytest
import torch

from srl_swe.errors import ConfigError, DivergedError
from srl_swe.policies.models import LoadedModel
from srl_swe.records import Sample
from srl_swe.training.learner import Learner
from srl_swe.training.losses import Loss, TrainedTokens, clipped_policy_gradient, negative_log_likelihood
from srl_swe.training.packing import pack

GRPO = Loss(function=clipped_policy_gradient(0.2), per_response=True, clip=0.2)


def make_sample(prompt: tuple[int, ...], completion: tuple[int, ...], advantage: float = 1.0) -> Sample:
    return Sample(
        token_ids=prompt + completion,
        loss_mask=(False,) * len(prompt) + (True,) * len(completion),
        old_logprobs=(0.0,) * len(prompt) + (-10.8,) * len(completion),
        advantage=advantage,
    )


def make_samples(seed: int = 0) -> list[Sample]:
    """Two prompts; completions of 1 to 9 tokens, two of them equal."""
    draw = random.Random(seed)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(draw.randrange(3, 40_000) for _ in range(count))

    first, second = ids(12), ids(7)
    same = ids(4)
    pairs = [(first, ids(1)), (first, same), (first, same), (second, ids(9)), (first, ids(6)), (second, ids(2))]
    return [make_sample(p, c, draw.gauss(0, 1)) for p, c in pairs]


def naive_gradients(loaded: LoadedModel, samples: list[Sample], loss: Loss) -> tuple[float, list[torch.Tensor]]:
    """One plain forward pass a sample, with the model's own attention."""
    model = copy.deepcopy(loaded.model)
    model.set_attn_implementation("sdpa")
    total = 0.0
    for sample, weight in zip(samples, loss.token_weights(samples), strict=True):
        ids = torch.tensor([sample.token_ids])
        logprobs = torch.log_softmax(model(ids).logits[0, :-1], -1).gather(1, ids[0, 1:, None])[:, 0]
        count = sum(sample.loss_mask)
        tokens = TrainedTokens(
            logprobs_N=logprobs[-count:],
            old_logprobs_N=torch.tensor(sample.old_logprobs)[-count:],
            advantages_N=torch.full((count,), sample.advantage),
            weights_N=torch.full((count,), weight),
            sample_N=torch.zeros(count, dtype=torch.long),
        )
        value = loss.function(tokens).loss
        value.backward()
        total += value.item()
    return total, [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("max_row_tokens", [4096, 20])
@pytest.mark.parametrize("loss", [GRPO, Loss(function=negative_log_likelihood, per_response=False)])
def test_packed_gradients_equal_naive_ones(tiny_model: LoadedModel, loss: Loss, max_row_tokens: int) -> None:
    samples = make_samples()
    learner = Learner(tiny_model, loss, max_row_tokens=max_row_tokens)
    expected_loss, expected = naive_gradients(tiny_model, samples, loss)
    weights = loss.token_weights(samples)
    total = 0.0
    for row in pack(samples, max_tokens=max_row_tokens):
        value = loss.function(learner._row_tokens(row, samples, weights)).loss
        value.backward()
        total += value.item()
    assert total == pytest.approx(expected_loss, rel=1e-5)
    for parameter, gradient in zip(learner.parameters, expected, strict=True):
        assert parameter.grad is not None
        assert ((parameter.grad - gradient).norm() / gradient.norm()).item() <= 1e-5


def test_packing_computes_each_prompt_once_and_loses_nothing() -> None:
    samples = make_samples()
    rows = pack(samples, max_tokens=4096)
    assert [len(r.completions) for r in rows] == [4, 2]
    split = pack(samples, max_tokens=20)
    assert sorted(i for row in split for i in row.indices) == list(range(len(samples)))
    for row in (*rows, *split):
        for completion, index in zip(row.completions, row.indices, strict=True):
            assert row.prompt_ids + completion == samples[index].token_ids


def test_an_update_raises_the_probability_of_what_is_good(tiny_model: LoadedModel) -> None:
    samples = [make_sample((5, 6, 7), (100, 200), 1.0), make_sample((5, 6, 7), (300, 400), -1.0)]
    learner = Learner(tiny_model, Loss(function=negative_log_likelihood, per_response=True), max_grad_norm=1e9)
    (row,) = pack(samples, max_tokens=4096)
    before = learner.logprobs(row).detach()
    stats = learner.update(samples, 1e-3)
    change = learner.logprobs(row).detach() - before
    assert change[:2].sum() > 0 > change[2:].sum()
    assert (stats.tokens, stats.raw_tokens) == (3 + 4, 2 * 5)
    assert stats.grad_norm > 0


def test_small_updates_are_not_lost_in_bfloat16(tiny_model: LoadedModel) -> None:
    tiny_model.model.to(torch.bfloat16)
    learner = Learner(tiny_model, GRPO)
    start = [m.clone() for m in learner.masters]
    for _ in range(3):
        learner.update(make_samples(), 1e-6)
    moved = max((a - b).abs().max().item() for a, b in zip(start, learner.masters, strict=True))
    assert 1e-6 < moved < 1e-5
    assert all(p.dtype == torch.bfloat16 for p in learner.parameters)


def test_gradient_clipping_and_learning_rate_zero(tiny_model: LoadedModel) -> None:
    learner = Learner(tiny_model, GRPO)
    before = [p.detach().clone() for p in learner.parameters]
    learner.update(make_samples(), 0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.parameters, strict=True))


def test_a_gradient_that_is_not_finite_changes_nothing(tiny_model: LoadedModel) -> None:
    learner = Learner(tiny_model, GRPO)
    before = [p.detach().clone() for p in learner.parameters]
    with pytest.raises(DivergedError, match="lower learning rate"):
        learner.update([make_sample((5, 6), (7, 8), float("inf"))], 1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.parameters, strict=True))


def test_samples_with_holes_equal_naive_ones(tiny_model: LoadedModel) -> None:
    """A conversation: two answers, and between them what the world said."""
    holed = Sample(
        token_ids=(5, 6, 100, 200, 7, 8, 300),
        loss_mask=(False, False, True, True, False, False, True),
        old_logprobs=(0.0, 0.0, -10.0, -11.0, 0.0, 0.0, -9.0),
        advantage=0.7,
    )
    learner = Learner(tiny_model, GRPO)
    ids = torch.tensor([holed.token_ids])
    with torch.no_grad():
        every = torch.log_softmax(tiny_model.model(ids).logits[0, :-1], -1).gather(1, ids[0, 1:, None])[:, 0]
    (scored,) = learner.score([holed])
    assert scored == pytest.approx([every[t - 1].item() for t in (2, 3, 6)], abs=1e-5)
    ratios = [math.exp(new - old) for new, old in zip(scored, (-10.0, -11.0, -9.0), strict=True)]
    expected = -sum(min(r * 0.7, max(0.8, min(1.2, r)) * 0.7) for r in ratios) / 3
    assert learner.update([holed], 0.0).loss == pytest.approx(expected, rel=1e-5)


def test_samples_without_a_trained_token_are_refused() -> None:
    empty = Sample(token_ids=(1, 2), loss_mask=(False, False), old_logprobs=(0.0,) * 2, advantage=1.0)
    with pytest.raises(ConfigError, match="prompt, then completion"):
        pack([empty], max_tokens=100)
