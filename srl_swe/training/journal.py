"""What a run writes down: its configuration, one line of metrics an update, its rollouts, TensorBoard."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import srl_swe
from srl_swe.errors import ConfigError
from srl_swe.files import write_atomically
from srl_swe.records import Rollout
from srl_swe.training.config import TrainConfig

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

METRICS = "metrics.jsonl"
ROLLOUTS = "rollouts.jsonl"
CONFIG = "config.json"
MAY_CHANGE = ("updates", "save_every", "keep_checkpoints", "out")
"""Fields that may differ when a run goes on."""


class Journal:
    """The files of one run. On resuming, what was written after the checkpoint is dropped and written again.

    Args:
        config: The run's configuration.
        done: Updates that the checkpoint holds; 0 at the start.

    Raises:
        ConfigError: the folder holds a run with another configuration.
    """

    def __init__(self, config: TrainConfig, done: int) -> None:
        self.folder = config.out
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_config(config, resumed=done > 0)
        for name in (METRICS, ROLLOUTS):
            _truncate(self.folder / name, lambda line: line["update"] <= done)
        from torch.utils.tensorboard import SummaryWriter

        self._board: SummaryWriter = SummaryWriter(str(self.folder / "tensorboard"), purge_step=done + 1)

    def log(self, update: int, metrics: dict[str, Any], rollouts: Sequence[Rollout]) -> None:
        """Append one update."""
        with (self.folder / ROLLOUTS).open("a") as file:
            for rollout in rollouts:
                file.write(json.dumps(_rollout_line(update, rollout)) + "\n")
        with (self.folder / METRICS).open("a") as file:
            file.write(json.dumps({"update": update, **metrics}) + "\n")
        for name, value in metrics.items():
            if isinstance(value, int | float):
                self._board.add_scalar(name, value, update)

    def close(self) -> None:
        """Flush TensorBoard's file."""
        self._board.close()


def check_config(config: TrainConfig) -> None:
    """Raise `ConfigError` where the folder holds a run with another configuration."""
    path = config.out / CONFIG
    if not path.exists():
        return
    try:
        earlier = json.loads(path.read_text())["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a run's configuration ({error})") from error
    for name, value in _as_json(config).items():
        if name not in MAY_CHANGE and earlier.get(name, value) != value:
            raise ConfigError(
                f"{path}: the run there has {name} = {earlier[name]!r}, not {value!r}; "
                f"choose another --out, or remove the folder to start anew"
            )


def _write_config(config: TrainConfig, *, resumed: bool) -> None:
    import torch
    import transformers

    if resumed:
        check_config(config)
    record = {
        "config": _as_json(config),
        "versions": {
            "srl_swe": srl_swe.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
        },
    }
    write_atomically(config.out / CONFIG, json.dumps(record, indent=2) + "\n")


def _as_json(config: TrainConfig) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))  # type: ignore[no-any-return]


def _truncate(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Keep the lines that ``keep`` accepts; a half-written last one goes."""
    if not path.exists():
        return
    lines = []
    for line in path.read_text().splitlines():
        try:
            if keep(json.loads(line)):
                lines.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    write_atomically(path, "".join(lines))


def _rollout_line(update: int, rollout: Rollout) -> dict[str, Any]:
    return {
        "update": update,
        "instance_id": rollout.instance_id,
        "group": rollout.group,
        "text": rollout.completion.text,
        "reward": rollout.score.value,
        "parts": rollout.score.parts,
        "tokens": len(rollout.completion.token_ids),
        "ending": rollout.ending.value,
        "weight_version": rollout.weight_version,
    }
