"""One measurement of `benchmarks.learner`, in a process of its own so that its peak memory is its own.

Takes one JSON object on the command line and prints one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.learner_samples import synthetic_samples, trajectory_samples
from srl_swe.policies.models import LoadedModel, load_model
from srl_swe.records import Sample
from srl_swe.training.learner import Learner, Packing
from srl_swe.training.losses import policy_loss

GROUP = 8
"""Completions of a prompt, and TRL's batch (its default of 8 is one group)."""


def main() -> None:
    """Measure what the command line asks for."""
    request = json.loads(sys.argv[1])
    if request["threads"]:
        torch.set_num_threads(request["threads"])
    samples = make_samples(request["samples"])
    loaded = load_model(dtype=request["dtype"])
    if request["checkpointing"]:
        loaded.model.gradient_checkpointing_enable({"use_reentrant": False})
    measure = {"tree": measure_ours, "padded": measure_ours, "trl": measure_trl, "errors": measure_errors}
    found = measure[request["what"]](loaded, samples, request)
    prompts = {s.token_ids[: s.loss_mask.index(True)] for s in samples}
    shape = {"raw": sum(len(s.token_ids) for s in samples), "samples": len(samples), "steps": len(prompts)}
    print(json.dumps(found | shape | {"peak_gb": peak_gb()}))


def make_samples(options: dict[str, Any]) -> list[Sample]:
    """The samples of a request."""
    if "trajectory" in options:
        return trajectory_samples(
            Path(options["trajectory"]), **{k: v for k, v in options.items() if k != "trajectory"}
        )
    return synthetic_samples(**options)


class Clock:
    """Seconds that have passed, and those that this process's threads have worked: others may use the machine."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def read(self, times: float = 1.0) -> dict[str, float]:
        """Both since the start, multiplied by ``times``."""
        wall, processor = time.perf_counter() - self._wall, time.process_time() - self._processor
        return {"seconds": wall * times, "processor_seconds": processor * times}


def measure_ours(loaded: LoadedModel, samples: list[Sample], request: dict[str, Any]) -> dict[str, float]:
    """One update: passes, clipping, AdamW."""
    learner = make_learner(loaded, request)
    learner.update(synthetic_samples(steps=1, group=2, context=64, completion=8), 1e-6)  # first use is slow
    clock = Clock()
    stats = learner.update(samples, 1e-6)
    return clock.read() | {"tokens": stats.tokens, "trained": stats.trained_tokens}


def make_learner(loaded: LoadedModel, request: dict[str, Any]) -> Learner:
    """Ours."""
    packing: Packing = "padded" if request["what"] == "padded" else "tree"
    return Learner(
        loaded, policy_loss("grpo", longest_response=256), packing=packing, tokens_at_once=request["at_once"]
    )


def measure_trl(loaded: LoadedModel, samples: list[Sample], request: dict[str, Any]) -> dict[str, float]:
    """All of TRL's micro-batches, or the first ``batches``, whose time stands for the others', of one shape."""
    with tempfile.TemporaryDirectory() as folder:
        batches = len(samples) // GROUP
        timed = request["batches"] or batches
        trainer = make_trainer(loaded, folder, batches, checkpointing=request["checkpointing"])
        trainer.create_optimizer()
        small = synthetic_samples(steps=1, group=2, context=64, completion=8)
        trl_step(trainer, trl_batch(loaded, small, small))
        trainer.optimizer.step()  # as our first update: AdamW's state is there
        trainer.model.zero_grad()
        clock = Clock()
        for g in range(timed):
            trl_step(trainer, trl_batch(loaded, samples[g * GROUP : (g + 1) * GROUP], samples))
        passes = clock.read(batches / timed)
        clock = Clock()
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        trainer.optimizer.step()
        spent = {name: passes[name] + seconds for name, seconds in clock.read().items()}
        shape = trl_batch(loaded, samples[:GROUP], samples)
        width = shape["prompt_ids"].shape[1] + shape["completion_ids"].shape[1]
    return spent | {"tokens": width * len(samples), "measured_batches": timed}


def make_trainer(loaded: LoadedModel, folder: str, batches: int, *, checkpointing: bool) -> Any:
    """TRL's trainer with SRL's loss, in the model's own precision."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    config = GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=GROUP,
        num_generations=GROUP,
        gradient_accumulation_steps=batches,
        loss_type="grpo",
        beta=0.0,
        epsilon=0.2,
        bf16=False,
        fp16=False,
        gradient_checkpointing=checkpointing,
        report_to=[],
        use_cpu=not torch.cuda.is_available(),
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        model=loaded.model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["unused"] * GROUP}),
        processing_class=loaded.tokenizer,
    )
    trainer.current_gradient_accumulation_steps = batches
    return trainer


def trl_batch(loaded: LoadedModel, own: list[Sample], generation_batch: list[Sample]) -> dict[str, torch.Tensor]:
    """Micro-batch as `GRPOTrainer._generate_and_score_completions` makes it.

    Prompts are padded on the left and completions on the right to the longest of the *whole* generation batch, which is
    then split into micro-batches.
    """
    from trl.trainer.utils import pad

    def parts(sample: Sample) -> tuple[list[int], list[int]]:
        length = sample.loss_mask.index(True)
        return list(sample.token_ids[:length]), list(sample.token_ids[length:])

    longest = [max(len(parts(s)[i]) for s in generation_batch) for i in (0, 1)]
    filler = int(loaded.tokenizer.pad_token_id or 0)
    batch = {}
    for i, (name, side) in enumerate((("prompt", "left"), ("completion", "right"))):
        rows = [torch.tensor(parts(s)[i]) for s in own]
        # One row of the full width stands for the rest of the generation batch, and is taken off again.
        wide = torch.zeros(longest[i], dtype=torch.long)
        batch[f"{name}_ids"] = pad([*rows, wide], padding_value=filler, padding_side=side)[:-1]
        masks = [torch.ones_like(row) for row in rows]
        batch[f"{name}_mask"] = pad([*masks, wide], padding_value=0, padding_side=side)[:-1]
    batch["advantages"] = torch.tensor([s.advantage for s in own])
    batch["num_items_in_batch"] = torch.tensor(sum(sum(s.loss_mask) for s in generation_batch))
    return {key: value.to(loaded.model.device) for key, value in batch.items()}


def trl_step(trainer: Any, batch: dict[str, torch.Tensor]) -> float:
    """What `GRPOTrainer.training_step` does once the inputs are there."""
    trainer.model.train()
    with trainer.compute_loss_context_manager():
        loss = trainer.compute_loss(trainer.model, batch)
    trainer.accelerator.backward(loss)
    return float(loss.detach())


def measure_errors(loaded: LoadedModel, samples: list[Sample], request: dict[str, Any]) -> dict[str, float]:
    """Relative errors of the worst parameter's gradient and of the whole one, against one plain pass a sample."""
    from benchmarks.learner_errors import errors

    return errors(loaded, make_learner(loaded, request), samples)


def peak_gb() -> float:
    """Peak resident memory of this process alone, or of the device."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    with open("/proc/self/status") as lines:  # noqa: PTH123
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


if __name__ == "__main__":
    main()
