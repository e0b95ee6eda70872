"""What every format's reader makes of a row."""

from __future__ import annotations

import re
from dataclasses import dataclass

from srl_swe.errors import TaskError
from srl_swe.records import AnswerKey, Split
from srl_swe.rewards.answers import stated_answer
from srl_swe.tasks.formats.rows import Row

_SHORT_ANSWER = 100
_IN_DOLLARS = re.compile(r"\$+[^$]+\$+(?:\s*(?:,|;|and|or)\s*\$+[^$]+\$+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemDraft:
    """A maths problem that is not in a suite yet."""

    group: str
    """The data set, or its subject: what results are told apart by."""
    problem: str
    """The problem statement."""
    answer: AnswerKey | None = None
    """What a right answer is; ``None``: nobody can say."""
    solution: str = ""
    """An expert's worked solution; empty where there is none."""
    split: Split | None = None
    """``None``: the row does not say."""
    name: str = ""
    """Unique in the suite; empty: by file and row."""


def value_text(row: Row, key: str) -> str:
    """Take a string or a number as text; ``27.0`` is ``27``. A missing field, and ``null``, are an empty string.

    Raises:
        TaskError: it is something else.
    """
    value = row.fields.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        row.fail(key, f"expected text or a number, got a {type(value).__name__}")
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            row.fail(key, f"expected a finite number, got {value}")
        return str(int(value)) if value == int(value) else repr(value)
    try:
        text = str(value)
    except ValueError:
        row.fail(key, "expected a number of fewer digits")
    return row.sound(key, text).strip()


def first_text(row: Row, *keys: str) -> str:
    """Take the first of several fields that holds text; it must be there.

    Raises:
        TaskError: none does, or one is no text.
    """
    return row.text(next((key for key in keys if row.fields.get(key) is not None), keys[0]))


def key_of(answer: str, *, tolerance: float = 0.0) -> AnswerKey | None:
    """The key of an answer; ``None`` for an empty one. A box, and dollars, are taken off."""
    bare = stated_answer(answer) or answer
    bare = bare.strip()
    if _IN_DOLLARS.fullmatch(bare):
        bare = ", ".join(part.strip() for part in re.findall(r"\$+([^$]+)\$+", bare))
    return AnswerKey(answer=bare, tolerance=tolerance) if bare else None


def short_answer(text: str) -> str:
    """The text where it can be an answer by itself: one short line; otherwise an empty string."""
    stripped = text.strip()
    return stripped if stripped and "\n" not in stripped and len(stripped) <= _SHORT_ANSWER else ""


def row_number(row: Row) -> int:
    """Which row of its source it is, from 1."""
    number = row.where.rpartition(":")[2]
    if not number.isdigit():
        raise TaskError(f"{row.where}: expected a row of a file")
    return int(number)
