"""Many episodes side by side: each wave asks for the answers of all live ones at once, then lets the worlds act."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from srl_swe.environments.episodes import EnvironmentFactory, Episode
from srl_swe.records import PreparedTask

Answer = Callable[[Sequence[Episode]], Sequence[str | None]]
"""Answers all live episodes; ``None`` where it has ended the episode instead, by `Episode.cut_off`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """An episode to come."""

    prepared: PreparedTask
    """Its task."""
    options: dict[str, Any] = field(default_factory=dict)
    """See `Episode.options`."""
    group: int = 0
    """See `Episode.group`."""
    attempt: int = 1
    """Which try this is."""


class EpisodeWaves:
    """Runs episodes, and is the one place that opens and closes their worlds.

    Args:
        answer: Who acts.
        environments: Makes the world of a task.
        max_steps: Most actions an episode.
        concurrency: Most worlds open at a time.
        seed: Seed of the worlds.
        attempts: How often an episode is tried, at the end of the line again, where the infrastructure fails.
    """

    def __init__(
        self,
        answer: Answer,
        environments: EnvironmentFactory,
        *,
        max_steps: int,
        concurrency: int,
        seed: int,
        attempts: int = 2,
    ) -> None:
        self.answer, self.environments = answer, environments
        self.max_steps, self.concurrency, self.seed, self.attempts = max_steps, concurrency, seed, attempts
        self._live: list[Episode] = []

    def run(self, waiting: deque[Start]) -> Generator[Episode]:
        """Yield every episode that has ended, one whose last try failed too (see `Episode.failure`).

        Args:
            waiting: Taken from the left. The caller may append more, or clear it, while this runs.

        Raises:
            EngineUnavailableError: no episode can be run at all.
        """
        pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="episode")
        try:
            while waiting or self._live:
                self._fill(waiting, pool)
                self._wave(pool)
                for episode in [e for e in self._live if not e.is_live]:
                    self._live.remove(episode)
                    if episode.failure is not None and episode.attempt < self.attempts:
                        waiting.append(_again(episode))
                    else:
                        yield episode
        finally:
            # Closing first unblocks the threads that wait for a command; one that was just opening is closed after.
            self._close_all()
            pool.shutdown(wait=True, cancel_futures=True)
            self._close_all()
            self._live.clear()

    def _fill(self, waiting: deque[Start], pool: ThreadPoolExecutor) -> None:
        new = []
        while waiting and len(self._live) < self.concurrency:
            start = waiting.popleft()
            environment = self.environments(start.prepared, self.max_steps)
            new.append(
                Episode(
                    prepared=start.prepared,
                    environment=environment,
                    options=start.options,
                    group=start.group,
                    attempt=start.attempt,
                )
            )
            self._live.append(new[-1])
        for future in [pool.submit(episode.start, self.seed) for episode in new]:
            future.result()

    def _wave(self, pool: ThreadPoolExecutor) -> None:
        asking = [episode for episode in self._live if episode.is_live]
        if not asking:
            return
        answers = zip(asking, self.answer(asking), strict=True)
        futures = [pool.submit(episode.advance, answer) for episode, answer in answers if answer is not None]
        for future in futures:
            future.result()

    def _close_all(self) -> None:
        for episode in self._live:
            episode.close()


def _again(episode: Episode) -> Start:
    start = Start(prepared=episode.prepared, options=episode.options, group=episode.group)
    return replace(start, attempt=episode.attempt + 1)
