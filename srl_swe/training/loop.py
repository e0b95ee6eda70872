"""The training loop: batch, update, sync, log, save; the same for every objective."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from srl_swe.errors import ConfigError
from srl_swe.policies.canary import TOLERANCES, Canary
from srl_swe.policies.models import LoadedModel, load_model
from srl_swe.records import Sample
from srl_swe.training.batch import Batch, Objective
from srl_swe.training.batch_log import BatchLog
from srl_swe.training.budget import Budget
from srl_swe.training.checkpoint import (
    checkpoints,
    damage,
    latest_checkpoint,
    model_source,
    restore,
    save_checkpoint,
    update_of,
)
from srl_swe.training.config import TrainConfig
from srl_swe.training.journal import Journal, check_config, resolved_model
from srl_swe.training.learner import Learner
from srl_swe.training.objectives import read_objective
from srl_swe.training.processes import joined, started_together
from srl_swe.training.random_states import seed_all
from srl_swe.training.reference import Reference

if TYPE_CHECKING:
    from srl_swe.training.crew import Crew

Say = Callable[[str], None]
_CANARY_PROMPTS = 2


def train(config: TrainConfig, *, console: Console | None = None) -> Path:
    """Run, or go on with, one training run; return its last checkpoint's folder.

    A run that was cut off goes on from its newest checkpoint, and its losses are those of the unbroken run. Where
    `torchrun` has started several processes they are one run; see `srl_swe.training.crew`.

    Args:
        config: What to do; ``config.out`` may hold the same run, not finished.
        console: Where the progress bar goes; ``None``: nowhere. Only the first process shows one.

    Returns:
        That folder; in processes that help the first one, ``config.out``.

    Raises:
        ConfigError: options contradict each other or the folder, or there is nothing to train on.
        ModelError, TaskError, TrajectoryError: the model or a file is wrong.
        NoSignalError: no group of rollouts varied in reward.
        InfrastructureError: the engine does not generate with the learner's weights, or the world failed.
    """
    if not started_together():
        return _train(config, console, None)
    from srl_swe.training.crew import Crew

    with joined() as processes:
        crew = Crew(processes)
        if processes.rank:
            crew.follow()
            return config.out
        with crew.leading():
            return _train(config, console, crew)


def _train(config: TrainConfig, console: Console | None, crew: Crew | None) -> Path:
    check_config(config)
    if crew is not None and config.objective != "sft" and config.engine == "vllm":
        raise ConfigError("engine: 'vllm' works in one process alone; under torchrun choose 'vllm-server'")
    found = [path for path in checkpoints(config.out) if not damage(path)]
    if found and (update_of(found[-1]) >= config.updates or Budget(config, update_of(found[-1])).used_up):
        return found[-1]
    say: Say = partial((console or Console(quiet=True)).print, markup=False)
    make_objective = read_objective(config)
    source = resolved_model(config.out) or model_source(config.model)
    seed_all(config.seed)
    loaded = load_model(
        source,
        lora_rank=config.lora_rank,
        gradient_checkpointing=config.gradient_checkpointing,
        **_whereabouts(config, crew),
    )
    objective = make_objective(loaded)
    with contextlib.ExitStack() as stack:
        if objective.engine is not None:
            stack.callback(objective.engine.close)
        run = _Run(config, loaded, objective, source, crew)
        done = _restore(config.out, run.learner, objective, say)
        journal = Journal(config, done, _resolved(source, loaded, crew))
        stack.callback(journal.close)
        say(f"{config.objective}: {objective.about}")
        run.sync(done, None)
        budget = Budget(config, done)
        bar = stack.enter_context(_progress(console))
        task = bar.add_task(config.objective, total=config.updates, completed=done, note="")
        for update in range(done + 1, config.updates + 1):
            metrics, batch = run.update(update)
            journal.log(update, metrics, batch.rollouts)
            bar.update(task, advance=1, note=_note(metrics))
            budget.add(metrics)
            last = update == config.updates or budget.used_up
            if last or update % config.save_every == 0:
                run.save(update)
            if last:
                break
    return latest_checkpoint(config.out)


class _Run:
    """What takes part in an update."""

    def __init__(
        self, config: TrainConfig, loaded: LoadedModel, objective: Objective, source: str, crew: Crew | None
    ) -> None:
        self.config, self.loaded, self.objective = config, loaded, objective
        self.batches = BatchLog(config.out)
        self.annotate: Callable[[Sequence[Sample]], Sequence[Sample]] = lambda samples: samples
        self.learner: Learner | Crew
        if crew is not None:
            crew.begin(loaded, source, config, objective.loss, objective.temperature)
            self.learner = crew
            if objective.loss.needs_reference:
                self.annotate = crew.annotate
            return
        self.learner = Learner(
            loaded,
            objective.loss,
            weight_decay=config.weight_decay,
            max_grad_norm=config.max_grad_norm,
            temperature=objective.temperature,
            packing=config.packing,
            tokens_at_once=config.tokens_at_once,
        )
        if objective.loss.needs_reference:
            self.annotate = partial(Reference(loaded).annotate, learner=self.learner)

    def update(self, update: int) -> tuple[dict[str, Any], Batch]:
        """Make a batch, train on it, bring the engine up to date."""
        start = time.perf_counter()
        batch = self.batches.next_batch(self.objective, update)
        sampled = time.perf_counter()
        rate = learning_rate(self.config, update)
        samples = self.annotate(batch.samples)
        stats = self.learner.update(samples, rate)
        trained = time.perf_counter()
        canary = self.sync(update, batch)
        end = time.perf_counter()
        return {
            "stage": self.config.objective,
            **batch.metrics,
            **dataclasses.asdict(stats),
            **canary,
            "lr": rate,
            "samples": len(samples),
            "sampled_tokens": sum(len(rollout.completion.token_ids) for rollout in batch.rollouts),
            "unique_token_ratio": stats.tokens / max(1, stats.raw_tokens),
            "tokens_per_second": stats.raw_tokens / (trained - sampled),
            "sampling_seconds": sampled - start,
            "training_seconds": trained - sampled,
            "sync_seconds": end - trained,
            "seconds": end - start,
        }, batch

    def sync(self, update: int, batch: Batch | None) -> dict[str, float]:
        """Give the engine the learner's weights; one that has a copy of its own is tried on a few prompts."""
        engine = self.objective.engine
        if engine is None:
            return {}
        self.learner.publish()
        engine.load(self.loaded.weights(), update)
        if batch is None or self.config.engine == "transformers":
            return {}
        prompts = list(dict.fromkeys(rollout.prompt_ids for rollout in batch.rollouts))[:_CANARY_PROMPTS]
        tolerance = TOLERANCES.get(str(self.loaded.model.dtype).removeprefix("torch."), TOLERANCES["bfloat16"])
        canary = Canary(engine, prompts, temperature=self.config.temperature, tolerance=tolerance)
        return {"canary_gap": canary.check(self.learner.score)}

    def save(self, update: int) -> None:
        """Write a checkpoint; forget what only older ones needed."""
        save_checkpoint(
            self.config.out,
            self.loaded,
            self.learner,
            self.objective,
            update=update,
            keep=self.config.keep_checkpoints,
        )
        self.batches.forget(up_to=update_of(checkpoints(self.config.out)[0]))


def learning_rate(config: TrainConfig, update: int) -> float:
    """Linear rise over ``warmup_updates``, then what ``schedule`` says. Updates count from 1.

    At the last update it is one step above 0, so that no update is without effect.
    """
    rise = min(1.0, update / config.warmup_updates) if config.warmup_updates else 1.0
    past = max(0, update - config.warmup_updates - 1) / max(1, config.updates - config.warmup_updates)
    fall = {"constant": 1.0, "linear": 1.0 - past, "cosine": 0.5 * (1.0 + math.cos(math.pi * past))}
    return config.learning_rate * rise * fall[config.schedule]


def _restore(run: Path, learner: Learner | Crew, objective: Objective, say: Say) -> int:
    """Go on from the newest checkpoint that is whole; return how many updates it holds, 0 where there is none."""
    found = checkpoints(run)
    for path in reversed(found):
        reason = damage(path)
        if not reason:
            try:
                return restore(path, learner, objective)
            except ConfigError as error:
                reason = str(error)
        say(f"warning: {path} is damaged and passed over: {reason}")
    if found:
        raise ConfigError(f"{run}: none of {len(found)} checkpoints is whole; remove them to start anew")
    return 0


def _whereabouts(config: TrainConfig, crew: Crew | None) -> dict[str, Any]:
    """Precision and device of the model that is loaded whole: one that only waits to be saved is not on the GPU."""
    if crew is None:
        return {"dtype": config.dtype}
    fast = config.dtype == "auto" and crew.processes.device == "cuda"
    generates = config.objective != "sft" and config.engine == "transformers"
    return {"dtype": "bfloat16" if fast else config.dtype, "device": "auto" if generates else "cpu"}


def _resolved(source: str, loaded: LoadedModel, crew: Crew | None) -> dict[str, Any]:
    return {
        "model": source,
        "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "device": crew.processes.device if crew else str(loaded.model.device),
        "processes": crew.processes.size if crew else 1,
        "threads": torch.get_num_threads(),
    }


def _note(metrics: dict[str, Any]) -> str:
    if "reward_mean" in metrics:
        return f"reward {metrics['reward_mean']:.3f} · well-formed {metrics['well_formed']:.0%}"
    return f"loss {metrics['loss']:.3f}"


def _progress(console: Console | None) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    return Progress(*columns, console=console, disable=console is None)
