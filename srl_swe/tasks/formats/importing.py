"""Imports: rows of any format in, task folders out, and an account of every row that became none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from srl_swe.errors import TaskError
from srl_swe.tasks.folder import SUITE_FILE, read_suite_file
from srl_swe.tasks.formats import bugfix, harbor, humanevalfix, own_folder, r2e_gym, swebench, swesmith
from srl_swe.tasks.formats.reading import Reading
from srl_swe.tasks.formats.rows import OnBad, RefusedRowError, Row, read_rows
from srl_swe.tasks.splits import SplitRule
from srl_swe.tasks.writing import TaskDraft, write_suite, write_task

_TASK_FILES = ("task.toml", "task.yaml", "instruction.md")
_LARGEST_FILE = 20_000_000


class Format(Protocol):
    """What a format's module has."""

    def recognise(self, row: Row) -> bool:
        """Whether a row is of this format."""

    def draft(self, row: Row, reading: Reading) -> TaskDraft:
        """Make a task of a row."""


# The order of recognition: a fix by commit has nearly all that a SWE-bench instance has.
FORMATS: MappingProxyType[str, Format] = MappingProxyType(
    {
        "bugfix": bugfix,
        "swebench": swebench,
        "swesmith": swesmith,
        "r2e-gym": r2e_gym,
        "humanevalfix": humanevalfix,
        "folder": own_folder,
        "harbor": harbor,
    }
)


@dataclass(kw_only=True, slots=True)
class Account:
    """What became of an import's rows."""

    written: list[str] = field(default_factory=list)
    """Names of the tasks."""
    kept: list[str] = field(default_factory=list)
    """Names of tasks that were there already."""
    refused: list[str] = field(default_factory=list)
    """Why rows that are right became no task: ``ROW: field: reason``."""
    bad: list[str] = field(default_factory=list)
    """What is wrong with rows: ``ROW: field: expected …``."""


def import_tasks(
    source: str,
    reading: Reading,
    *,
    format_name: str = "",
    skip_bad: bool = False,
    limit: int = 0,
    only: Sequence[str] = (),
    on_row: Callable[[Account], None] | None = None,
) -> Account:
    """Write a task for each row. Tasks that are there already are kept, so that an import can be run again.

    The suite is begun with its first task.

    Args:
        source: A file, a folder, or a data set of the Hugging Face hub.
        reading: The suite, and how rows are read.
        format_name: One of `FORMATS`; empty: each row is recognised by what it holds.
        skip_bad: Count bad rows in place of stopping at the first.
        limit: Stop after so many tasks; 0: at the end.
        only: Only rows with one of these ids.
        on_row: Called after each row.

    Raises:
        TaskError: a row is bad (unless skipped), or the source cannot be read; file, row and field are named.
        MissingDependencyError: the source needs an extra that is not installed.
        StorageError: the suite cannot be written.
    """
    account = Account()
    rule = read_suite_file(reading.suite)[1] if (reading.suite / SUITE_FILE).exists() else None

    def on_bad(error: TaskError) -> None:
        if not skip_bad:
            raise error
        account.bad.append(str(error))

    for row in _rows(source, on_bad):
        if only and not {str(value) for key in _IDS if (value := row.fields.get(key))} & set(only):
            continue
        try:
            _import_row(row, reading, rule, format_name, account)
        except RefusedRowError as error:
            account.refused.append(str(error))
        except TaskError as error:
            on_bad(error)
        if on_row is not None:
            on_row(account)
        if limit and len(account.written) + len(account.kept) >= limit:
            break
    return account


_IDS = ("instance_id", "task_id", "commit_hash", "")


def _import_row(row: Row, reading: Reading, rule: SplitRule | None, format_name: str, account: Account) -> None:
    drafted = recognised(row, format_name).draft(row, reading)
    if (reading.suite / "tasks" / drafted.name).exists():
        account.kept.append(drafted.name)
        return
    if rule is not None:
        drafted = replace(drafted, split=rule.side(drafted.repository, drafted.created_at))
    begun = not (reading.suite / SUITE_FILE).exists()
    if begun:
        source = Path(row.where.rpartition(":")[0] or row.where).name
        write_suite(reading.suite, name=reading.suite.resolve().name, description=f"Imported from {source}")
    try:
        write_task(drafted, reading.suite)
    except TaskError as error:
        if begun:
            (reading.suite / SUITE_FILE).unlink()
            for folder in (reading.suite / "tasks", reading.suite):
                with contextlib.suppress(OSError):  # not empty: it was there before
                    folder.rmdir()
        # What the folder's reader says names a file that is gone again; the row is what the user has.
        raise TaskError(f"{row.where}: {str(error).rpartition(drafted.name + '/')[2]}") from None
    account.written.append(drafted.name)


def recognised(row: Row, format_name: str = "") -> Format:
    """Return the format of a row.

    Raises:
        TaskError: none takes it.
    """
    if format_name:
        return FORMATS[format_name]
    for found in FORMATS.values():
        if found.recognise(row):
            return found
    fields = ", ".join(sorted(map(ascii, row.fields))[:12])
    raise TaskError(f"{row.where}: expected the fields of one of {', '.join(FORMATS)}; got {fields or 'none'}"[:500])


def _rows(source: str, on_bad: OnBad) -> Iterator[Row]:
    path = Path(source)
    if not path.is_dir():
        yield from read_rows(source, on_bad)
        return
    folders = [path, *sorted(p for p in path.glob("*") if p.is_dir()), *sorted(path.glob("tasks/*"))]
    found = [p for p in folders if any((p / name).is_file() for name in _TASK_FILES)]
    if found:
        for folder in found:
            try:
                yield _folder_row(folder)
            except TaskError as error:
                on_bad(error)
        return
    files = sorted(p for p in path.rglob("*") if p.name.endswith((".jsonl", ".jsonl.gz", ".json", ".parquet")))
    if not files:
        raise TaskError(f"{path}: expected task folders, or files of JSON, JSON Lines or Parquet; there are none")
    for file in files:
        yield from read_rows(str(file), on_bad)


def _folder_row(folder: Path) -> Row:
    """A task folder as a row: its files are the fields. What is no text is not there."""
    texts = {"": folder.name}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file() or name.startswith("repository/"):
            continue
        try:
            if path.stat().st_size > _LARGEST_FILE:
                raise TaskError(f"{folder}: {name}: expected less than {_LARGEST_FILE:,} bytes")
            texts[name] = path.read_bytes().decode()
        except UnicodeDecodeError as error:
            if name in ("task.toml", "task.yaml", "instruction.md", "tests/config.json"):
                raise TaskError(f"{folder}: {name}: not UTF-8 text (byte {error.start})") from None
        except OSError as error:
            raise TaskError(f"{folder}: {name}: cannot be read: {error.strerror or error}") from None
    return Row(where=str(folder), fields=texts, folder=folder)
