"""The truth that packed passes are held against: each sample alone, unpadded, by the model's own eager attention."""

import copy
from collections.abc import Sequence

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from srl_swe.policies.models import LoadedModel
from srl_swe.records import Sample
from srl_swe.training.learner import Learner
from srl_swe.training.losses import Loss, TrainedTokens

VOCABULARY = 61
_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "initializer_range": 0.15,
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CONFIGS = {
    "llama": LlamaConfig(**_SHAPE),
    "llama-untied": LlamaConfig(**{**_SHAPE, "tie_word_embeddings": False}),
    "mistral-window-4": MistralConfig(**_SHAPE, sliding_window=4),
    "qwen2": Qwen2Config(**_SHAPE),
    "qwen2-window-3-in-the-upper-layer": Qwen2Config(
        **_SHAPE, use_sliding_window=True, sliding_window=3, max_window_layers=1
    ),
    "qwen3": Qwen3Config(**_SHAPE, head_dim=8),
}


def make_model(name: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[name], dtype=torch.float64)
    return model.to(dtype).eval()


def make_learner(model: PreTrainedModel, loss: Loss, **options: object) -> Learner:
    kernel = options.pop("kernel", None)
    loaded = LoadedModel(model=model, tokenizer=None, name="tiny", end_ids=())  # type: ignore[arg-type]
    learner = Learner(loaded, loss, **options)  # type: ignore[arg-type]
    if kernel:
        learner.passes.kernel = kernel  # type: ignore[attr-defined]
    return learner


def make_sample(ids: Sequence[int], mask: Sequence[bool], advantage: float) -> Sample:
    logprobs = tuple(-4.2 + 0.1 * (t % 3) if trained else 0.0 for t, trained in enumerate(mask))
    return Sample(token_ids=tuple(ids), loss_mask=tuple(mask), old_logprobs=logprobs, advantage=advantage)


def naive(model: PreTrainedModel, samples: Sequence[Sample], loss: Loss) -> tuple[float, list[torch.Tensor]]:
    """Loss and every trained parameter's gradient, in the model's own precision."""
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    total = 0.0
    for sample, weight in zip(samples, loss.token_weights(samples), strict=True):
        ids, mask = torch.tensor([sample.token_ids]), torch.tensor(sample.loss_mask)[1:]
        if not mask.any():
            continue
        logits = model(ids, use_cache=False).logits[0, :-1]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        logprobs_N = torch.log_softmax(logits, -1).gather(1, ids[0, 1:, None])[:, 0][mask]
        count = len(logprobs_N)
        value = loss.function(
            TrainedTokens(
                logprobs_N=logprobs_N,
                old_logprobs_N=torch.tensor(sample.old_logprobs)[1:][mask],
                advantages_N=torch.full((count,), sample.advantage),
                weights_N=torch.full((count,), weight),
                sample_N=torch.zeros(count, dtype=torch.long),
            )
        ).loss
        value.backward()  # type: ignore[no-untyped-call]
        total += value.item()
    return total, _gradients(model)


def packed(learner: Learner, samples: Sequence[Sample]) -> tuple[float, list[torch.Tensor], int]:
    """The same of the learner, and how many tokens it computed."""
    for parameter in learner.masters:
        parameter.grad = None
    tally = learner.backward(samples)
    zero = [torch.zeros_like(p) if p.grad is None else p.grad for p in learner.masters]
    return tally.loss, [g.clone() for g in zero], tally.computed


def _gradients(model: PreTrainedModel) -> list[torch.Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters() if p.requires_grad]


def worst(gradients: Sequence[torch.Tensor], truth: Sequence[torch.Tensor], floor: float = 0.0) -> float:
    """The largest relative error of any parameter's gradient.

    Args:
        gradients: to be judged.
        truth: what they should be.
        floor: gradients smaller than this part of the whole gradient are held against that part of it.
    """
    whole = torch.stack([g.double().norm() for g in truth]).norm().item()
    errors = [
        ((g.double() - t.double()).norm() / t.double().norm().clamp(min=max(floor * whole, 1e-30))).item()
        for g, t in zip(gradients, truth, strict=True)
    ]
    return max(errors)


def trajectory_samples(seed: int = 3, scale: int = 1) -> list[Sample]:
    """One trajectory's steps, three levels deep: a trunk, completions at each step, duplicates, one-token answers."""
    draw = torch.Generator().manual_seed(seed)

    def ids(count: int) -> list[int]:
        return torch.randint(3, VOCABULARY, (count,), generator=draw).tolist()

    samples, trunk = [], ids(9 * scale)
    for step in range(4):
        shared = ids(3)
        begun_alike = [shared + ids(2), shared + ids(3 * scale)]
        answers = [ids(1), ids(5), ids(6 * scale), *begun_alike]
        for index, answer in enumerate([*answers, answers[2]]):  # the last one was drawn twice
            mask = [False] * len(trunk) + [True] * len(answer)
            samples.append(make_sample(trunk + answer, mask, 1.0 - 0.6 * index))
        trunk = trunk + ids((5 + step) * scale)
    return samples
