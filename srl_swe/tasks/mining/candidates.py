"""What may become a task, and the refusals that need no sandbox."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from srl_swe.grading.paths import is_test, refusal
from srl_swe.records import RepositorySource
from srl_swe.tasks import host_git

_VERSION_NAMES = re.compile(r"(?i)^_*(version|version_info|version_tuple|(release)?date|release|build|commit_id)_*$")
_NO_SOURCE = re.compile(r"\.(pyi|sh)$|^[^/]*(test|bench|setup|conf|fabfile|noxfile)[^/]*\.py$|/benchmarks?\.py$")
_LARGEST_TEST_FILES = 2_000_000
"""Bytes of test files that may be laid down; more is data that nobody needs for one bug."""


class RefusedError(Exception):
    """A step gives no task; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What is too much for one task."""

    source_lines: int = 400
    """Changed lines of code; four times as many where comments, docstrings and data are counted too."""
    repaired: int = 8
    """Test functions that the fix repairs."""
    tests: int = 600
    """Tests in the hidden files."""
    seconds: float = 60
    """One run of the hidden tests."""
    repeats: int = 2
    """Runs before the fix, and after it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A step whose source and tests both change."""

    repository: str
    """The package, or the repository's name."""
    source: RepositorySource
    """Where the base state comes from."""
    base: Path
    """A folder with the base state."""
    gold_patch: str
    """The fix."""
    test_files: Mapping[str, str]
    """Test files that the step adds or changes, and what they need: path to text."""
    notes: tuple[str, ...] = ()
    """What the authors wrote of the step: entries of the change log, the commit's message."""
    created_at: str = ""
    """The day of the fix."""
    suffix: str = ""
    """Tells the task from another one of the same name: the version, or the commit."""

    @property
    def test_modules(self) -> tuple[str, ...]:
        """Those test files that hold tests."""
        return tuple(path for path in self.test_files if is_test_module(path))


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step that may give a task; nothing of it is fetched yet."""

    key: str
    """Names it in the journal, such as ``pypi:bleach:3.2.1:3.2.2``."""
    group: str
    """What tasks are counted by: the package, or the repository."""
    make: Callable[[Path, Limits], Candidate]
    """Fetches it into an empty folder. Raises `RefusedError`, or a typed error where the world failed."""


def is_test_module(path: str) -> bool:
    """Whether pytest would look for tests in a file of this name."""
    name = PurePosixPath(path).name
    return name in ("test.py", "tests.py") or (
        name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))
    )


def changed_tests(base: Path, fixed: Path) -> dict[str, str]:
    """Text files among the tests that ``fixed`` has and ``base`` has not, or has otherwise."""
    found: dict[str, str] = {}
    size = 0
    for path in sorted(p for p in fixed.rglob("*") if p.is_file() and not p.is_symlink()):
        name = path.relative_to(fixed).as_posix()
        if not is_test(name) or refusal(name) == "compiled file" or name.startswith("."):
            continue
        content = path.read_bytes()
        if (base / name).is_file() and (base / name).read_bytes() == content:
            continue
        try:
            found[name] = content.decode()
        except UnicodeDecodeError:
            if is_test_module(name):
                raise RefusedError(f"{name}: a test file is not UTF-8 text") from None
            continue
        size += len(content)
    if not any(is_test_module(name) for name in found):
        raise RefusedError("no test file is added or changed")
    if size > _LARGEST_TEST_FILES:
        raise RefusedError(f"{size:,} bytes of test files change, more than the {_LARGEST_TEST_FILES:,} allowed")
    return found


def code_changes(base: Path, changes: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """Those changes that are more than version numbers, comments and docstrings."""
    kept: dict[str, bytes | None] = {}
    for path, after in changes.items():
        if _NO_SOURCE.search(path):
            continue
        before = (base / path).read_bytes() if (base / path).is_file() else None
        if not path.endswith(".py") or before is None or after is None or _meaning(before) != _meaning(after):
            kept[path] = after
    return kept


def difference(base: Path, changes: Mapping[str, bytes | None], limits: Limits) -> str:
    """The gold patch.

    Raises:
        RefusedError: nothing changes, or too much.
    """
    if not any(path.endswith(".py") for path in changes):
        raise RefusedError("no source of the package is changed")
    patch = host_git.difference(base, dict(changes), base.with_name("difference"))
    try:
        text = patch.decode()
    except UnicodeDecodeError:
        raise RefusedError("a source file is not UTF-8 text") from None
    check_size(text, limits)
    return text


def check_size(patch: str, limits: Limits) -> None:
    """Refuse a patch that is too large for one task."""
    lines = changed_lines(patch)
    if len(lines) > 4 * limits.source_lines:
        raise RefusedError(f"{len(lines)} source lines change, more than four times the {limits.source_lines} allowed")
    code = [line for line in lines if (text := line[1:].strip()) and not text.startswith("#")]
    if len(code) > limits.source_lines:
        raise RefusedError(f"{len(code)} lines of code change, more than the {limits.source_lines} allowed")


def changed_lines(patch: str) -> list[str]:
    """The lines that a patch adds and removes, with their sign."""
    inside = False
    found = []
    for line in patch.splitlines():
        if line.startswith("diff --git "):
            inside = False
        elif line.startswith("@@"):
            inside = True
        elif inside and line[:1] in ("+", "-"):
            found.append(line)
    return found


def _meaning(content: bytes) -> str:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return content.decode(errors="surrogateescape")
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_idle(part)]
    return ast.dump(tree)


def _is_idle(statement: ast.stmt) -> bool:
    """A docstring, or the assignment of a version."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Assign):
        return all(isinstance(t, ast.Name) and _VERSION_NAMES.match(t.id) for t in statement.targets)
    return False
