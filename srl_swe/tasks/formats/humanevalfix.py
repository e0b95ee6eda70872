"""HumanEvalFix (bigcode-project/octopack): a function with a bug, and a test; here a repository of one file.

Fields: ``task_id`` (``Python/0``), ``prompt``, ``buggy_solution``, ``canonical_solution``, ``test``, ``entry_point``,
``docstring``, ``bug_type``, ``failure_symptoms`` …
"""

from __future__ import annotations

import ast
import tempfile
from pathlib import Path

from srl_swe.records import RepositorySource
from srl_swe.tasks import host_git
from srl_swe.tasks.formats.reading import Reading, task_name
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.writing import OWN_REPOSITORY, TaskDraft

_NEEDED = ("task_id", "prompt", "buggy_solution", "canonical_solution", "test", "entry_point")
_FILE = "solution.py"
_TIMEOUT_S = 30.0
_PROBLEM = """# The function `{name}` is wrong

`{name}` in `{file}` does not do what it is meant to do. Find the bug and fix it.

{docstring}
"""


def recognise(row: Row) -> bool:
    """Whether a row is a HumanEvalFix problem."""
    return all(key in row.fields for key in _NEEDED)


def draft(row: Row, reading: Reading) -> TaskDraft:
    """Make a draft of a problem: ``solution.py`` with the bug, and the test in pytest's form.

    Raises:
        TaskError: a field is wrong, or code is not Python.
        RefusedRowError: the problem is in another language.
    """
    task_id, name = row.text("task_id"), row.text("entry_point")
    if not task_id.startswith("Python/"):
        row.refuse("task_id", "a problem in another language than Python")
    if not name.isidentifier():
        row.fail("entry_point", f"expected the name of a function, got {name!r}")
    prompt = row.text("prompt")
    buggy = prompt + _code(row, "buggy_solution")
    solved = prompt + _code(row, "canonical_solution")
    if buggy == solved:
        row.fail("buggy_solution", "expected other code than canonical_solution")
    tree = _parse(row, "canonical_solution", solved)
    _parse(row, "buggy_solution", buggy)
    if name not in _defined(tree):
        row.fail("entry_point", f"expected a function that prompt defines, got {name!r}")
    test = _pytest_form(row, name, tree)
    number = task_name(row, "task_id", task_id.removeprefix("Python/"))
    path = f"tests/test_{number}.py"
    return TaskDraft(
        name=f"python-{number}",
        # Each is a function of its own: nothing of one is learnt from another.
        repository=f"humanevalfix-{number}",
        split="train",
        problem_statement=_PROBLEM.format(name=name, file=_FILE, docstring=row.text("docstring", "").strip()),
        source=RepositorySource(kind="folder", location=OWN_REPOSITORY),
        repository_files={_FILE: buggy},
        gold_patch=_patch(buggy, solved),
        test_files={path: test},
        fail_to_pass=(f"{path}::test_{name}",),
        # The tests take milliseconds; some bugs are loops without an end.
        timeout_s=min(reading.timeout_s, _TIMEOUT_S),
    )


def _code(row: Row, key: str) -> str:
    code = row.text(key)
    return code if code.endswith("\n") else code + "\n"


def _parse(row: Row, key: str, code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        row.fail(key, f"expected Python code after prompt: {' '.join(str(error).split())}")


def _pytest_form(row: Row, name: str, solution: ast.Module) -> str:
    """The test with its one call of ``check`` in a test function, and with what it uses of the solution imported.

    By name and not by ``*``: a solution must not stand in front of what the test takes for a builtin.
    """
    text = row.text("test").strip("\n")
    tree = _parse(row, "test", text)
    if "check" not in _defined(tree):
        row.fail("test", "expected a function check")
    lines = text.splitlines()
    calls = [node for node in tree.body if isinstance(node, ast.Expr) and _calls_check(node.value)]
    for node in reversed(calls):
        del lines[node.lineno - 1 : node.end_lineno]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & _defined(solution)
    imported = ", ".join(sorted((used | {name}) - _defined(tree)))
    body = "\n".join(lines).strip("\n")
    return f"from solution import {imported}\n\n\n{body}\n\n\ndef test_{name}():\n    check({name})\n"


def _calls_check(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check"


def _defined(tree: ast.Module) -> set[str]:
    """Names that a module's top level binds."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names - {"*"}


def _patch(buggy: str, solved: str) -> str:
    with tempfile.TemporaryDirectory(prefix="srl-swe-") as name:
        base = Path(name) / "base"
        base.mkdir()
        (base / _FILE).write_text(buggy, encoding="utf-8", newline="")
        return host_git.difference(base, {_FILE: solved.encode()}, Path(name) / "scratch").decode()
