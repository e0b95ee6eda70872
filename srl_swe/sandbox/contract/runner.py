"""Makes checks, one after the other, each within its time."""

from __future__ import annotations

import fnmatch
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from srl_swe.errors import ConfigError
from srl_swe.sandbox.contract.bench import Bench
from srl_swe.sandbox.contract.checks import Check
from srl_swe.sandbox.contract.expectations import BrokenPromiseError, CheckSkippedError
from srl_swe.sandbox.protocol import Backend

_GRACE_S = 30.0
"""How much longer than its time a check may take before nobody waits for it any more."""

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """How one check went."""

    group: str
    """What it is about."""
    name: str
    """What is promised, and in brackets the case."""
    status: Status
    """Whether the promise is kept."""
    seconds: float
    """How long it took."""
    message: str
    """Why it failed or was skipped; empty where it passed."""


def select(checks: Sequence[Check], *, only: str | None = None, slow: bool = False) -> list[Check]:
    """Return those to be made.

    Args:
        checks: All of them.
        only: Part of the id, ``group-name[case]``, or a shell pattern for all of it.
        slow: Whether slow ones are made too.

    Raises:
        ConfigError: there is none.
    """
    if only is not None:
        checks = [check for check in checks if only in check.id or fnmatch.fnmatchcase(check.id, only)]
    chosen = [check for check in checks if slow or not check.slow]
    if not chosen:
        raise ConfigError(f"only: no check is called {only!r}" + (" but slow ones" if checks else ""))
    return chosen


def run_checks(
    backend: Backend,
    image: str,
    checks: Sequence[Check],
    *,
    on_result: Callable[[CheckResult], None] = lambda _: None,
) -> list[CheckResult]:
    """Make checks of a backend. Nothing that they opened is left.

    Args:
        backend: What is looked at.
        image: What its sandboxes are opened on; see `Bench`.
        checks: See `srl_swe.sandbox.contract.all_checks` and `select`.
        on_result: Called after each of them.

    Raises:
        EngineUnavailableError: what runs the sandboxes is not there.
        SandboxError: no sandbox can be opened on the image.
    """
    results = []
    with Bench(backend, image) as bench:
        for check in checks:
            results.append(run_check(bench, check))
            on_result(results[-1])
    return results


def run_check(bench: Bench, check: Check) -> CheckResult:
    """Make one check; whatever it raises becomes its result."""
    outcome: list[tuple[Status, str]] = []
    thread = threading.Thread(target=lambda: outcome.append(_outcome(bench, check)), daemon=True, name=check.id)
    start = time.monotonic()
    thread.start()
    thread.join(check.limit_s + _GRACE_S)
    seconds = time.monotonic() - start
    status, message = outcome[0] if outcome else ("failed", f"it did not end within {seconds:.0f} s")
    if status == "passed" and seconds > check.limit_s:
        status, message = "failed", f"it took {seconds:.0f} s; {check.limit_s:g} s were expected at most"
    if status == "failed":
        bench.discard()  # also wakes the thread, where it still waits for a sandbox
    return CheckResult(group=check.group, name=check.name, status=status, seconds=seconds, message=message)


def _outcome(bench: Bench, check: Check) -> tuple[Status, str]:
    skipped = ""
    try:
        try:
            check.run(bench)
        except CheckSkippedError as error:
            skipped = str(error)
        bench.tidy()
    except BrokenPromiseError as error:
        return "failed", f"{error} ({_place(error)})"
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error} ({_place(error)})"
    return ("skipped", skipped) if skipped else ("passed", "")


def _place(error: BaseException) -> str:
    """Return the line of the check that it came from: the last one in a module with checks."""
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.parent == Path(__file__).parent and path.name not in ("runner.py", "checks.py", "expectations.py"):
            place = f"{path.name}:{frame.lineno}"
    return place
