"""Predictions in SWE-bench's form, both ways; and graded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from srl_swe.cli import main
from srl_swe.errors import TaskError
from srl_swe.tasks import read_suite
from srl_swe.tasks.formats.predictions import Prediction, match, read_predictions, write_predictions

STARTER = Path(__file__).parents[3] / "envs" / "starter"
PREDICTIONS = [
    Prediction(instance_id="ledger-yen", model="m", patch="diff\r\n é"),
    Prediction(instance_id="starter/inikit-quotes-lost", model="m", patch=""),
]


def test_both_ways(tmp_path):
    write_predictions(tmp_path / "p.jsonl", PREDICTIONS)
    assert read_predictions(tmp_path / "p.jsonl") == PREDICTIONS
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert rows[0] == {"instance_id": "ledger-yen", "model_name_or_path": "m", "model_patch": "diff\r\n é"}


def test_the_other_forms_of_predictions(tmp_path):
    by_id = {p.instance_id: {"model_name_or_path": "m", "model_patch": p.patch} for p in PREDICTIONS}
    (tmp_path / "preds.json").write_text(json.dumps(by_id))
    assert read_predictions(tmp_path / "preds.json") == PREDICTIONS
    listed = [{"instance_id": key, **value} for key, value in by_id.items()]
    (tmp_path / "list.json").write_text(json.dumps(listed))
    assert read_predictions(tmp_path / "list.json") == PREDICTIONS
    (tmp_path / "null.jsonl").write_text('{"instance_id": "a", "model_name_or_path": "m", "model_patch": null}')
    assert read_predictions(tmp_path / "null.jsonl")[0].patch == ""


def test_wrong_predictions(tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text('{"instance_id": "a", "model_patch": ""}\n' * 2)
    with pytest.raises(TaskError, match=r"p\.jsonl:2: instance_id: expected one prediction a task"):
        read_predictions(file)
    file.write_text('{"model_patch": ""}\n')
    with pytest.raises(TaskError, match=r"p\.jsonl:1: instance_id: missing"):
        read_predictions(file)
    file.write_text('{"instance_id": "a", "model_patch": ["x"]}\n')
    with pytest.raises(TaskError, match=r"p\.jsonl:1: model_patch: expected"):
        read_predictions(file)


def test_predictions_find_their_tasks():
    tasks = read_suite(STARTER)
    assert [task.task_id for task, _ in match(PREDICTIONS, tasks)] == [
        "starter/ledger-yen",
        "starter/inikit-quotes-lost",
    ]
    with pytest.raises(TaskError, match="'none' is none"):
        match([Prediction(instance_id="none", model="m", patch="")], tasks)


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_graded_with_failures_of_the_infrastructure_apart(tmp_path, capsys):
    """The gold patch, nothing, a patch that is none, and a task whose world cannot be made."""
    suite = tmp_path / "mine"
    (suite / "tasks").mkdir(parents=True)
    (suite / "suite.toml").write_text('name = "mine"\n')
    for name in ("ledger-yen", "ledger-split-cents", "ledger-reverse-tags", "ledger-subtree-names"):
        source = STARTER / "tasks" / name
        for path in (p for p in source.rglob("*") if p.is_file()):
            target = suite / "tasks" / name / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        declaration = suite / "tasks" / name / "task.toml"
        repository = STARTER / "repositories" / "ledger"
        declaration.write_text(declaration.read_text().replace("../../repositories/ledger", str(repository)))
    broken = suite / "tasks" / "ledger-subtree-names" / "gold.patch"
    broken.write_text(broken.read_text().replace("\n-", "\n-x"))
    gold = (suite / "tasks/ledger-yen/gold.patch").read_text()
    patches = {
        "ledger-yen": gold,
        "ledger-split-cents": "",
        "ledger-reverse-tags": "no patch",
        "ledger-subtree-names": "",
    }
    write_predictions(
        tmp_path / "p.jsonl", [Prediction(instance_id=key, model="m", patch=patch) for key, patch in patches.items()]
    )
    arguments = ["--predictions", str(tmp_path / "p.jsonl"), "--json", str(tmp_path / "out.json"), "-j", "1"]
    assert main(["tasks", "grade", str(suite), *arguments]) == 2
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["resolved_ids"] == ["ledger-yen"]
    assert report["unresolved_ids"] == ["ledger-reverse-tags", "ledger-split-cents"]
    assert report["error_ids"] == ["ledger-subtree-names"]
    assert "gold.patch: cannot be taken back" in report["instances"]["ledger-subtree-names"]["infrastructure"]
    assert "1 of 3 graded patches solve their task; 1 could not be graded" in capsys.readouterr().out
