"""One run of test files over a student's patch in a fresh container, and what can be kept of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.grading.patches import ROOT, RestoreError, apply_patch
from srl_swe.grading.reports import CANARY, Report, canary_tests, read_report
from srl_swe.records import CommandResult, PreparedTask
from srl_swe.sandbox import open_sandbox
from srl_swe.sandbox.protocol import Sandbox, SandboxLimits

_ATTEMPTS = 2
UNAPPLIED, UNSEPARATED, LOST = "unapplied", "unseparated", "lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEvidence:
    """What one run left: enough to judge it again, without a container."""

    trouble: str = ""
    """Why no test ran: ``unapplied`` (the patch), ``unseparated`` (its refused changes), ``lost`` (the container, each
    time); empty where they ran."""
    results: str = ""
    """The signed records, whatever the code under test made of them."""
    key: str = ""
    """What they are signed with, in hexadecimal."""
    canary: str = ""
    """Path of the canary file."""
    exit_code: int = 0
    timed_out: bool = False
    seconds: float = 0.0
    """Wall-clock seconds of the run."""
    log: str = ""
    """The run's output, or git's words."""
    refused: tuple[str, ...] = ()
    """``path (reason)`` of each change that was left out."""
    must_fail: tuple[str, ...] = ()
    """Node ids whose expectations were changed: none may pass. Empty for the hidden tests as they are."""

    def report(self, expected: Collection[str]) -> Report:
        """What the records say, where these are the tests that must be there."""
        return read_report(self.results.encode(), bytes.fromhex(self.key), expected=expected, canary=self.canary)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fence:
    """What exists for one run alone."""

    folder: str
    key: bytes
    canary: str


class _RunLostError(Exception):
    """The sandbox was lost while the code under test ran in it."""


def run_hidden(
    prepared: PreparedTask,
    patch: str,
    files: Mapping[str, str],
    *,
    backend: str = "docker",
    limits: SandboxLimits | None = None,
    must_fail: Iterable[str] = (),
) -> RunEvidence:
    """Run test files over a patch.

    Args:
        prepared: The task.
        patch: The student's.
        files: The test files to lay down: path in the repository to text.
        backend: Where the container comes from.
        limits: Of the container; ``None``: the task's memory, and else the usual.
        must_fail: What is written into the evidence.

    Raises:
        InfrastructureError: trouble with the container that is not the code's own doing.
    """
    limits = limits or SandboxLimits(memory_mb=prepared.task.memory_mb)
    lost = ""
    for _ in range(_ATTEMPTS):
        try:
            with open_sandbox(prepared.image, backend=backend, workdir=ROOT, limits=limits) as sandbox:
                return _run_in(sandbox, prepared, patch, files, tuple(must_fail))
        except _RunLostError as error:
            lost = str(error)
    return RunEvidence(trouble=LOST, log=lost, must_fail=tuple(must_fail))


def _run_in(
    sandbox: Sandbox, prepared: PreparedTask, patch: str, files: Mapping[str, str], must_fail: tuple[str, ...]
) -> RunEvidence:
    fence = _make_fence(prepared)
    made = sandbox.run(f"mkdir -m 700 {fence.folder}", timeout_s=30)
    if made.exit_code != 0:
        raise SandboxError(f"cannot make a folder in the grading sandbox: {made.output.strip()}")
    try:
        applied = apply_patch(sandbox, patch, fence.folder, hidden=prepared.task.test_paths)
    except RestoreError as error:
        return RunEvidence(trouble=UNSEPARATED, log=str(error), must_fail=must_fail)
    if applied.problem is not None:
        return RunEvidence(trouble=UNAPPLIED, log=applied.problem, must_fail=must_fail)
    # Many failures that nobody reads: pytest's own tracebacks take time, and fail themselves now and then.
    _send_order(sandbox, prepared, fence, files, traceback="native" if must_fail else "short")
    run, results = _run_tests(sandbox, fence, prepared.task.timeout_s)
    return RunEvidence(
        results=results.decode("utf-8", "replace"),
        key=fence.key.hex(),
        canary=fence.canary,
        exit_code=run.exit_code,
        timed_out=run.timed_out,
        seconds=run.seconds,
        log=run.output,
        refused=applied.refused,
        must_fail=must_fail,
    )


def _make_fence(prepared: PreparedTask) -> _Fence:
    nonce = secrets.token_hex(8)
    # Beside the hidden tests, so that whatever acts on them acts on the canaries too.
    folder = PurePosixPath(prepared.task.fail_to_pass[0].partition("::")[0]).parent
    return _Fence(folder=f"/tmp/run-{nonce}", key=secrets.token_bytes(32), canary=str(folder / f"test_{nonce}.py"))


def _send_order(
    sandbox: Sandbox, prepared: PreparedTask, fence: _Fence, files: Mapping[str, str], *, traceback: str
) -> None:
    task = prepared.task
    node_ids = (*task.fail_to_pass, *task.pass_to_pass)
    order = {
        "key": fence.key.hex(),
        "root": ROOT,
        "write": {**files, fence.canary: CANARY},
        # The canaries last: what the tests set off is at work by then.
        "run": [*dict.fromkeys(node_id.partition("::")[0] for node_id in node_ids), fence.canary],
        "skip": list(task.excluded_tests),
        "traceback": traceback,
        "only": [*node_ids, *canary_tests(fence.canary)] if task.partial else None,
    }
    sandbox.write_file(f"{fence.folder}/order.json", json.dumps(order).encode())
    sandbox.write_file(f"{fence.folder}/fenced_run.py", Path(__file__).with_name("fenced_run.py").read_bytes())


def _run_tests(sandbox: Sandbox, fence: _Fence, timeout_s: float) -> tuple[CommandResult, bytes]:
    """From here on the code under test is at work: what it breaks is its own doing."""
    command = (
        f'cd {ROOT} && env -i PATH="$PATH" HOME="$HOME" LANG=C.UTF-8 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 '
        f"python -s {fence.folder}/fenced_run.py {fence.folder} </dev/null"
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
