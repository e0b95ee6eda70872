"""The readers over real files, where they are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from srl_swe.tasks import read_suite, validate
from srl_swe.tasks.formats.importing import import_tasks
from srl_swe.tasks.formats.reading import Reading

_SHARED = Path(os.environ.get("SRL_SWE_SHARED_DATA") or Path(__file__).resolve().parents[3] / "../shared/data")
HUMANEVALFIX = _SHARED / "tasks" / "humanevalfix_python.jsonl"
BUGFIX = _SHARED / "bugfix" / "manifest.jsonl"
_MIRROR = os.environ.get("SRL_SWE_MIRROR", "")

needs_humanevalfix = pytest.mark.skipif(not HUMANEVALFIX.is_file(), reason=f"{HUMANEVALFIX} is not here")
needs_bugfix = pytest.mark.skipif(
    not BUGFIX.is_file() or not _MIRROR, reason=f"{BUGFIX} is not here, or SRL_SWE_MIRROR names no clones"
)


@pytest.fixture
def humanevalfix(tmp_path: Path) -> Path:
    account = import_tasks(str(HUMANEVALFIX), Reading(suite=tmp_path / "suite"))
    assert (len(account.written), account.refused, account.bad) == (164, [], [])
    return tmp_path / "suite"


@needs_humanevalfix
def test_humanevalfix(humanevalfix):
    tasks = {task.folder.name: task for task in read_suite(humanevalfix)}
    for line in HUMANEVALFIX.read_text().splitlines():
        row = json.loads(line)
        task = tasks[f"python-{row['task_id'].removeprefix('Python/')}"]
        assert (task.folder / "repository/solution.py").read_text() == row["prompt"] + row["buggy_solution"]
        assert row["docstring"].strip() in task.problem_statement


@needs_humanevalfix
@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
@pytest.mark.parametrize("name", ["python-0", "python-32", "python-50"])
def test_humanevalfix_is_graded(humanevalfix, name):
    task = next(task for task in read_suite(humanevalfix) if task.folder.name == name)
    result = validate(task, repeats=1)
    assert result.ok, result.problems


@needs_humanevalfix
@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("docker_client")
def test_humanevalfix_is_graded_whole(humanevalfix):
    results = [validate(task, repeats=1) for task in read_suite(humanevalfix)]
    assert [result for result in results if not result.ok] == []
    assert len(results) == 164


@needs_bugfix
def test_fixes_by_commit(tmp_path):
    account = import_tasks(str(BUGFIX), Reading(suite=tmp_path / "suite"), skip_bad=True)
    rows = {row["instance_id"]: row for row in map(json.loads, BUGFIX.read_text().splitlines())}
    assert account.refused == []
    assert all("cannot fetch" in text for text in account.bad)  # a clone that is not in the mirror
    for task in read_suite(tmp_path / "suite"):
        row = rows[task.folder.name]
        assert list(task.fail_to_pass) == row["FAIL_TO_PASS"]
        assert task.created_at == row["created_at"][:10]
        changed = [line[6:] for line in (task.folder / "gold.patch").read_text().splitlines() if line[:6] == "+++ b/"]
        assert sorted(changed) == sorted(row["source_files"])
