"""A suite of one tiny task, on disk as a user would write it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from srl_swe.environments.repo import RepoEnv
from srl_swe.records import PreparedTask, Step, Task, Trajectory
from srl_swe.tasks.folder import read_suite
from srl_swe.tasks.prepare import prepare

TASK_TOML = """\
schema = 1
repository = "tiny"
split = "train"
[source]
kind = "folder"
path = "../../repositories/tiny"
[tests]
paths = ["tests/test_hidden.py"]
FAIL_TO_PASS = ["tests/test_hidden.py::test_more"]
PASS_TO_PASS = ["tests/test_hidden.py::test_nothing"]
"""
HIDDEN = """\
from adder import add


def test_more():
    assert add(3, 4) == 7


def test_nothing():
    assert add(5, 0) == 5
"""
GOLD = """\
diff --git a/adder.py b/adder.py
--- a/adder.py
+++ b/adder.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a - b
+    return a + b
"""
FIX = "str_replace_editor str_replace adder.py --old_str 'a - b' --new_str 'a + b'"


@pytest.fixture(scope="session")
def tiny_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite's folder."""
    suite = tmp_path_factory.mktemp("suites") / "tinysuite"
    task, repository = suite / "tasks" / "adder", suite / "repositories" / "tiny"
    (task / "tests").mkdir(parents=True)
    repository.mkdir(parents=True)
    (suite / "suite.toml").write_text('name = "tinysuite"\ndescription = "One task."\n')
    (repository / "adder.py").write_text("def add(a, b):\n    return a - b\n")
    (task / "task.toml").write_text(TASK_TOML)
    (task / "problem.md").write_text("add(2, 2) gives 0.\n")
    (task / "gold.patch").write_text(GOLD)
    (task / "tests" / "test_hidden.py").write_text(HIDDEN)
    return suite


@pytest.fixture(scope="session")
def tiny_task(tiny_suite: Path) -> Task:
    """Its task."""
    return read_suite(tiny_suite)[0]


@pytest.fixture(scope="session")
def tiny_prepared(tiny_task: Task, base_image: str) -> PreparedTask:  # noqa: ARG001 -- an engine is there
    """Its task with its image built."""
    return prepare(tiny_task)


@pytest.fixture(scope="session")
def tiny_expert() -> Trajectory:
    """Actions that solve it, with observations as they were seen."""
    steps = (
        Step(thought="Look.", action="cd /testbed && export WHO=expert && ls", observation="exit code: 0\nadder.py"),
        Step(thought="Fix.", action=FIX, observation="exit code: 0\nedited adder.py"),
        Step(thought="Note.", action="echo done > note.txt", observation="exit code: 0"),
        Step(thought="Done.", action="submit", observation="submitted"),
    )
    return Trajectory(
        trajectory_id="adder#1",
        task_id="tinysuite/adder",
        split="train",
        problem_statement="add(2, 2) gives 0.",
        steps=steps,
        source="test",
    )


@pytest.fixture
def env(tiny_prepared: PreparedTask) -> Iterator[RepoEnv]:
    """An environment for it, closed at the end."""
    environment = RepoEnv(tasks=[tiny_prepared], max_steps=8, command_timeout_s=20, render_mode="ansi")
    yield environment
    environment.close()
