"""What is made of a run's records, honest, cut off or forged."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from srl_swe.grading.reports import Report, read_report
from srl_swe.records import TestOutcome

KEY = b"k" * 32
CANARY = "tests/test_0123.py"
EXPECTED = ("tests/test_a.py::test_one", "tests/test_a.py::test_two")


def line(number: int, event: str, *, key: bytes = KEY, **fields: Any) -> bytes:
    text = json.dumps({"number": number, "event": event, **fields}).encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest().encode() + b" " + text + b"\n"


def run(outcomes: dict[str, str], *, canary: str = "failed", finish: bool = True, xfail: bool = False) -> list[bytes]:
    own = {f"{CANARY}::test_canary_{name}": canary for name in ("comparison", "identity", "raise")}
    every = {**outcomes, f"{CANARY}::test_control": "passed", **own}
    lines = [line(0, "collected", ids=list(every))]
    for name, outcome in every.items():
        for when in ("setup", "call", "teardown"):
            result = outcome if when == "call" else "passed"
            hit = xfail and when == "call" and name in outcomes
            lines.append(line(len(lines), "report", id=name, when=when, outcome=result, xfail=hit))
    return [*lines, line(len(lines), "finished", exit=1, equal_to_everything=[])] if finish else lines


def read(lines: list[bytes]) -> Report:
    return read_report(b"".join(lines), KEY, expected=EXPECTED, canary=CANARY)


PASSED = dict.fromkeys(EXPECTED, "passed")


def test_honest() -> None:
    report = read(run(PASSED))
    assert report == Report(outcomes=dict.fromkeys(EXPECTED, TestOutcome.PASSED), tampering=(), finished=True)


@pytest.mark.parametrize(
    ("outcome", "xfail", "expected"),
    [
        ("failed", False, TestOutcome.FAILED),
        ("skipped", False, TestOutcome.SKIPPED),
        ("skipped", True, TestOutcome.XFAIL),
        ("passed", True, TestOutcome.XPASS),
    ],
)
def test_what_is_no_pass(outcome: str, xfail: bool, expected: TestOutcome) -> None:
    report = read(run(dict.fromkeys(EXPECTED, outcome), xfail=xfail))
    assert set(report.outcomes.values()) == {expected}
    assert report.tampering == ()


def test_missing_and_surplus() -> None:
    report = read(run({EXPECTED[0]: "passed", "tests/test_a.py::test_three": "passed"}))
    assert report.outcomes[EXPECTED[1]] is TestOutcome.MISSING
    assert report.tampering == ("surplus test: tests/test_a.py::test_three",)


def test_canary() -> None:
    assert len(read(run(PASSED, canary="passed")).tampering) == 3
    assert len(read(run(PASSED, canary="skipped")).tampering) == 3


def test_cut_off_anywhere() -> None:
    data = b"".join(run(PASSED))
    for end in range(0, len(data), 7):
        report = read_report(data[:end], KEY, expected=EXPECTED, canary=CANARY)
        assert not report.finished
        assert report.tampering == ()


def test_forgeries() -> None:
    lines = run(PASSED)
    forged = read([*run(PASSED, finish=False)[:2], line(2, "finished", key=b"x" * 32, exit=0, equal_to_everything=[])])
    assert forged.tampering and not forged.finished
    assert read(lines[:3] + lines[4:]).tampering
    assert read([lines[0], *lines]).tampering
    assert read([*lines, b"1 passed\n"]).tampering
    assert read([b"\xff\xfe \xff\n"]).tampering
    twice = [*lines[:4], line(4, "report", id=EXPECTED[0], when="call", outcome="passed", xfail=False)]
    assert read(twice).tampering == (f"reported twice: {EXPECTED[0]}",)


def test_collection_error() -> None:
    lines = run({})[:-1]
    lines += [line(len(lines), "collect", id="tests/test_a.py", outcome="failed")]
    lines += [line(len(lines), "finished", exit=1, equal_to_everything=["ledger.Any"])]
    report = read(lines)
    assert set(report.outcomes.values()) == {TestOutcome.ERROR}
    assert report.tampering == ("equal to everything: ledger.Any",)
