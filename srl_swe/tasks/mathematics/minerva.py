r"""Minerva's problems of MIT OpenCourseWare: ``problem``, ``solution`` with ``\boxed{…}``, ``type``, ``idx``."""

from __future__ import annotations

from srl_swe.rewards.answers import stated_answer
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.mathematics.drafts import ProblemDraft, key_of, value_text


def recognise(row: Row) -> bool:
    """Whether a row is of this format."""
    return {"problem", "solution", "type", "idx"} <= row.fields.keys() and "level" not in row.fields


def draft(row: Row) -> ProblemDraft:
    """Make a draft of a row."""
    solution = row.text("solution")
    answer = key_of(value_text(row, "answer") or stated_answer(solution))
    if answer is None:
        row.fail("solution", "expected the answer in \\boxed{…}")
    course = value_text(row, "type").partition(" (")[0]
    return ProblemDraft(
        group=f"minerva/{course}" if course else "minerva",
        problem=row.text("problem"),
        answer=answer,
        solution=solution,
        split="heldout",
        name=f"minerva-{value_text(row, 'idx')}",
    )
