"""The canary finds an engine that has kept old weights: by the mean gap, and by answers that do not change at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny_model

from srl_swe.errors import EngineMismatchError
from srl_swe.policies.canary import TOLERANCES, Canary, check_gap
from srl_swe.policies.chat import encode_prompt
from srl_swe.policies.engine import Engine
from srl_swe.policies.engines import make_engine
from srl_swe.policies.models import DEFAULT_MODEL, Dtype, LoadedModel, load_model
from srl_swe.policies.transformers_engine import TransformersEngine
from srl_swe.records import Sample
from srl_swe.training.learner import Learner
from srl_swe.training.losses import Loss, negative_log_likelihood

pytestmark = pytest.mark.model
HEAD = ("model.embed_tokens.weight", "lm_head.weight")
SHAKEN = 0.1
"""Relative noise on each weight that moves log-probabilities by half a nat, ten times what bfloat16 rounds off them."""
TEXTS = (
    "Explain, in a few plain words, why the sky of a clear day is blue, and what colour it takes on at dusk.",
    "Write a function that returns the sum of two integers, and a test of it, in Python.",
    "Which of the following three are prime numbers: 21, 23, 25? Say of each of the others what divides it.",
    "A ledger keeps an amount in yen as a float. Name two things that will go wrong, and say what to keep instead.",
)


class CopyEngine(TransformersEngine):
    """The embedded engine on a model of its own, whose weights have to be handed over."""

    def __init__(self, loaded: LoadedModel, own: LoadedModel) -> None:
        super().__init__(own)
        self.own = own.model
        self.load(loaded.weights(), 0)

    def load(self, weights: Iterable[tuple[str, torch.Tensor]] | None, version: int) -> None:
        assert weights is not None
        self.own.load_state_dict(dict(weights))
        super().load(None, version)


def make_learner(dtype: Dtype, tiny: Path) -> tuple[LoadedModel, Learner]:
    """In bfloat16 the real small model, whose rounding the tolerance is made for; in float32 a tiny one will do."""
    loaded = load_model(DEFAULT_MODEL if dtype == "bfloat16" else str(tiny), dtype=dtype, device="cpu")
    return loaded, Learner(loaded, Loss(function=negative_log_likelihood, per_response=False))


def prompts(loaded: LoadedModel, times: int = 1) -> list[tuple[int, ...]]:
    return [encode_prompt(loaded.tokenizer, ({"role": "user", "content": " ".join([text] * times)},)) for text in TEXTS]


def train(learner: Learner, loaded: LoadedModel) -> None:
    """Teach the model a sentence: one update at an everyday learning rate."""
    ids = tuple(loaded.tokenizer("The reviewers of this change asked for tests, and so we wrote some.")["input_ids"])
    sample = Sample(
        token_ids=ids, loss_mask=(False, *[True] * (len(ids) - 1)), old_logprobs=(0.0,) * len(ids), advantage=1.0
    )
    learner.update([sample], 3e-5)


def shake(loaded: LoadedModel) -> None:
    """Change all weights, by much."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight.mul_(1 + SHAKEN * torch.randn(weight.shape, generator=generator).to(weight.dtype))


def canary_of(engine: Engine, loaded: LoadedModel, dtype: str) -> Canary:
    short = isinstance(engine, TransformersEngine)
    # Longer than a block of vLLM's prefix cache on CPUs, which is 128 tokens.
    return Canary(
        engine, prompts(loaded, 1 if short else 8), temperature=1.0, tolerance=TOLERANCES[dtype], max_new_tokens=16
    )


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def dtype(request: pytest.FixtureRequest) -> Dtype:
    name: Dtype = request.param
    return name


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its heads are as wide as vLLM needs them."""
    return save_tiny_model(
        tmp_path_factory.mktemp("model"), hidden_size=128, num_attention_heads=4, initializer_range=0.1
    )


def test_faults_are_found(dtype: Dtype, tiny: Path) -> None:
    loaded, learner = make_learner(dtype, tiny)
    engine = CopyEngine(loaded, load_model(loaded.name, dtype=dtype, device="cpu"))
    find_faults(engine, loaded, learner, dtype)


@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore")
def test_faults_of_vllm_are_found(dtype: Dtype, tiny: Path) -> None:
    pytest.importorskip("vllm")
    loaded, learner = make_learner(dtype, tiny)
    engine = make_engine("vllm", loaded)
    try:
        find_faults(engine, loaded, learner, dtype)
        # New weights, but what the prefix cache holds of the prompts was computed by the old ones.
        shake(loaded)
        canary = canary_of(engine, loaded, dtype)
        engine._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": loaded.weights()})  # type: ignore[attr-defined]
        with pytest.raises(EngineMismatchError, match="on average"):
            canary.check(learner.score)
        engine.load(loaded.weights(), 4)
        canary.check(learner.score)
    finally:
        engine.close()


def find_faults(engine: Engine, loaded: LoadedModel, learner: Learner, dtype: str) -> None:
    canary = canary_of(engine, loaded, dtype)
    for version in range(2):  # again: with whatever is cached now
        engine.load(loaded.weights(), version)
        assert canary.check(learner.score).mean <= TOLERANCES[dtype]

    train(learner, loaded)  # and no sync
    with pytest.raises(EngineMismatchError, match="weights 1"):
        canary.check(learner.score)
    engine.load(loaded.weights(), 2)
    canary.check(learner.score)

    # All is new but for the output layer, which is tied to the embedding.
    old = {name: tensor.clone() for name, tensor in loaded.weights() if name in HEAD}
    shake(loaded)
    engine.load(((name, old.get(name, tensor)) for name, tensor in loaded.weights()), 3)
    with pytest.raises(EngineMismatchError, match=r"weights 3: .* on average"):
        canary.check(learner.score)
    engine.load(loaded.weights(), 4)
    canary.check(learner.score)


def test_an_engine_that_rightly_stays_the_same_passes(tiny_model: LoadedModel, tiny_model_folder: Path) -> None:
    own = load_model(str(tiny_model_folder), dtype="float32", device="cpu")
    learner = Learner(tiny_model, Loss(function=negative_log_likelihood, per_response=False))
    canary = Canary(CopyEngine(tiny_model, own), [(5, 6, 7)], temperature=1.0, tolerance=TOLERANCES["float32"])
    gaps = [canary.check(learner.score) for _ in range(2)]
    assert gaps[0] == gaps[1]


def test_gaps_that_are_not_numbers_fail() -> None:
    assert check_gap([[-1.0, -2.0]], [[-1.00001, -2.0]], tolerance=1e-4).largest == pytest.approx(1e-5, rel=1e-3)
    for theirs in (-1.1, float("nan"), float("-inf")):
        with pytest.raises(EngineMismatchError, match="2 tokens"):
            check_gap([[theirs, -2.0]], [[-1.0, -2.0]], tolerance=1e-2)
