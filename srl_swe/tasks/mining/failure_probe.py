"""The program that looks at how tests fail, inside the sandbox: ``python -P -s failure_probe.py FOLDER``.

It stands alone (standard library and pytest; nothing of this package) and is sent as text. FOLDER holds
``order.json``: ``root``, ``write`` (files to lay down: path to text), ``run`` (test files), ``only`` (node ids).
It writes ``FOLDER/failures.json``: node id to exception, message, the frames in test files (file, line, function,
local values that have source code), which case of a parametrised test it is, and the two sides of the comparison that
failed.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

LONGEST = 2000


class Probe:
    """A pytest plugin that takes down what is known where a test fails."""

    def __init__(self, root: Path, only: list[str], tests: list[str]) -> None:
        self.failures: dict[str, dict[str, Any]] = {}
        self._root = root
        self._only = set(only)
        self._tests = {str(root / path): path for path in tests}
        self._sides: dict[str, str] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self._only]

    def pytest_runtest_setup(self) -> None:
        self._sides = {}

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        self._sides = {"operator": op, "left": shown(left), "right": shown(right)}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report = yield
        if call.excinfo is not None and report.outcome == "failed" and item.nodeid not in self.failures:
            self.failures[item.nodeid] = self._describe(item, call.excinfo)
        return report

    def _describe(self, item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException]) -> dict[str, Any]:
        frames = []
        sides = dict(self._sides) if excinfo.type is AssertionError else {}
        trace = excinfo.value.__traceback__
        while trace is not None:
            frame = trace.tb_frame
            file = self._tests.get(frame.f_code.co_filename)
            if file is not None:
                local = {
                    name: literal(value) or named(value, frame.f_globals) for name, value in frame.f_locals.items()
                }
                known = {name: text for name, text in local.items() if text is not None}
                frames.append([file, trace.tb_lineno, frame.f_code.co_name, known])
            elif frame.f_code.co_filename.endswith("unittest/case.py"):
                sides |= unittest_sides(frame.f_locals)
            trace = trace.tb_next
        original = getattr(item, "originalname", None) or item.name
        return {
            "exception": excinfo.type.__name__,
            "message": cut(str(excinfo.value)),
            "frames": frames,
            "function": original,
            "indices": case_indices(item),
            **sides,
        }


def case_indices(item: pytest.Item) -> dict[str, int]:
    """Of each parameter: which of the values that a ``parametrize`` lists the case has.

    By identity: pytest's own numbering is of values that differ, over all that a test is parametrised with.
    """
    params = getattr(getattr(item, "callspec", None), "params", {})
    found: dict[str, int] = {}
    for mark in item.iter_markers("parametrize"):
        if len(mark.args) < 2 or not isinstance(mark.args[1], list | tuple):
            continue
        written = mark.args[0]
        names = [name.strip() for name in written.split(",")] if isinstance(written, str) else list(written)
        for index, case in enumerate(mark.args[1]):
            values = case.values if isinstance(case, type(pytest.param())) else [case] if len(names) == 1 else case
            if all(name in params and params[name] is value for name, value in zip(names, values, strict=True)):
                found |= dict.fromkeys(names, index)
                break
    return found


def unittest_sides(local: dict[str, Any]) -> dict[str, str]:
    """The two sides, from the arguments of unittest's assertion methods."""
    for left, right in (("first", "second"), ("member", "container"), ("expr1", "expr2"), ("a", "b")):
        if left in local and right in local:
            return {"left": shown(local[left]), "right": shown(local[right])}
    return {}


def shown(value: object) -> str:
    """A value's repr, or its type where it has none."""
    try:
        return cut(repr(value))
    except Exception:
        return f"<{type(value).__name__}>"


def literal(value: object) -> str | None:
    """A value's repr where that is its source code, and not too long."""
    if not isinstance(value, (str, bytes, int, float, bool, type(None), list, tuple, dict, set)):
        return None
    text = shown(value)
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return text if len(text) < LONGEST else None


def named(value: object, known: dict[str, Any]) -> str | None:
    """The name of a class or function, where the test file knows it by that name."""
    name = getattr(value, "__name__", "")
    if isinstance(value, type | types.FunctionType) and (known.get(name) is value or vars(builtins).get(name) is value):
        return str(name)
    return None


def cut(text: str) -> str:
    """No more than what can be of use."""
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def main(folder: Path) -> int:
    """Run the tests that are known to fail, and write down how."""
    order = json.loads((folder / "order.json").read_text("utf-8"))
    root = Path(order["root"])
    for name, text in order["write"].items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8", newline="")
    (folder / "pytest.ini").write_text("[pytest]\n")
    os.chdir(root)
    places = [str(root), *([str(root / "src")] if (root / "src").is_dir() else [])]
    sys.path[:0] = places
    if len(places) > 1:
        os.environ["PYTHONPATH"] = places[1]
    probe = Probe(root, order["only"], list(order["write"]))
    options = ["-c", str(folder / "pytest.ini"), f"--rootdir={root}", f"--confcutdir={root}", "-q"]
    options += ["-p", "no:cacheprovider", "--continue-on-collection-errors", "--tb=no"]
    code = int(pytest.main([*options, "--", *order["run"]], plugins=[probe]))
    (folder / "failures.json").write_text(json.dumps(probe.failures), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
