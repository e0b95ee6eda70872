"""``srl-swe train`` on vLLM, in this process and on a server: SRL, then RLVR in real containers, with a tiny model."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import torch
import torch._dynamo
from tiny_models import save_tiny_model
from vllm_servers import vllm_server

from srl_swe.cli import main
from srl_swe.policies.canary import TOLERANCES

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
TRAJECTORIES = ROOT / "trajectories" / "starter.train.jsonl"
SHORT = ["--updates=2", "--batch=1", "--max-prompt-tokens=700", "--logger=none", "--dtype=float32"]
# A random model earns no reward: what moves the weights is their decay.
MOVING = ["--weight-decay=1", "--learning-rate=1e-2", "--warmup-updates=0"]
SAMPLED = ["--group-size=2", "--max-new-tokens=8", "--no-dynamic-sampling"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its heads are as wide as vLLM needs them."""
    return save_tiny_model(
        tmp_path_factory.mktemp("vllm-model"), hidden_size=128, num_attention_heads=4, initializer_range=0.1
    )


@pytest.fixture(params=["vllm", pytest.param("vllm-server", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest, model: Path, tmp_path: Path) -> Iterator[list[str]]:
    """Options that name the engine."""
    pytest.importorskip("vllm")
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch._dynamo.config.patch(disable=True))
        options = [f"--engine={request.param}"]
        if request.param == "vllm-server":
            url, _ = stack.enter_context(
                vllm_server(model, tmp_path / "log", "--dtype", "float32", "--logprobs-mode", "processed_logprobs")
            )
            options.append(f"--engine-url={url}")
        yield options


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def rollouts(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]


@pytest.mark.docker
def test_srl_then_rlvr(engine: list[str], model: Path, tmp_path: Path, docker_client: docker.DockerClient) -> None:
    del docker_client  # containers that stay behind are found by it
    srl = ["train", f"--out={tmp_path / 'srl'}", f"--model={model}", f"--trajectories={TRAJECTORIES}"]
    assert main([*srl, *SHORT, *MOVING, *SAMPLED, *engine]) == 0
    world = ["--objective=rlvr", f"--suites={ROOT / 'envs' / 'starter'}", "--tasks", "starter/ledger-yen"]
    rlvr = ["train", f"--out={tmp_path / 'rlvr'}", f"--model={tmp_path / 'srl'}", *world, "--max-steps=2"]
    assert main([*rlvr, *SHORT, *MOVING, *SAMPLED, *engine]) == 0
    for run in (tmp_path / "srl", tmp_path / "rlvr"):
        for line in metrics(run):
            assert line["logprob_gap"] <= TOLERANCES["float32"]
            assert line["canary_gap"] <= TOLERANCES["float32"]
        # Each update's answers are by the weights of the one before.
        assert {(r["update"], r["weight_version"]) for r in rollouts(run)} == {(1, 0), (2, 1)}
    assert sum(line["episodes"] for line in metrics(tmp_path / "rlvr")) == 4


@pytest.mark.parametrize("overlap", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_run_that_was_cut_off_goes_on(model: Path, tmp_path: Path, overlap: bool) -> None:
    """With the same losses, and the same weights behind each rollout."""
    pytest.importorskip("vllm")
    run = tmp_path / "run"
    line = ["train", f"--out={run}", f"--model={model}", f"--trajectories={TRAJECTORIES}", *SHORT, *MOVING, *SAMPLED]
    line += ["--engine=vllm", "--updates=3", "--save-every=1", "--keep-checkpoints=3"]
    seen = []
    with torch._dynamo.config.patch(disable=True):
        for _ in range(2):
            assert main([*line, "--overlap"] if overlap else line) == 0
            seen.append(([(m["loss"], m["grad_norm"]) for m in metrics(run)], rollouts(run)))
            for lost in ("update-000002", "update-000003"):
                shutil.rmtree(run / "checkpoints" / lost)
            if not overlap:  # sampled anew: with the same weights and seeds
                shutil.rmtree(run / "batches")
    assert seen[0] == seen[1]
    late = 1 if overlap else 0
    assert {(r["update"], r["weight_version"]) for r in rollouts(run)} == {(1, 0), (2, 1 - late), (3, 2 - late)}
    assert [m["staleness"] for m in metrics(run)] == [0, late, late]
