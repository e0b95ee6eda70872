"""How rows are read: the options of an import, and the names and dates of tasks."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

from srl_swe.tasks.formats.rows import Row

_LONGEST_NAME = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The options of an import."""

    suite: Path
    """The suite's folder."""
    mirror: Path | None = None
    """A folder of clones that stand in for URLs."""
    build: bool = False
    """Whether worlds are built from repositories where a row names a prebuilt image too."""
    timeout_s: float = 300.0
    """Of the test run."""

    def url_of(self, row: Row, repository: str) -> str:
        """Where ``owner/name`` is cloned from: beside the file, where an export puts its own, or GitHub."""
        beside = Path(row.where.rpartition(":")[0] + ".repositories") / f"{repository.replace('/', '__')}.git"
        return str(beside.resolve()) if (beside / "HEAD").is_file() else f"https://github.com/{repository}"


def task_name(row: Row, key: str, value: str) -> str:
    """A folder's name from an id: the id itself wherever it can be one."""
    name = re.sub(r"[^\w.+-]+", "-", value).strip("-.")
    if not name or len(name.encode()) > _LONGEST_NAME or name.startswith("_"):
        row.fail(key, f"expected a name that a folder can have, got {value!r}")
    return name


def day(row: Row, key: str) -> str:
    """The day of a date in ISO 8601, or empty."""
    value = row.fields.get(key)
    # Parquet holds days and moments as such.
    text = value.isoformat() if isinstance(value, datetime.date) else row.text(key, "")
    try:
        # Python 3.11 reads all of ISO 8601, but not a space before the zone.
        return datetime.datetime.fromisoformat(text.strip()).date().isoformat() if text else ""
    except ValueError:
        row.fail(key, f"expected a date such as 2023-10-06, got {text!r}")
