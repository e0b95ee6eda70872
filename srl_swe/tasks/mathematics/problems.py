"""A suite of maths problems: ``suite.toml``, as any suite has it, and ``problems.jsonl``, one JSON object a line::

    {"schema": 1, "name": "gsm8k_train-00001", "group": "gsm8k", "split": "train", "problem": "…",
     "answer": "72", "solution": "…"}

``answer`` is ``null`` where nobody can say what is right. Optional: ``tolerance`` (a number may be off by it),
``scorer`` (``math-verify`` or ``reasoning-gym``) and ``recipe`` (how reasoning-gym makes the problem again).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from srl_swe.errors import TaskError
from srl_swe.files import replacing
from srl_swe.records import AnswerKey, RepositorySource, Split, Task
from srl_swe.tasks.formats.rows import Row, read_rows

PROBLEMS = "problems.jsonl"
SCHEMA = 1

_TEXTS = ("name", "group", "split", "problem")
_OPTIONAL = {"answer", "solution", "tolerance", "scorer", "recipe"}
_SCORERS = ("math-verify", "reasoning-gym")


def is_problem(row: Row) -> bool:
    """Whether a row is of ``problems.jsonl``."""
    return {"schema", *_TEXTS} <= row.fields.keys()


def read_problems(folder: Path, suite: str) -> list[Task]:
    """Read the problems of a suite's folder, in the file's order.

    Raises:
        TaskError: naming file, line and field.
    """
    found: dict[str, Task] = {}

    def stop(error: TaskError) -> None:
        raise error

    for row in read_rows(str(folder / PROBLEMS), stop):
        task = parse_problem(row, suite)
        if task.task_id in found:
            row.fail("name", f"{task.task_id!r} is there twice")
        found[task.task_id] = task
    if not found:
        raise TaskError(f"{folder / PROBLEMS}: expected at least one problem, the file is empty")
    return list(found.values())


def parse_problem(row: Row, suite: str) -> Task:
    """Make the task of a row of ``problems.jsonl``.

    Raises:
        TaskError: naming file, line and field.
    """
    fields = row.fields
    unknown = sorted(fields.keys() - {"schema", *_TEXTS, *_OPTIONAL})
    if unknown:
        row.fail(unknown[0], "unknown field")
    if fields.get("schema") != SCHEMA or isinstance(fields["schema"], bool):
        row.fail("schema", f"expected {SCHEMA}")
    name, split = row.text("name"), row.text("split")
    if "/" in name or name != name.strip():
        row.fail("name", f"expected a name without '/', got {name!r}")
    if split not in get_args(Split):
        row.fail("split", f"expected {' or '.join(get_args(Split))}, got {split!r}")
    return make_task(
        suite,
        row.folder,
        name=name,
        group=row.text("group"),
        split=split,  # type: ignore[arg-type]  # checked just above
        problem=row.text("problem"),
        answer=_key(row),
        solution=row.text("solution", ""),
    )


def make_task(
    suite: str,
    folder: Path,
    *,
    name: str,
    group: str,
    split: Split,
    problem: str,
    answer: AnswerKey | None,
    solution: str = "",
) -> Task:
    """The task of a maths problem."""
    return Task(
        task_id=f"{suite}/{name}",
        suite=suite,
        domain="mathematics",
        repository=group,
        split=split,
        problem_statement=problem.strip(),
        folder=folder.resolve(),
        source=RepositorySource(kind="none", location=""),
        answer=answer,
        solution=solution,
    )


def write_problems(folder: Path, tasks: Iterable[Task]) -> None:
    """Write ``problems.jsonl``, atomically.

    Raises:
        StorageError: the disk is full, the folder is read-only …
    """
    with replacing(folder / PROBLEMS) as out:
        for task in tasks:
            out.write((json.dumps(_record(task), ensure_ascii=False) + "\n").encode())


def same_problem(problem: str) -> str:
    """What two wordings of one problem have in common: the text without differences of space and case."""
    return " ".join(problem.split()).casefold()


def _key(row: Row) -> AnswerKey | None:
    extra = sorted({"tolerance", "scorer", "recipe"} & row.fields.keys())
    if row.fields.get("answer") is None:
        if extra:
            row.fail(extra[0], "expected an answer beside it")
        return None
    tolerance, scorer = row.fields.get("tolerance", 0.0), row.fields.get("scorer", "math-verify")
    is_number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if not is_number or not (0 <= tolerance < math.inf):
        row.fail("tolerance", f"expected a number from 0 on, got {tolerance!r}")
    if scorer not in _SCORERS:
        row.fail("scorer", f"expected {' or '.join(_SCORERS)}, got {scorer!r}")
    recipe = row.text("recipe") if scorer == "reasoning-gym" else ""
    return AnswerKey(answer=row.text("answer"), tolerance=float(tolerance), scorer=scorer, recipe=recipe)


def _record(task: Task) -> dict[str, Any]:
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "name": task.task_id.partition("/")[2],
        "group": task.repository,
        "split": task.split,
        "problem": task.problem_statement,
        "answer": None if task.answer is None else task.answer.answer,
        "solution": task.solution,
    }
    if task.answer is not None:
        for name, default in (("tolerance", 0.0), ("scorer", "math-verify"), ("recipe", "")):
            if (value := getattr(task.answer, name)) != default:
                record[name] = value
    return record
