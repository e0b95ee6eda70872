"""Hidden tests that nobody has listed yet: which there are, and how they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from srl_swe.errors import SandboxError
from srl_swe.grading.grade import grade
from srl_swe.grading.surveys import read_survey, survey
from srl_swe.records import PreparedTask, RepositorySource, Task
from srl_swe.records import TestOutcome as Outcome

FIX = """\
diff --git a/adder.py b/adder.py
--- a/adder.py
+++ b/adder.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a - b
+    return a + b
"""
TESTS = """\
import pytest

from adder import add


def test_sum():
    assert add(2, 2) == 4


@pytest.mark.parametrize("x", [0, 1])
def test_zero(x):
    assert add(x, 0) == x


@pytest.mark.skip
def test_skipped():
    raise RuntimeError
"""


def prepared_task(image: str, folder: Path, **files: str) -> PreparedTask:
    named = {f"tests/{name}.py": text for name, text in files.items()}
    task = Task(
        task_id="t/t",
        suite="t",
        repository="t",
        split="train",
        problem_statement="",
        folder=folder,
        source=RepositorySource(kind="folder", location=str(folder)),
        test_paths=tuple(named),
        fail_to_pass=("tests/test_a.py::test_sum",),
        timeout_s=30,
    )
    return PreparedTask(task=task, image=image, gold_patch=FIX, test_files=tuple(named.items()))


@pytest.mark.docker
def test_a_survey_finds_what_the_grader_sees(tiny_image, tmp_path):
    prepared = prepared_task(tiny_image, tmp_path, test_a=TESTS, test_b="import away\n")
    before, after = survey(prepared, ""), survey(prepared, FIX)
    names = ["test_sum", "test_zero[0]", "test_zero[1]", "test_skipped"]
    assert list(before.outcomes) == [f"tests/test_a.py::{name}" for name in names]
    good, bad, skipped = Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED
    assert list(before.outcomes.values()) == [bad, good, good, skipped]
    assert list(after.outcomes.values()) == [good, good, good, skipped]
    for found in (before, after):
        assert found.finished
        assert found.broken == ("tests/test_b.py",)
        assert "No module named 'away'" in found.log
    alone = survey(prepared, "", run=("tests/test_b.py",))
    assert (alone.outcomes, alone.broken) == ({}, ("tests/test_b.py",))
    # The grader, which expects one test of these, calls the others surplus.
    surplus = {name.removeprefix("surplus test: ") for name in grade(prepared, FIX).tampering}
    assert surplus == set(before.outcomes) - {"tests/test_a.py::test_sum"}


@pytest.mark.docker
def test_a_survey_says_when_a_run_does_not_end(tiny_image, tmp_path):
    prepared = prepared_task(tiny_image, tmp_path, test_a="import os\n\n\ndef test_sum():\n    os._exit(0)\n")
    found = survey(prepared, "")
    assert not found.finished
    assert list(found.outcomes.values()) == [Outcome.MISSING]
    with pytest.raises(SandboxError, match="the patch does not apply"):
        survey(prepared, FIX.replace("a - b", "nothing of the kind"))


def test_forged_records_are_not_believed():
    found = read_survey(b"0000 {}\n", b"key", canary="c.py")
    assert (found.outcomes, found.finished) == ({}, False)
