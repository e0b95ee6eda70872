"""What `test_sharding.py` starts under torchrun: gradients in several processes against those in one.

Usage: torchrun … sharded_gradients.py MODEL_FOLDER UNTIED_MODEL_FOLDER OUT.json
"""

import copy
import json
import random
import sys
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from srl_swe.errors import DivergedError, SrlSweError
from srl_swe.policies.models import LoadedModel, load_model
from srl_swe.records import Sample
from srl_swe.training.learner import Learner, Tally
from srl_swe.training.losses import Loss, LossValue, TrainedTokens, negative_log_likelihood, policy_loss
from srl_swe.training.packing import split
from srl_swe.training.processes import Processes, joined
from srl_swe.training.random_states import seed_all
from srl_swe.training.sharding import ShardedLearner

LOSSES = {
    "sft": Loss(function=negative_log_likelihood, per_response=False),
    "grpo": policy_loss("grpo", longest_response=32),
    "gspo": policy_loss("gspo", longest_response=32),
}
CASES: dict[str, dict[str, Any]] = {
    f"{loss} {packing}": {"loss": loss, "packing": packing}
    for loss in ("sft", "grpo")
    for packing in ("tree", "padded")
} | {
    "in many parts": {"loss": "grpo", "packing": "tree", "tokens_at_once": 16},
    "in many tries": {"loss": "gspo", "packing": "tree", "max_tokens": 40, "tokens_at_once": 16},
    "in many batches": {"loss": "grpo", "packing": "padded", "tokens_at_once": 24},
    "untied": {"loss": "grpo", "packing": "tree", "tokens_at_once": 16, "untied": True},
    "adapter": {"loss": "grpo", "packing": "tree", "tokens_at_once": 16, "lora_rank": 4},
    "checkpointing": {"loss": "grpo", "packing": "tree", "tokens_at_once": 16, "gradient_checkpointing": True},
    "checkpointing padded": {"loss": "sft", "packing": "padded", "gradient_checkpointing": True},
    "one sample": {"loss": "sft", "packing": "tree", "samples": 1},
    "bfloat16": {"loss": "grpo", "packing": "tree", "tokens_at_once": 16, "dtype": "bfloat16"},
}


def make_samples(count: int) -> list[Sample]:
    """A trunk with branches at several depths, completions of 1 to 9 tokens, one sample alone, one without a token."""
    draw = random.Random(0)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(draw.randrange(3, 40_000) for _ in range(length))

    trunk = ids(40)
    samples = []
    for number in range(count):
        prompt = ids(11) if number == 3 else trunk[: 8 * (1 + number % 5)]
        completion = ids(draw.randrange(1, 10)) if number != 5 else ()
        samples.append(
            Sample(
                token_ids=prompt + completion,
                loss_mask=(False,) * len(prompt) + (True,) * len(completion),
                old_logprobs=(0.0,) * len(prompt) + tuple(draw.uniform(-12, -9) for _ in completion),
                advantage=draw.gauss(0, 1),
            )
        )
    return samples


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest, relative to the largest entry."""
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12))


@cache
def load(folder: str, dtype: Any, **model: Any) -> LoadedModel:
    seed_all(0)
    loaded = load_model(folder, dtype=dtype, device="cpu", **model)
    for name, parameter in loaded.model.named_parameters():
        if "lora_B" in name:  # zero at first, so that the first factor has no gradient
            torch.nn.init.normal_(parameter, std=0.1)
    return loaded


def copied(loaded: LoadedModel) -> LoadedModel:
    return replace(loaded, model=copy.deepcopy(loaded.model))


def compare(folders: list[str], processes: Processes, case: dict[str, Any]) -> dict[str, float]:
    options = {name: case[name] for name in ("packing", "tokens_at_once", "max_tokens") if name in case}
    model = {name: case[name] for name in ("lora_rank", "gradient_checkpointing") if name in case}
    samples = make_samples(case.get("samples", 14))

    loaded = load(folders["untied" in case], case.get("dtype", "float32"), **model)

    def make(kind: type[Learner], **more: Any) -> Learner:
        return kind(copied(loaded), LOSSES[case["loss"]], **options, **more)

    one, many = make(Learner), make(ShardedLearner, processes=processes)
    scores = one.score(samples), many.score(samples)
    tallies: list[Tally] = [one.backward(samples), many.backward(samples)]
    found = {
        "score": max(abs(a - b) for x, y in zip(*scores, strict=True) for a, b in zip(x, y, strict=True)),
        "loss": abs(tallies[0].loss - tallies[1].loss) / abs(tallies[0].loss),
        "counts": sum(abs(getattr(tallies[0], n) - getattr(tallies[1], n)) for n in ("clipped", "trained")),
        "entropy": abs(tallies[0].entropy - tallies[1].entropy) / tallies[0].entropy,
        "gap": abs(tallies[0].gap_max - tallies[1].gap_max),
        "gradient": max(
            difference(whole(b.grad), whole(a.grad))  # type: ignore[arg-type]
            for a, b in zip(one.masters, many.masters, strict=True)
        ),
    }
    stats = one.update(samples, 1e-3), many.update(samples, 1e-3)
    found["norm"] = abs(stats[0].grad_norm - stats[1].grad_norm) / stats[0].grad_norm
    found["parameters"] = max(
        difference(whole(b.detach()), a.detach()) for a, b in zip(one.masters, many.masters, strict=True)
    )
    whole_model = copied(loaded).model
    many.copy_to(whole_model)  # type: ignore[attr-defined]
    trained = [p for p in whole_model.parameters() if p.requires_grad]
    found["copy"] = max(
        difference(a.detach().float(), b.detach().float()) for a, b in zip(trained, one.parameters, strict=True)
    )
    found["share"] = max(map(len, split(samples, processes.size, packed=True))) / len(samples)
    return found


def errors(folder: str, processes: Processes) -> list[str]:
    """What this process raises where a sample is wrong, and where the second one alone fails between two passes."""

    def function(tokens: TrainedTokens) -> LossValue:
        if processes.rank == 1:
            raise DivergedError("here alone")
        return negative_log_likelihood(tokens)

    loss = Loss(function=function, per_response=False)
    learner = ShardedLearner(copied(load(folder, "float32")), loss, processes=processes, tokens_at_once=16)
    samples = make_samples(14)
    wrong = replace(samples[0], loss_mask=(True,) * len(samples[0].token_ids))
    raised = []
    for batch in ([*samples, wrong], samples):
        try:
            learner.backward(batch)
        except SrlSweError as error:
            raised.append(type(error).__name__)
    return raised


def main(tied: str, untied: str, out: str) -> None:
    cases = {name: case for name, case in CASES.items() if "lora_rank" not in case or find_spec("peft")}
    with joined() as processes:
        found = {name: compare([tied, untied], processes, case) for name, case in cases.items()}
        raised = processes.gather(errors(tied, processes))
        if processes.rank == 0:
            Path(out).write_text(json.dumps({"cases": found, "raised": raised}))


if __name__ == "__main__":
    main(*sys.argv[1:])
