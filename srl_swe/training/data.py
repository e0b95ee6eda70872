"""Training data: step instances as token ids, in a seeded order that can be resumed at any place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from srl_swe.environments.answers import write_answer
from srl_swe.errors import ConfigError
from srl_swe.experts.instances import step_instances
from srl_swe.experts.trajectories import read_trajectories
from srl_swe.policies.chat import encode_answer, encode_prompt
from srl_swe.records import StepInstance, Trajectory
from srl_swe.training.instance_files import read_instance_files
from srl_swe.training.samples import NO_THOUGHT

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedInstance:
    """A step instance with its token ids."""

    instance: StepInstance
    """Where it came from."""
    prompt_ids: tuple[int, ...]
    """The student's context ``[L]``."""
    answer_ids: tuple[int, ...]
    """The expert's thought and action, as the student would write them, with the end-of-turn token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """All step instances of a run."""

    instances: tuple[EncodedInstance, ...]
    """In the files' order."""
    too_long: int
    """Step instances left out since their prompt is longer than allowed."""

    @property
    def about(self) -> str:
        """How many there are, in words."""
        left_out = f", {self.too_long} left out as too long" if self.too_long else ""
        return f"{len(self.instances)} step instances{left_out}"


def read_training_steps(
    paths: Sequence[Path], *, history: int | None, observation_chars: int, instances: Sequence[Path] = ()
) -> list[StepInstance]:
    """Read trajectories and cut them into steps; then files of steps.

    Raises:
        TrajectoryError: a file is wrong.
        ConfigError: a file is not there, or a trajectory or step belongs to a held-out task.
    """
    cut = [
        step
        for trajectory in read_training_trajectories(paths)
        for step in step_instances(trajectory, history=history, observation_chars=observation_chars)
    ]
    return cut + read_instance_files(instances)


def read_training_trajectories(paths: Sequence[Path]) -> list[Trajectory]:
    """Read trajectories whole.

    Raises:
        TrajectoryError: a file is wrong.
        ConfigError: a file is not there, or a trajectory belongs to a held-out task.
    """
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise ConfigError(f"trajectories: no such file: {', '.join(missing)}")
    found: list[Trajectory] = []
    for path in paths:
        for trajectory in read_trajectories(path):
            if trajectory.split != "train":
                raise ConfigError(f"{path}: trajectory {trajectory.trajectory_id!r} is held out; training refuses it")
            found.append(trajectory)
    return found


def encode_steps(
    steps: Sequence[StepInstance], tokenizer: PreTrainedTokenizerBase, *, max_prompt_tokens: int
) -> TrainingData:
    """Encode step instances, leaving out those with a longer prompt.

    Raises:
        ConfigError: nothing is left to train on.
    """
    encoded: list[EncodedInstance] = []
    too_long = 0
    for instance in steps:
        prompt_ids = encode_prompt(tokenizer, instance.messages)
        if len(prompt_ids) > max_prompt_tokens:
            too_long += 1
            continue
        thought = instance.expert_thought or NO_THOUGHT
        answer = write_answer(thought, instance.expert_action, domain=instance.domain)
        answer_ids = encode_answer(tokenizer, answer)
        encoded.append(EncodedInstance(instance=instance, prompt_ids=prompt_ids, answer_ids=answer_ids))
    if not encoded:
        raise ConfigError(f"no step instance to train on ({too_long} had prompts of over {max_prompt_tokens} tokens)")
    return TrainingData(instances=tuple(encoded), too_long=too_long)


class SeededOrder:
    """An endless walk over ``size`` items, each epoch in a new order that depends on the seed and the epoch alone."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.position = 0
        """Items taken so far: the whole state."""
        self._epoch = -1
        self._order: list[int] = []

    def take(self, count: int) -> list[int]:
        """Return the next ``count`` indices."""
        taken = []
        for _ in range(count):
            epoch, place = divmod(self.position, self.size)
            if epoch != self._epoch:
                self._epoch = epoch
                self._order = np.random.default_rng([self.seed, epoch]).permutation(self.size).tolist()
            taken.append(self._order[place])
            self.position += 1
        return taken
