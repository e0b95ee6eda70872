"""Runs of tests that nobody has listed yet: which there are, and how each ends, exactly as the grader will see it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from srl_swe.errors import SandboxError
from srl_swe.grading.hidden_run import LOST, run_hidden
from srl_swe.grading.reports import read_report, verified
from srl_swe.records import PreparedTask, TestOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What a run says where nobody knows yet which tests there are."""

    outcomes: dict[str, TestOutcome]
    """Outcome of each test that was collected."""
    broken: tuple[str, ...]
    """Test files that could not be collected."""
    finished: bool
    """Whether the run came to its end, with no record forged."""
    log: str = ""
    """What the run printed."""
    seconds: float = 0.0
    """Wall-clock seconds of the run."""


def read_survey(data: bytes, key: bytes, *, canary: str) -> Survey:
    """Read the records of a run of unknown tests; the canary's own are left out."""
    records, tampering = verified(data, key)
    collected = [node_id for record in records if record["event"] == "collected" for node_id in record["ids"]]
    names = [node_id for node_id in collected if node_id.partition("::")[0] != canary]
    report = read_report(data, key, expected=names, canary=canary)
    broken = {record["id"].partition("::")[0] for record in records if record["event"] == "collect"}
    finished = report.finished and not tampering
    return Survey(outcomes=report.outcomes, broken=tuple(sorted(broken)), finished=finished)


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
    task = replace(prepared.task, fail_to_pass=files, pass_to_pass=(), excluded_tests=(), partial=False)
    found = run_hidden(replace(prepared, task=task), patch, dict(prepared.test_files), backend=backend)
    if found.trouble == LOST:
        log = f"the run brought its container down: {found.log}"
        return Survey(outcomes={}, broken=(), finished=False, log=log)
    if found.trouble:
        raise SandboxError(f"the patch does not apply: {found.log}")
    read = read_survey(found.results.encode(), bytes.fromhex(found.key), canary=found.canary)
    return replace(read, log=found.log, seconds=found.seconds)
