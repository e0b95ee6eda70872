"""The suite of synthetic tasks: its size, its split, and that its tasks are what they say."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from srl_swe.records import Task
from srl_swe.tasks import read_suite, read_suites, validate
from srl_swe.tasks.synthesis.operators import OPERATORS

ENVS = Path(__file__).parents[2] / "envs"
TASKS = read_suite(ENVS / "synthetic")
HELDOUT = {
    "bleach", "blinker", "boltons", "hyperlink", "itsdangerous", "parse", "pyrsistent", "semver", "sqlparse",
    "voluptuous", "xmltodict",
}  # fmt: skip


def sample(count: int, seed: int) -> list[Task]:
    return random.Random(seed).sample(TASKS, count)


def test_size_and_variety() -> None:
    repositories = Counter(task.repository for task in TASKS)
    assert len(TASKS) >= 300 and len(repositories) >= 25
    assert max(repositories.values()) <= 14
    operators = Counter(mutation.operator for task in TASKS for mutation in task.source.mutations)
    assert set(operators) <= set(OPERATORS) and len(operators) >= 18
    assert sum(len(task.source.mutations) > 1 for task in TASKS) >= 1
    titles = Counter(task.problem_statement.partition("\n")[0] for task in TASKS)
    assert max(titles.values()) <= 4
    assert len({task.problem_statement for task in TASKS}) == len(TASKS)


def test_split() -> None:
    for task in TASKS:
        assert task.split == ("heldout" if task.repository in HELDOUT else "train"), task.task_id
    assert len(read_suites([ENVS / "releases", ENVS / "synthetic"])) > len(TASKS)


def test_declarations() -> None:
    for task in TASKS:
        assert task.source.kind == "pypi" and task.source.mutations, task.task_id
        assert task.fail_to_pass and task.pass_to_pass
        assert {path.name for path in task.folder.iterdir()} == {"task.toml", "problem.md"}
        named = {mutation.operator for mutation in task.source.mutations if "_" in mutation.operator}
        assert not any(operator in task.problem_statement for operator in named), task.task_id


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
@pytest.mark.parametrize("task", sample(2, 0), ids=lambda task: task.task_id)
def test_a_few_are_valid(task: Task) -> None:
    result = validate(task, repeats=1)
    assert result.ok, result.problems


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
@pytest.mark.parametrize("task", sample(60, 1), ids=lambda task: task.task_id)
def test_many_are_valid(task: Task) -> None:
    result = validate(task, repeats=2)
    assert result.ok, result.problems
