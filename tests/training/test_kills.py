"""A run that is killed at any moment, again and again, ends with the losses of one that never was, to the last bit."""

import json
import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from srl_swe.training.batch import Batch
from srl_swe.training.batch_log import BatchLog
from srl_swe.training.checkpoint import checkpoints
from srl_swe.training.config import TrainConfig
from srl_swe.training.loop import train

SERVER = multiprocessing.get_context("forkserver")
# Imported once; each run is a fork of the process that has them.
SERVER.set_forkserver_preload(["srl_swe.training.loop", "transformers.models.llama", "torch._dynamo"])

Settings = dict[str, object]
SETTINGS: dict[str, Settings] = {
    "sft": {"objective": "sft", "batch": 3, "learning_rate": 1e-2},
    # A random model earns no reward; what moves these weights is their decay, and then the way back to the reference.
    "srl": {
        "objective": "srl",
        "batch": 2,
        "group_size": 2,
        "max_new_tokens": 4,
        "dynamic_sampling": False,
        "learning_rate": 1e-2,
        "weight_decay": 1.0,
        "kl_coefficient": 0.5,
        "schedule": "cosine",
    },
}


@pytest.fixture
def make_config(tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path) -> Callable[[str], TrainConfig]:
    def make(objective: str) -> TrainConfig:
        return TrainConfig(
            out=tmp_path / "whole",
            model=str(tiny_model_folder),
            trajectories=(trajectories_file,),
            updates=12,
            dtype="float32",
            save_every=3,
            logger="none",
            **SETTINGS[objective],  # type: ignore[arg-type]
        )

    return make


def losses(run: Path) -> list[tuple[int, float, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["update"], line["loss"], line["grad_norm"]) for line in lines]


def run_or_kill(config: TrainConfig, seconds: float | None) -> bool:
    """Whether the run ended before it was killed after ``seconds``."""
    process = SERVER.Process(target=train, args=(config,))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -9), "the run failed by itself"
    return process.exitcode == 0


@pytest.mark.parametrize(
    ("objective", "kills"),
    [
        ("srl", 2),
        pytest.param("sft", 20, marks=pytest.mark.slow),
        pytest.param("srl", 20, marks=pytest.mark.slow),
    ],
)
def test_killed_at_random_moments(make_config: Callable[[str], TrainConfig], objective: str, kills: int) -> None:
    whole = make_config(objective)
    assert run_or_kill(whole, None)  # the first one also pays for the imports
    start = time.monotonic()
    again = replace(whole, out=whole.out.with_name("again"))
    assert run_or_kill(again, None)
    duration = time.monotonic() - start
    assert losses(again.out) == losses(whole.out)
    assert len({loss for _, loss, _ in losses(whole.out)}) > 10

    draw = random.Random(f"{objective} {kills}")
    killed = runs = 0
    while killed < kills:
        config = replace(whole, out=whole.out.with_name(f"killed-{runs}"))
        while not run_or_kill(config, draw.uniform(0.1, 1.0) * duration if killed < kills else None):
            killed += 1
        assert losses(config.out) == losses(whole.out)
        assert [path.name for path in checkpoints(config.out)] == ["update-000009", "update-000012"]
        assert not list(config.out.rglob("*.partial"))
        runs += 1


def test_a_truncated_checkpoint_is_passed_over(
    make_config: Callable[[str], TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    config = make_config("srl")
    train(config)
    cut = replace(config, out=config.out.with_name("cut"))
    train(replace(cut, updates=12))
    last = cut.out / "checkpoints" / "update-000012"
    file = last / "learner" / "__0_0.distcp"
    file.write_bytes(file.read_bytes()[:-1000])
    assert train(cut, console=Console(width=400)) == last
    assert losses(cut.out) == losses(config.out)
    said = capsys.readouterr().out
    assert "update-000012 is damaged and passed over: learner/__0_0.distcp has" in said
    assert [path.name for path in checkpoints(cut.out)] == ["update-000009", "update-000012"]


def test_what_was_sampled_is_not_sampled_again(make_config: Callable[[str], TrainConfig]) -> None:
    """After a kill between two checkpoints the batches in between are those on the disk, to the last bit."""
    from srl_swe.policies.models import load_model
    from srl_swe.training.objectives import read_objective

    config = make_config("srl")
    objective = read_objective(config)(load_model(config.model, dtype="float32"))
    made = BatchLog(config.out).next_batch(objective, 1)
    after = objective.state_dict()

    class Spent:
        """An objective that cannot sample any more."""

        def next_batch(self, update: int) -> Batch:
            raise AssertionError(f"update {update} was sampled again")

        def load_state_dict(self, state: dict[str, object]) -> None:
            self.state = state

    spent = Spent()
    assert BatchLog(config.out).next_batch(spent, 1) == made  # type: ignore[arg-type]
    assert spent.state == after
    (path,) = (config.out / "batches").iterdir()
    path.write_text(path.read_text()[:-10])
    with pytest.raises(AssertionError, match="update 1 was sampled again"):
        BatchLog(config.out).next_batch(spent, 1)  # type: ignore[arg-type]
