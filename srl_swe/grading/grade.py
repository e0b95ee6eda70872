"""Grades a patch: fresh container, path policy, hidden tests, fenced run, exact inventory."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from srl_swe.errors import InfrastructureError, SandboxError, SandboxLostError
from srl_swe.grading.patches import ROOT, RestoreError, apply_patch
from srl_swe.grading.reports import CANARY, Survey, read_report, read_survey
from srl_swe.records import CommandResult, PreparedTask, TestOutcome, Verdict
from srl_swe.sandbox import open_sandbox
from srl_swe.sandbox.protocol import Sandbox, SandboxLimits

_ATTEMPTS = 2


def grade(
    prepared: PreparedTask, patch: str, *, backend: str = "docker", limits: SandboxLimits | None = None
) -> Verdict:
    """Grade a student's patch.

    Args:
        prepared: The task.
        patch: Unified diff from the base state, as `student_patch` makes it; may be empty.
        backend: Where the container comes from.
        limits: Of the grading container; ``None``: the task's memory, and else the usual.

    Returns:
        The verdict. Trouble with the container is ``solved=None``; it is never raised, and never a ``False``. A test
        run that brings its own container down, twice in a row, is the patch's doing: ``solved=False``.
    """
    log = ""
    limits = limits or SandboxLimits(memory_mb=prepared.task.memory_mb)
    for _ in range(_ATTEMPTS):
        try:
            with open_sandbox(prepared.image, backend=backend, workdir=ROOT, limits=limits) as sandbox:
                return _grade_in(sandbox, prepared, patch)
        except _RunLostError as error:
            log = f"the test run brought its container down: {error}"
        except InfrastructureError as error:
            return Verdict(solved=None, infrastructure=f"{type(error).__name__}: {error}")
    return _not_run(prepared, log)


class _RunLostError(Exception):
    """The sandbox was lost while the code under test ran in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fence:
    """What exists for one grading alone."""

    folder: str
    key: bytes
    canary: str


def _grade_in(sandbox: Sandbox, prepared: PreparedTask, patch: str) -> Verdict:
    fence = _make_fence(prepared)
    made = sandbox.run(f"mkdir -m 700 {fence.folder}", timeout_s=30)
    if made.exit_code != 0:
        raise SandboxError(f"cannot make a folder in the grading sandbox: {made.output.strip()}")
    try:
        applied = apply_patch(sandbox, patch, fence.folder, hidden=prepared.task.test_paths)
    except RestoreError as error:
        log = f"changes that are not graded could not be taken back:\n{error}"
        return _not_run(prepared, log, tampering=("changes to refused paths cannot be separated from the rest",))
    if applied.problem is not None:
        return _not_run(prepared, f"the patch does not apply:\n{applied.problem}")
    _send_order(sandbox, prepared, fence)
    run, results = _run_tests(sandbox, fence, prepared.task.timeout_s)
    expected = (*prepared.task.fail_to_pass, *prepared.task.pass_to_pass)
    report = read_report(results, fence.key, expected=expected, canary=fence.canary)
    tampering = list(report.tampering)
    log = run.output
    if report.finished:
        log += f"\n(The three failures in {fence.canary} are the grader's own: they must fail.)"
    else:
        if run.timed_out:
            log += f"\nthe test run was stopped after {prepared.task.timeout_s:g} s"
        elif run.exit_code == 0:
            tampering.append("the test run ended before its end, as if all were well")
        else:
            log += f"\nthe test run ended before its end, with exit code {run.exit_code}"
    passed = all(outcome is TestOutcome.PASSED for outcome in report.outcomes.values())
    return Verdict(
        solved=passed and report.finished and not tampering,
        outcomes=report.outcomes,
        tampering=tuple(tampering),
        refused_paths=applied.refused,
        log=log,
    )


def _make_fence(prepared: PreparedTask) -> _Fence:
    nonce = secrets.token_hex(8)
    # Beside the hidden tests, so that whatever acts on them acts on the canaries too.
    folder = PurePosixPath(prepared.task.fail_to_pass[0].partition("::")[0]).parent
    return _Fence(folder=f"/tmp/run-{nonce}", key=secrets.token_bytes(32), canary=str(folder / f"test_{nonce}.py"))


def _send_order(sandbox: Sandbox, prepared: PreparedTask, fence: _Fence) -> None:
    task = prepared.task
    node_ids = (*task.fail_to_pass, *task.pass_to_pass)
    order = {
        "key": fence.key.hex(),
        "root": ROOT,
        "write": dict(prepared.test_files) | {fence.canary: CANARY},
        # The canaries last: what the tests set off is at work by then.
        "run": [*dict.fromkeys(node_id.partition("::")[0] for node_id in node_ids), fence.canary],
        "skip": list(task.excluded_tests),
    }
    sandbox.write_file(f"{fence.folder}/order.json", json.dumps(order).encode())
    sandbox.write_file(f"{fence.folder}/fenced_run.py", Path(__file__).with_name("fenced_run.py").read_bytes())


def _run_tests(sandbox: Sandbox, fence: _Fence, timeout_s: float) -> tuple[CommandResult, bytes]:
    """From here on the code under test is at work: what it breaks is its own doing."""
    command = (
        f'cd {ROOT} && env -i PATH="$PATH" HOME="$HOME" LANG=C.UTF-8 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 '
        f"python -P -s {fence.folder}/fenced_run.py {fence.folder} </dev/null"
    )
    try:
        run = sandbox.run(command, timeout_s=timeout_s)
        try:
            return run, sandbox.read_file(f"{fence.folder}/results")
        except SandboxLostError:
            raise
        except SandboxError:
            # Removed by the code under test, or never made because of it; but is the sandbox itself well?
            sandbox.run("true", timeout_s=30)
            return run, b""
    except SandboxLostError as error:
        raise _RunLostError(str(error)) from error


def _not_run(prepared: PreparedTask, log: str, *, tampering: tuple[str, ...] = ()) -> Verdict:
    node_ids = (*prepared.task.fail_to_pass, *prepared.task.pass_to_pass)
    outcomes = dict.fromkeys(node_ids, TestOutcome.MISSING)
    return Verdict(solved=False, outcomes=outcomes, tampering=tampering, log=log)


def survey(prepared: PreparedTask, patch: str, *, backend: str = "docker", run: tuple[str, ...] = ()) -> Survey:
    """Run hidden tests as `grade` does, to learn which there are and how each ends.

    Args:
        prepared: The task; its lists of tests are not looked at.
        patch: Applied first, as `grade` would; may be empty.
        backend: Where the container comes from.
        run: The test files to run; empty: all hidden files.

    Raises:
        InfrastructureError: the sandbox failed, or the patch does not apply.
    """
    # A node id each, of no test: where the run is concerned only the files count.
    files = tuple(f"{path}::" for path in run or prepared.task.test_paths)
    task = replace(prepared.task, fail_to_pass=files, pass_to_pass=(), excluded_tests=())
    prepared = replace(prepared, task=task)
    fence = _make_fence(prepared)
    limits = SandboxLimits(memory_mb=task.memory_mb)
    try:
        with open_sandbox(prepared.image, backend=backend, workdir=ROOT, limits=limits) as sandbox:
            sandbox.run(f"mkdir -m 700 {fence.folder}", timeout_s=30)
            applied = apply_patch(sandbox, patch, fence.folder, hidden=task.test_paths)
            if applied.problem is not None:
                raise SandboxError(f"the patch does not apply: {applied.problem}")
            _send_order(sandbox, prepared, fence)
            result, records = _run_tests(sandbox, fence, task.timeout_s)
    except _RunLostError as error:
        return Survey(outcomes={}, broken=(), finished=False, log=f"the run brought its container down: {error}")
    except RestoreError as error:
        raise SandboxError(f"changes that are not graded could not be taken back: {error}") from None
    found = read_survey(records, fence.key, canary=fence.canary)
    return replace(found, log=result.output, seconds=result.seconds)
