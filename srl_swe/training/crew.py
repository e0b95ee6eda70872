"""One run in several processes: the first one runs the loop, the others do their part of what its learner is told.

The first process alone makes batches, has the engine and whole weights for it (a copy in the precision of the passes,
on the GPU where it generates itself, else in the CPU's memory), and writes logs. What it tells its learner goes to all
processes, and an error of one of them comes back as its own. A process that dies ends the run: its connections close,
and `torchrun` ends the others.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from srl_swe.errors import SrlSweError
from srl_swe.policies.models import LoadedModel, load_model
from srl_swe.records import Sample
from srl_swe.training.config import TrainConfig
from srl_swe.training.learner import UpdateStats
from srl_swe.training.losses import Loss
from srl_swe.training.processes import Processes
from srl_swe.training.random_states import random_states, restore_random_states, seed_all
from srl_swe.training.reference import Reference
from srl_swe.training.sharding import AbandonedError, ShardedLearner


class Crew:
    """To the loop, in the first process, a learner; the others `follow`.

    Args:
        processes: All of them.
    """

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self._whole: LoadedModel | None = None
        self._learner: ShardedLearner
        self._reference: Reference | None = None
        self._published = True
        self._busy = False

    @contextmanager
    def leading(self) -> Iterator[None]:
        """In the first process: at the end, however it comes, the others stop following."""
        try:
            yield
        finally:
            if not self._busy:  # else they do not listen; they end when this process does
                self.processes.broadcast(None)

    def follow(self) -> None:
        """In the others: do what the first process's learner is told, until it needs no more.

        Nothing is open here that would have to be closed: a signal ends the process even while it waits.
        """
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while (told := self.processes.broadcast(None)) is not None:
            self._do(*told)

    def begin(self, loaded: LoadedModel, source: str, config: TrainConfig, loss: Loss, temperature: float) -> None:
        """Make the learner of every process.

        Args:
            loaded: The first process's whole model; see `publish`.
            source: What all load theirs from.
            config: The run's.
            loss: What is minimised.
            temperature: See `Learner`.

        Raises:
            ModelError: the model cannot be trained.
        """
        self._whole = loaded
        dtype = str(loaded.model.dtype).removeprefix("torch.")
        self._tell("begin", source, dtype, config, loss, temperature)

    def update(self, samples: Sequence[Sample], learning_rate: float) -> UpdateStats:
        """See `Learner.update`."""
        self._published = False
        stats: UpdateStats = self._tell("update", samples, learning_rate)
        return stats

    def score(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """See `Learner.score`."""
        scores: list[tuple[float, ...]] = self._tell("score", samples)
        return scores

    def annotate(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        """See `Reference.annotate`."""
        annotated: tuple[Sample, ...] = self._tell("annotate", samples)
        return annotated

    def save(self, folder: Path) -> None:
        """See `Learner.save`: each process writes what it holds, into one folder that all of them see."""
        self._tell("save", folder)

    def load(self, folder: Path) -> None:
        """See `Learner.load`."""
        self._published = False
        self._tell("load", folder)

    def publish(self) -> None:
        """Bring the first process's whole model up to date."""
        if not self._published:
            self._tell("publish")
            self._published = True

    def _tell(self, name: str, *arguments: Any) -> Any:
        self._busy = True
        self.processes.broadcast((name, arguments))
        result, error = self._do(name, arguments)
        self._busy = False
        if error is not None:
            raise error
        return result

    def _do(self, name: str, arguments: tuple[Any, ...]) -> tuple[Any, SrlSweError | None]:
        """Do it in this process; return its result, and the first error that any process has met."""
        result = error = None
        work: Callable[..., Any] = getattr(self, f"_do_{name}")
        try:
            result = work(*arguments)
        except AbandonedError:
            pass
        except SrlSweError as met:
            error = met
        errors = [met for met in self.processes.gather(error) if met is not None]
        return result, errors[0] if errors else None

    def _do_begin(self, source: str, dtype: Any, config: TrainConfig, loss: Loss, temperature: float) -> None:
        states = random_states()
        seed_all(config.seed)  # an adapter begins with the same numbers everywhere
        loaded = load_model(
            source,
            dtype=dtype,
            device="cpu",
            lora_rank=config.lora_rank,
            gradient_checkpointing=config.gradient_checkpointing,
        )
        restore_random_states(states)
        self._learner = ShardedLearner(
            loaded,
            loss,
            processes=self.processes,
            weight_decay=config.weight_decay,
            max_grad_norm=config.max_grad_norm,
            temperature=temperature,
        )
        self._reference = Reference(loaded) if loss.needs_reference else None

    def _do_update(self, samples: Sequence[Sample], learning_rate: float) -> UpdateStats:
        return self._learner.update(samples, learning_rate)

    def _do_score(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        return self._learner.score(samples)

    def _do_annotate(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        assert self._reference is not None, "the loss needs no reference"
        return self._reference.annotate(samples, self._learner)

    def _do_save(self, folder: Path) -> None:
        self._learner.save(folder)

    def _do_load(self, folder: Path) -> None:
        self._learner.load(folder)

    def _do_publish(self) -> None:
        self._learner.copy_to(None if self._whole is None else self._whole.model)
