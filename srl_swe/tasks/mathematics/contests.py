"""AIME and AMC problems, as the evaluation data of several papers have them: ``problem`` (or ``question``), ``answer``.

A row is told by its ``url`` or ``id``, such as ``…/2024_AIME_I_Problems/Problem_1`` or ``2024-II-4``. For evaluation.
"""

from __future__ import annotations

import re

from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.mathematics.drafts import ProblemDraft, first_text, key_of, value_text

_PLACE = re.compile(r"(?P<year>\d{4})_(?P<contest>AIME|AMC)_(?P<part>\w+?)_Problems/Problem_(?P<number>\d+)")
_AIME_ID = re.compile(r"(?P<year>\d{4})-(?P<part>I{1,2})-(?P<number>\d+)")


def recognise(row: Row) -> bool:
    """Whether a row is of this format."""
    keys = {str(key).lower() for key in row.fields}
    return bool(keys & {"problem", "question"}) and "answer" in keys and _place(row) is not None


def draft(row: Row) -> ProblemDraft:
    """Make a draft of a row."""
    place = _place(row)
    if place is None:
        row.fail("url", "expected the address of an AIME or AMC problem, or an id such as 2024-II-4")
    contest = place.groupdict().get("contest", "AIME").lower()
    key = next((name for name in ("answer", "Answer") if name in row.fields), "answer")
    answer = key_of(value_text(row, key))
    if answer is None:
        row.fail(key, "missing; expected the answer")
    return ProblemDraft(
        group=contest,
        problem=first_text(row, "problem", "question", "Problem", "Question"),
        answer=answer,
        solution=next((row.text(name) for name in ("solution", "Solution") if row.fields.get(name)), ""),
        split="heldout",
        name=f"{contest}-{place['year']}-{place['part']}-{place['number']}".lower(),
    )


def _place(row: Row) -> re.Match[str] | None:
    for name, pattern in (("url", _PLACE), ("id", _AIME_ID), ("ID", _AIME_ID)):
        value = row.fields.get(name)
        if isinstance(value, str) and (found := pattern.search(value)):
            return found
    return None
