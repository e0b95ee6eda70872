"""Tasks made of a real package and of a folder, in real containers, by the command itself; interrupted and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from srl_swe.tasks import read_suite, validate
from srl_swe.tasks.synthesis.subjects import opened
from srl_swe.tasks.synthesis.survey import UnfitError, survey

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_client")]

COMMAND = [sys.executable, "-c", "import sys; from srl_swe.cli import main; sys.exit(main())", "tasks", "synthesise"]
RELEASE = "inflection==0.5.1"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_a_package_interrupted_and_resumed(tmp_path: Path) -> None:
    suite = tmp_path / "made"
    order = [RELEASE, "--to", str(suite), "--per-package", "3", "--heldout", "inflection", "--repeats", "1"]
    journal = suite / ".mining" / "inflection-0.5.1.jsonl"
    with subprocess.Popen([*COMMAND, *order], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (journal.is_file() and journal.read_text().count("\n")) and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, process.communicate()
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in errors
    before = journal.read_text().splitlines()
    assert "finished" not in before[-1]
    kept = sorted(path.name for path in (suite / "tasks").iterdir())
    assert kept == sorted(json.loads(line)["task"] for line in before if json.loads(line)["outcome"] == "kept")

    done = run(*order)
    assert done.returncode == 0, done.stderr
    lines = journal.read_text().splitlines()
    assert lines[: len(before)] == before and "finished" in lines[-1]
    keys = [json.dumps(json.loads(line)["mutations"]) for line in lines[:-1]]
    assert len(keys) == len(set(keys)), "no mutant is tried twice"
    tasks = read_suite(suite)
    assert len(tasks) == 3 and "3 tasks of 1 packages" in done.stdout
    assert {task.split for task in tasks} == {"heldout"} and {task.repository for task in tasks} == {"inflection"}
    for task in tasks:
        assert task.source.mutations and task.pass_to_pass
        assert {path.name for path in task.folder.iterdir()} == {"task.toml", "problem.md"}
        for mutation in task.source.mutations:
            assert mutation.operator not in task.problem_statement and mutation.path not in task.problem_statement

    third = run(*order)
    assert third.returncode == 0 and journal.read_text().splitlines() == lines


CODE = '''\
"""Sums."""


def clamp(value, low, high):
    """Bring a value between two others."""
    if value < low:
        return low
    if value > high:
        return high
    return value


def total(values, *, start=0):
    result = start
    for value in values:
        result += value
    return result
'''
TESTS = """\
import os
import time

from abacus import clamp, total


def test_low():
    assert clamp(-1, 0, 10) == 0


def test_high():
    assert clamp(11, 0, 10) == 10


def test_between():
    assert clamp(5, 0, 10) == 5


def test_total():
    assert total([1, 2]) == 3


def test_start():
    assert total([], start=4) == 4


def test_missing():
    assert os.path.exists("/nowhere")
"""


def test_a_folder(tmp_path: Path) -> None:
    repository = tmp_path / "abacus"
    repository.mkdir()
    (repository / "abacus.py").write_text(CODE)
    (repository / "test_abacus.py").write_text(TESTS)
    suite = tmp_path / "envs" / "made"
    done = run(str(repository), "no-such-package", "--to", str(suite), "--per-package", "2", "--seed", "3")
    assert done.returncode == 1
    assert "no-such-package: expected PACKAGE==VERSION or a folder" in done.stdout
    tasks = read_suite(suite)
    assert len(tasks) == 2
    for task in tasks:
        assert task.source.fixed and Path(task.source.location) == repository
        assert task.excluded_tests == ("test_abacus.py::test_missing",)
        assert len(task.fail_to_pass) + len(task.pass_to_pass) == 5
        assert (task.folder / "gold.patch").read_text().startswith("diff --git a/abacus.py b/abacus.py")
    assert validate(tasks[0], repeats=1).ok
    assert (repository / "abacus.py").read_text() == CODE
    journal = [json.loads(line) for line in (suite / ".mining" / "abacus.jsonl").read_text().splitlines()]
    assert sum(line.get("outcome") == "kept" for line in journal) == 2


def test_unfit_packages_are_named(tmp_path: Path, docker_client: object) -> None:
    (tmp_path / "abacus.py").write_text(CODE)
    with opened(str(tmp_path)) as subject, pytest.raises(UnfitError, match="has no test files"):
        survey(subject, docker_client)  # type: ignore[arg-type]
    (tmp_path / "test_abacus.py").write_text("import nothing_of_this_name\n")
    with opened(str(tmp_path)) as subject, pytest.raises(UnfitError, match=r"no test passes|cannot be installed"):
        survey(subject, docker_client)  # type: ignore[arg-type]


def test_wrong_options(tmp_path: Path) -> None:
    done = run("--to", str(tmp_path / "x"))
    assert done.returncode == 2 and "name at least one release" in done.stderr
    done = run(RELEASE, "--to", str(tmp_path / "x"), "--per-package", "0")
    assert done.returncode == 2 and "--per-package: expected a whole number from 1 on" in done.stderr
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "suite.toml").write_text('name = "other"\n')
    done = run(RELEASE, "--to", str(tmp_path / "x"))
    assert done.returncode == 2 and "name: expected 'x', got 'other'" in done.stderr
    assert not (tmp_path / "x" / "tasks").exists()
