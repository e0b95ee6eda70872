"""OlympiadBench (OpenBMB/OlympiadBench): ``question``, ``context``, ``error``, lists ``solution``, ``final_answer``.

``error`` is how far a number may be off. Proofs have no final answer; problems with pictures are refused. For
evaluation.
"""

from __future__ import annotations

import re

from srl_swe.records import AnswerKey
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.mathematics.drafts import ProblemDraft, key_of, value_text

_FIELDS = {"answer_type", "is_multiple_answer", "question_type", "subfield"}


def recognise(row: Row) -> bool:
    """Whether a row is of this format."""
    keys = row.fields.keys()
    return {"question", "final_answer"} <= keys and bool(_FIELDS & keys)


def draft(row: Row) -> ProblemDraft:
    """Make a draft of a row."""
    pictures = [name for name, value in row.fields.items() if re.fullmatch(r"image_\d+", str(name)) and value]
    if pictures or value_text(row, "modality").lower() == "multimodal":
        row.refuse(pictures[0] if pictures else "modality", "the problem has a picture")
    context, subfield = value_text(row, "context"), value_text(row, "subfield")
    question = row.text("question")
    identifier = value_text(row, "id")
    return ProblemDraft(
        group=f"olympiadbench/{subfield}" if subfield else "olympiadbench",
        problem=f"{context}\n\n{question}" if context else question,
        answer=_answer(row),
        solution="\n\n".join(_texts(row, "solution")),
        split="heldout",
        name=f"olympiadbench-{identifier}" if identifier else "",
    )


def _answer(row: Row) -> AnswerKey | None:
    found = [key for text in _texts(row, "final_answer") if (key := key_of(text))]
    if not found:
        return None
    return AnswerKey(answer=", ".join(key.answer for key in found), tolerance=_tolerance(row))


def _tolerance(row: Row) -> float:
    text = value_text(row, "error")
    try:
        values = [abs(float(part)) for part in text.split(",") if part.strip()]
    except ValueError:
        row.fail("error", f"expected a number such as 1e-1, got {text[:40]!r}")
    if any(not value < 1e300 for value in values):
        row.fail("error", f"expected a finite number, got {text[:40]!r}")
    return min(values, default=0.0)


def _texts(row: Row, name: str) -> tuple[str, ...]:
    """A list of texts, or one text by itself."""
    value = row.fields.get(name)
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return (row.text(name),) if value.strip() else ()
    return row.texts(name, ())
