"""Imports: rows of any maths format into a suite of problems, and an account of every row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from srl_swe.errors import ConfigError, TaskError
from srl_swe.records import Split, Task
from srl_swe.tasks.folder import SUITE_FILE, read_suite_file
from srl_swe.tasks.formats.importing import Account
from srl_swe.tasks.formats.rows import RefusedRowError, Row, is_hub_name, read_rows
from srl_swe.tasks.mathematics import competition_math, contests, gsm8k, minerva, olympiadbench, s1k
from srl_swe.tasks.mathematics.columns import Columns
from srl_swe.tasks.mathematics.drafts import ProblemDraft, row_number
from srl_swe.tasks.mathematics.problems import (
    PROBLEMS,
    is_problem,
    make_task,
    parse_problem,
    read_problems,
    same_problem,
    write_problems,
)
from srl_swe.tasks.writing import write_suite


class Format(Protocol):
    """What a format's module has."""

    def recognise(self, row: Row) -> bool:
        """Whether a row is of this format."""

    def draft(self, row: Row) -> ProblemDraft:
        """Make a draft of a row."""


# The order of recognition: the usual columns are what many data sets have besides their own.
FORMATS: MappingProxyType[str, Format] = MappingProxyType(
    {
        "gsm8k": gsm8k,
        "olympiadbench": olympiadbench,
        "s1k": s1k,
        "contests": contests,
        "minerva": minerva,
        "math": competition_math,
        "columns": Columns(),
    }
)


@dataclass(kw_only=True, slots=True)
class _Suite:
    """A suite that is being filled."""

    folder: Path
    name: str
    tasks: dict[str, Task] = field(default_factory=dict)
    by_text: dict[str, Task] = field(default_factory=dict)
    """The first task of each problem's text."""

    def add(self, task: Task) -> None:
        self.tasks[task.task_id] = task
        self.by_text.setdefault(same_problem(task.problem_statement), task)


def import_problems(
    sources: Iterable[str],
    folder: Path,
    *,
    format_name: str = "",
    columns: dict[str, str] | None = None,
    split: Split | None = None,
    skip_bad: bool = False,
    limit: int = 0,
) -> tuple[Account, list[Task]]:
    """Make problems of rows, and write the suite. What is in it already is kept.

    Args:
        sources: Files (JSON, JSON Lines, Parquet) or data sets of the Hugging Face hub.
        folder: The suite's; made if it is not there.
        format_name: One of `FORMATS`; empty: each row is recognised by what it holds.
        columns: Our names to the rows' columns; then the format is ``columns``.
        split: Of all rows; ``None``: as each row says.
        skip_bad: Count bad rows in place of stopping at the first.
        limit: Stop after so many problems; 0: at the end.

    Returns:
        The account, whose parts add up to the rows read, and the suite's problems.

    Raises:
        TaskError: a row is bad (unless skipped), or a source cannot be read; file, row and field are named.
        ConfigError: options contradict each other.
        MissingDependencyError: a source needs an extra that is not installed.
        StorageError: the suite cannot be written.
    """
    if columns and format_name not in ("", "columns"):
        raise ConfigError(f"--columns goes with --format columns, not with {format_name}")
    chosen: Format | None = Columns(names=columns) if columns else FORMATS[format_name] if format_name else None
    suite, account = _open(folder), Account()

    def on_bad(error: TaskError) -> None:
        if not skip_bad:
            raise error
        account.bad.append(str(error))

    for source in sources:
        for row in read_rows(source, on_bad):
            if limit and len(account.written) + len(account.kept) >= limit:
                break
            try:
                _import_row(row, suite, chosen, split, account)
            except RefusedRowError as error:
                account.refused.append(str(error))
            except TaskError as error:
                on_bad(error)
    if account.written:
        save_suite(suite.folder, suite.name, list(suite.tasks.values()))
    return account, list(suite.tasks.values())


def save_suite(folder: Path, name: str, tasks: list[Task]) -> None:
    """Write a suite of problems; ``suite.toml`` only where there is none.

    Raises:
        StorageError: it cannot be written.
    """
    if not (folder / SUITE_FILE).exists():
        groups = sorted({task.repository.partition("/")[0] for task in tasks})
        write_suite(folder, name=name, description=f"Maths problems: {', '.join(groups[:8])}")
        with contextlib.suppress(OSError):
            (folder / "tasks").rmdir()
    write_problems(folder, tasks)


def recognised(row: Row) -> Format:
    """Return the format of a row.

    Raises:
        TaskError: none takes it.
    """
    for found in FORMATS.values():
        if found.recognise(row):
            return found
    names = ", ".join(sorted(map(ascii, row.fields))[:12])
    raise TaskError(
        f"{row.where}: expected the fields of one of {', '.join(FORMATS)}, or --columns; got {names or 'none'}"[:500]
    )


def _open(folder: Path) -> _Suite:
    if (folder / "tasks").is_dir():
        raise ConfigError(f"{folder}: is a suite of repositories; give maths problems a folder of their own")
    name = read_suite_file(folder)[0] if (folder / SUITE_FILE).exists() else folder.resolve().name
    suite = _Suite(folder=folder, name=name)
    if (folder / PROBLEMS).exists():
        for task in read_problems(folder, name):
            suite.add(task)
    return suite


def _import_row(row: Row, suite: _Suite, chosen: Format | None, split: Split | None, account: Account) -> None:
    task = _task(row, suite, chosen, split)
    twin = suite.by_text.get(same_problem(task.problem_statement))
    if twin is not None and twin.split != task.split:
        row.refuse("problem", f"is that of {twin.task_id}, which is in the other split ({twin.split})")
    if there := suite.tasks.get(task.task_id):
        if there.problem_statement != task.problem_statement:
            row.fail("name", f"another problem of the suite is already called {task.task_id}")
        account.kept.append(task.task_id)
        return
    suite.add(task)
    account.written.append(task.task_id)


def _task(row: Row, suite: _Suite, chosen: Format | None, split: Split | None) -> Task:
    if chosen is None and is_problem(row):
        return parse_problem(row, suite.name)
    drafted = (chosen or recognised(row)).draft(row)
    source = row.where.rpartition(":")[0]
    stem = source.replace("/", "-").replace(":", "-") if is_hub_name(source) else Path(source).name.partition(".")[0]
    side = split or drafted.split
    if side is None:
        row.fail("split", "the row does not say; give --split train or --split heldout")
    return make_task(
        suite.name,
        suite.folder,
        name=drafted.name or f"{stem}-{row_number(row):05d}",
        group=drafted.group or stem,
        split=side,
        problem=drafted.problem,
        answer=drafted.answer,
        solution=drafted.solution,
    )
