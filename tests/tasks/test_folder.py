"""The folder format: what is read, and the message for each way of getting it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from srl_swe.errors import TaskError
from srl_swe.tasks import read_suite, read_suites, read_task

TASK = """\
schema = 1
repository = "abacus"
split = "train"
requirements = ["attrs>=23"]
timeout_s = 30

[source]
kind = "folder"
path = "../../repositories/abacus"
fixed = true

[tests]
paths = ["tests/test_sum.py"]
FAIL_TO_PASS = ["tests/test_sum.py::test_sum"]
PASS_TO_PASS = ["tests/test_sum.py::test_one[a::b]"]
"""

PYPI = TASK.replace(
    'kind = "folder"\npath = "../../repositories/abacus"\nfixed = true',
    'kind = "pypi"\npackage = "sqlparse"\nversion = "0.4.0"\nfixed_version = "0.4.1"',
)


def write_suite(root: Path, task: str = TASK, name: str = "small") -> Path:
    suite = root / name
    folder = suite / "tasks" / "abacus-sum"
    (folder / "tests").mkdir(parents=True)
    (suite / "repositories" / "abacus").mkdir(parents=True)
    (suite / "suite.toml").write_text(f'name = "{name}"\ndescription = "x"\n')
    (folder / "task.toml").write_text(task)
    (folder / "problem.md").write_text("Sums are wrong.\n")
    (folder / "gold.patch").write_text("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n")
    (folder / "tests" / "test_sum.py").write_text("def test_sum(): ...\n")
    return suite


def test_reads_every_field(tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    (task,) = read_suite(suite)
    assert task == read_task(suite / "tasks" / "abacus-sum")
    assert task.task_id == "small/abacus-sum"
    assert (task.suite, task.repository, task.split, task.timeout_s) == ("small", "abacus", "train", 30.0)
    assert task.problem_statement == "Sums are wrong."
    assert task.requirements == ("attrs>=23",)
    assert Path(task.source.location) == suite / "repositories" / "abacus"
    assert task.source.fixed
    assert task.fail_to_pass == ("tests/test_sum.py::test_sum",)
    assert task.pass_to_pass == ("tests/test_sum.py::test_one[a::b]",)
    assert not task.install


def test_pypi_needs_neither_patch_nor_tests(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, PYPI)
    (suite / "tasks" / "abacus-sum" / "gold.patch").unlink()
    (suite / "tasks" / "abacus-sum" / "tests" / "test_sum.py").unlink()
    (task,) = read_suite(suite)
    assert (task.source.location, task.source.version, task.source.fixed_version) == ("sqlparse", "0.4.0", "0.4.1")


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("schema = 1", "schema = 2", "schema", "expected 1, got 2"),
        ("schema = 1", "schema = true", "schema", "expected 1, got True"),
        ("schema = 1\n", "", "schema", "missing"),
        ('repository = "abacus"\n', "", "repository", "missing; expected a non-empty string"),
        ('repository = "abacus"', "repository = 3", "repository", "expected a non-empty string, got 3"),
        ('repository = "abacus"', 'repository = " "', "repository", "expected a non-empty string"),
        ('"train"', '"test"', "split", "expected one of train, heldout, got 'test'"),
        ('["attrs>=23"]', '"attrs"', "requirements", "expected a list of strings"),
        ('["attrs>=23"]', "[1]", "requirements", "the item 1"),
        ('["attrs>=23"]', '["-r x"]', "requirements", "expected a pip requirement"),
        ("timeout_s = 30", "timeout_s = 0", "timeout_s", "above 0"),
        ("timeout_s = 30", "timeout_s = true", "timeout_s", "above 0"),
        ("timeout_s = 30", "timeout_s = nan", "timeout_s", "above 0"),
        ("timeout_s = 30", "timeout = 30", "timeout", "unknown field"),
        ("timeout_s = 30", "install = 1", "install", "expected true or false, got 1"),
        ('kind = "folder"', 'kind = "svn"', "source.kind", "expected one of folder, git, pypi"),
        ('path = "../../repositories/abacus"', 'path = "nowhere"', "source.path", "expected a folder"),
        ("fixed = true", 'url = "x"', "source.url", "unknown field"),
        ("[source]", "[sources]", "source", "missing; expected a table"),
        ("[tests]", "[[tests]]", "tests", "expected a table"),
        ('paths = ["tests/test_sum.py"]', "paths = []", "tests.paths", "at least one"),
        ('paths = ["tests/test_sum.py"]', 'paths = ["/tests/test_sum.py"]', "tests.paths", "relative"),
        ('paths = ["tests/test_sum.py"]', 'paths = ["../test_sum.py"]', "tests.paths", "without empty parts"),
        ('paths = ["tests/test_sum.py"]', 'paths = ["tests//test_sum.py"]', "tests.paths", "without empty parts"),
        ('paths = ["tests/test_sum.py"]', 'paths = [".git/config"]', "tests.paths", "outside .git"),
        ('paths = ["tests/test_sum.py"]', 'paths = ["tests/test_sum.py", "t.py"]', "tests.paths", "t.py is not there"),
        ('["tests/test_sum.py::test_sum"]', "[]", "tests.FAIL_TO_PASS", "at least one item"),
        (
            '["tests/test_sum.py::test_sum"]',
            '["tests/test_b.py::test"]',
            "tests.FAIL_TO_PASS",
            "the files of paths",
        ),
        ('["tests/test_sum.py::test_sum"]', '["tests/test_sum.py"]', "tests.FAIL_TO_PASS", "expected a pytest node id"),
        (
            '["tests/test_sum.py::test_one[a::b]"]',
            '["tests/test_sum.py::test_sum"]',
            "tests.PASS_TO_PASS",
            "is also in",
        ),
        ("PASS_TO_PASS = [", 'EXCLUDED = ["x", "x"]\nPASS_TO_PASS = [', "tests.EXCLUDED", "listed twice: x"),
        ("schema = 1", "schema = 1\nschema = 1", "not valid TOML", "line 2"),
        ("schema = 1", "schema = ", "not valid TOML", "line 1"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, old: str, new: str, field: str, words: str) -> None:
    assert old in TASK
    suite = write_suite(tmp_path, TASK.replace(old, new, 1))
    with pytest.raises(TaskError) as caught:
        read_suite(suite)
    assert str(caught.value).startswith(f"{suite / 'tasks' / 'abacus-sum' / 'task.toml'}: {field}")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('"0.4.1"', '"0.4.0"', "source.fixed_version"),
        ('package = "sqlparse"\n', "", "source.package"),
        ('fixed_version = "0.4.1"', 'fixed_version = "0.4.1"\nsource_paths = ["../x"]', "source.source_paths"),
    ],
)
def test_says_what_is_wrong_with_a_release(tmp_path: Path, old: str, new: str, field: str) -> None:
    suite = write_suite(tmp_path, PYPI.replace(old, new, 1))
    with pytest.raises(TaskError, match=field):
        read_suite(suite)


@pytest.mark.parametrize("name", ["task.toml", "problem.md", "gold.patch", "tests/test_sum.py"])
def test_files_that_are_missing_or_no_text(tmp_path: Path, name: str) -> None:
    suite = write_suite(tmp_path)
    file = suite / "tasks" / "abacus-sum" / name
    file.write_bytes(file.read_bytes() + b"\xff")
    with pytest.raises(TaskError, match=f"{name}: not UTF-8"):
        read_suite(suite)
    file.unlink()
    with pytest.raises(TaskError, match=name):
        read_suite(suite)


@pytest.mark.parametrize("name", ["problem.md", "gold.patch"])
def test_empty_files(tmp_path: Path, name: str) -> None:
    suite = write_suite(tmp_path)
    (suite / "tasks" / "abacus-sum" / name).write_text(" \n")
    with pytest.raises(TaskError, match=f"{name}: expected .* the file is empty"):
        read_suite(suite)


def test_what_is_no_suite(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no such folder"):
        read_suite(tmp_path / "nowhere")
    with pytest.raises(TaskError, match=r"suite\.toml: file not found"):
        read_suite(tmp_path)
    (tmp_path / "suite.toml").write_text('name = "x"\n')
    with pytest.raises(TaskError, match="at least one task folder"):
        read_suite(tmp_path)


def test_a_repository_is_on_one_side_of_the_split(tmp_path: Path) -> None:
    first = write_suite(tmp_path, name="one")
    second = write_suite(tmp_path, TASK.replace('"train"', '"heldout"'), name="two")
    with pytest.raises(TaskError, match=r"split: expected 'train', as in one/abacus-sum"):
        read_suites([first, second])


def test_choosing(tmp_path: Path) -> None:
    first = write_suite(tmp_path, name="one")
    second = write_suite(
        tmp_path, TASK.replace('"train"', '"heldout"').replace('y = "abacus"', 'y = "slide"'), name="two"
    )
    assert [t.task_id for t in read_suites([first, second, first])] == ["one/abacus-sum", "two/abacus-sum"]
    assert [t.task_id for t in read_suites([first, second], split="heldout")] == ["two/abacus-sum"]
    assert [t.task_id for t in read_suites([first, second], ids=["two/abacus-sum"])] == ["two/abacus-sum"]
    assert [t.task_id for t in read_suites([first], ids=["abacus-sum"])] == ["one/abacus-sum"]
    with pytest.raises(TaskError, match="did you mean one/abacus-sum"):
        read_suites([first, second], ids=["one/abacus-sun"])
    with pytest.raises(TaskError, match="several tasks"):
        read_suites([first, second], ids=["abacus-sum"])
    with pytest.raises(TaskError, match="is not in the train split"):
        read_suites([first, second], ids=["two/abacus-sum"], split="train")
    with pytest.raises(TaskError, match="no task of the heldout split"):
        read_suites([first], split="heldout")
