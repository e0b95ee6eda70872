"""One episode to be run, and what the runner needs of it, whoever acts in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from srl_swe.errors import ConfigError
from srl_swe.records import EpisodeResult, PreparedTask


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One episode to be run."""

    prepared: PreparedTask
    """The task."""
    greedy: bool = False
    """Whether the most likely answers are taken."""
    sample: int = 0
    """Which of the task's drawn episodes."""

    @property
    def key(self) -> tuple[str, bool, int]:
        """As `EpisodeResult.key`."""
        return self.prepared.task.task_id, self.greedy, self.sample


class RunningEpisode(Protocol):
    """What the runner needs of an episode."""

    @property
    def failure(self) -> str | None:
        """What failed that is not the doing of whoever acts; ``None``: nothing."""

    def run(self) -> None:
        """Go through it to its end, and close its world.

        Raises:
            ConfigError: no episode can be run this way.
            EngineUnavailableError: no episode can be run at all.
        """

    def close(self) -> None:
        """Close its world, also under a `run` that another thread is in."""

    def result(self, policy: str) -> EpisodeResult:
        """The line of ``results.jsonl``."""

    def record(self, policy: str) -> dict[str, Any]:
        """The line of ``transcripts.jsonl``."""


def plan(tasks: Sequence[PreparedTask], *, samples: int, greedy: bool) -> list[Job]:
    """The episodes of every task: the greedy one first, if there is one, then the samples.

    Raises:
        ConfigError: there are none, or tasks are not distinct.
    """
    ids = [prepared.task.task_id for prepared in tasks]
    if len(set(ids)) != len(ids):
        raise ConfigError(f"tasks: {next(i for i in ids if ids.count(i) > 1)} occurs twice")
    if samples < 0 or not (samples or greedy):
        raise ConfigError(f"samples: must be at least {0 if greedy else 1}, not {samples}")
    return [
        job
        for prepared in tasks
        for job in (
            *([Job(prepared=prepared, greedy=True)] if greedy else []),
            *(Job(prepared=prepared, sample=sample) for sample in range(samples)),
        )
    ]


def without_patch(result: EpisodeResult) -> dict[str, Any]:
    """A result's fields, as ``transcripts.jsonl`` repeats them."""
    fields = dataclasses.asdict(result)
    del fields["patch"]
    return fields
