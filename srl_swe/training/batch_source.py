"""Batches one after the other; where that is asked for, the next one is sampled while an update trains on this one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from srl_swe.training.batch import Batch, Objective
from srl_swe.training.batch_log import BatchLog


class BatchSource:
    """Gives each update its batch, from the log or newly sampled.

    With ``overlap`` an engine with weights of its own samples batch u + 1, in another thread, while update u trains on
    batch u. It is given new weights between batches only, so that batch u is always by the weights after u - 2 updates,
    whoever is faster: the rollouts of a run are the same each time, and after a kill too.

    Args:
        log: Where batches are kept.
        objective: Makes them; it is called by one thread at a time.
        overlap: Whether the next batch is begun when one is taken.
    """

    def __init__(self, log: BatchLog, objective: Objective, *, overlap: bool) -> None:
        self._log, self._objective = log, objective
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sampling") if overlap else None
        self._next: tuple[int, Future[tuple[Batch, dict[str, Any]]]] | None = None
        self.state = objective.state_dict()
        """The objective's after the batch taken last; itself it may be ahead."""

    def take(self, update: int, *, last: bool) -> Batch:
        """The batch of ``update``; unless it is the last one, the next is begun.

        Raises:
            StorageError: it cannot be written.
            Exception: what the objective raised.
        """
        if self._next is not None and self._next[0] == update:
            batch, self.state = self._next[1].result()
        else:
            batch, self.state = self._log.next_batch(self._objective, update)
        self._next = None
        if self._thread is not None and not last:
            self._next = update + 1, self._thread.submit(self._log.next_batch, self._objective, update + 1)
        return batch

    def wait(self) -> None:
        """Until nobody samples, so that the engine may be given new weights. What went wrong is said by `take`."""
        if self._next is not None:
            wait([self._next[1]])

    def close(self) -> None:
        """Wait for what was begun, and forget it."""
        if self._thread is not None:
            self._thread.shutdown()
