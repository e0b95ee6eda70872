"""When a run has used up what it was given, besides its updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from srl_swe.files import read_lines
from srl_swe.training.config import TrainConfig
from srl_swe.training.journal import METRICS

_FIELDS = {"max_trained_tokens": "trained_tokens", "max_seconds": "seconds"}


class Budget:
    """Trained tokens and seconds of a run's updates, read from what it has logged: a resumed run goes on counting.

    Args:
        config: The limits, and the folder.
        done: Updates that the newest checkpoint holds; later ones are made again and do not count yet.
    """

    def __init__(self, config: TrainConfig, done: int) -> None:
        self._limits = {
            metric: float(limit) for name, metric in _FIELDS.items() if (limit := getattr(config, name)) is not None
        }
        self._used = dict.fromkeys(self._limits, 0.0)
        if done:
            for line in read_lines(config.out / METRICS):
                if line["update"] <= done:
                    self.add(line)

    def add(self, metrics: Mapping[str, Any]) -> None:
        """Count one update."""
        for metric in self._used:
            self._used[metric] += float(metrics[metric])

    @property
    def used_up(self) -> bool:
        """Whether any limit is reached: the update that does so is the last."""
        return any(self._used[metric] >= limit for metric, limit in self._limits.items())
