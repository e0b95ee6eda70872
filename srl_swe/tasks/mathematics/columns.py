r"""Any rows with a problem, an answer and a solution, in columns of whatever names.

Without a mapping: ``problem``, ``question`` or ``prompt``; ``answer`` or ``final_answer``; ``solution``. An answer that
is not given by itself is what the solution states by ``\boxed{…}`` or ``####``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from srl_swe.errors import ConfigError
from srl_swe.records import Split
from srl_swe.rewards.answers import stated_answer
from srl_swe.tasks.formats.reading import task_name
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.mathematics.drafts import ProblemDraft, key_of, short_answer, value_text

TARGETS = ("problem", "answer", "solution", "name", "group", "split")
_GUESSES = {
    "problem": ("problem", "question", "prompt"),
    "answer": ("answer", "final_answer"),
    "solution": ("solution",),
}
_SPLITS: dict[str, Split] = {"train": "train", "test": "heldout", "heldout": "heldout"}


def parse_columns(text: str) -> dict[str, str]:
    """Read ``problem=question,answer=answer,solution=solution``.

    Raises:
        ConfigError: it is not in that form; the part is named.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        target, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column or target not in TARGETS:
            raise ConfigError(f"--columns: expected NAME=COLUMN with NAME one of {', '.join(TARGETS)}, got {part!r}")
        if target in found:
            raise ConfigError(f"--columns: {target} is given twice")
        found[target] = column
    if found and "problem" not in found:
        raise ConfigError("--columns: expected problem=COLUMN among them")
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """The format, by a mapping or by the usual names."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Our name to the column's; empty: the usual names."""

    def recognise(self, row: Row) -> bool:
        """Whether a row has a problem, and an answer or a solution."""
        return bool(self._column(row, "problem")) and bool(self._column(row, "answer") or self._column(row, "solution"))

    def draft(self, row: Row) -> ProblemDraft:
        """Make a draft of a row."""
        texts = {name: value_text(row, column) for name in TARGETS if (column := self._column(row, name))}
        problem = row.text(self._column(row, "problem") or self.names.get("problem", "problem"))
        answer, solution = texts.get("answer", ""), texts.get("solution", "")
        if not solution and answer and not short_answer(answer):  # a whole solution under this name
            answer, solution = "", answer
        name, split = texts.get("name", ""), texts.get("split", "")
        if split and split not in _SPLITS:
            row.fail(self.names["split"], f"expected one of {', '.join((*_SPLITS,))}, got {split[:40]!r}")
        return ProblemDraft(
            group=texts.get("group", ""),
            problem=problem,
            answer=key_of(answer or stated_answer(solution)),
            solution=solution,
            split=_SPLITS.get(split),
            name=task_name(row, self.names["name"], name) if name else "",
        )

    def _column(self, row: Row, target: str) -> str:
        """The column that holds it in this row; empty: none."""
        if self.names:
            named = self.names.get(target, "")
            return named if named in row.fields else ""
        return next((name for name in _GUESSES.get(target, ()) if row.fields.get(name) is not None), "")


assert set(get_args(Split)) == set(_SPLITS.values())
