"""Exports in SWE-bench's form read back as the tasks that they were made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from srl_swe.cli import main
from srl_swe.tasks import host_git, read_suite
from srl_swe.tasks.formats.exporting import export_tasks
from srl_swe.tasks.formats.importing import import_tasks
from srl_swe.tasks.formats.reading import Reading
from srl_swe.tasks.prepare import materialise

STARTER = Path(__file__).parents[3] / "envs" / "starter"
CLASSIC = {
    "repo", "instance_id", "base_commit", "patch", "test_patch", "problem_statement", "hints_text", "created_at",
    "version", "FAIL_TO_PASS", "PASS_TO_PASS", "environment_setup_commit",
}  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_exported_reads_back(tmp_path):
    tasks = read_suite(STARTER)[::4]
    assert export_tasks(tasks, tmp_path / "out.jsonl") == []
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert all(set(row) >= CLASSIC | {"eval_script", "log_parser", "eval_type"} for row in rows)
    account = import_tasks(str(tmp_path / "out.jsonl"), Reading(suite=tmp_path / "back"))
    assert (len(account.written), account.refused, account.bad) == (len(tasks), [], [])
    for before, after in zip(tasks, read_suite(tmp_path / "back"), strict=True):
        for name in ("split", "problem_statement", "fail_to_pass", "pass_to_pass", "requirements", "install"):
            assert getattr(before, name) == getattr(after, name)
        worlds = []
        for number, task in enumerate((before, after)):
            base = tmp_path / f"{before.folder.name}-{number}" / "testbed"
            base.parent.mkdir()
            gold, tests = materialise(task, base)
            worlds.append((files(base), gold, dict(tests)))
        assert worlds[0] == worlds[1]
    once = (tmp_path / "out.jsonl").read_bytes()
    shutil.rmtree(tmp_path / "out.jsonl.repositories")
    export_tasks(tasks, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == once


def test_public_repositories_are_named(world, tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(world.rows["swebench"]))
    import_tasks(str(tmp_path / "rows.jsonl"), Reading(suite=tmp_path / "suite", mirror=world.mirror))
    export_tasks(read_suite(tmp_path / "suite"), tmp_path / "out.jsonl")
    row = json.loads((tmp_path / "out.jsonl").read_text())
    for name in ("repo", "instance_id", "base_commit", "patch", "problem_statement", "FAIL_TO_PASS", "PASS_TO_PASS"):
        assert row[name] == world.rows["swebench"][name]
    assert row["created_at"].startswith("2021-09-29")
    base = tmp_path / "base"
    host_git.checkout("https://github.com/psf/adder", row["base_commit"], base, where="x")
    assert host_git.apply(base, row["test_patch"].encode()) is None
    assert not (tmp_path / "out.jsonl.repositories").exists()


def test_images_have_no_commit_to_name(world, tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text(json.dumps(world.rows["r2e-gym"]))
    import_tasks(str(tmp_path / "rows.jsonl"), Reading(suite=tmp_path / "suite"))
    assert main(["tasks", "export", str(tmp_path / "suite"), "--to", str(tmp_path / "out.jsonl")]) == 1
    assert "0 of 1 tasks written" in capsys.readouterr().out


@pytest.mark.parametrize("bad", ["missing.jsonl", "bad.jsonl"])
def test_the_command_names_what_is_wrong(tmp_path, capsys, bad):
    (tmp_path / "bad.jsonl").write_text('{"instance_id": 1}\n')
    arguments = ["tasks", "import", str(tmp_path / bad), "--to", str(tmp_path / "suite"), "--format", "swebench"]
    assert main(arguments) == 2
    assert f"error: {tmp_path / bad}:" in capsys.readouterr().err
    assert not (tmp_path / "suite").exists()
    if bad == "bad.jsonl":
        assert main([*arguments, "--skip-bad"]) == 1
        assert "0 written, 0 kept, 0 refused, 1 bad" in capsys.readouterr().out


def test_unknown_formats(tmp_path, capsys):
    assert main(["tasks", "import", "x", "--to", str(tmp_path / "suite"), "--format", "csv"]) == 2
    assert "--format: expected one of bugfix, swebench" in capsys.readouterr().err
