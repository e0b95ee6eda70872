"""What one update of the learner does."""

import random
from pathlib import Path

import pytest
import torch

from srl_swe.errors import ConfigError, DivergedError
from srl_swe.policies.models import LoadedModel, load_model
from srl_swe.records import Sample
from srl_swe.training.config import OptimizerName
from srl_swe.training.learner import Learner
from srl_swe.training.losses import Loss, PolicyGradient, negative_log_likelihood

GRPO = Loss(function=PolicyGradient(), per_response=True, clip=0.2)


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


def test_an_update_raises_the_probability_of_what_is_good(tiny_model: LoadedModel) -> None:
    samples = [make_sample((5, 6, 7), (100, 200), 1.0), make_sample((5, 6, 7), (300, 400), -1.0)]
    learner = Learner(tiny_model, Loss(function=negative_log_likelihood, per_response=True), max_grad_norm=1e9)
    before = learner.score(samples)
    stats = learner.update(samples, 1e-3)
    good, bad = (sum(a) - sum(b) for a, b in zip(learner.score(samples), before, strict=True))
    assert good > 0 > bad
    # The prompt once, and of each completion the token that the last one is predicted from.
    assert (stats.tokens, stats.raw_tokens, stats.trained_tokens) == (3 + 2, 2 * 5, 4)
    assert stats.grad_norm > 0
    assert stats.memory_gb > 0
    assert 0 < stats.entropy < torch.tensor(49152.0).log()


@pytest.mark.parametrize("packing", ["tree", "padded"])
def test_scores_are_the_models_own_in_the_samples_order(tiny_model: LoadedModel, packing: str) -> None:
    samples = [*make_samples(), make_sample((5, 6), ())]
    scores = Learner(tiny_model, GRPO, temperature=0.7, packing=packing).score(samples)  # type: ignore[arg-type]
    for sample, score in zip(samples, scores, strict=True):
        ids = torch.tensor([sample.token_ids])
        with torch.no_grad():
            logprobs = torch.log_softmax(tiny_model.model(ids).logits[0, :-1] / 0.7, -1).gather(1, ids[0, 1:, None])
        expected = [v for v, m in zip(logprobs[:, 0].tolist(), sample.loss_mask[1:], strict=True) if m]
        assert score == pytest.approx(expected, abs=1e-4)


def test_the_gap_to_the_sampler_is_that_of_the_scores(tiny_model: LoadedModel) -> None:
    samples = make_samples()
    learner = Learner(tiny_model, GRPO)
    gaps = [abs(value + 10.8) for own in learner.score(samples) for value in own]
    stats = learner.update(samples, 1e-6)
    assert stats.logprob_gap == pytest.approx(sum(gaps) / len(gaps), rel=1e-4)
    assert stats.logprob_gap_max == pytest.approx(max(gaps), rel=1e-4)


def test_small_updates_are_not_lost_in_bfloat16(tiny_model: LoadedModel) -> None:
    tiny_model.model.to(torch.bfloat16)
    learner = Learner(tiny_model, GRPO)
    start = [m.clone() for m in learner.masters]
    for _ in range(3):
        learner.update(make_samples(), 1e-6)
    moved = max((a - b).abs().max().item() for a, b in zip(start, learner.masters, strict=True))
    assert 1e-6 < moved < 1e-5
    assert all(p.dtype == torch.bfloat16 for p in learner.parameters)


def test_learning_rate_zero_changes_nothing(tiny_model: LoadedModel) -> None:
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


@pytest.mark.parametrize("packing", ["tree", "padded"])
def test_samples_that_cannot_be_computed_are_refused(tiny_model: LoadedModel, packing: str) -> None:
    learner = Learner(tiny_model, GRPO, packing=packing)  # type: ignore[arg-type]
    first = Sample(token_ids=(1, 2), loss_mask=(True, True), old_logprobs=(0.0, 0.0), advantage=1.0)
    with pytest.raises(ConfigError, match="first token is trained"):
        learner.update([first], 1e-3)
    uneven = Sample(token_ids=(1, 2), loss_mask=(False, True), old_logprobs=(0.0,), advantage=1.0)
    with pytest.raises(ConfigError, match="differ in length"):
        learner.update([uneven], 1e-3)


def test_eight_bit_moments(tiny_model_folder: Path, tmp_path: Path) -> None:
    """They lead nearly where float32 ones lead, in less memory, and go on exactly from where they were."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'srl-swe[bitsandbytes]'")
    samples = make_samples()

    def learner(name: OptimizerName) -> Learner:
        return Learner(load_model(str(tiny_model_folder), dtype="float32", device="cpu"), GRPO, optimizer=name)

    plain, small, again = learner("adamw"), learner("adamw8bit"), learner("adamw8bit")
    start = [weight.detach().clone() for weight in plain.masters]
    for _ in range(2):
        plain.update(samples, 1e-3)
        small.update(samples, 1e-3)
    small.save(tmp_path)
    again.load(tmp_path)
    for each in (plain, small, again):
        each.update(samples, 1e-3)
    assert all(torch.equal(a, b) for a, b in zip(small.masters, again.masters, strict=True))
    moved = [(a - b).norm() for a, b in zip(plain.masters, start, strict=True)]
    apart = [(a - b).norm() for a, b in zip(plain.masters, small.masters, strict=True)]
    assert sum(apart) < 0.1 * sum(moved)
    bytes_of = [
        sum(t.nbytes for state in each.optimizer.state.values() for t in state.values() if torch.is_tensor(t))
        for each in (plain, small)
    ]
    assert bytes_of[1] < 0.4 * bytes_of[0]
