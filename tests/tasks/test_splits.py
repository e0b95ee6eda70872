"""Splits: made, recorded, and enforced whenever a suite is read; and what two suites share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from srl_swe.cli import main
from srl_swe.errors import TaskError
from srl_swe.tasks import read_suite, read_suites, read_task
from srl_swe.tasks.contamination import changed_lines, find_overlaps, overlap, repository_key
from srl_swe.tasks.prepare import gold_patch
from srl_swe.tasks.splits import SplitRule, make_rule

STARTER = Path(__file__).parents[2] / "envs" / "starter"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    copy = tmp_path / "starter"
    shutil.copytree(STARTER, copy)
    return copy


def held(suite: Path) -> set[str]:
    return {task.repository for task in read_suite(suite) if task.split == "heldout"}


def test_by_repository(suite):
    assert (
        main(["tasks", "split", str(suite), "--by", "repository", "--heldout", "ledger", "--heldout", "textkit"]) == 0
    )
    assert held(suite) == {"ledger", "textkit"}
    assert 'heldout = ["ledger", "textkit"]' in (suite / "suite.toml").read_text()
    # Once more, in place of the first.
    assert main(["tasks", "split", str(suite), "--by", "repository", "--heldout", "inikit"]) == 0
    assert held(suite) == {"inikit"}
    assert (suite / "suite.toml").read_text().count("[split]") == 1


@pytest.mark.parametrize("by", ["repository", "hash"])
def test_a_fraction(suite, by):
    assert main(["tasks", "split", str(suite), "--by", by, "--heldout", "0.4"]) == 0
    first = held(suite)
    assert 0 < len(first) < 5
    assert main(["tasks", "split", str(suite), "--by", by, "--heldout", "0.4"]) == 0
    assert held(suite) == first


def test_by_time(suite):
    assert main(["tasks", "split", str(suite), "--by", "time"]) == 2
    for number, folder in enumerate(sorted((suite / "tasks").iterdir())):
        file = folder / "task.toml"
        file.write_text(f'created_at = "2024-01-{number % 28 + 1:02}"\n' + file.read_text())
    assert main(["tasks", "split", str(suite), "--by", "time", "--heldout", "2024-01-20"]) == 0
    for task in read_suites([suite]):
        assert task.split == ("heldout" if task.created_at >= "2024-01-20" else "train")
    assert main(["tasks", "split", str(suite), "--by", "time", "--heldout", "0.2"]) == 0
    # Two of a day are on one side.
    assert sum(task.split == "heldout" for task in read_suite(suite)) in (7, 8)


def test_a_task_on_the_wrong_side_is_named(suite):
    main(["tasks", "split", str(suite), "--by", "repository", "--heldout", "ledger"])
    file = suite / "tasks" / "ledger-yen" / "task.toml"
    file.write_text(file.read_text().replace('split = "heldout"', 'split = "train"'))
    for read in (lambda: read_suite(suite), lambda: read_task(file.parent), lambda: read_suites([suite])):
        with pytest.raises(TaskError, match=r"ledger-yen/task\.toml: split: expected 'heldout', by the rule in suite"):
            read()
    # The command that makes it right is not stopped by it.
    assert main(["tasks", "split", str(suite), "--by", "repository", "--heldout", "ledger"]) == 0
    assert held(suite) == {"ledger"}


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('by = "luck"\nheldout = []', "split.by: expected one of repository, time, hash"),
        ('by = "hash"\nheldout = ["2"]', "split.heldout: expected a part between 0 and 1"),
        ('by = "hash"\nheldout = []', "split.heldout: expected at least one item"),
        ('by = "time"\nheldout = ["spring"]', "split.heldout: expected a day such as"),
        ('by = "time"\nheldout = ["20240101"]', "split.heldout: expected a day such as"),
        ('by = "repository"\nheldout = "ledger"', "split.heldout: expected a list of strings"),
        ('by = "repository"\nheldout = []\nseed = 1', "split.seed: unknown field"),
        ('heldout = ["a"]', "split.by: missing"),
    ],
)
def test_wrong_rules(suite, table, problem):
    file = suite / "suite.toml"
    file.write_text(f"{file.read_text()}\n[split]\n{table}\n")
    with pytest.raises(TaskError) as caught:
        read_suite(suite)
    assert str(caught.value).startswith(f"{file}: {problem}")


@pytest.mark.parametrize(
    ("by", "heldout"), [("repository", "none"), ("time", "soon"), ("hash", "ledger"), ("hash", "2")]
)
def test_wrong_options(by, heldout):
    with pytest.raises(TaskError, match="--heldout: expected"):
        make_rule(read_suite(STARTER), by, [heldout])


def test_a_hash_stays_as_tasks_are_added():
    rule = SplitRule(by="hash", heldout=("0.5",))
    sides = {name: rule.side(name, "") for name in map(str, range(1000))}
    assert 450 < sum(side == "heldout" for side in sides.values()) < 550
    more = SplitRule(by="hash", heldout=("0.6",))
    assert all(more.side(name, "") == "heldout" for name, side in sides.items() if side == "heldout")


PATCH = """--- a/pkg/x.py
+++ b/pkg/x.py
@@ -1,3 +1,3 @@ def f():
 a
--- b
+++ total = compute(first, second, third)
 c
"""


def test_changed_lines():
    assert changed_lines(PATCH) == {"pkg/x.py": {"---b", "+++total=compute(first,second,third)"}}
    assert changed_lines("no patch\n@@ -1 +1 @@\n") == changed_lines("") == {}


def test_overlap():
    line = "+total=compute(first,second,third)"
    assert overlap({line}, {line, "-x"}) == 1.0
    assert overlap({line, "-a", "-b"}, {line, "-c", "-d"}) == pytest.approx(1 / 3)
    assert overlap({"+a"}, {"+b"}) == overlap(set(), {"+b"}) == 0.0


@pytest.mark.parametrize("name", ["Pallets/Flask.git", "https://github.com/pallets/flask/", "pallets__flask", "flask"])
def test_repositories_by_their_names(name):
    assert repository_key(name) == "flask"


def test_contamination(suite, capsys):
    """The same repository under another owner, one same fix in it, and nothing else."""
    for folder in (suite / "tasks").iterdir():
        if folder.name != "ledger-yen" and not folder.name.startswith("textkit"):
            shutil.rmtree(folder)
    for folder in (suite / "tasks").iterdir():
        file = folder / "task.toml"
        text = file.read_text().replace('repository = "ledger"', 'repository = "Somebody/Ledger"')
        file.write_text(text.replace('repository = "textkit"', 'repository = "else"'))
        gold = folder / "gold.patch"
        if folder.name != "ledger-yen":
            gold.write_text(PATCH)
    (suite / "suite.toml").write_text('name = "other"\n')
    sides = [[(task, gold_patch(task)) for task in read_suite(path)] for path in (STARTER, suite)]
    found = [(overlap.kind, overlap.first, overlap.second) for overlap in find_overlaps(*sides)]
    assert set(found[:1]) == {("repository", "starter/ledger-between-last-day", "other/ledger-yen")}
    assert {item[1:] for item in found[1:]} == {("starter/ledger-yen", "other/ledger-yen")}
    assert main(["tasks", "contamination", str(STARTER), str(suite)]) == 1
    assert "1 repositories and" in capsys.readouterr().out
    shutil.rmtree(suite / "tasks" / "ledger-yen")
    assert main(["tasks", "contamination", str(STARTER), str(suite)]) == 0
