"""``srl-swe experts import, export, show``."""

from __future__ import annotations

import json
from pathlib import Path

import format_samples as samples
import pytest

from srl_swe.cli import main
from srl_swe.experts.formats.reading import read_file
from srl_swe.experts.trajectories import read_trajectories, write_trajectories
from srl_swe.records import Step, Trajectory


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.jsonl"
    rows = [samples.ATIF, {"messages": 3}, samples.MINI_1]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def words(text: str) -> list[list[str]]:
    return [line.replace("│", " ").split() for line in text.splitlines()]


def test_import_tells_what_became_of_every_row(mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["experts", "import", "--to", str(out)]) == 2
    assert main(["experts", "import", str(mixed), "--to", str(out)]) == 2
    assert "mixed.jsonl:2: " in capsys.readouterr().err and not out.exists()
    assert main(["experts", "import", str(mixed), "--to", str(out), "--skip-bad", "--split", "heldout"]) == 0
    printed = capsys.readouterr().out
    (row,) = [line for line in words(printed) if line[-5:] == ["3", "2", "6", "4", "1"]]
    assert "atif," in row and "mini-swe-agent" in row
    assert ["an", "answer", "without", "an", "action", "1"] in words(printed)
    assert "skipped: " in printed and "messages: expected a list, found 3" in " ".join(printed.split())
    assert [(t.task_id, t.split) for t in read_trajectories(out)] == [
        ("owner__repo-8", "heldout"),
        ("owner__repo-1", "heldout"),
    ]


def test_export_what_was_imported(mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl"
    assert main(["experts", "import", str(mixed), "--to", str(ours), "--skip-bad"]) == 0
    for format in ("trl", "atif", "srl-swe"):
        assert main(["experts", "export", str(ours), "--to", str(theirs), "--format", format]) == 0
        assert [len(t.steps) for t in read_file(theirs)] == [3, 3]
    assert main(["experts", "export", str(ours), "--to", str(theirs), "--format", "cobol"]) == 2
    assert "no format 'cobol'" in capsys.readouterr().err


def test_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = json.loads(json.dumps(samples.ATIF))
    long["steps"][2]["observation"]["results"][1]["content"] = "\n".join(f"line {k}" for k in range(100))
    path = tmp_path / "long.json"
    path.write_text(json.dumps(long))
    assert main(["experts", "show", str(path), "--lines", "6"]) == 0
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for expected in (
        "Two at once.",
        "$ ls",
        "line 0",
        "… 94 lines …",
        "line 99",
        "2. cannot run; reward 0.5",
        "$ submit",
    ):
        assert expected in shown
    assert "line 50" not in shown
    assert main(["experts", "show", str(path), "owner__repo-8@atif-0"]) == 0
    assert main(["experts", "show", str(path), "1"]) == 0
    assert main(["experts", "show", str(path), "2"]) == 2
    assert "holds no trajectory '2'" in capsys.readouterr().err


def test_show_only_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = tuple(Step(thought="", action=f"echo {k}", observation=str(k)) for k in range(3))
    common = {"split": "train", "problem_statement": "Mend it.", "steps": steps, "source": "test"}
    replayed = {"replay": {"drifted": [1], "stale": False}}
    trajectories = [
        Trajectory(trajectory_id="a", task_id="s/one", resolved=True, provenance=replayed, **common),
        Trajectory(trajectory_id="b", task_id="s/one", resolved=False, **common),
        Trajectory(trajectory_id="c", task_id="s/two", **common),
    ]
    path = tmp_path / "t.jsonl"
    write_trajectories(path, trajectories)

    def shown(*options: str) -> list[str]:
        assert main(["experts", "show", str(path), *options]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line.split()[0] for line in lines if line.endswith("──")] + [line for line in lines if "drift" in line]

    assert shown() == ["a", "b", "c", "2. drifted when it was replayed"]
    assert shown("--task", "s/one") == ["a", "b", "2. drifted when it was replayed"]
    assert shown("--task", "s/one", "--outcome", "unsolved") == ["b"]
    assert shown("--outcome", "unverified") == ["c"]
    assert main(["experts", "show", str(path), "--task", "s/two", "--outcome", "solved"]) == 2
    assert "holds no trajectory of s/two that is solved" in capsys.readouterr().err
