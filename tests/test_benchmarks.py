"""The pure parts of benchmarks."""

from __future__ import annotations

import pytest

from benchmarks.grading import Round, summary
from benchmarks.grading_integrity import agreement, fraction
from benchmarks.learner import mode_figures
from benchmarks.learner_samples import synthetic_samples
from benchmarks.swebench_rows import evaluation_script
from srl_swe.records import TestOutcome, Verdict
from srl_swe.training.packing import pack


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


def test_the_learners_samples_share_a_trunk() -> None:
    samples = synthetic_samples(steps=3, group=4, context=30, completion=5)
    assert [s.loss_mask.index(True) for s in samples] == [10] * 4 + [20] * 4 + [30] * 4
    (trie,) = pack(samples, max_tokens=1000, max_trained=1000)
    assert len(trie.token_ids) == 30 + 3 * 4 * 4  # the last token of each completion is only predicted


def test_the_learners_figures() -> None:
    tree = {"seconds": 10.0, "processor_seconds": 20.0, "tokens": 1000, "peak_gb": 2.0}
    tree |= {"raw": 7000, "steps": 2, "samples": 16, "trained": 800}
    trl = {"seconds": 90.0, "processor_seconds": 200.0, "tokens": 9000, "peak_gb": 8.0, "measured_batches": 2}
    errors = {"gradient_error": 1e-6, "gradient_error_whole": 1e-7}
    figures = mode_figures({"tree": tree, "trl": trl, "errors": errors})
    assert figures["speedup_vs_trl_padded"] == pytest.approx(9)
    assert figures["efficiency_vs_token_limit"] == pytest.approx(1)
    assert figures["speedup_in_processor_time"] == pytest.approx(10)
    assert figures["memory_vs_padded"] == pytest.approx(0.25)
