"""What became of every step, one JSON line each, written as it ends: mining goes on where it stopped."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Literal

from srl_swe.errors import TaskError
from srl_swe.files import append_line, resume_lines

Outcome = Literal["kept", "refused"]


class Journal:
    """``SUITE/.mining/journal.jsonl``. Threads may write at the same time."""

    def __init__(self, suite: Path) -> None:
        """Read what is there.

        Raises:
            ConfigError: a line is not a JSON object.
            TaskError: one is not one of ours.
            StorageError: what a kill cut off cannot be taken away.
        """
        self.path = Path(suite) / ".mining" / "journal.jsonl"
        self.rows: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        for number, row in enumerate(resume_lines(self.path), 1):
            if not isinstance(row.get("key"), str) or row.get("outcome") not in ("kept", "refused"):
                raise TaskError(f"{self.path}: row {number}: expected an object with key and outcome (kept or refused)")
            self.rows[row["key"]] = row

    def write(self, key: str, group: str, outcome: Outcome, *, reason: str, task: str, seconds: float) -> None:
        """Append one row, and have it on disk before going on.

        Raises:
            StorageError: the disk is full …
        """
        row: dict[str, Any] = {"key": key, "group": group, "outcome": outcome, "reason": reason, "task": task}
        row["seconds"] = round(seconds, 1)
        with self._lock:
            append_line(self.path, row)
            self.rows[key] = row

    def kept(self, group: str | None = None) -> int:
        """How many steps, of one group or of all, gave a task."""
        return sum(row["outcome"] == "kept" and group in (None, row.get("group")) for row in self.rows.values())
