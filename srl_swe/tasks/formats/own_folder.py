"""Our own format as a source: the tasks of a suite, read by the suite's reader and written anew."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from srl_swe.tasks.fields import read_text
from srl_swe.tasks.folder import read_task
from srl_swe.tasks.formats.reading import Reading
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.writing import TaskDraft

_SAME = {field.name for field in fields(TaskDraft)} - {"name", "gold_patch", "test_files", "repository_files"}


def recognise(row: Row) -> bool:
    """Whether a folder is a task of ours."""
    return "task.toml" in row.fields and "problem.md" in row.fields


def draft(row: Row, reading: Reading) -> TaskDraft:  # noqa: ARG001
    """Make a draft of a task; a repository on this machine stays where it is.

    Raises:
        TaskError: the task is wrong.
    """
    task = read_task(Path(row.where))
    held = task.source.kind != "pypi"
    return TaskDraft(
        name=task.folder.name,
        gold_patch=read_text(task.folder / "gold.patch") if held else "",
        test_files={path: read_text(task.folder / path) if held else "" for path in task.test_paths},
        **{name: getattr(task, name) for name in _SAME},
    )
