"""Batches on the disk: what was sampled since the oldest checkpoint is trained on again after a kill, not sampled anew.

Where sampling cannot be repeated (episodes in containers, an engine on another machine) a run goes on exactly only so;
where it can be, it saves the time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

from srl_swe.files import write_atomically
from srl_swe.records import Completion, Ending, Rollout, Sample, Score
from srl_swe.training.batch import Batch, Objective


class BatchLog:
    """``RUN/batches/update-000012.json``: a batch, and the objective's state after it was made."""

    def __init__(self, run: Path) -> None:
        self.folder = run / "batches"

    def next_batch(self, objective: Objective, update: int) -> tuple[Batch, dict[str, Any]]:
        """The batch that was made for ``update``, or a new one, which is then on the disk; the objective's state then.

        Raises:
            StorageError: it cannot be written.
        """
        path = self._path(update)
        if (known := _read(path)) is not None:
            objective.load_state_dict(known[1])
            return known
        batch = objective.next_batch(update)
        state = objective.state_dict()
        if batch.rollouts:  # others cost nothing to make again
            record = {"batch": dataclasses.asdict(batch), "objective": state}
            write_atomically(path, json.dumps(record, separators=(",", ":")))
        return batch, state

    def forget(self, *, up_to: int) -> None:
        """Remove the batches of updates that no checkpoint needs any more."""
        for path in self.folder.glob("update-*.json"):
            if path <= self._path(up_to):
                path.unlink()

    def _path(self, update: int) -> Path:
        return self.folder / f"update-{update:06d}.json"


def _read(path: Path) -> tuple[Batch, dict[str, Any]] | None:
    """A batch with the state after it; ``None`` where it is not there, or not readable."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        record = json.loads(path.read_text())
        made = record["batch"]
        batch = Batch(
            samples=tuple(Sample(**_tuples(sample)) for sample in made["samples"]),
            rollouts=tuple(map(_rollout, made["rollouts"])),
            metrics=made["metrics"],
        )
        return batch, record["objective"]
    return None


def _rollout(record: dict[str, Any]) -> Rollout:
    parts = {
        "completion": Completion(**_tuples(record["completion"])),
        "score": Score(**record["score"]),
        "ending": Ending(record["ending"]),
    }
    return Rollout(**_tuples(record) | parts)


def _tuples(record: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists are our tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}
