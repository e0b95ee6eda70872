"""Splits of a suite: made by repository, time or hash, recorded in ``suite.toml``, and enforced whenever it is read.

::

    [split]
    by = "repository"                   # or "time", or "hash"
    heldout = ["ledger", "owner/name"]  # repositories; or the first day held out: ["2024-06-01"]; or a part: ["0.2"]
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from srl_swe.errors import TaskError
from srl_swe.records import Split, Task
from srl_swe.tasks.fields import Fields

By = Literal["repository", "time", "hash"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitRule:
    """How a suite is split."""

    by: By
    """What decides."""
    heldout: tuple[str, ...]
    """``repository``: names; ``time``: one day, from which on tasks are held out; ``hash``: one part, such as 0.2."""

    def split_of(self, task: Task) -> Split:
        """Which side a task is on."""
        return self.side(task.repository, task.created_at)

    def side(self, repository: str, created_at: str) -> Split:
        """Which side a task would be on; by time, one without a date is held out."""
        if self.by == "repository":
            held = repository in self.heldout
        elif self.by == "time":
            held = not created_at or created_at >= self.heldout[0]
        else:
            held = _place(repository) < float(self.heldout[0])
        return "heldout" if held else "train"


def read_rule(fields: Fields) -> SplitRule:
    """Read the table ``[split]``.

    Raises:
        TaskError: naming the file and the field.
    """
    by = cast(By, fields.text("by", choices=get_args(By)))
    heldout = fields.texts("heldout", allow_empty=by == "repository")
    fields.finish()
    if by == "time":
        _one(
            fields,
            heldout,
            "a day such as 2024-06-01",
            lambda text: datetime.date.fromisoformat(text).isoformat() == text,
        )
    elif by == "hash":
        _one(fields, heldout, "a part between 0 and 1", lambda text: 0 <= float(text) <= 1)
    return SplitRule(by=by, heldout=heldout)


def make_rule(tasks: Sequence[Task], by: By, heldout: Sequence[str]) -> SplitRule:
    """Return a rule for the tasks of a suite.

    Args:
        tasks: The suite's.
        by: What decides. A repository is never on both sides: by hash, the repository's name is what is hashed.
        heldout: A fraction of the tasks; or names of repositories, or the first day.

    Raises:
        TaskError: what is held out is no fraction, and no name or day that the suite has.
    """
    if len(heldout) != 1 or (fraction := _fraction(heldout[0])) is None:
        return _named(tasks, by, heldout)
    if by == "hash":
        return SplitRule(by=by, heldout=(f"{fraction:g}",))
    wanted = fraction * len(tasks)
    if by == "time":
        days = sorted((task.created_at for task in tasks), reverse=True)
        if not all(days):
            raise TaskError("--by time: expected created_at in every task.toml of the suite")
        # At least the fraction: all of one day are on one side.
        return SplitRule(by=by, heldout=(days[max(0, min(len(days), round(wanted)) - 1)],))
    counts: dict[str, int] = {}
    for task in tasks:
        counts[task.repository] = counts.get(task.repository, 0) + 1
    chosen, held = [], 0
    # In an order that says nothing of the repositories, and is the same every time.
    for name in sorted(counts, key=_place):
        if held < wanted and held + counts[name] <= max(wanted, min(counts.values())):
            chosen.append(name)
            held += counts[name]
    return SplitRule(by=by, heldout=tuple(sorted(chosen)))


def check_rule(rule: SplitRule, tasks: Sequence[Task]) -> None:
    """See that every task's declaration agrees with the suite's rule.

    Raises:
        TaskError: naming the file of one that does not.
    """
    for task in tasks:
        expected = rule.split_of(task)
        if task.split != expected:
            raise TaskError(
                f"{task.folder / 'task.toml'}: split: expected {expected!r}, by the rule in suite.toml "
                f"(by {rule.by}), got {task.split!r}"
            )


def _named(tasks: Sequence[Task], by: By, heldout: Sequence[str]) -> SplitRule:
    if by == "repository":
        known = {task.repository for task in tasks}
        for name in heldout:
            if name not in known:
                raise TaskError(
                    f"--heldout: expected repositories of the suite ({', '.join(sorted(known))}), got {name!r}"
                )
        return SplitRule(by=by, heldout=tuple(sorted(set(heldout))))
    if by == "time" and len(heldout) == 1:
        try:
            return SplitRule(by=by, heldout=(datetime.date.fromisoformat(heldout[0]).isoformat(),))
        except ValueError:
            pass
    expected = "a fraction, or a day such as 2024-06-01" if by == "time" else "a fraction between 0 and 1"
    raise TaskError(f"--heldout: expected {expected}, got {', '.join(heldout) or 'nothing'}")


def _fraction(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _place(name: str) -> float:
    """Where a name falls between 0 and 1."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / (1 << 48)


def _one(fields: Fields, values: Sequence[str], expected: str, holds: Callable[[str], bool]) -> None:
    try:
        good = len(values) == 1 and holds(values[0])
    except ValueError:
        good = False
    if not good:
        fields.fail("heldout", f"expected {expected}, got {list(values)!r}")
