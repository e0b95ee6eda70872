r"""MATH (hendrycks/math, MIT) and MATH-500: ``problem``, ``solution`` with ``\boxed{…}``, ``level``, ``type``.

MATH-500 has ``subject`` for ``type`` and adds ``answer`` and ``unique_id``, whose first part is the split.
"""

from __future__ import annotations

import re

from srl_swe.records import Split
from srl_swe.rewards.answers import stated_answer
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.mathematics.drafts import ProblemDraft, key_of, value_text

_SPLITS: dict[str, Split] = {"train": "train", "test": "heldout"}


def recognise(row: Row) -> bool:
    """Whether a row is of this format."""
    keys = row.fields.keys()
    marked = "unique_id" in keys or ("level" in keys and bool(keys & {"type", "subject"}))
    return {"problem", "solution"} <= keys and marked


def draft(row: Row) -> ProblemDraft:
    """Make a draft of a row; without ``unique_id`` it does not say which split it is of."""
    solution = row.text("solution")
    subject = value_text(row, "subject") or value_text(row, "type")
    identifier = value_text(row, "unique_id").removesuffix(".json")
    return ProblemDraft(
        group=f"math/{subject}" if subject else "math",
        problem=row.text("problem"),
        answer=key_of(value_text(row, "answer") or stated_answer(solution)),
        solution=solution,
        split=_SPLITS.get(identifier.partition("/")[0]),
        name=re.sub(r"[^\w.-]+", "-", identifier).strip("-."),
    )
