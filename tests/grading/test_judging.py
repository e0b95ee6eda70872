"""Verdicts from evidence: what a blind run shows, and records that are judged again."""

from __future__ import annotations

import hashlib
import hmac
import json
import random

import pytest

from srl_swe.errors import GradingRecordError
from srl_swe.grading.hidden_run import LOST, UNAPPLIED, UNSEPARATED, RunEvidence
from srl_swe.grading.judging import Evidence, judge, regrade
from srl_swe.records import TestOutcome

KEY = b"\x01" * 32
CANARY = "tests/test_canary.py"
ONE, TWO = "tests/test_x.py::test_one", "tests/test_x.py::test_two"


def run(outcomes: dict[str, str], *, must_fail: tuple[str, ...] = (), finished: bool = True) -> RunEvidence:
    canaries = {f"{CANARY}::test_canary_{name}": "failed" for name in ("comparison", "identity", "raise")}
    every = outcomes | {f"{CANARY}::test_control": "passed"} | canaries
    events: list[dict] = [{"event": "collected", "ids": list(every)}]
    for name, outcome in every.items():
        for when in ("setup", "call", "teardown"):
            word = outcome if when == "call" else "passed"
            events.append({"event": "report", "id": name, "when": when, "outcome": word, "xfail": False})
    if finished:
        events.append({"event": "finished", "exit": 1, "equal_to_everything": []})
    lines = []
    for number, event in enumerate(events):
        text = json.dumps({"number": number, **event})
        lines.append(f"{hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()} {text}\n")
    return RunEvidence(results="".join(lines), key=KEY.hex(), canary=CANARY, exit_code=1, must_fail=must_fail)


def evidence(*runs: RunEvidence) -> Evidence:
    return Evidence(task_id="suite/task", expected=(ONE, TWO), timeout_s=5.0, runs=runs)


HONEST = run({ONE: "passed", TWO: "passed"})


def test_honest_runs_are_solved():
    assert judge(evidence(HONEST)).solved
    assert judge(evidence(HONEST, run({ONE: "failed", TWO: "passed"}, must_fail=(ONE,)))).solved


def test_what_passes_changed_expectations_is_tampering():
    verdict = judge(evidence(HONEST, run({ONE: "passed", TWO: "passed"}, must_fail=(ONE, TWO))))
    assert verdict.solved is False
    assert verdict.tampering == tuple(f"passes whatever it is to expect: {name}" for name in (ONE, TWO))


def test_a_blind_run_without_an_end_says_nothing_good():
    verdict = judge(evidence(HONEST, run({ONE: "failed"}, must_fail=(ONE,), finished=False)))
    assert (verdict.solved, verdict.tampering) == (False, ())
    assert "changed expectations did not come to its end" in verdict.log


@pytest.mark.parametrize(
    ("trouble", "said"),
    [(UNAPPLIED, "does not apply"), (UNSEPARATED, "could not be taken back"), (LOST, "brought its container down")],
)
def test_no_run(trouble, said):
    verdict = judge(evidence(RunEvidence(trouble=trouble, log="words")))
    assert verdict.solved is False
    assert said in verdict.log and "words" in verdict.log
    assert set(verdict.outcomes.values()) == {TestOutcome.MISSING}


@pytest.mark.parametrize(
    "runs",
    [
        (HONEST,),
        (HONEST, run({ONE: "passed", TWO: "passed"}, must_fail=(ONE,))),
        (run({ONE: "failed", TWO: "passed"}),),
    ],
)
def test_a_verdict_is_reached_again_from_its_record(runs):
    verdict = judge(evidence(*runs))
    assert regrade(verdict.record) == verdict


def test_a_record_that_was_changed_is_not_believed():
    verdict = judge(evidence(run({ONE: "failed", TWO: "passed"})))
    changed = regrade(verdict.record.replace(r"\"outcome\": \"failed\"", r"\"outcome\": \"passed\""))
    assert not changed.solved
    assert "forged record in the results" in changed.tampering


def test_spoilt_records_are_errors_of_one_kind():
    record = judge(evidence(HONEST)).record
    chance = random.Random(1)
    for bad in ("", "[]", "{}", "null", '{"schema": 2}', record.replace('"runs": [', '"runs": 1, "x": [')):
        with pytest.raises(GradingRecordError):
            regrade(bad)
    for _ in range(500):
        at = chance.randrange(len(record))
        bad = record[:at] + chance.choice(['"', "}", "\0", "x", "", "[1]"]) + record[at + chance.randrange(9) :]
        try:
            regrade(bad)
        except GradingRecordError as error:
            assert str(error).startswith("grading record: ")
