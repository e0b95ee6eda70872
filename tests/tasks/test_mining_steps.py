"""Which steps are tried, and which are refused before any sandbox is opened."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from srl_swe.errors import ConfigError, TaskError, UserError
from srl_swe.tasks.host_git import run_git
from srl_swe.tasks.mining.candidates import (
    Limits,
    RefusedError,
    changed_lines,
    changed_tests,
    check_size,
    code_changes,
    is_test_module,
)
from srl_swe.tasks.mining.commits import commit_steps
from srl_swe.tasks.mining.journal import Journal
from srl_swe.tasks.mining.release_steps import parse_step
from srl_swe.tasks.mining.requirements import find_requirements
from srl_swe.tasks.mining.run import task_name
from srl_swe.tasks.mining.verify import repaired_tests
from srl_swe.tasks.prepare import source_changes


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("text", ["pypi:Some.Pkg:1.0:1.1", "some-pkg==1.0:1.1"])
def test_steps_have_two_spellings(text):
    step = parse_step(text)
    assert (step.key, step.group) == ("pypi:some-pkg:1.0:1.1", "some-pkg")


@pytest.mark.parametrize("text", ["some", "pypi:a:1", "a==1", "a==1:x", "a==1.0:1", "pypi::1:2", "git:a:1:2"])
def test_what_is_no_step_is_told(text):
    with pytest.raises(ConfigError, match=r"expected pypi:PACKAGE:OLD:NEW or PACKAGE==OLD:NEW"):
        parse_step(text)


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("tests/test_a.py", True),
        ("a_test.py", True),
        ("pkg/tests.py", True),
        ("tests/data.py", False),
        ("a.txt", False),
    ],
)
def test_what_holds_tests(path, is_one):
    assert is_test_module(path) is is_one


def test_changed_tests_bring_what_lies_beside_them(tmp_path):
    base = write(tmp_path / "a", {"tests/test_a.py": "1", "tests/same.txt": "x", "pkg.py": "1"})
    fixed = write(tmp_path / "b", {"tests/test_a.py": "2", "tests/same.txt": "x", "tests/new.txt": "n", "pkg.py": "2"})
    (fixed / "tests/image.png").write_bytes(b"\x89\xff")
    assert changed_tests(base, fixed) == {"tests/new.txt": "n", "tests/test_a.py": "2"}
    (fixed / "tests/test_a.py").write_text("1")
    with pytest.raises(RefusedError, match="no test file is added or changed"):
        changed_tests(base, fixed)


def test_versions_comments_and_docstrings_are_no_change(tmp_path):
    before = {"pkg/__init__.py": '__version__ = "1"\n', "pkg/a.py": '"""Doc."""\nx = 1\n', "pkg/b.py": "y = 1\n"}
    after = {
        "pkg/__init__.py": '__version__ = "2"\n',
        "pkg/a.py": '"""Other."""\nx = 1  # one\n',
        "pkg/b.py": "y = 2\n",
    }
    base, fixed = write(tmp_path / "a", before), write(tmp_path / "b", after)
    changes = source_changes(base, fixed, ())
    assert sorted(changes) == sorted(before)
    assert code_changes(base, changes) == {"pkg/b.py": b"y = 2\n"}


def test_size_is_of_code_and_four_times_of_all():
    def patch(lines: list[str]) -> str:
        return "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n" + "".join(f"+{line}\n" for line in lines)

    assert changed_lines(patch(["++ a", "b"])) == ["+++ a", "+b"]
    limits = Limits(source_lines=2)
    check_size(patch(["x", "y", "# c", ""]), limits)
    with pytest.raises(RefusedError, match="3 lines of code change, more than the 2 allowed"):
        check_size(patch(["x", "y", "z"]), limits)
    with pytest.raises(RefusedError, match="9 source lines change, more than four times the 2 allowed"):
        check_size(patch(["# c"] * 9), limits)


def test_requirements_are_declared_or_well_known(tmp_path):
    metadata = "Name: thing\nRequires-Dist: six>=1\nRequires-Dist: pytest; extra == 'test'\n"
    metadata += "Requires-Dist: tinytool>3; extra == 'test'\nRequires-Dist: old; python_version < '3'\n"
    base = write(
        tmp_path / "a", {"PKG-INFO": metadata, "thing/__init__.py": "import six\n", "tox.ini": "deps = declared"}
    )
    test = "import os, thing, tinytool, yaml, guessed\ntry:\n    import numpy\nexcept ImportError:\n    numpy = None\n"
    found = find_requirements(base, {"tests/test_a.py": test}, "thing")
    assert found == ("pyyaml", "six>=1", "tinytool")


def test_requirements_of_a_repository_are_in_its_project_files(tmp_path):
    project = '[project]\ndependencies = ["left>=2", "thing"]\n[project.optional-dependencies]\ntest = ["right>1"]\n'
    files = {"pyproject.toml": project, "setup.cfg": "[options]\ninstall_requires =\n    up\n", "tests/helper.py": ""}
    base = write(tmp_path / "a", files)
    tests = {"tests/test_a.py": "import right, helper\nfrom unknown import x\n"}
    assert find_requirements(base, tests, "thing") == ("left>=2", "right", "up")
    write(base, {"pyproject.toml": "not toml"})
    assert find_requirements(base, tests, "thing") == ("up",)


def test_names_are_of_what_is_tested():
    assert task_name("my.pkg", "tests/test_a.py::TestB::test_keepsBlank_lines[x::y]") == "my-pkg-keeps-blank-lines"
    assert len(task_name("p", "t.py::test_" + "a" * 90)) == len("p-") + 40


def test_repaired_is_what_fails_every_time_before_and_passes_every_time_after():
    from srl_swe.grading.surveys import Survey
    from srl_swe.records import TestOutcome as Outcome

    def run(**outcomes: Outcome) -> Survey:
        return Survey(outcomes={f"t.py::{name}": o for name, o in outcomes.items()}, broken=(), finished=True)

    good, bad = Outcome.PASSED, Outcome.FAILED
    before = [run(a=bad, b=bad, c=good, d=bad), run(a=bad, b=good, c=good, d=bad)]
    after = [run(a=good, b=good, c=good, d=good), run(a=good, b=good, c=good, d=bad)]
    assert repaired_tests(before, after) == ["t.py::a"]


def test_the_journal_survives_a_torn_line(tmp_path):
    journal = Journal(tmp_path)
    journal.write("a", "g", "kept", reason="", task="t", seconds=1.26)
    journal.write("b", "g", "refused", reason="ü", task="", seconds=2)
    with journal.path.open("ab") as file:
        file.write(b'{"key": "c", "outc')
    again = Journal(tmp_path)
    assert list(again.rows) == ["a", "b"]
    assert (again.kept(), again.kept("g"), again.kept("h")) == (1, 1, 0)
    again.write("c", "h", "kept", reason="", task="t2", seconds=0)
    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert [line["key"] for line in lines] == ["a", "b", "c"]
    assert lines[0]["seconds"] == 1.3


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[]", ":1: expected a JSON object"),
        ("no", ":1: not valid JSON"),
        ("{}", ": row 1: expected an object with key and outcome"),
        ('{"key": "a", "outcome": "maybe"}', ": row 1: expected an object with key and outcome"),
    ],
)
def test_a_journal_of_somebody_else_is_not_overwritten(tmp_path, line, problem):
    (tmp_path / ".mining").mkdir()
    journal = tmp_path / ".mining/journal.jsonl"
    journal.write_text(line + "\n")
    with pytest.raises(UserError, match=re.escape(f"{journal}{problem}")):
        Journal(tmp_path)
    assert journal.read_text() == line + "\n"


def test_commits_that_change_source_and_tests(tmp_path):
    folder = write(tmp_path / "Repo", {"pkg/__init__.py": "", "tests/test_a.py": ""})

    def commit(message: str, **files: str) -> None:
        write(folder, {name.replace("__", "/") + ".py": text for name, text in files.items()})
        run_git("add", "-A", cwd=folder)
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        assert run_git(*identity, "commit", "-qm", message, cwd=folder).returncode == 0

    run_git("init", "-q", cwd=folder)
    commit("first")
    commit("both", pkg__a="1", tests__test_a="1")
    commit("tests alone", tests__test_a="2")
    commit("source alone", pkg__a="2")
    commit("both again", pkg__a="3", tests__test_b="1")
    keys = [step.key for step in commit_steps(str(folder), max_commits=10)]
    commits = run_git("log", "--format=%H", cwd=folder).stdout.decode().split()
    assert keys == [f"git:repo:{commits[0]}", f"git:repo:{commits[3]}"]
    assert len(list(commit_steps(str(folder), max_commits=1))) == 1
    assert len(list(commit_steps(str(folder), max_commits=10, since=commits[3]))) == 1


def test_no_repository(tmp_path):
    with pytest.raises(TaskError, match="expected a git repository with commits"):
        list(commit_steps(str(tmp_path), max_commits=10))
