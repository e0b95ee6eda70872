"""Grades a patch: the hidden tests, and where they all pass, the same run once more with changed expectations."""

from __future__ import annotations

import secrets

from srl_swe.errors import InfrastructureError
from srl_swe.grading.blind import changed_copies
from srl_swe.grading.hidden_run import RunEvidence, run_hidden
from srl_swe.grading.judging import Evidence, came_to_its_end, judge
from srl_swe.records import PreparedTask, Verdict
from srl_swe.sandbox.protocol import SandboxLimits


def grade(
    prepared: PreparedTask,
    patch: str,
    *,
    backend: str = "docker",
    limits: SandboxLimits | None = None,
    blind_runs: int = 1,
) -> Verdict:
    """Grade a student's patch.

    Args:
        prepared: The task.
        patch: Unified diff from the base state, as `student_patch` makes it; may be empty.
        backend: Where the containers come from.
        limits: Of the grading containers; ``None``: the task's memory, and else the usual.
        blind_runs: How often what passes the hidden tests is run with changed expectations; 0 trusts it.

    Returns:
        The verdict. Trouble with a container is ``solved=None``; it is never raised, and never a ``False``. A test
        run that brings its own container down, twice in a row, is the patch's doing: ``solved=False``.
    """
    task = prepared.task

    def evidence(*runs: RunEvidence) -> Evidence:
        expected = (*task.fail_to_pass, *task.pass_to_pass)
        return Evidence(task_id=task.task_id, expected=expected, timeout_s=task.timeout_s, runs=runs)

    try:
        hidden = run_hidden(prepared, patch, dict(prepared.test_files), backend=backend, limits=limits)
        verdict = judge(evidence(hidden))
        if not verdict.solved or not blind_runs:
            return verdict
        blind = _run_blind(prepared, patch, backend, limits, blind_runs)
        return judge(evidence(hidden, *blind))
    except InfrastructureError as error:
        return Verdict(solved=None, infrastructure=f"{type(error).__name__}: {error}")


def _run_blind(
    prepared: PreparedTask, patch: str, backend: str, limits: SandboxLimits | None, count: int
) -> list[RunEvidence]:
    copies = changed_copies(prepared, backend=backend)
    # Which, nobody can know beforehand.
    secrets.SystemRandom().shuffle(copies)
    runs: list[RunEvidence] = []
    for copy in copies:
        run = run_hidden(prepared, patch, copy.files, backend=backend, limits=limits, must_fail=copy.must_fail)
        # One that did not come to its end, of a slow machine's time limit for example, gets one more chance.
        if runs and not came_to_its_end(runs[-1]):
            runs.pop()
        runs.append(run)
        if len(runs) >= count and came_to_its_end(run):
            break
    return runs
