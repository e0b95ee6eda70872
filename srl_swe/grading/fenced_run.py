"""The program that runs the hidden tests inside the grading container: ``python -s fenced_run.py FOLDER``.

It stands alone (standard library and pytest; nothing of this package) and is sent as text. FOLDER holds
``order.json``: ``key`` (hex), ``root``, ``write`` (files to lay down: path to text), ``run`` (test files), ``skip``
(node ids left out), ``only`` (node ids of these files that are run, or null: all), ``traceback`` (pytest's style).
It writes ``FOLDER/results``: one record a line, ``<HMAC-SHA256 of the rest> <JSON>``, numbered.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import sys
import types
import unittest.mock  # noqa: F401  (imported before the repository gets on the path and can stand in front of it)
from pathlib import Path
from typing import Any

import pytest

OPTIONS = ["-q", "-p", "no:cacheprovider", "--color=no", "-rN", "--continue-on-collection-errors"]


class Recorder:
    """A pytest plugin that writes what happens as signed records."""

    def __init__(
        self, results: int, signer: hmac.HMAC, skip: list[str], only: list[str] | None, tests: list[str]
    ) -> None:
        self._results = results
        self._signer = signer
        self._skip = set(skip)
        self._only = None if only is None else set(only)
        self._tests = tests
        self._number = 0

    def write(self, event: str, **fields: Any) -> None:
        """Append one record."""
        text = json.dumps({"number": self._number, "event": event, **fields})
        self._number += 1
        signer = self._signer.copy()
        signer.update(text.encode())
        line = f"{signer.hexdigest()} {text}\n".encode()
        while line:
            line = line[os.write(self._results, line) :]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        left_out = [item for item in items if not self._wanted(item.nodeid)]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if self._wanted(item.nodeid)]

    def _wanted(self, node_id: str) -> bool:
        return node_id not in self._skip and (self._only is None or node_id in self._only)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome != "passed":
            self.write("collect", id=report.nodeid, outcome=report.outcome)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.write("collected", ids=[item.nodeid for item in session.items])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "context"):  # a subtest: the test's own report follows, and not every plugin fails it too
            if report.outcome == "failed":
                self.write("subtest", id=report.nodeid)
            return
        xfail = hasattr(report, "wasxfail")
        self.write("report", id=report.nodeid, when=report.when, outcome=report.outcome, xfail=xfail)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self.write("finished", exit=int(exitstatus), equal_to_everything=equal_to_everything(self._tests))


def equal_to_everything(tests: list[str]) -> list[str]:
    """Name the classes whose instances say that they are equal to an object they cannot know."""
    found = []
    for kind in subclasses(object):
        if not isinstance(kind.__dict__.get("__eq__"), types.FunctionType) or is_known(kind, tests):
            continue
        try:
            # Without __init__: an honest __eq__ has nothing to compare and says no, or raises.
            made: Any = kind.__new__(kind)  # type: ignore[call-overload]
            suspicious = (made == object()) is True
        except BaseException:
            continue
        if suspicious:
            found.append(f"{kind.__module__}.{kind.__qualname__}")
    return sorted(set(found))


def subclasses(root: type) -> list[type]:
    """Every class that is alive, but for metaclasses."""
    seen: dict[type, None] = {}
    waiting = [root]
    while waiting:
        children: list[type] = type.__subclasses__(waiting.pop())
        for kind in children:
            if kind not in seen and not issubclass(kind, type):
                seen[kind] = None
                waiting.append(kind)
    return list(seen)


def is_known(kind: type, tests: list[str]) -> bool:
    """Whether a class is the one that an installed module, or a hidden test, has under its name."""
    found: Any = sys.modules.get(kind.__module__)
    file = getattr(found, "__file__", None) or ""
    if file not in tests and not file.startswith((sys.prefix + "/", sys.base_prefix + "/lib/")):
        return False
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind


def lay_down(root: Path, files: dict[str, str]) -> None:
    """Write the hidden tests over whatever is there; never through a link out of the repository."""
    for name, text in files.items():
        path = root / name
        for parent in reversed(path.relative_to(root).parents[:-1]):
            if (root / parent).is_symlink() or (root / parent).is_file():
                (root / parent).unlink()
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")


def main(folder: Path) -> int:
    """Do what the order says. Nothing of the student's is imported before the key is gone from disk."""
    order = json.loads((folder / "order.json").read_text("utf-8"))
    for name in ("order.json", "fenced_run.py"):
        (folder / name).unlink()
    root = Path(order["root"])
    lay_down(root, order["write"])
    (folder / "pytest.ini").write_text("[pytest]\n")
    results = os.open(folder / "results", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    signer = hmac.new(bytes.fromhex(order.pop("key")), digestmod=hashlib.sha256)
    tests = [str(root / name) for name in order["write"]]
    recorder = Recorder(results, signer, order["skip"], order["only"], tests)
    os.chdir(root)
    # The script's own folder; `python -P`, which would leave it out, is not known before 3.11.
    sys.path[:] = [place for place in sys.path if place != str(folder)]
    # What `python -m pytest` would have there, and the usual place of the code; not earlier, so that nothing in the
    # repository stands in for what is imported above.
    places = [str(root), *([str(root / "src")] if (root / "src").is_dir() else [])]
    sys.path[:0] = places
    if len(places) > 1:
        os.environ["PYTHONPATH"] = places[1]
    options = ["-c", str(folder / "pytest.ini"), f"--rootdir={root}", f"--confcutdir={root}", *OPTIONS]
    options.append(f"--tb={order['traceback']}")
    return int(pytest.main([*options, "--", *order["run"]], plugins=[recorder]))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
