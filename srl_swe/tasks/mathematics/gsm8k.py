"""GSM8K (openai/grade-school-math, MIT): ``question``, and ``answer``: a solution line by line, then ``#### 72``."""

from __future__ import annotations

import re

from srl_swe.records import AnswerKey
from srl_swe.rewards.answers import stated_answer
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.mathematics.drafts import ProblemDraft

_END = re.compile(r"^####[ \t]*\S", re.MULTILINE)


def recognise(row: Row) -> bool:
    """Whether a row is of this format."""
    answer = row.fields.get("answer")
    return "question" in row.fields and isinstance(answer, str) and _END.search(answer) is not None


def draft(row: Row) -> ProblemDraft:
    """Make a draft of a row. It does not say which split it is of."""
    solution = row.text("answer")
    answer = stated_answer(solution)
    if _END.search(solution) is None or not answer:
        row.fail("answer", "expected a last line such as #### 72")
    return ProblemDraft(group="gsm8k", problem=row.text("question"), answer=AnswerKey(answer=answer), solution=solution)
