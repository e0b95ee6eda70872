"""An experiment's table, pass@k and paired verdicts on the overview."""

from __future__ import annotations

import json

import pytest
from site_samples import experiment_table, write_lines, write_training
from test_site import pages

from srl_swe.errors import ConfigError
from srl_swe.evaluation.site.build import Sources, write_site


def write_samples(folder, *, solved):
    """Four tasks, of which so many are solved, each in one of two drawn episodes, as the runner writes them."""
    write_lines(
        folder / "results.jsonl",
        [
            {
                "task_id": f"suite/t{task}",
                "repository": "r",
                "split": "heldout",
                "policy": "p",
                "solved": task < solved and sample == 0,
                "ending": "submitted",
                "steps": 1,
                "patch": "",
                "sample": sample,
                "greedy": False,
            }
            for task in range(4)
            for sample in range(2)
        ],
    )


def test_an_experiment_comes_first(tmp_path):
    run = tmp_path / "run"
    write_training(run / "warmup+srl" / "seed-0")
    (run / "table.json").write_text(json.dumps(experiment_table()))
    write_site(Sources(runs=(run,)), tmp_path / "site")
    index = pages(tmp_path / "site")["index"]
    assert index.index("Experiment: ") < index.index("Training runs")
    for expected in (
        "<strong>holds</strong>",
        "+0.200",
        "+0.050 to +0.350",
        "0.300",
        "12,346",
        "2 models",
        "Not there yet: RLVR.",
        ": ended &lt;script&gt;",
        "<figcaption>steps.similarity, 95% interval</figcaption>",
        "<figcaption>Reward, mean</figcaption>",
    ):
        assert expected in index
    assert "<script>alert" not in index


def test_a_table_of_something_else_is_passed_over_and_a_broken_one_is_named(tmp_path):
    write_training(tmp_path / "run")
    (tmp_path / "run" / "table.json").write_text('{"rows": 3}')
    write_site(Sources(runs=(tmp_path / "run",)), tmp_path / "site")
    assert "Experiment: " not in (tmp_path / "site" / "index.html").read_text()
    broken = experiment_table()
    del broken["arms"][0]["cost"]["seconds"]
    (tmp_path / "run" / "table.json").write_text(json.dumps(broken))
    with pytest.raises(ConfigError, match=r"table\.json: not an experiment's table: KeyError: 'seconds'"):
        write_site(Sources(runs=(tmp_path / "run",)), tmp_path / "site")


def test_several_answers_a_task(tmp_path):
    write_samples(tmp_path / "runs" / "one", solved=1)
    write_samples(tmp_path / "runs" / "two", solved=3)
    write_site(Sources(runs=(tmp_path / "runs",)), tmp_path / "site")
    index = pages(tmp_path / "site")["index"]
    assert '<th scope="col">pass@1</th><th scope="col">pass@2</th>' in index
    # Solved in one of two: pass@1 is a half of pass@2.
    for value in ("12.5%", "25.0%", "37.5%", "75.0%"):
        assert value in index
    assert "one and two, pair by pair (sampled episodes): two solves 37.5% of the time, the other 12.5%" in index
