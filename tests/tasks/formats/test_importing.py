"""Every public format: a row with the fields of real ones becomes the task that it describes."""

from __future__ import annotations

import datetime
import gzip
import json
from pathlib import Path

import public_rows
import pytest
from public_rows import FAIL_TO_PASS, FIXED, PASS_TO_PASS

from srl_swe.errors import TaskError
from srl_swe.tasks import host_git, read_suite
from srl_swe.tasks.formats.importing import FORMATS, import_tasks, recognised
from srl_swe.tasks.formats.reading import Reading
from srl_swe.tasks.formats.rows import Row

ROWS = ("swebench", "swebench-5", "swe-gym", "swe-rebench", "swesmith", "r2e-gym", "bugfix", "humanevalfix")
MODULES = {"swebench-5": "swebench", "swe-gym": "swebench", "swe-rebench": "swebench"}


def run(world, tmp_path, name, *, build=False, change=None, skip_bad=False, **options):
    row = world.rows[name] | (change or {})
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    (tmp_path / "requirements.lock").write_text(
        "# one\nattrs==23.1.0\npytest==8.4.2\npytest-metadata==3.1.1\nadder==3.0\n"
    )
    reading = Reading(suite=tmp_path / "suite", mirror=world.mirror, build=build)
    return import_tasks(str(file), reading, skip_bad=skip_bad, **options)


def only_task(tmp_path):
    tasks = read_suite(tmp_path / "suite")
    assert len(tasks) == 1
    return tasks[0]


def gold_repairs(task, buggy=public_rows.BUGGY, fixed=FIXED, file="adder.py"):
    """The gold patch makes the fixed code of the buggy."""
    base = task.folder.parent.parent / "base"
    base.mkdir()
    (base / file).write_text(buggy)
    assert host_git.apply(base, (task.folder / "gold.patch").read_bytes()) is None
    return (base / file).read_text() == fixed


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_recognised(world, name):
    row = Row(where="x:1", fields=world.rows[name], folder=Path())
    assert recognised(row) is FORMATS[MODULES.get(name, name)]


@pytest.mark.parametrize("name", ["swebench", "swe-gym", "bugfix"])
def test_repositories(world, tmp_path, name):
    account = run(world, tmp_path, name)
    assert (len(account.written), account.refused, account.bad) == (1, [], [])
    task = only_task(tmp_path)
    assert task.folder.name == world.rows[name]["instance_id"]
    assert task.repository == "psf/adder"
    assert task.source.kind == "git"
    assert task.source.location == "https://github.com/psf/adder"
    assert task.source.version == world.rows[name]["base_commit"]
    assert list(task.fail_to_pass) == FAIL_TO_PASS
    assert list(task.pass_to_pass) == PASS_TO_PASS
    assert task.partial
    assert task.created_at == world.rows[name]["created_at"][:10]
    assert (task.folder / "tests/test_adder.py").read_text() == public_rows.NEW_TESTS
    assert task.problem_statement == world.rows[name]["problem_statement"]
    # The project's own release is the one before the fix.
    assert task.requirements == (("attrs==23.1.0", "pytest==8.4.2", "adder==1.0") if name == "bugfix" else ())
    assert gold_repairs(task)


@pytest.mark.parametrize(
    ("name", "image", "fixed"),
    [
        ("swebench-5", "swebench/sweb.eval.x86_64.psf_1776_adder-1:latest", False),
        ("swe-rebench", "swerebench/sweb.eval.x86_64.psf_1776_adder-1", False),
        ("swesmith", None, True),
    ],
)
def test_prebuilt_images(world, tmp_path, name, image, fixed):
    run(world, tmp_path, name)
    task = only_task(tmp_path)
    assert task.source.kind == "image"
    assert task.source.location == (image or world.rows[name]["image_name"])
    assert task.source.fixed is fixed
    assert list(task.fail_to_pass) == FAIL_TO_PASS
    assert (task.folder / "tests/test_adder.py").read_text() == public_rows.NEW_TESTS
    assert gold_repairs(task)


def test_prebuilt_images_left_aside(world, tmp_path):
    run(world, tmp_path, "swe-rebench", build=True)
    task = only_task(tmp_path)
    assert task.source.kind == "git"
    assert task.requirements == ("attrs==23.1.0", "iniconfig==2.0.0")
    assert task.install  # pip install -e .[dev]
    smith = tmp_path / "smith"
    smith.mkdir()
    run(world, smith, "swesmith", build=True)
    task = only_task(smith)
    assert (task.source.kind, task.source.fixed) == ("git", True)
    assert len(task.source.version) == 40


def test_r2e_gym(world, tmp_path):
    run(world, tmp_path, "r2e-gym")
    task = only_task(tmp_path)
    assert task.source.location == world.rows["r2e-gym"]["docker_image"]
    assert sorted(task.fail_to_pass) == [
        "r2e_tests/test_1.py::TestMore::test_three",
        "r2e_tests/test_1.py::test_add[1]",
        "r2e_tests/test_1.py::test_add[2]",
    ]
    assert task.pass_to_pass == ("r2e_tests/test_1.py::test_negate",)
    assert task.problem_statement == "**Title:** add subtracts"
    assert gold_repairs(task)
    assert "tests/" not in (task.folder / "gold.patch").read_text()


def test_humanevalfix(world, tmp_path):
    run(world, tmp_path, "humanevalfix")
    task = only_task(tmp_path)
    row = public_rows.HUMANEVALFIX
    assert task.task_id == "suite/python-7"
    assert gold_repairs(
        task,
        row["prompt"] + row["buggy_solution"],
        row["prompt"] + row["canonical_solution"],
        "solution.py",
    )
    test = (task.folder / "tests/test_7.py").read_text()
    assert test.startswith("from solution import add, math, up\n")
    assert test.count("check(add)") == 2  # the definition, and the call in the test function


def test_harbor_with_a_patch_and_pytest(world, tmp_path):
    patch = world.rows["swebench"]["patch"]
    public_rows.harbor(tmp_path / "tasks" / "add-two", patch=patch)
    public_rows.terminal_bench(tmp_path / "tasks" / "hello")
    account = import_tasks(str(tmp_path / "tasks"), Reading(suite=tmp_path / "suite"))
    assert account.written == ["add-two"]
    assert len(account.refused) == 1
    assert "hello: solution: a solution that is not one patch" in account.refused[0]
    task = only_task(tmp_path)
    assert (task.source.location, task.source.root) == ("example/adder:1", "/app")
    assert task.timeout_s == 90
    assert task.fail_to_pass == ("tests/test_outputs.py::test_add",)
    assert gold_repairs(task)


def test_harbor_with_an_instance(world, tmp_path):
    folder = public_rows.harbor(tmp_path / "tasks" / "psf__adder-1", patch="")
    (folder / "tests/config.json").write_text(json.dumps(world.rows["swebench"]))
    account = import_tasks(str(tmp_path / "tasks"), Reading(suite=tmp_path / "suite", mirror=world.mirror))
    assert account.written == ["psf__adder-1"]
    assert only_task(tmp_path).source.version == world.rows["swebench"]["base_commit"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"FAIL_TO_PASS": '["test_a (app.tests.SomeTests)"]'}, "FAIL_TO_PASS: a test of a runner that is not pytest"),
        ({"FAIL_TO_PASS": '["tests/test_adder.py::test_add[a"]'}, "FAIL_TO_PASS: a name cut off at a space"),
        ({"FAIL_TO_PASS": '["test_unknown"]'}, "FAIL_TO_PASS: not a pytest node id"),
        ({"FAIL_TO_PASS": "[]"}, "FAIL_TO_PASS: no test shows the bug"),
    ],
)
def test_refused(world, tmp_path, change, reason):
    account = run(world, tmp_path, "swebench", change=change)
    assert account.written == account.bad == []
    assert len(account.refused) == 1
    assert f"rows.jsonl:1: {reason}" in account.refused[0]
    assert not (tmp_path / "suite").exists()


def test_names_of_sympys_runner_are_looked_up(world, tmp_path):
    run(world, tmp_path, "swebench", change={"FAIL_TO_PASS": '["test_not_listed"]', "PASS_TO_PASS": '["test_gone"]'})
    task = only_task(tmp_path)
    assert task.fail_to_pass == ("tests/test_adder.py::test_not_listed",)
    assert task.pass_to_pass == ()


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("swebench", {"patch": None}, "patch: missing; expected a non-empty string"),
        ("swebench", {"patch": "--- a/none.py\n+++ b/none.py\n@@ -1 +1 @@\n-x\n+y\n"}, "patch: expected a patch that"),
        ("swebench", {"test_patch": "nonsense"}, "test_patch: expected a patch that applies to the base state"),
        ("swebench", {"repo": "psf/adder/more"}, "repo: expected owner/name"),
        ("swebench", {"repo": ["psf/adder"]}, "repo: expected a non-empty string"),
        ("swebench", {"base_commit": "main"}, "base_commit: expected the id of a commit"),
        ("swebench", {"base_commit": "0" * 40}, "base_commit: expected a commit of"),
        ("swebench", {"created_at": "yesterday"}, "created_at: expected a date such as"),
        ("swebench", {"FAIL_TO_PASS": "[1]"}, "FAIL_TO_PASS: expected a list of non-empty strings, got the item 1"),
        ("swebench", {"FAIL_TO_PASS": "[" * 100_000}, "FAIL_TO_PASS: expected a list of strings, or its JSON text"),
        ("swebench", {"FAIL_TO_PASS": '["../../etc/x.py::test"]'}, "FAIL_TO_PASS: expected tests in files below"),
        ("swebench", {"problem_statement": "a\0b"}, "problem_statement: expected text without NUL"),
        ("swebench", {"problem_statement": "\ud800"}, "problem_statement: expected text that UTF-8 can hold"),
        ("swesmith", {"repo": "psf/adder"}, "repo: expected swesmith/owner__name.commit"),
        ("r2e-gym", {"expected_output_json": "{}}"}, "expected_output_json: expected an object, or its JSON text"),
        ("r2e-gym", {"parsed_commit_content": "{}"}, "parsed_commit_content: file_diffs: missing"),
        ("bugfix", {"source_files": ["README"]}, "source_files: expected files that"),
        ("bugfix", {"env": {"requirements": "../x"}}, "env.requirements: expected the name of a file beside this one"),
        ("humanevalfix", {"buggy_solution": "    return (\n"}, "buggy_solution: expected Python code after prompt"),
        ("humanevalfix", {"entry_point": "up_down"}, "entry_point: expected a function that prompt defines"),
    ],
)
def test_bad_rows_are_named(world, tmp_path, name, change, problem):
    with pytest.raises(TaskError) as caught:
        run(world, tmp_path, name, change=change)
    assert str(caught.value).startswith(f"{tmp_path}/rows.jsonl:1: {problem}")
    assert not (tmp_path / "suite").exists()
    account = run(world, tmp_path, name, change=change, skip_bad=True)
    assert account.bad == [str(caught.value)]


def test_rows_of_no_format(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "2 + 2?"}\n')
    with pytest.raises(TaskError, match=r"rows.jsonl:1: expected the fields of one of bugfix, .*; got 'question'"):
        import_tasks(str(tmp_path / "rows.jsonl"), Reading(suite=tmp_path / "suite"))


def test_nothing_is_left_of_a_suite_without_a_task(world, tmp_path):
    change = {"prompt": "def add(a, b):\n", "entry_point": "add", "task_id": "Python/7", "docstring": "x"}
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(world.rows["humanevalfix"] | change))
    (tmp_path / "suite name ").mkdir()
    with pytest.raises(TaskError, match=r"rows\.jsonl:1: .*suite\.toml: name: expected a name without"):
        import_tasks(str(file), Reading(suite=tmp_path / "suite name "))
    assert list(tmp_path.glob("suite*/*")) == []


def test_days_of_parquet(tmp_path, world):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    moment = datetime.datetime(2021, 9, 29, 5, 51, tzinfo=datetime.UTC)
    rows = [world.rows["swe-gym"] | {"created_at": moment}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    import_tasks(str(tmp_path / "rows.parquet"), Reading(suite=tmp_path / "suite", mirror=world.mirror))
    assert only_task(tmp_path).created_at == "2021-09-29"


def test_good_rows_among_bad_ones(world, tmp_path):
    row = json.dumps(world.rows["humanevalfix"])
    lines = [row, "{", row.replace("Python/7", "Python/8"), row.replace("Python/7", "Rust/7"), "[]", row]
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as file:
        file.write("\n".join(lines))
    reading = Reading(suite=tmp_path / "suite")
    account = import_tasks(str(tmp_path / "rows.jsonl.gz"), reading, skip_bad=True)
    assert account.written == ["python-7", "python-8"]
    assert account.kept == ["python-7"]
    assert [text.partition(".gz:")[2][:2] for text in account.bad] == ["2:", "5:"]
    assert len(account.refused) == 1
    again = import_tasks(str(tmp_path / "rows.jsonl.gz"), reading, skip_bad=True)
    assert (again.written, len(again.kept)) == ([], 3)


def test_limit_and_only(world, tmp_path):
    rows = [world.rows["humanevalfix"] | {"task_id": f"Python/{n}"} for n in range(5)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    reading = Reading(suite=tmp_path / "suite")
    assert import_tasks(str(tmp_path / "rows.json"), reading, limit=2).written == ["python-0", "python-1"]
    assert import_tasks(str(tmp_path / "rows.json"), reading, only=("Python/4",)).written == ["python-4"]


def test_our_own_format(tmp_path):
    starter = Path(__file__).parents[3] / "envs" / "starter"
    account = import_tasks(str(starter), Reading(suite=tmp_path / "suite"), limit=3)
    assert len(account.written) == 3
    ours = {task.folder.name: task for task in read_suite(starter)}
    for task in read_suite(tmp_path / "suite"):
        same = ours[task.folder.name]
        assert (task.source, task.fail_to_pass, task.problem_statement) == (
            same.source,
            same.fail_to_pass,
            same.problem_statement,
        )
