"""The training loop: batch, update, sync, log, save; the same for every objective."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from srl_swe.policies.models import LoadedModel, load_model
from srl_swe.policies.transformers_engine import TransformersEngine
from srl_swe.training.checkpoint import checkpoints, latest_checkpoint, restore_learner, save_checkpoint
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import TrainingData, encode_steps, read_training_steps
from srl_swe.training.journal import Journal, check_config
from srl_swe.training.learner import Learner
from srl_swe.training.objectives import Batch, Imitation, Objective, StepReward


def train(config: TrainConfig, *, console: Console | None = None) -> Path:
    """Run, or go on with, one training run; return its last checkpoint's folder.

    A run that was cut off goes on from its newest checkpoint, and its losses are those of the unbroken run.

    Args:
        config: What to do; ``config.out`` may hold the same run, not finished.
        console: Where the progress bar goes; ``None``: nowhere.

    Raises:
        ConfigError: options contradict each other or the folder, or there is nothing to train on.
        ModelError, TrajectoryError: the model or a file is wrong.
        NoSignalError: no group of rollouts varied in reward.
    """
    check_config(config)
    found = checkpoints(config.out)
    done = int(found[-1].name.removeprefix("update-")) if found else 0
    if done >= config.updates:
        return found[-1]
    # Files before the model: what is wrong with them is said at once.
    steps = read_training_steps(
        config.trajectories,
        history=config.history,
        observation_chars=config.observation_chars,
        instances=config.instances,
    )
    loaded = load_model(config.model, dtype=config.dtype)
    data = encode_steps(steps, loaded.tokenizer, max_prompt_tokens=config.max_prompt_tokens)
    objective = make_objective(config, data, loaded)
    learner = Learner(
        loaded,
        objective.loss,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        temperature=config.temperature if config.objective == "srl" else 1.0,
    )
    if found:
        done, objective.position = restore_learner(found[-1], learner)
    journal = Journal(config, done)
    if console is not None:
        left_out = f", {objective.data.too_long} left out as too long" if objective.data.too_long else ""
        console.print(f"{config.objective}: {len(objective.data.instances)} step instances{left_out}", markup=False)
    try:
        with _progress(console) as progress:
            bar = progress.add_task(config.objective, total=config.updates, completed=done, note="")
            for update in range(done + 1, config.updates + 1):
                metrics, batch = _one_update(update, objective, learner, config)
                objective.sync(update)
                journal.log(update, metrics, batch.rollouts)
                progress.update(bar, advance=1, note=_note(metrics))
                if update % config.save_every == 0 or update == config.updates:
                    save_checkpoint(
                        config.out,
                        loaded,
                        learner,
                        update=update,
                        position=objective.position,
                        keep=config.keep_checkpoints,
                    )
    finally:
        journal.close()
    return latest_checkpoint(config.out)


def make_objective(config: TrainConfig, data: TrainingData, loaded: LoadedModel) -> Objective:
    """The objective that ``config`` names and, where it samples, its engine."""
    if config.objective == "sft":
        return Imitation(data, config)
    return StepReward(data, config, TransformersEngine(loaded, seed=config.seed))


def learning_rate(config: TrainConfig, update: int) -> float:
    """Linear rise over ``warmup_updates``, then constant. Updates count from 1."""
    if config.warmup_updates == 0:
        return config.learning_rate
    return config.learning_rate * min(1.0, update / config.warmup_updates)


def _one_update(
    update: int, objective: Objective, learner: Learner, config: TrainConfig
) -> tuple[dict[str, float | str], Batch]:
    start = time.perf_counter()
    batch = objective.next_batch(update)
    sampled = time.perf_counter()
    rate = learning_rate(config, update)
    stats = learner.update(batch.samples, rate)
    end = time.perf_counter()
    metrics: dict[str, float | str] = {
        "stage": config.objective,
        **batch.metrics,
        "loss": stats.loss,
        "grad_norm": stats.grad_norm,
        "logprob_gap": stats.logprob_gap,
        "clip_fraction": stats.clip_fraction,
        "lr": rate,
        "samples": len(batch.samples),
        "tokens": stats.tokens,
        "raw_tokens": stats.raw_tokens,
        "sampling_seconds": sampled - start,
        "training_seconds": end - sampled,
        "seconds": end - start,
    }
    return metrics, batch


def _note(metrics: dict[str, float | str]) -> str:
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
