"""Whole runs with a tiny model: what is written, what is refused."""

import importlib.util
import inspect
import json
import math
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from small_trajectories import make_trajectory

from srl_swe.errors import ConfigError, MissingDependencyError, NoSignalError
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.policies.models import load_model
from srl_swe.training.checkpoint import checkpoints, latest_checkpoint
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import SeededOrder
from srl_swe.training.loggers import make_logger
from srl_swe.training.loop import learning_rate, train
from srl_swe.training.objectives import read_objective


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
    assert "commit" in written


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


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("group_size: has no effect with objective 'sft'", {"objective": "sft", "group_size": 4}),
        ("loss: has no effect with objective 'sft'", {"objective": "sft", "loss": "gspo"}),
        ("autojunk: has no effect with objective 'rlvr'", {"objective": "rlvr", "autojunk": True}),
        ("max_steps: has no effect with objective 'srl'", {"max_steps": 3}),
        ("suites: expected at least one folder", {"objective": "rlvr", "trajectories": ()}),
        ("max_refills: has no effect with dynamic_sampling = False", {"dynamic_sampling": False, "max_refills": 3}),
        ("clip: has no effect with loss 'cispo'", {"loss": "cispo", "clip": 0.1}),
        ("clip_high: loss 'grpo' is clipped symmetrically", {"clip_high": 0.3}),
        ("history: has no effect with unit 'trajectory'", {"unit": "trajectory", "history": 3}),
        ("keep_answers: needs history = None", {"objective": "rlvr", "suites": (Path(),), "keep_answers": True}),
        ("reverse_curriculum: goes with trajectories", {"objective": "rlvr", "suites": (Path(),)}),
        ("engine_url: goes with engine 'vllm-server'", {"engine": "vllm-server"}),
        ("overlap: needs an engine that has weights of its own", {"overlap": True}),
        ("schedule: 'linear' needs more updates", {"schedule": "linear", "updates": 2}),
    ],
)
def test_options_without_effect_and_contradictions_are_refused(
    tmp_path: Path, message: str, options: dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        TrainConfig(**{"out": tmp_path, "trajectories": (tmp_path,)} | options)  # type: ignore[arg-type]


def test_the_configuration_stays_small_and_every_field_is_documented() -> None:
    lines = inspect.getsource(TrainConfig).splitlines()
    names = [field.name for field in fields(TrainConfig)]
    assert len(names) < 60
    for name in names:
        place = next(i for i, line in enumerate(lines) if line.startswith(f"    {name}: "))
        assert lines[place + 1].startswith('    """'), f"{name} is not documented"


def test_a_logger_that_is_not_installed_is_named(tmp_path: Path) -> None:
    trainer = TrainConfig(out=tmp_path, trajectories=(tmp_path,), logger="trackio")
    if importlib.util.find_spec("trackio"):
        pytest.skip("trackio is installed")
    with pytest.raises(MissingDependencyError, match=r"pip install 'srl-swe\[trackio\]'"):
        make_logger(trainer, {}, done=0)


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


def test_learning_rate_rises_and_then_does_what_the_schedule_says(tmp_path: Path) -> None:
    def rates(**options: object) -> list[float]:
        c = TrainConfig(out=tmp_path, trajectories=(tmp_path,), learning_rate=4.0, updates=6, **options)  # type: ignore[arg-type]
        return [learning_rate(c, u) for u in range(1, 7)]

    assert rates(warmup_updates=4) == [1.0, 2.0, 3.0, 4.0, 4.0, 4.0]
    assert rates(warmup_updates=2, schedule="linear") == [2.0, 4.0, 4.0, 3.0, 2.0, 1.0]
    assert rates(warmup_updates=0, schedule="cosine") == pytest.approx(
        [2 * (1 + math.cos(math.pi * k / 6)) for k in range(6)]
    )


def test_a_run_with_a_schedule_cannot_be_lengthened(
    tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path
) -> None:
    options = {"schedule": "linear", "warmup_updates": 0}
    train(config(tmp_path / "run", tiny_model_folder, trajectories_file, updates=2, **options))
    with pytest.raises(ConfigError, match="updates = 2, not 4"):
        train(config(tmp_path / "run", tiny_model_folder, trajectories_file, updates=4, **options))


def test_a_run_begins_with_the_last_checkpoint_of_another(
    tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path
) -> None:
    first = train(config(tmp_path / "first", tiny_model_folder, trajectories_file, updates=2))
    train(config(tmp_path / "second", tmp_path / "first", trajectories_file, updates=1, learning_rate=1e-9))
    assert json.loads((tmp_path / "second" / "config.json").read_text())["resolved"]["model"] == str(first)
    train(config(tmp_path / "third", first, trajectories_file, updates=1, learning_rate=1e-9))
    assert metrics(tmp_path / "second")[0]["loss"] == metrics(tmp_path / "third")[0]["loss"]


def test_sft_on_whole_trajectories(tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path) -> None:
    """One sample a trajectory, trained on at each answer of the expert."""
    run = config(tmp_path / "run", tiny_model_folder, trajectories_file, updates=1, unit="trajectory", batch=4)
    loaded = load_model(str(tiny_model_folder), dtype="float32")
    objective = read_objective(run)(loaded)
    assert objective.about == "4 trajectories"
    sample = objective.next_batch(1).samples[0]
    text = loaded.tokenizer.decode([t for t, kept in zip(sample.token_ids, sample.loss_mask, strict=True) if kept])
    answers = text.split("<|im_end|>")
    assert [answer.partition("\n```bash\n")[2].partition("\n")[0].split()[0] for answer in answers[:-1]] == [
        "ls",
        "grep",
        "submit",
    ]
    train(run)
    assert metrics(tmp_path / "run")[0]["loss"] > 0


def test_srl_on_the_whole_sequence_of_actions(tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path) -> None:
    run = config(
        tmp_path / "run",
        tiny_model_folder,
        trajectories_file,
        **{"objective": "srl", "unit": "trajectory", "updates": 1, "batch": 2, "group_size": 2},
        **{"max_new_tokens": 4, "dynamic_sampling": False, "importance_cap": 2.0, "loss": "token_level"},
    )
    train(run)
    (line,) = metrics(tmp_path / "run")
    assert (line["reward_mean"], line["kept_fraction"]) == (-1.0, 1.0)
    assert {"entropy", "logprob_gap", "clip_fraction", "tokens_per_second", "unique_token_ratio"} <= set(line)


def test_the_order_covers_all_in_each_epoch_and_resumes_anywhere() -> None:
    order = SeededOrder(5, seed=1)
    walked = order.take(15)
    assert [sorted(walked[i : i + 5]) for i in (0, 5, 10)] == [list(range(5))] * 3
    assert walked[:5] != walked[5:10]
    resumed = SeededOrder(5, seed=1)
    resumed.position = 7
    assert resumed.take(8) == walked[7:]
