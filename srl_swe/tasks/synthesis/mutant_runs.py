"""The program that tries mutants inside a container: ``python -P -s mutant_runs.py FOLDER``.

It stands alone (standard library, pytest, and the grader's own program beside it, so that tests run under the grader's
options) and is sent as text. FOLDER holds ``order.json``: ``root`` and ``jobs``, each with ``write`` (path to text),
``run`` (test files), ``only`` (node ids, empty for all), ``trace`` (whether to record covered lines), ``keep`` (whether
compiled files are kept for later jobs), ``most`` (failures after which it ends), ``limit_s`` and ``test_limit_s`` (of
processor time). Each job is a fork that runs pytest; the files are put back
after it. A line of JSON for each goes to ``FOLDER/results``.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

_SHOWN = 8
_SHOWN_OF_FUNCTION = 2
_LONGEST = 900
_SHORT = 150
_MEMORY = 1_500_000_000
_HUNG = 9
"""Exit code of a fork in which a test takes too long."""


class Recorder:
    """A pytest plugin: outcomes, covered lines, and what the failing statements' values were."""

    def __init__(self, job: dict[str, Any], root: str) -> None:
        self._only = set(job["only"])
        self._root = root + "/"
        self._trace = job["trace"]
        self._test_limit_s = job["test_limit_s"]
        self._shown: Counter[str] = Counter()
        self._tests = {str(Path(root, name)) for name in job["run"]}
        self._files: dict[str, bool] = {}
        self._lines: set[tuple[str, int]] = set()
        self._phases: dict[str, list[str]] = {}
        self._random: set[str] = set()
        self.seconds: dict[str, float] = {}
        self.covered: dict[str, dict[str, list[int]]] = {}
        self.errors: list[str] = []
        self.evidence: list[dict[str, Any]] = []

    def outcomes(self) -> dict[str, str]:
        """Node id to ``passed``, ``failed``, ``random`` or ``other`` (skipped, an error in a fixture …)."""
        found = {}
        for name, phases in self._phases.items():
            if name in self._random:
                found[name] = "random"
            elif "call failed" in phases:
                found[name] = "failed"
            else:
                found[name] = "passed" if phases == ["setup passed", "call passed", "teardown passed"] else "other"
        return found

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._only:
            items[:] = [item for item in items if item.nodeid in self._only]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome != "passed":
            self.errors.append(f"{report.nodeid}: {report.longrepr}"[-_LONGEST:])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "context"):
            outcome = "call failed" if report.outcome == "failed" else ""
        else:
            outcome = f"{report.when} {'other' if hasattr(report, 'wasxfail') else report.outcome}"
        self._phases.setdefault(report.nodeid, []).extend([outcome] if outcome else [])
        self.seconds[report.nodeid] = round(self.seconds.get(report.nodeid, 0.0) + report.duration, 4)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            self._random.add(item.nodeid)
        if not self._trace:
            # Processor time: what hangs is told from what has to wait.
            signal.setitimer(signal.ITIMER_PROF, self._test_limit_s)
            return (yield)
        self._lines = set()
        threading.settrace(self._entered)
        sys.settrace(self._entered)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            for file, line in sorted(self._lines):
                self.covered.setdefault(item.nodeid, {}).setdefault(file.removeprefix(self._root), []).append(line)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report = yield
        failed = call.when == "call" and call.excinfo is not None and report.outcome == "failed"
        function = item.nodeid.partition("[")[0]
        self._shown[function] += failed
        if failed and len(self.evidence) < _SHOWN and self._shown[function] <= _SHOWN_OF_FUNCTION:
            with contextlib.suppress(Exception):  # a test's own objects may do anything
                self.evidence.append(evidence(item, call.excinfo))
        return report

    def _entered(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002
        file = frame.f_code.co_filename
        known = self._files.get(file)
        if known is None:
            known = file.startswith(self._root) and file not in self._tests
            self._files[file] = known
        return self._stepped if known else None

    def _stepped(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002
        if event == "line":
            self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._stepped


def evidence(item: pytest.Item, excinfo: Any) -> dict[str, Any]:
    """Where a test failed, and what its statement's expressions are worth there."""
    entries = [entry for entry in excinfo.traceback if str(entry.path) == str(item.path)]
    entry = entries[-1]
    frame = entry.frame.raw
    statement = innermost(ast.parse(item.path.read_bytes()), entry.lineno + 1)
    return {
        "test": item.nodeid,
        "line": statement.lineno,
        "failed_line": entry.lineno + 1,
        "error": excinfo.typename,
        "message": str(excinfo.value)[: 2 * _LONGEST],
        "in_test": excinfo.traceback[-1] is entry or "assert" in excinfo.typename.lower(),
        "values": [value(expression, frame) for expression in compared(statement)],
        "locals": {name: literal(found) for name, found in sorted(frame.f_locals.items())},
        "shapes": {name: shape(found) for name, found in sorted(frame.f_locals.items())},
    }


def innermost(tree: ast.AST, line: int) -> ast.stmt:
    """The smallest statement around a line."""
    around = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno <= line <= (n.end_lineno or n.lineno)]
    return max(around, key=lambda node: node.lineno)


def compared(statement: ast.stmt) -> list[ast.expr]:
    """The expressions whose values an assertion is about."""
    if isinstance(statement, ast.Assert):
        test = statement.test
        return [test.left, *test.comparators] if isinstance(test, ast.Compare) else [test]
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr.startswith("assert"):
        return [argument for argument in call.args[:2] if not isinstance(argument, ast.Starred)]
    return []


def value(expression: ast.expr, frame: FrameType) -> str | None:
    """The representation of an expression's value, evaluated once more; ``None`` where it cannot be."""
    try:
        code = compile(ast.Expression(expression), "<expression>", "eval")
        text = repr(eval(code, {**frame.f_globals, **frame.f_locals}))
    except BaseException:
        return None
    # What the test run itself put there is nobody's example.
    return text if len(text) <= _LONGEST and "PYTEST_" not in text else None


def literal(value: Any) -> str | None:
    """The representation of a value that can be typed in; ``None`` for others."""
    try:
        text = repr(value)
        if len(text) > _LONGEST:
            return None
        ast.literal_eval(text)
    except Exception:
        return None
    return text


def shape(value: Any) -> str | None:
    """What a value that cannot be typed in looks like, where that is short and the same in each run."""
    try:
        text = repr(value)
    except Exception:
        return None
    return text if len(text) <= _SHORT and " at 0x" not in text and "\n" not in text else None


def run_job(job: dict[str, Any], root: Path, options: list[str], result: Path) -> None:
    """In the fork: run pytest and write what it found."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if not job["keep"]:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    # A mutant's compiled form must not outlive it: it may have the size and the second of the next one.
    sys.dont_write_bytecode = not job["keep"]
    signal.signal(signal.SIGPROF, lambda *_: os._exit(_HUNG))
    recorder = Recorder(job, str(root))
    # Tracebacks are read by nobody, and those with the source around cost more than the test.
    code = pytest.main([*options, "--tb=native", f"--maxfail={job['most']}", "--", *job["run"]], plugins=[recorder])
    found = {
        "exit": int(code),
        "outcomes": recorder.outcomes(),
        "seconds": recorder.seconds,
        "covered": recorder.covered,
        "errors": recorder.errors,
        "evidence": recorder.evidence,
    }
    result.write_text(json.dumps(found))


def try_job(job: dict[str, Any], root: Path, options: list[str], result: Path) -> dict[str, Any]:
    """Write the job's files, run it in a fork, put the files back."""
    before = {name: ((root / name).read_bytes(), (root / name).stat()) for name in job["write"]}
    began = time.monotonic()
    try:
        for name, text in job["write"].items():
            (root / name).write_text(text, encoding="utf-8", newline="")
        child = os.fork()
        if not child:
            try:
                run_job(job, root, options, result)
            finally:
                os._exit(0)
        ended = wait(child, began + job["limit_s"]) not in (None, _HUNG)
    finally:
        for name, (content, stat) in before.items():
            (root / name).write_bytes(content)
            # So that the compiled form of the original counts again.
            os.utime(root / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    found: dict[str, Any] = {"status": "ended" if ended else "timeout", "wall": round(time.monotonic() - began, 3)}
    if ended and result.is_file():
        found |= json.loads(result.read_text())
        result.unlink()
    elif ended:
        found["status"] = "died"
    return found


def wait(child: int, deadline: float) -> int | None:
    """A fork's exit code, ``None`` where it did not end in time; nothing of it is left."""
    code: int | None = None
    while code is None and time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found == child:
            code = os.waitstatus_to_exitcode(status)
        else:
            time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if code is None:
        os.waitpid(child, 0)
    return code


def main(folder: Path) -> int:
    """Do the jobs, one after the other."""
    sys.path.insert(0, str(folder))
    options = [*importlib.import_module("fenced_run").OPTIONS, "--tb=short"]
    sys.path.remove(str(folder))
    order = json.loads((folder / "order.json").read_text("utf-8"))
    root = Path(order["root"])
    (folder / "pytest.ini").write_text("[pytest]\n")
    os.chdir(root)
    sys.pycache_prefix = "/tmp/compiled"
    places = [str(root), *([str(root / "src")] if (root / "src").is_dir() else [])]
    sys.path[:0] = places
    if len(places) > 1:
        os.environ["PYTHONPATH"] = places[1]
    options = ["-c", str(folder / "pytest.ini"), f"--rootdir={root}", f"--confcutdir={root}", *options]
    with (folder / "results").open("w") as results:
        for job in order["jobs"]:
            found = try_job(job, root, options, folder / "one")
            results.write(json.dumps(found) + "\n")
            results.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
