"""s1K and s1K-1.1 (simplescaling/s1, Apache-2.0): 1,000 hard problems with models' solutions.

``solution`` is the truth, a short answer or a worked solution. The expert is the model whose attempt is given:
``deepseek_attempt`` (s1K-1.1; the experts of the SRL paper), else ``gemini_attempt`` or ``attempt``; an attempt that
was graded as wrong is none. Where there is no attempt, a worked solution is the expert's.
"""

from __future__ import annotations

from srl_swe.rewards.answers import stated_answer
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.mathematics.drafts import ProblemDraft, first_text, key_of, short_answer

_ATTEMPTS = (("deepseek_attempt", "deepseek_grade"), ("gemini_attempt", "gemini_grade"), ("attempt", ""))
_MARKS = {"cot_type", "source_type", "thinking_trajectories", *(name for name, _ in _ATTEMPTS)}
_PLAIN = {"problem", "solution", "thinking", "source", "subject"}


def recognise(row: Row) -> bool:
    """Whether a row is of this format: the data set's, or its problems and solutions alone."""
    keys = row.fields.keys()
    return ({"question", "solution"} <= keys and bool(_MARKS & keys)) or keys >= _PLAIN


def draft(row: Row) -> ProblemDraft:
    """Make a draft of a row."""
    truth = row.text("solution")
    worked = "" if short_answer(truth) else truth
    return ProblemDraft(
        group="s1k",
        problem=first_text(row, "question", "problem"),
        answer=key_of(stated_answer(truth) or short_answer(truth)),
        solution=_attempt(row) or worked,
        split="train",
    )


def _attempt(row: Row) -> str:
    for name, grade in _ATTEMPTS:
        value = row.fields.get(name)
        if value is None or str(row.fields.get(grade, "")).strip().lower() == "no":
            continue
        text = "\n".join(row.texts(name)) if isinstance(value, list) else row.text(name, "")
        if text.strip():
            return text
    return ""
