"""Preparation and validation in real containers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from srl_swe.errors import TaskError
from srl_swe.sandbox import open_sandbox
from srl_swe.tasks import ValidationResult, prepare, read_suite, read_task, validate, validate_suite

STARTER = Path(__file__).parents[2] / "envs" / "starter"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two tasks of the starter suite, to be spoiled."""
    copy = tmp_path / "starter"
    shutil.copytree(STARTER / "repositories" / "ledger", copy / "repositories" / "ledger")
    shutil.copy(STARTER / "suite.toml", copy)
    for name in ("ledger-yen", "ledger-split-cents"):
        shutil.copytree(STARTER / "tasks" / name, copy / "tasks" / name)
    return copy


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_good_tasks(suite: Path) -> None:
    seen: list[ValidationResult] = []
    results = validate_suite(read_suite(suite), on_result=seen.append)
    assert [result.task_id for result in results] == ["starter/ledger-split-cents", "starter/ledger-yen"]
    assert all(result.ok for result in results), results
    assert sorted(result.task_id for result in seen) == [result.task_id for result in results]


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_a_spoiled_gold_patch_is_named(suite: Path) -> None:
    gold = suite / "tasks" / "ledger-yen" / "gold.patch"
    gold.write_text(gold.read_text().replace("+        places = decimals(currency)", "+        places = 7"))
    good, spoiled = validate_suite(read_suite(suite), repeats=1)
    assert good.ok
    assert not spoiled.ok
    assert spoiled.task_id == "starter/ledger-yen"
    assert str(gold) in spoiled.problems[0]


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_a_fix_that_was_left_in_the_image(suite: Path) -> None:
    repository = suite / "repositories" / "ledger"
    shutil.copytree(repository / "ledger", repository / "build" / "lib" / "ledger")
    result = validate(read_task(suite / "tasks" / "ledger-split-cents"), repeats=1)
    assert result.problems == ("the image holds the fix: /testbed/build/lib/ledger/money.py",)


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_a_gold_patch_that_fixes_something_else(suite: Path) -> None:
    repository = suite / "repositories" / "ledger"
    (repository / "README.md").write_text("fixed\n")
    folder = suite / "tasks" / "ledger-yen"
    (folder / "gold.patch").write_text("--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-broken\n+fixed\n")
    result = validate(read_task(folder), repeats=1)
    assert not result.ok
    assert "FAIL_TO_PASS tests pass without any fix" in result.problems[0]


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_a_wrong_inventory(suite: Path) -> None:
    file = suite / "tasks" / "ledger-yen" / "task.toml"
    file.write_text(file.read_text().replace("test_export_euro", "test_export_pound"))
    result = validate(read_task(file.parent), repeats=1)
    text = "\n".join(result.problems)
    assert "surplus test: tests/test_yen.py::test_export_euro" in text
    assert "do not pass: tests/test_yen.py::test_export_pound (missing)" in text


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_the_image_holds_the_base_state_and_nothing_else(suite: Path) -> None:
    task = read_task(suite / "tasks" / "ledger-yen")
    prepared = prepare(task)
    assert prepare(task).image == prepared.image
    with open_sandbox(prepared.image) as sandbox:
        assert "places = 2" in sandbox.read_file("/testbed/ledger/money.py").decode()
        assert sandbox.run("git status --porcelain; git log --oneline | wc -l").output.strip() == "1"
        assert sandbox.run("ls tests/test_yen.py").exit_code != 0
        assert sandbox.run("grep -rIl 'takes_no_fraction' / 2>/dev/null | grep -v ^/proc; true").output.strip() == ""


def test_a_gold_patch_that_does_not_apply(suite: Path) -> None:
    file = suite / "tasks" / "ledger-yen" / "task.toml"
    file.write_text(file.read_text().replace("fixed = true", "fixed = false"))
    with pytest.raises(TaskError, match=r"gold\.patch: does not apply to the base state"):
        prepare(read_task(file.parent))
