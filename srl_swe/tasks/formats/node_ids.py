"""Tests by pytest's names: what other runners call them is mapped where that is certain, and refused where not."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from srl_swe.tasks.formats.rows import Row

_DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")
_UNITTEST = re.compile(r"\S+ \([\w.]+\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """Which tests grade a task."""

    files: tuple[str, ...]
    """The files they are in."""
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]


def map_tests(
    row: Row, fail_to_pass: Collection[str], pass_to_pass: Collection[str], patched: Mapping[str, str]
) -> Inventory:
    """Return pytest's names of a row's tests.

    Args:
        row: For errors.
        fail_to_pass: As the row has them. One that cannot be mapped refuses the row.
        pass_to_pass: The same; those that cannot be mapped are left out, and those that were named by their day.
        patched: The files that the test patch touches, with their texts: where bare names are looked up.

    Raises:
        RefusedRowError: a test is none that pytest can be asked for.
        TaskError: a path in a node id is no path in a repository.
    """
    functions = _functions(patched)
    repairing: dict[str, None] = {}
    for test in fail_to_pass:
        node_id, reason = _node_id(test, functions)
        if reason:
            row.refuse("FAIL_TO_PASS", f"{reason}: {test!r}")
        repairing[node_id] = None
    kept: dict[str, None] = {}
    for test in pass_to_pass:
        node_id, reason = _node_id(test, functions)
        if not reason and node_id not in repairing and not _is_of_its_day(node_id, patched):
            kept[node_id] = None
    files = tuple(dict.fromkeys(node_id.partition("::")[0] for node_id in (*repairing, *kept)))
    for file in files:
        if file.startswith("/") or "\\" in file or any(part in ("", ".", "..", ".git") for part in file.split("/")):
            row.fail("FAIL_TO_PASS", f"expected tests in files below the repository's root, got {file!r}")
    return Inventory(files=files, fail_to_pass=tuple(repairing), pass_to_pass=tuple(kept))


def functions_of(text: str) -> set[str]:
    """The functions a file defines, as pytest names them below the file (``TestB::test_c``); none if it is broken."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return found


def _is_of_its_day(node_id: str, texts: Mapping[str, str]) -> bool:
    """Whether a test was named by the day it was run on: a date is among its parameters that its file does not hold."""
    file, _, name = node_id.partition("::")
    dates = _DATE.findall(name.partition("[")[2])
    return file in texts and any(date not in texts[file] for date in dates)


def _functions(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Function to the files that define it."""
    found: dict[str, list[str]] = {}
    for path, text in texts.items():
        if path.endswith(".py"):
            for name in functions_of(text):
                found.setdefault(name, []).append(path)
    return found


def _node_id(test: str, functions: Mapping[str, list[str]]) -> tuple[str, str]:
    """(pytest's name, empty) or (empty, why there is none)."""
    if "::" in test:
        if test.count("[") and not test.endswith("]"):
            return "", "a name cut off at a space inside its parameters"
        return test, ""
    if _UNITTEST.fullmatch(test):
        return "", "a test of a runner that is not pytest (unittest's or Django's)"
    # SymPy's runner says the function's name alone.
    places = functions.get(test, [])
    if len(places) == 1:
        return f"{places[0]}::{test}", ""
    why = "defined in several files of the test patch" if places else "not a pytest node id"
    return "", why
