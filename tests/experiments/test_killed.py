"""An experiment that is killed twice, by the signal nobody can catch, comes to the table of one that never was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from small_trajectories import make_trajectory

from srl_swe.experts.trajectories import write_trajectories

PLAN = """
title = "Tiny"
seeds = [0, 1]

[train]
model = "{model}"
trajectories = ["{train}"]
batch = 2
dtype = "float32"
logger = "none"

[stages.sft]
objective = "sft"
updates = 4
learning_rate = 1e-2
save_every = 2

[arms]
base = []
SFT = ["sft"]

[measures.steps]
kind = "steps"
trajectories = ["{heldout}"]
samples = 1
max_new_tokens = 4

[[claims]]
text = "SFT is better than nothing"
better = "SFT"
than = "base"
measure = "steps.similarity"
"""


def test_the_table_is_that_of_an_unbroken_run(tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path) -> None:
    heldout = tmp_path / "heldout.jsonl"
    write_trajectories(heldout, [make_trajectory(i, "heldout") for i in (7, 8)])
    plan = tmp_path / "tiny.toml"
    plan.write_text(PLAN.format(model=tiny_model_folder, train=trajectories_file, heldout=heldout))
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    run_until(plan, broken, lambda: lines(broken / "sft/seed-0/metrics.jsonl") >= 3)
    run_until(plan, broken, lambda: (broken / "sft/seed-1/done.json").exists())
    assert not (broken / "sft/seed-1/measures/steps/done.json").exists()
    for out in (broken, whole):
        done = subprocess.run(command(plan, out), capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert "report/index.html" in done.stdout.replace("\n", "")
    assert table(broken) == table(whole)
    # Nothing was done twice: as many updates and answers as of the unbroken run.
    for name in ("sft/seed-0/metrics.jsonl", "sft/seed-1/measures/steps/steps.jsonl"):
        assert lines(broken / name) == lines(whole / name)


def command(plan: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "srl_swe.cli", "experiment", str(plan), "--out", str(out)]


def run_until(plan: Path, out: Path, reached: Callable[[], bool]) -> None:
    """Start the experiment, and kill it as soon as it has come so far."""
    with subprocess.Popen(
        command(plan, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 300
        while not reached():
            assert process.poll() is None, "it ended before it came so far"
            assert time.monotonic() < deadline, "it has not come so far"
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def table(out: Path) -> dict[str, Any]:
    """All of it but the time that was taken."""
    record: dict[str, Any] = json.loads((out / "table.json").read_text())
    for arm in record["arms"]:
        del arm["cost"]["seconds"]
    return record
