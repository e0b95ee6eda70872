"""An experiment that is killed, by the signal nobody can catch, or shared, comes to the table of one that never was."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_trajectories import make_trajectory

from srl_swe.experts.trajectories import write_trajectories
from srl_swe.sandbox.locks import lock_if_free

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


@pytest.fixture
def plan(tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path) -> Path:
    heldout = tmp_path / "heldout.jsonl"
    write_trajectories(heldout, [make_trajectory(i, "heldout") for i in (7, 8)])
    path = tmp_path / "tiny.toml"
    path.write_text(PLAN.format(model=tiny_model_folder, train=trajectories_file, heldout=heldout))
    return path


def test_the_table_is_that_of_an_unbroken_run(tmp_path: Path, plan: Path) -> None:
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


def test_processes_share_the_work(tmp_path: Path, plan: Path) -> None:
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    held = shared / "sft/seed-0.lock"
    held.parent.mkdir(parents=True)
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with contextlib.ExitStack() as processes:
        with lock_if_free(held) as ours:
            assert ours
            both = [processes.enter_context(subprocess.Popen(command(plan, shared), **pipes)) for _ in range(2)]
            wait_until(lambda: all((shared / f"{n}/measures/steps/done.json").exists() for n in ("sft/seed-1", "base")))
            # What another process has in hand is left to it, and waited for.
            assert not (shared / "sft/seed-0").exists()
            assert [process.poll() for process in both] == [None, None]
        said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    done = subprocess.run(command(plan, whole), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert table(shared) == table(whole)
    for name in ("sft/seed-0/metrics.jsonl", "sft/seed-1/metrics.jsonl", "base/measures/steps/steps.jsonl"):
        assert lines(shared / name) == lines(whole / name)


def command(plan: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "srl_swe.cli", "experiment", str(plan), "--out", str(out)]


def run_until(plan: Path, out: Path, reached: Callable[[], bool]) -> None:
    """Start the experiment, and kill it as soon as it has come so far."""
    with subprocess.Popen(
        command(plan, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        wait_until(reached, process)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + 300
    while not reached():
        assert process is None or process.poll() is None, "it ended before it came so far"
        assert time.monotonic() < deadline, "it has not come so far"
        time.sleep(0.002)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def table(out: Path) -> dict[str, Any]:
    """All of it but the time that was taken."""
    record: dict[str, Any] = json.loads((out / "table.json").read_text())
    for arm in record["arms"]:
        del arm["cost"]["seconds"]
    return record
