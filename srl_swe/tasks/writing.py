"""Write tasks in our own folder format (`srl_swe.tasks.folder`), however they were come by."""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from srl_swe.errors import StorageError, TaskError
from srl_swe.files import write_atomically
from srl_swe.records import Mutation, RepositorySource, Split, Task
from srl_swe.tasks.fields import Fields, read_text
from srl_swe.tasks.folder import SCHEMA, SUITE_FILE, read_task
from srl_swe.tasks.splits import SplitRule

_SPLIT_LINE = re.compile(r"^split[ \t]*=.*$", re.MULTILINE)
_SPLIT_TABLE = re.compile(r"^\[split\][ \t]*\n(?:(?!\[).*(?:\n|$))*", re.MULTILINE)
OWN_REPOSITORY = "repository"
"""Where a task's folder holds its base state, if it does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskDraft:
    """A task that has no folder yet. The fields are those of `srl_swe.records.Task`."""

    name: str
    """The task's folder."""
    repository: str
    split: Split
    problem_statement: str
    source: RepositorySource
    requirements: tuple[str, ...] = ()
    install: bool = False
    created_at: str = ""
    gold_patch: str = ""
    """The fix, from the base state; empty for tasks of kind ``pypi``."""
    repository_files: Mapping[str, str] = field(default_factory=dict)
    """The base state, written into the task's own folder, for a source of kind ``folder`` at ``repository``."""
    test_files: Mapping[str, str] = field(default_factory=dict)
    """The hidden test files: path in the repository to text. For kind ``pypi`` the texts are not written."""
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...] = ()
    excluded_tests: tuple[str, ...] = ()
    partial: bool = False
    timeout_s: float = 120.0
    memory_mb: int = 1024
    network: tuple[str, ...] = ()
    read_only: bool = False


def write_suite(path: Path, *, name: str, description: str) -> None:
    """Begin a suite; one that is there keeps what it has.

    Raises:
        StorageError: the folder cannot be made or written.
        TaskError: there is a suite of another name.
    """
    file = Path(path) / SUITE_FILE
    if file.exists():
        there = Fields.read(file).text("name")
        if there != name:
            raise TaskError(f"{file}: name: expected {name!r}, got {there!r}")
        return
    try:
        (path / "tasks").mkdir(parents=True, exist_ok=True)
        file.write_text(f"name = {toml(name)}\ndescription = {toml(description)}\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{file}: cannot be written: {error.strerror or error}") from None


def write_task(draft: TaskDraft, suite: Path, *, replace: bool = False) -> Task:
    """Write one task whole, or nothing, and read it back.

    Args:
        draft: The task.
        suite: The suite's folder; its ``suite.toml`` is there already.
        replace: Whether a task of the same name may be replaced.

    Raises:
        TaskError: there is such a task already, or what was drafted is no valid task.
        StorageError: the disk is full, the folder cannot be written …
    """
    for path in (draft.name, *draft.test_files, *draft.repository_files):
        if path.startswith("/") or {"", ".", ".."} & set(path.split("/")) or "\0" in path:
            raise TaskError(f"{draft.name!r}: expected paths below the task's folder, got {path!r}")
    place = Path(suite).resolve() / "tasks" / draft.name
    if place.exists() and not replace:
        raise TaskError(f"{place}: there is a task of this name already")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # Beside it, under a name that readers pass over.
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as scratch:
            made = Path(scratch) / draft.name
            _write_files(draft, made)
            earlier = Path(scratch) / "earlier"
            if place.exists():
                place.rename(earlier)
            made.rename(place)
            try:
                return read_task(place)
            except TaskError:
                place.rename(Path(scratch) / "wrong")
                if earlier.exists():
                    earlier.rename(place)
                raise
    except OSError as error:
        raise StorageError(f"{place}: cannot be written: {error.strerror or error}") from None


def write_split(suite: Path, tasks: Sequence[Task], rule: SplitRule) -> None:
    """Record how a suite is split, in ``suite.toml``, and the side of each task in its own file.

    Raises:
        StorageError: a file cannot be written. The command can be given again.
    """
    for task in tasks:
        file = task.folder / "task.toml"
        text = read_text(file)
        side = f"split = {toml(rule.split_of(task))}"
        head, table, rest = text.partition("\n[")
        changed = _SPLIT_LINE.sub(side, head, count=1) + table + rest
        if changed != text:
            write_atomically(file, changed)
    file = suite / SUITE_FILE
    text = _SPLIT_TABLE.sub("", read_text(file)).rstrip("\n")
    table = f"[split]\nby = {toml(rule.by)}\nheldout = {toml_list(rule.heldout)}\n"
    write_atomically(file, f"{text}\n\n{table}")


def declaration(draft: TaskDraft) -> str:
    """The text of ``task.toml``."""
    source = draft.source
    lines = [f"schema = {SCHEMA}", f"repository = {toml(draft.repository)}", f"split = {toml(draft.split)}"]
    lines += [f"requirements = {toml_list(draft.requirements)}"] if draft.requirements else []
    lines += ["install = true"] if draft.install else []
    lines += [f"timeout_s = {draft.timeout_s:g}"] if draft.timeout_s != 120 else []
    lines += [f"created_at = {toml(draft.created_at)}"] if draft.created_at else []
    lines += ["", "[source]", f"kind = {toml(source.kind)}", *_source_lines(source)]
    lines += ["", "[tests]", f"paths = {toml_list(draft.test_files)}"]
    lines += [f"FAIL_TO_PASS = {toml_list(draft.fail_to_pass)}", f"PASS_TO_PASS = {toml_list(draft.pass_to_pass)}"]
    lines += [f"EXCLUDED = {toml_list(draft.excluded_tests)}"] if draft.excluded_tests else []
    lines += ["partial = true"] if draft.partial else []
    sandbox = [f"memory_mb = {draft.memory_mb}"] if draft.memory_mb != 1024 else []
    sandbox += [f"network = {toml_list(draft.network)}"] if draft.network else []
    sandbox += ["read_only = true"] if draft.read_only else []
    lines += ["", "[sandbox]", *sandbox] if sandbox else []
    return "\n".join(lines) + "\n"


def toml(value: str) -> str:
    """A TOML basic string: JSON's, but that DEL must be escaped too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_list(values: Iterable[str]) -> str:
    """A TOML array of strings, on one line where it fits."""
    items = [toml(value) for value in values]
    line = f"[{', '.join(items)}]"
    return line if len(line) <= 100 else "[\n" + "".join(f"  {item},\n" for item in items) + "]"


def _source_lines(source: RepositorySource) -> list[str]:
    if source.kind == "pypi":
        lines = [f"package = {toml(source.location)}", f"version = {toml(source.version)}"]
        lines += [f"fixed_version = {toml(source.fixed_version)}"] if source.fixed_version else []
        lines += [f"source_paths = {toml_list(source.source_paths)}"] if source.source_paths else []
        return lines + [line for mutation in source.mutations for line in _mutation_lines(mutation)]
    fixed = ["fixed = true"] if source.fixed else []
    if source.kind == "git":
        return [f"url = {toml(source.location)}", f"base_commit = {toml(source.version)}", *fixed]
    if source.kind == "image":
        root = [f"root = {toml(source.root)}"] if source.root != "/testbed" else []
        return [f"image = {toml(source.location)}", *root, *fixed]
    return [f"path = {toml(source.location)}", *fixed]


def _mutation_lines(mutation: Mutation) -> list[str]:
    values = dataclasses.asdict(mutation).items()
    entries = [f"{key} = {toml(value) if isinstance(value, str) else value}" for key, value in values]
    return ["", "[[source.mutations]]", *entries]


def _write_files(draft: TaskDraft, folder: Path) -> None:
    folder.mkdir()
    texts = {"task.toml": declaration(draft), "problem.md": draft.problem_statement.strip() + "\n"}
    if draft.source.kind != "pypi":
        texts |= {"gold.patch": draft.gold_patch, **draft.test_files}
        texts |= {f"{OWN_REPOSITORY}/{path}": text for path, text in draft.repository_files.items()}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
