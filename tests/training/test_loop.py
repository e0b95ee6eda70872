"""Whole runs with a tiny model: both objectives, refills, resume after a kill, clear refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_trajectories import make_trajectory

from srl_swe.errors import ConfigError, NoSignalError
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.policies.models import load_model
from srl_swe.training.checkpoint import checkpoints, latest_checkpoint
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import SeededOrder
from srl_swe.training.loop import learning_rate, train


def config(out: Path, model: Path, trajectories: Path, **options: object) -> TrainConfig:
    settings: dict[str, object] = {
        "objective": "sft",
        "updates": 4,
        "batch": 3,
        "learning_rate": 1e-2,
        "dtype": "float32",
        "save_every": 2,
        "keep_checkpoints": 2,
    }
    return TrainConfig(out=out, model=str(model), trajectories=(trajectories,), **(settings | options))  # type: ignore[arg-type]


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_sft_learns_the_training_steps(tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path) -> None:
    last = train(config(tmp_path / "run", tiny_model_folder, trajectories_file, updates=12))
    losses = [m["loss"] for m in metrics(tmp_path / "run")]
    assert len(losses) == 12
    assert losses[-1] < losses[0] - 1
    assert [p.name for p in checkpoints(tmp_path / "run")] == ["update-000010", "update-000012"]
    assert load_model(str(last), dtype="float32").model.config.hidden_size == 32
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["config"]["learning_rate"] == 1e-2
    assert "torch" in written["versions"]


def test_a_killed_run_goes_on_as_if_it_had_not_been(
    tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path
) -> None:
    whole = tmp_path / "whole"
    train(config(whole, tiny_model_folder, trajectories_file, updates=8))
    killed = tmp_path / "killed"
    program = (
        "import sys; from pathlib import Path; from srl_swe.training.config import TrainConfig;"
        "from srl_swe.training.loop import train;"
        "out, model, data = sys.argv[1:];"
        "train(TrainConfig(out=Path(out), model=model, trajectories=(Path(data),), objective='sft',"
        "updates=8, batch=3, learning_rate=1e-2, dtype='float32', save_every=2, keep_checkpoints=2))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, killed, tiny_model_folder, trajectories_file])
    while process.poll() is None and not (killed / "checkpoints" / "update-000004").exists():
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    train(config(killed, tiny_model_folder, trajectories_file, updates=8))
    assert [m["update"] for m in metrics(killed)] == list(range(1, 9))
    assert [m["loss"] for m in metrics(killed)] == [m["loss"] for m in metrics(whole)]
    names = [p.name for p in (killed / "checkpoints").iterdir()]
    assert sorted(names) == ["update-000006", "update-000008"]


def test_a_finished_run_is_left_alone_and_may_be_lengthened(
    tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path
) -> None:
    run = tmp_path / "run"
    train(config(run, tiny_model_folder, trajectories_file, updates=2))
    before = (run / "metrics.jsonl").read_text()
    assert train(config(run, tiny_model_folder, trajectories_file, updates=2)) == latest_checkpoint(run)
    assert (run / "metrics.jsonl").read_text() == before
    train(config(run, tiny_model_folder, trajectories_file, updates=3))
    assert (run / "metrics.jsonl").read_text().startswith(before)


def test_another_configuration_in_the_same_folder_is_refused(
    tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path
) -> None:
    train(config(tmp_path / "run", tiny_model_folder, trajectories_file, updates=2))
    with pytest.raises(ConfigError, match=r"learning_rate = 0\.01, not 0\.5"):
        train(config(tmp_path / "run", tiny_model_folder, trajectories_file, learning_rate=0.5))


def test_held_out_trajectories_are_refused(tmp_path: Path, tiny_model_folder: Path) -> None:
    file = tmp_path / "mixed.jsonl"
    write_trajectories(file, [make_trajectory(0), make_trajectory(1, split="heldout")])
    with pytest.raises(ConfigError, match="'t1' is held out"):
        train(config(tmp_path / "run", tiny_model_folder, file))
    assert not (tmp_path / "run").exists()


def test_srl_without_signal_says_what_to_do(tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path) -> None:
    """A random model answers nothing well-formed, so that every group has the same rewards."""
    with pytest.raises(NoSignalError, match="answers were malformed\\); warm the model up by SFT first"):
        train(
            config(
                tmp_path / "run", tiny_model_folder, trajectories_file, objective="srl", max_refills=1, max_new_tokens=4
            )
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [("updates", 0), ("group_size", 1), ("clip", 1.0), ("learning_rate", -1.0), ("trajectories", ()), ("history", -1)],
)
def test_fields_out_of_range_are_named(tmp_path: Path, field: str, value: object) -> None:
    options: dict[str, object] = {"out": tmp_path, "trajectories": (tmp_path,)} | {field: value}
    with pytest.raises(ConfigError, match=f"^{field}: expected"):
        TrainConfig(**options)  # type: ignore[arg-type]


def test_options_without_effect_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="group_size: has no effect with objective 'sft'"):
        TrainConfig(out=tmp_path, trajectories=(tmp_path,), objective="sft", group_size=4)


def test_a_full_disk_leaves_earlier_checkpoints_and_nothing_half_written(
    tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path
) -> None:
    run = tmp_path / "run"
    train(config(run, tiny_model_folder, trajectories_file, updates=2))
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000));"  # writing past 1 MB fails
        "from srl_swe.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    options = [
        f"--out={run}",
        f"--model={tiny_model_folder}",
        f"--trajectories={trajectories_file}",
        *(["--objective", "sft", "--updates", "4", "--batch", "3", "--learning-rate", "1e-2", "--dtype", "float32"]),
        *(["--save-every", "2", "--keep-checkpoints", "2"]),
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, "train", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "the checkpoint cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["update-000002"]


def test_learning_rate_rises_and_stays(tmp_path: Path) -> None:
    c = TrainConfig(out=tmp_path, trajectories=(tmp_path,), learning_rate=3.0, warmup_updates=3)
    assert [learning_rate(c, u) for u in (1, 2, 3, 4, 50)] == [1.0, 2.0, 3.0, 3.0, 3.0]


def test_the_order_covers_all_in_each_epoch_and_resumes_anywhere() -> None:
    order = SeededOrder(5, seed=1)
    walked = order.take(15)
    assert [sorted(walked[i : i + 5]) for i in (0, 5, 10)] == [list(range(5))] * 3
    assert walked[:5] != walked[5:10]
    resumed = SeededOrder(5, seed=1)
    resumed.position = 7
    assert resumed.take(8) == walked[7:]
