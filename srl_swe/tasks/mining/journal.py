"""What became of every step, one JSON line each, written as it ends: mining goes on where it stopped."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Literal

from srl_swe.errors import StorageError, TaskError
from srl_swe.files import append_line

Outcome = Literal["kept", "refused"]


class Journal:
    """``SUITE/.mining/journal.jsonl``. Threads may write at the same time."""

    def __init__(self, suite: Path) -> None:
        """Read what is there.

        Raises:
            TaskError: a line is not one of ours.
            StorageError: the folder cannot be made.
        """
        self.path = Path(suite) / ".mining" / "journal.jsonl"
        self.rows: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            data = self.path.read_bytes() if self.path.exists() else b""
            whole, _, torn = data.rpartition(b"\n")
            if torn:
                # The last line of a process that was killed while it wrote: that step is done again.
                with self.path.open("r+b") as file:
                    file.truncate(len(data) - len(torn))
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror or error}") from None
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row = json.loads(line)
                self.rows[row["key"]] = row
                if row["outcome"] not in ("kept", "refused"):
                    raise ValueError
            except (ValueError, KeyError, TypeError):
                raise TaskError(
                    f"{self.path}:{number}: expected an object with key and outcome (kept or refused)"
                ) from None

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
