"""Reads the signed records of a fenced run: ``{node id: TestOutcome}``, and what is wrong with them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from srl_swe.records import TestOutcome

CANARY = '''\
"""Laid here by the grader: the canaries must fail, the control must pass."""


def test_control():
    assert 1 + 1 == 2


def test_canary_comparison():
    assert 1 + 1 == 3


def test_canary_identity():
    assert object() == object()


def test_canary_raise():
    raise AssertionError
'''
_CONTROL = "test_control"
_CANARIES = ("test_canary_comparison", "test_canary_identity", "test_canary_raise")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What the records of one run say."""

    outcomes: dict[str, TestOutcome]
    """Outcome of each expected test."""
    tampering: tuple[str, ...]
    """Forged, surplus, repeated or missing records, and canaries that passed."""
    finished: bool
    """Whether the run came to its end."""


def read_report(data: bytes, key: bytes, *, expected: Collection[str], canary: str) -> Report:
    """Read the records of a run.

    Args:
        data: The results file, whatever the code under test made of it.
        key: What the records are signed with.
        expected: The exact inventory of node ids.
        canary: Path of the canary file.
    """
    records, tampering = verified(data, key)
    collected: list[str] = []
    broken: set[str] = set()
    failed: set[str] = set()
    phases: dict[str, dict[str, tuple[str, bool]]] = {}
    finished = False
    for record in records:
        match record["event"]:
            case "collected":
                collected += record["ids"]
            case "collect":
                broken.add(record["id"].partition("::")[0])
            case "report":
                seen = phases.setdefault(record["id"], {})
                if record["when"] in seen:
                    tampering.append(f"reported twice: {record['id']}")
                seen[record["when"]] = (record["outcome"], record["xfail"])
            case "subtest":
                failed.add(record["id"])
            case "finished":
                # 3: pytest itself gave up, as it does where it cannot print a traceback; no word on the other tests.
                finished = record["exit"] != 3
                tampering += [f"equal to everything: {name}" for name in record["equal_to_everything"]]
    found = {name: TestOutcome.FAILED if name in failed else _outcome(phases[name]) for name in phases}
    outcomes = {}
    for name in expected:
        missing = TestOutcome.ERROR if name.partition("::")[0] in broken else TestOutcome.MISSING
        outcomes[name] = found.get(name, missing)
    own = set(canary_tests(canary))
    tampering += [f"surplus test: {name}" for name in sorted((set(collected) | set(found)) - set(expected) - own)]
    tampering += _judge_canary(found, canary, finished=finished)
    return Report(outcomes=outcomes, tampering=tuple(tampering), finished=finished)


def canary_tests(canary: str) -> list[str]:
    """The node ids of the grader's own tests."""
    return [f"{canary}::{name}" for name in (_CONTROL, *_CANARIES)]


def verified(data: bytes, key: bytes) -> tuple[list[dict[str, Any]], list[str]]:
    """Records up to the first that is not ours; the rest is not looked at."""
    records: list[dict[str, Any]] = []
    lines = data.split(b"\n")
    # The last piece is empty, or a record that was cut off when the process was killed.
    for line in lines[:-1]:
        signature, _, text = line.partition(b" ")
        expected = hmac.new(key, text, hashlib.sha256).hexdigest().encode()
        if not hmac.compare_digest(signature, expected):
            return records, ["forged record in the results"]
        record = json.loads(text)
        if record["number"] != len(records):
            return records, ["records missing from the results, or repeated"]
        records.append(record)
    return records, []


def _outcome(phases: dict[str, tuple[str, bool]]) -> TestOutcome:
    """One test's outcome from those of its set-up, call and tear-down."""
    setup, call, teardown = (phases.get(when, ("", False)) for when in ("setup", "call", "teardown"))
    if "failed" in (setup[0], teardown[0]):
        return TestOutcome.ERROR
    for outcome, xfail in (setup, call):
        if outcome == "skipped":
            return TestOutcome.XFAIL if xfail else TestOutcome.SKIPPED
    if call[0] == "failed":
        return TestOutcome.FAILED
    if call[0] != "passed" or teardown[0] != "passed":
        return TestOutcome.MISSING
    return TestOutcome.XPASS if call[1] else TestOutcome.PASSED


def _judge_canary(found: dict[str, TestOutcome], canary: str, *, finished: bool) -> list[str]:
    problems = []
    for name in _CANARIES:
        outcome = found.get(f"{canary}::{name}", TestOutcome.MISSING)
        if outcome is not TestOutcome.FAILED and (finished or outcome is not TestOutcome.MISSING):
            problems.append(f"a test that must fail was {outcome}: {name}")
    outcome = found.get(f"{canary}::{_CONTROL}", TestOutcome.MISSING)
    if outcome is not TestOutcome.PASSED and (finished or outcome is not TestOutcome.MISSING):
        problems.append(f"a test that must pass was {outcome}: {_CONTROL}")
    return problems
