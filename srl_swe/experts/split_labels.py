"""Splits are by task: a task that one file trains on and another holds out makes every held-out number worthless."""

from __future__ import annotations

from srl_swe.errors import ConfigError
from srl_swe.records import Split


class SplitLabels:
    """The split that each task was met with, over several files."""

    def __init__(self) -> None:
        self._met: dict[str, tuple[Split, str]] = {}

    def note(self, task_id: str, split: Split, where: str) -> None:
        """Note a task's split.

        Args:
            task_id: The task.
            split: Its split, as it stands at ``where``.
            where: File and line.

        Raises:
            ConfigError: the task was met with the other split; both places are named.
        """
        known, earlier = self._met.setdefault(task_id, (split, where))
        if known != split:
            problem = f"task {task_id!r} is {split} here and {known} at {earlier}"
            raise ConfigError(f"{where}: split: {problem}; splits are by task")
