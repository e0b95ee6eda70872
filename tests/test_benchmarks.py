"""The pure parts of benchmarks."""

from __future__ import annotations

from benchmarks.grading import Round, summary
from benchmarks.grading_integrity import agreement, fraction
from benchmarks.swebench_rows import evaluation_script
from srl_swe.records import TestOutcome, Verdict


def test_the_evaluation_script_resets_old_tests_and_removes_new_ones() -> None:
    script = evaluation_script("abc", "diff\n", ["a_test.py"], ["old.py"], ["new.py"])
    lines = script.splitlines()
    assert lines.count("git checkout abc old.py") == lines.count("rm -f new.py") == 2
    start, end = lines.index(": '>>>>> Start Test Output'"), lines.index(": '>>>>> End Test Output'")
    assert lines[start + 1 : end] == ["pytest -rA a_test.py"]
    assert lines.index("diff") < start


def test_agreement_counts_tests_of_runs_that_have_a_log() -> None:
    verdict = Verdict(
        solved=False, outcomes={"a": TestOutcome.PASSED, "b": TestOutcome.FAILED, "c": TestOutcome.MISSING}
    )
    read = {"statuses": {"a": "PASSED", "b": "PASSED"}}
    assert agreement([verdict, verdict], [read, {"statuses": None}]) == (2, 3)


def test_fraction() -> None:
    assert fraction([True, False]) == 0.5
    assert fraction([]) == 0.0


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [Round(ours=t, theirs=4 * t, theirs_to_report=2 * t) for t in (1.0, 2.0, 5.0)]
    figures = summary(rounds, 10)
    assert figures["tasks_per_minute"] == 300
    assert figures["swebench_tasks_per_minute"] == 75
    assert figures["tasks_per_minute_vs_swebench"] == 4
    assert figures["tasks_per_minute_vs_swebench_spread"] == 0
    assert figures["tasks_per_minute_vs_swebench_without_stop"] == 2
