"""``srl-swe train`` with the embedded model on `envs/starter`: SFT, then SRL, then RLVR in real containers."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from srl_swe.cli import main

ROOT = Path(__file__).parents[2]
TRAJECTORIES = ROOT / "trajectories" / "starter.train.jsonl"
SHORT = ["--updates=1", "--batch=1", "--max-prompt-tokens=700", "--logger=none", "--keep-checkpoints=1"]
SAMPLED = ["--group-size=2", "--max-new-tokens=8", "--no-dynamic-sampling", "--lora-rank=4"]

pytestmark = [pytest.mark.docker, pytest.mark.model]


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed at once: a checkpoint of the embedded model with its optimiser takes 2 GB."""
    yield tmp_path / "runs"
    shutil.rmtree(tmp_path / "runs")


def metrics(run: Path) -> dict[str, Any]:
    (line,) = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    return dict(line)


def test_sft_then_srl_then_rlvr(runs: Path, docker_client: docker.DockerClient) -> None:
    del docker_client  # containers that stay behind are found by it
    pytest.importorskip("peft", reason="peft is not installed: pip install 'srl-swe[lora]'")
    expert = f"--trajectories={TRAJECTORIES}"
    assert main(["train", f"--out={runs / 'sft'}", "--objective=sft", expert, *SHORT]) == 0
    assert metrics(runs / "sft")["loss"] > 0

    begun = [f"--model={runs / 'sft'}", "--kl-coefficient=0.1", "--importance-cap=2"]
    assert main(["train", f"--out={runs / 'srl'}", expert, *begun, *SHORT, *SAMPLED]) == 0
    line = metrics(runs / "srl")
    assert (line["samples"], line["kept_groups"]) == (2, 1)
    # bfloat16 rounds differently where completions are decoded and where they are trained on
    assert 0 < line["logprob_gap"] < 0.5

    world = [f"--suites={ROOT / 'envs' / 'starter'}", "--tasks", "starter/ledger-yen", "--max-steps=2"]
    late = ["--objective=rlvr", f"--model={runs / 'srl'}", "--reverse-curriculum", expert]
    assert main(["train", f"--out={runs / 'rlvr'}", *world, *late, *SHORT, *SAMPLED]) == 0
    line = metrics(runs / "rlvr")
    assert (line["episodes"], line["episodes_lost"], line["solve_rate"]) == (2, 0, 0.0)
    assert 0 < line["curriculum_left"] < 1
    rollouts = [json.loads(text) for text in (runs / "rlvr" / "rollouts.jsonl").read_text().splitlines()]
    assert {r["ending"] for r in rollouts} <= {"step_limit", "submitted"}
    assert all(r["instance_id"].startswith("starter/ledger-yen#") for r in rollouts)
