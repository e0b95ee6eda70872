"""Supervised fine-tuning (SFT) on an expert's thoughts and actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from srl_swe.errors import ConfigError
from srl_swe.policies.models import LoadedModel
from srl_swe.records import Sample
from srl_swe.training.batch import Batch
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import SeededOrder, encode_steps, read_training_steps, read_training_trajectories
from srl_swe.training.losses import Loss, negative_log_likelihood
from srl_swe.training.samples import answer_sample, trajectory_sample


class Imitation:
    """Samples in a seeded order; every trained token of an update has the same weight."""

    loss = Loss(function=negative_log_likelihood, per_response=False)
    temperature = 1.0
    engine = None

    def __init__(self, samples: Sequence[Sample], config: TrainConfig, about: str) -> None:
        self.samples = samples
        self.config = config
        self.about = about
        self.order = SeededOrder(len(samples), config.seed)

    def next_batch(self, update: int) -> Batch:
        """See `Objective.next_batch`."""
        del update
        return Batch(samples=tuple(self.samples[i] for i in self.order.take(self.config.batch)))

    def state_dict(self) -> dict[str, Any]:
        """See `Objective.state_dict`."""
        return {"position": self.order.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Objective.load_state_dict`."""
        self.order.position = state["position"]


def prepare_imitation(config: TrainConfig) -> Callable[[LoadedModel], Imitation]:
    """Read the files; return what makes the objective for a model.

    Raises:
        ConfigError, TrajectoryError: a file is not there, wrong or held out.
    """
    return _on_trajectories(config) if config.unit == "trajectory" else _on_steps(config)


def _on_steps(config: TrainConfig) -> Callable[[LoadedModel], Imitation]:
    steps = read_training_steps(
        config.trajectories,
        history=config.history,
        observation_chars=config.observation_chars,
        instances=config.instances,
    )

    def make(loaded: LoadedModel) -> Imitation:
        data = encode_steps(steps, loaded.tokenizer, max_prompt_tokens=config.max_prompt_tokens)
        samples = [answer_sample(i.prompt_ids, i.answer_ids, None, 1.0) for i in data.instances]
        return Imitation(samples, config, data.about)

    return make


def _on_trajectories(config: TrainConfig) -> Callable[[LoadedModel], Imitation]:
    trajectories = read_training_trajectories(config.trajectories)

    def make(loaded: LoadedModel) -> Imitation:
        limits = {"observation_chars": config.observation_chars, "max_prompt_tokens": config.max_prompt_tokens}
        made = [trajectory_sample(trajectory, loaded.tokenizer, **limits) for trajectory in trajectories]
        samples = [sample for sample in made if sample is not None and any(sample.loss_mask)]
        if not samples:
            raise ConfigError(f"no trajectory to train on (all {len(made)} are over {config.max_prompt_tokens} tokens)")
        left_out = f", {len(made) - len(samples)} left out as too long" if len(made) > len(samples) else ""
        return Imitation(samples, config, f"{len(samples)} trajectories{left_out}")

    return make
