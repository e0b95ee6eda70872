"""What a run writes down: its configuration, one line of metrics an update, its rollouts; and what a logger shows."""

from __future__ import annotations

import dataclasses
import json
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import srl_swe
from srl_swe.errors import ConfigError
from srl_swe.files import write_atomically
from srl_swe.records import Rollout
from srl_swe.training.config import TrainConfig
from srl_swe.training.loggers import make_logger

METRICS = "metrics.jsonl"
ROLLOUTS = "rollouts.jsonl"
CONFIG = "config.json"
MAY_CHANGE = ("updates", "max_trained_tokens", "max_seconds", "save_every", "keep_checkpoints", "out", "logger")
"""Fields that may differ when a run goes on."""


class Journal:
    """The files of one run. On resuming, what was written after the checkpoint is dropped and written again.

    Args:
        config: The run's configuration.
        done: Updates that the checkpoint holds; 0 at the start.
        resolved: What the configuration leaves open and the run has settled, such as the model's folder.

    Raises:
        ConfigError: the folder holds a run with another configuration.
        MissingDependencyError: the logger is not installed.
    """

    def __init__(self, config: TrainConfig, done: int, resolved: Mapping[str, Any]) -> None:
        self.folder = config.out
        self.folder.mkdir(parents=True, exist_ok=True)
        if done:
            check_config(config)
        settings = _as_json(config)
        record = {
            "config": settings,
            "resolved": dict(resolved),
            "versions": versions(),
            "commit": source_commit(),
        }
        write_atomically(self.folder / CONFIG, json.dumps(record, indent=2) + "\n")
        for name in (METRICS, ROLLOUTS):
            _truncate(self.folder / name, lambda line: line["update"] <= done)
        self._logger = make_logger(config, settings, done=done)

    def log(self, update: int, metrics: dict[str, Any], rollouts: Sequence[Rollout]) -> None:
        """Append one update."""
        with (self.folder / ROLLOUTS).open("a") as file:
            file.writelines(json.dumps(_rollout_line(update, rollout)) + "\n" for rollout in rollouts)
        with (self.folder / METRICS).open("a") as file:
            file.write(json.dumps({"update": update, **metrics}) + "\n")
        self._logger.log(update, {name: v for name, v in metrics.items() if isinstance(v, int | float)})

    def close(self) -> None:
        """Flush what the logger holds."""
        self._logger.close()


def check_config(config: TrainConfig) -> None:
    """Raise `ConfigError` where the folder holds a run with another configuration."""
    path = config.out / CONFIG
    earlier = _read_record(path).get("config", {})
    may_change = set(MAY_CHANGE) - ({"updates"} if config.schedule != "constant" else set())
    for name, value in _as_json(config).items():
        if name not in may_change and earlier.get(name, value) != value:
            raise ConfigError(
                f"{path}: the run there has {name} = {earlier[name]!r}, not {value!r}; "
                f"choose another --out, or remove the folder to start anew"
            )


def resolved_model(run: Path) -> str | None:
    """The model that a run began with; ``None`` where none has begun in the folder."""
    found = _read_record(run / CONFIG).get("resolved", {}).get("model")
    return None if found is None else str(found)


def versions() -> dict[str, str]:
    """Of everything that the numbers hang on."""
    import torch
    import transformers

    return {
        "srl_swe": srl_swe.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def source_commit() -> str | None:
    """The commit of the checkout that this package is in, ``+`` after it where files were changed since.

    ``None``: it is in none.
    """
    checkout = Path(srl_swe.__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return None
    try:
        commit, changed = (
            subprocess.run(["git", "-C", str(checkout), *args], capture_output=True, text=True, check=True, timeout=30)
            for args in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _read_record(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text())
        return {"config": record["config"], "resolved": record.get("resolved", {})}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: not a run's configuration ({error})") from error


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
