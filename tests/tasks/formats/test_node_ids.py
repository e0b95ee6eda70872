"""Tests by pytest's names."""

from __future__ import annotations

from pathlib import Path

import pytest

from srl_swe.errors import TaskError
from srl_swe.tasks.formats.node_ids import functions_of, map_tests
from srl_swe.tasks.formats.rows import RefusedRowError, Row

ROW = Row(where="x:1", fields={}, folder=Path())


def test_what_is_kept_and_what_is_left_out():
    texts = {"t/test_a.py": "def test_one(): ...\n\nDAY = '2020-01-01'\n", "t/test_b.py": "def test_two(): ...\n"}
    found = map_tests(
        ROW,
        ["t/test_a.py::test_x[a b]", "test_two"],
        [
            "t/test_a.py::test_x[a",  # cut off
            "t/test_a.py::test_day[2020-01-01]",
            "t/test_a.py::test_day[2026-11-22]",  # the day it was recorded
            "t/test_c.py::TestX::test_y",
            "test_z (app.tests.Some)",
            "t/test_a.py::test_x[a b]",
            "test_gone",
        ],
        texts,
    )
    assert found.fail_to_pass == ("t/test_a.py::test_x[a b]", "t/test_b.py::test_two")
    assert found.pass_to_pass == ("t/test_a.py::test_day[2020-01-01]", "t/test_c.py::TestX::test_y")
    assert found.files == ("t/test_a.py", "t/test_b.py", "t/test_c.py")


def test_a_name_in_two_files_is_no_name():
    texts = dict.fromkeys(["test_a.py", "test_b.py"], "def test_one(): ...\n")
    with pytest.raises(RefusedRowError, match="x:1: FAIL_TO_PASS: defined in several files of the test patch"):
        map_tests(ROW, ["test_one"], [], texts)


@pytest.mark.parametrize("file", ["/etc/x.py", "../x.py", "a//x.py", ".git/x.py", "a\\x.py"])
def test_paths_stay_below_the_root(file):
    with pytest.raises(TaskError, match="x:1: FAIL_TO_PASS: expected tests in files below the repository's root"):
        map_tests(ROW, [f"{file}::test"], [], {})


def test_functions_of_broken_files():
    assert functions_of("class TestA:\n    def test_b(self): ...\nasync def test_c(): ...") == {
        "TestA::test_b",
        "test_c",
    }
    assert functions_of("def") == functions_of("\0") == functions_of("(" * 10_000) == set()
