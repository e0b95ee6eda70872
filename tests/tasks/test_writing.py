"""Tasks written in the folder format are read back as they were drafted."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from srl_swe.errors import TaskError
from srl_swe.records import RepositorySource
from srl_swe.tasks import read_suite
from srl_swe.tasks.writing import TaskDraft, write_suite, write_task

ODD = 'a "quoted" \\ back\x7fslash\twith\x01control, ü and \N{PILE OF POO}'

DRAFT = TaskDraft(
    name="one",
    repository="thing",
    split="heldout",
    problem_statement=ODD,
    source=RepositorySource(kind="git", location="https://example.org/x.git", version="abc"),
    requirements=("attrs>=23", "six"),
    install=True,
    created_at="2023-10-06",
    gold_patch="--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\r\n+b\n",
    test_files={"tests/test_x.py": "def test_a(): ...\r\n", "tests/data.txt": "ü"},
    fail_to_pass=("tests/test_x.py::test_a[" + ODD + "]",),
    pass_to_pass=tuple(f"tests/test_x.py::test_{n}" for n in range(9)),
    excluded_tests=("tests/test_x.py::test_z",),
    partial=True,
    timeout_s=12.5,
    memory_mb=2048,
    network=("pypi.org:443",),
    read_only=True,
)


def test_what_is_written_is_read(tmp_path):
    write_suite(tmp_path, name="mine", description=ODD)
    task = write_task(DRAFT, tmp_path)
    assert read_suite(tmp_path) == [task]
    drafted = {f.name for f in fields(TaskDraft)} - {"name", "gold_patch", "test_files", "repository_files"}
    assert [name for name in drafted if getattr(task, name) != getattr(DRAFT, name)] == []
    assert task.task_id == "mine/one"
    assert task.test_paths == tuple(DRAFT.test_files)
    assert (task.folder / "gold.patch").read_bytes().decode() == DRAFT.gold_patch
    assert (task.folder / "tests/test_x.py").read_bytes().decode() == DRAFT.test_files["tests/test_x.py"]


def test_pypi_tasks_hold_no_source(tmp_path):
    write_suite(tmp_path, name="mine", description="x")
    source = RepositorySource(kind="pypi", location="parse", version="1", fixed_version="2", source_paths=("parse.py",))
    task = write_task(replace(DRAFT, source=source), tmp_path)
    assert task.source == source
    assert sorted(p.name for p in task.folder.rglob("*")) == ["problem.md", "task.toml"]


def test_image_tasks(tmp_path):
    write_suite(tmp_path, name="mine", description="x")
    source = RepositorySource(kind="image", location="owner/name:tag", root="/app", fixed=True)
    assert write_task(replace(DRAFT, source=source), tmp_path).source == source


def test_a_repository_in_the_tasks_own_folder(tmp_path):
    write_suite(tmp_path, name="mine", description="x")
    source = RepositorySource(kind="folder", location="repository")
    task = write_task(replace(DRAFT, source=source, repository_files={"a/b.py": "x = 1\r\n"}), tmp_path)
    assert task.source.location == str(task.folder / "repository")
    assert (task.folder / "repository/a/b.py").read_bytes() == b"x = 1\r\n"


@pytest.mark.parametrize("path", ["/tmp/x.py", "../x.py", "a/../../x.py", "a//x.py", ""])
def test_nothing_is_written_elsewhere(tmp_path, path):
    write_suite(tmp_path, name="mine", description="x")
    for change in ({"test_files": {path: "x"}}, {"repository_files": {path: "x"}}, {"name": path}):
        with pytest.raises(TaskError, match="expected paths below the task's folder"):
            write_task(replace(DRAFT, **change), tmp_path)
    assert list((tmp_path / "tasks").iterdir()) == []


def test_nothing_is_replaced_unasked_and_nothing_is_left_of_a_failure(tmp_path):
    write_suite(tmp_path, name="mine", description="x")
    task = write_task(DRAFT, tmp_path)
    with pytest.raises(TaskError, match="already"):
        write_task(replace(DRAFT, problem_statement="other"), tmp_path)
    assert write_task(replace(DRAFT, problem_statement="other"), tmp_path, replace=True).problem_statement == "other"
    assert [p.name for p in task.folder.parent.iterdir()] == ["one"]


def test_a_suite_keeps_its_name(tmp_path):
    write_suite(tmp_path, name="mine", description="x")
    write_suite(tmp_path, name="mine", description="other")
    assert 'description = "x"' in (tmp_path / "suite.toml").read_text()
    with pytest.raises(TaskError, match=r"suite\.toml: name: expected 'other', got 'mine'"):
        write_suite(tmp_path, name="other", description="x")


@pytest.mark.parametrize("day", ["yesterday", "2023-13-01", "20231006T10"])
def test_dates_are_dates(tmp_path, day):
    write_suite(tmp_path, name="mine", description="x")
    with pytest.raises(TaskError, match="created_at: expected a date"):
        write_task(replace(DRAFT, created_at=day), tmp_path)
    assert list((tmp_path / "tasks").iterdir()) == []


def test_a_wrong_draft_leaves_the_earlier_task(tmp_path):
    write_suite(tmp_path, name="mine", description="x")
    task = write_task(DRAFT, tmp_path)
    with pytest.raises(TaskError):
        write_task(replace(DRAFT, created_at="never"), tmp_path, replace=True)
    assert read_suite(tmp_path) == [task]
