"""From the evidence of runs to a verdict. No container is needed: a verdict can be reached again from its record."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from srl_swe.errors import GradingRecordError
from srl_swe.grading.hidden_run import LOST, UNSEPARATED, RunEvidence
from srl_swe.records import TestOutcome, Verdict

SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a grading left."""

    task_id: str
    """The task."""
    expected: tuple[str, ...]
    """The exact inventory of node ids."""
    timeout_s: float
    """Seconds that a run had."""
    runs: tuple[RunEvidence, ...]
    """The run of the hidden tests, then those with changed expectations."""


def judge(evidence: Evidence) -> Verdict:
    """Say what runs show. It is solved if every expected test passed, and nothing passed that must not."""
    verdict = _judge_hidden(evidence, evidence.runs[0])
    for run in evidence.runs[1:]:
        verdict = _with_blind(evidence, verdict, run)
    return dataclasses.replace(verdict, record=_written(evidence))


def came_to_its_end(run: RunEvidence) -> bool:
    """Whether every test of a run was tried."""
    return not run.trouble and run.report(expected=()).finished


def regrade(record: str) -> Verdict:
    """Reach a verdict again from its `Verdict.record`.

    Raises:
        GradingRecordError: it is no such record; the message names the field.
    """
    return judge(_read(record))


def _judge_hidden(evidence: Evidence, run: RunEvidence) -> Verdict:
    if run.trouble:
        return _not_run(evidence.expected, run)
    report = run.report(evidence.expected)
    tampering = list(report.tampering)
    log = run.log
    if report.finished:
        log += f"\n(The three failures in {run.canary} are the grader's own: they must fail.)"
    elif run.timed_out:
        log += f"\nthe test run was stopped after {evidence.timeout_s:g} s"
    elif run.exit_code == 0:
        tampering.append("the test run ended before its end, as if all were well")
    else:
        log += f"\nthe test run ended before its end, with exit code {run.exit_code}"
    passed = all(outcome is TestOutcome.PASSED for outcome in report.outcomes.values())
    return Verdict(
        solved=passed and report.finished and not tampering,
        outcomes=report.outcomes,
        tampering=tuple(tampering),
        refused_paths=run.refused,
        log=log,
    )


def _not_run(expected: Sequence[str], run: RunEvidence) -> Verdict:
    said = f"the patch does not apply:\n{run.log}"
    tampering: tuple[str, ...] = ()
    if run.trouble == LOST:
        said = f"the test run brought its container down: {run.log}"
    elif run.trouble == UNSEPARATED:
        said = f"changes that are not graded could not be taken back:\n{run.log}"
        tampering = ("changes to refused paths cannot be separated from the rest",)
    return Verdict(solved=False, outcomes=dict.fromkeys(expected, TestOutcome.MISSING), tampering=tampering, log=said)


def _with_blind(evidence: Evidence, verdict: Verdict, run: RunEvidence) -> Verdict:
    """Take a run with changed expectations into account; only a run to its end says anything good."""
    if not run.trouble:
        report = run.report(evidence.expected)
        passed = [name for name in run.must_fail if report.outcomes.get(name) is TestOutcome.PASSED]
        tampering = [*report.tampering, *(f"passes whatever it is to expect: {name}" for name in passed)]
        if tampering:
            return dataclasses.replace(verdict, solved=False, tampering=(*verdict.tampering, *tampering))
        if report.finished:
            return verdict
    log = f"{verdict.log}\nthe same run with changed expectations did not come to its end:\n{run.log}"
    return dataclasses.replace(verdict, solved=False, log=log)


def _written(evidence: Evidence) -> str:
    return json.dumps({"schema": SCHEMA} | dataclasses.asdict(evidence), ensure_ascii=False)


def _read(record: str) -> Evidence:
    try:
        fields: dict[str, Any] = json.loads(record)
        if fields.pop("schema") != SCHEMA:
            raise GradingRecordError(f"grading record: schema: expected {SCHEMA}")
        runs = tuple(RunEvidence(**{key: _frozen(value) for key, value in run.items()}) for run in fields.pop("runs"))
        evidence = Evidence(runs=runs, **{key: _frozen(value) for key, value in fields.items()})
        for run in runs:
            bytes.fromhex(run.key)
            run.results.encode()
        if not runs or not all(isinstance(name, str) for name in evidence.expected):
            raise GradingRecordError("grading record: expected at least one run, and the tests' names")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise GradingRecordError(
            f"grading record: not as a verdict holds it: {type(error).__name__}: {error}"
        ) from None
    return evidence


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
