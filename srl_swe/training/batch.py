"""What an update trains on, and who makes it. The loop knows only the protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from srl_swe.policies.engine import Engine
from srl_swe.records import Rollout, Sample
from srl_swe.training.losses import Loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What one update trains on."""

    samples: tuple[Sample, ...]
    """Samples."""
    rollouts: tuple[Rollout, ...] = ()
    """All rollouts that were made for it, those of dropped groups too."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What is logged."""


class Objective(Protocol):
    """Makes batches."""

    @property
    def loss(self) -> Loss:
        """What the learner minimises."""
        ...

    @property
    def temperature(self) -> float:
        """Of the log-probabilities that the loss takes."""
        ...

    @property
    def engine(self) -> Engine | None:
        """What it samples with; ``None``: it samples nothing."""
        ...

    @property
    def about(self) -> str:
        """What it draws from, in a few words."""
        ...

    def next_batch(self, update: int) -> Batch:
        """Make the batch of update number ``update``."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What, with the update's number, all further batches depend on; as JSON."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        ...
