"""One run in several processes is the run in one: in gradients, in losses, and after a change of their number."""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_models import save_tiny_model
from training.sharded_gradients import make_samples

from srl_swe.cli import main
from srl_swe.records import Sample
from srl_swe.training.checkpoint import checkpoints
from srl_swe.training.config import TrainConfig
from srl_swe.training.loop import train
from srl_swe.training.packing import pack, split

HERE = Path(__file__).parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--rdzv-endpoint=localhost:0", "--rdzv-backend=c10d"]
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["srl_swe.training.loop", "srl_swe.training.crew", "transformers.models.llama"])


def test_gradients_in_two_processes_are_those_of_one(tmp_path: Path, tiny_model_folder: Path) -> None:
    untied = save_tiny_model(tmp_path / "untied", tie_word_embeddings=False, num_hidden_layers=3)
    out = tmp_path / "found.json"
    script = [str(HERE / "sharded_gradients.py"), str(tiny_model_folder), str(untied), str(out)]
    subprocess.run([*TORCHRUN, "--nproc-per-node=2", *script], check=True, timeout=300)
    written = json.loads(out.read_text())
    assert written["raised"] == [["ConfigError", "AbandonedError"], ["ConfigError", "DivergedError"]]
    found = written["cases"]
    assert len(found) >= 12
    rounded = found.pop("bfloat16")  # other sums are rounded
    assert max(rounded[name] for name in ("loss", "norm", "gradient", "copy")) < 0.03
    for name, differences in found.items():
        for what in ("loss", "gradient", "norm", "score", "entropy", "gap"):
            assert differences[what] < 1e-5, (name, what)
        assert differences["counts"] == 0, name
        # One step of 1e-3: where a gradient is next to nothing, the step's sign hangs on rounding.
        assert max(differences["parameters"], differences["copy"]) < 1e-3, name
    assert found["in many parts"]["share"] < 0.7


@pytest.fixture
def make_config(tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path) -> Callable[..., TrainConfig]:
    def make(name: str, **options: object) -> TrainConfig:
        settings: dict[str, Any] = {
            "objective": "sft",
            "batch": 3,
            "updates": 6,
            "save_every": 3,
            "learning_rate": 1e-3,
            "dtype": "float32",
            "logger": "none",
        }
        return TrainConfig(
            out=tmp_path / name,
            model=str(tiny_model_folder),
            trajectories=(trajectories_file,),
            **(settings | options),
        )

    return make


SRL = {
    "objective": "srl",
    "batch": 2,
    "group_size": 2,
    "max_new_tokens": 4,
    "dynamic_sampling": False,
    "kl_coefficient": 0.5,
    "learning_rate": 1e-4,
    "updates": 4,
}


def plant_batches(run: Path, updates: int) -> None:
    """As if they had been sampled before a kill. A random model earns no reward: here some have an advantage."""
    samples = [dataclasses.asdict(sample) for sample in make_samples(14)]
    record = {"batch": {"samples": samples, "rollouts": [], "metrics": {}}, "objective": {"position": 0}}
    (run / "batches").mkdir(parents=True)
    for update in range(1, updates + 1):
        (run / "batches" / f"update-{update:06d}.json").write_text(json.dumps(record))


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in lines(run)]


def _in_process(config: TrainConfig, rank: int, size: int, port: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    train(config)


def run_in(size: int, config: TrainConfig) -> None:
    """What `torchrun` does, without its time to start."""
    if size == 1:
        train(config)
        return
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    started = [SERVER.Process(target=_in_process, args=(config, rank, size, port)) for rank in range(size)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        process.kill()
    assert [process.exitcode for process in started] == [0] * size


@pytest.mark.parametrize("options", [{}, SRL], ids=["sft", "srl"])
def test_a_run_in_two_processes_is_that_of_one(
    make_config: Callable[..., TrainConfig], options: dict[str, Any]
) -> None:
    one, two = make_config("one", **options), make_config("two", **options)
    for config in (one, two):
        if options:
            plant_batches(config.out, updates=3)  # the fourth is sampled, with the weights after the third
        run_in(1 if config is one else 2, config)
    assert losses(two.out) == pytest.approx(losses(one.out), rel=1e-5)
    assert min(map(abs, losses(two.out))) > 1e-3
    ours, theirs = lines(two.out)[-1], lines(one.out)[-1]
    assert ours["grad_norm"] > 1e-3
    for name in ("grad_norm", "entropy", "logprob_gap", "lr"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-5), name
    for name in ("trained_tokens", "raw_tokens", "sampled_tokens", "samples"):
        assert ours[name] == theirs[name], name
    assert (two.out / "rollouts.jsonl").read_text() == (one.out / "rollouts.jsonl").read_text()
    assert json.loads((two.out / "config.json").read_text())["resolved"]["processes"] == 2
    files = sorted(path.name for path in checkpoints(two.out)[-1].iterdir())
    assert files == sorted(path.name for path in checkpoints(one.out)[-1].iterdir())
    # Its checkpoint is a model like any other, for a run in one process too.
    main(
        ["train", f"--out={two.out.with_name('next')}", "--objective=sft", "--updates=1", f"--model={two.out}"]
        + [f"--trajectories={path}" for path in two.trajectories]
    )


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (2, 2)])
def test_a_run_goes_on_in_another_number_of_processes(
    make_config: Callable[..., TrainConfig], before: int, after: int
) -> None:
    # What is the same to the last bit in bfloat16 is so in float32.
    dtype = "bfloat16" if before == after else "float32"
    whole, cut = make_config("whole", dtype=dtype), make_config("cut", dtype=dtype)
    run_in(before, whole)
    shutil.copytree(whole.out, cut.out)
    shutil.rmtree(checkpoints(cut.out)[-1])
    run_in(after, cut)
    if before == after:
        assert losses(cut.out) == pytest.approx(losses(whole.out), rel=1e-6)
    else:
        assert losses(cut.out)[:3] == pytest.approx(losses(whole.out)[:3], rel=1e-6)
        assert losses(cut.out) == pytest.approx(losses(whole.out), rel=1e-5)


def _child(parent: int, rank: int) -> int | None:
    """The process of that rank."""
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with contextlib.suppress(OSError):
            if f"RANK={rank}" in Path(f"/proc/{pid}/environ").read_text().split("\0"):
                return int(pid)
    return None


def test_a_process_that_dies_ends_the_run_which_then_goes_on(make_config: Callable[..., TrainConfig]) -> None:
    config = make_config("killed", updates=10_000)
    command = ["-m", "srl_swe.cli", "train", f"--out={config.out}", f"--model={config.model}", "--objective=sft"]
    command += [f"--trajectories={config.trajectories[0]}", "--batch=3", "--updates=10000", "--save-every=3"]
    command += ["--learning-rate=1e-3", "--dtype=float32", "--logger=none"]
    started = subprocess.Popen([*TORCHRUN, "--nproc-per-node=2", *command], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not (config.out / "checkpoints").is_dir() or not checkpoints(config.out):
            assert started.poll() is None, started.stderr.read() if started.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.1)
        victim = _child(started.pid, 1)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        _, said = started.communicate(timeout=60)
    finally:
        started.kill()
    assert started.returncode not in (0, None)
    assert "exitcode  : -9" in said
    done = len(losses(config.out))
    again = replace(config, updates=done + 3)
    run_in(2, again)
    whole = replace(again, out=again.out.with_name("whole"))
    run_in(2, whole)
    # To a rounding: where tensors lie in memory, which their products hang on, is not the same in each process.
    assert losses(again.out) == pytest.approx(losses(whole.out), rel=1e-6)


def test_what_is_wrong_is_said_once(make_config: Callable[..., TrainConfig]) -> None:
    """By the first process, which alone reads the files; the others end with it, and do not wait."""
    config = make_config("wrong")
    command = ["-m", "srl_swe.cli", "train", f"--out={config.out}", f"--model={config.model}", "--objective=sft"]
    ended = subprocess.run(
        [*TORCHRUN, "--nproc-per-node=2", *command, "--trajectories=/nowhere.jsonl"],
        check=False,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert ended.returncode != 0
    assert ended.stderr.count("error: trajectories: no such file: /nowhere.jsonl") == 1
    assert "rank1" not in ended.stderr


def make_sample(ids: tuple[int, ...]) -> Sample:
    return Sample(
        token_ids=ids, loss_mask=(False,) * (len(ids) - 1) + (True,), old_logprobs=(0.0,) * len(ids), advantage=1.0
    )


def test_shares_are_balanced_and_keep_together_what_begins_alike() -> None:
    families = [[make_sample((family, *range(40), 7, leaf, leaf)) for leaf in range(5)] for family in range(4)]
    samples = [family[leaf] for leaf in range(5) for family in families]
    shares = split(samples, 4, packed=True)
    assert sorted(i for share in shares for i in share) == list(range(20))
    assert {len({samples[i].token_ids[0] for i in share}) for share in shares} == {1}
    tokens = [
        sum(len(t.token_ids) for t in pack([samples[i] for i in s], max_tokens=10**6, max_trained=10**6))
        for s in shares
    ]
    assert len(set(tokens)) == 1
    assert [len(share) for share in split(samples, 3, packed=False)] == [7, 7, 6]
    assert split(samples[:1], 3, packed=True) == [[0], [], []]
    assert split([], 2, packed=True) == [[], []]
