"""Checkpoints: written beside, then renamed, so that one is whole or not there.

``RUN/checkpoints/update-000010/`` is a normal Hugging Face folder (transformers and vLLM load it) that also holds
``learner/`` (float32 weights and optimiser state, a part from each process; any number of processes reads them),
``random.pt`` (the first one's random generators) and ``state.json`` (the update, the objective's state, the size of
every file). One whose files are not of those sizes is passed over: a disk or a copy failed.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srl_swe.errors import ConfigError, StorageError
from srl_swe.policies.models import LoadedModel, save_model
from srl_swe.training.random_states import random_states, restore_random_states

if TYPE_CHECKING:
    from srl_swe.training.batch import Objective
    from srl_swe.training.crew import Crew
    from srl_swe.training.learner import Learner

STATE = "state.json"
LEARNER = "learner"
RANDOM = "random.pt"


def save_checkpoint(
    run: Path, loaded: LoadedModel, learner: Learner | Crew, objective: Objective, *, update: int, keep: int
) -> Path:
    """Write the state after ``update`` updates; then remove all but the newest ``keep`` checkpoints.

    Raises:
        StorageError: it cannot be written; nothing of it is left, and earlier checkpoints stay.
    """
    import torch
    from safetensors import SafetensorError

    folder = run / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("*.partial"):
        shutil.rmtree(leftover)
    final = folder / f"update-{update:06d}"
    partial = final.with_name(final.name + ".partial")
    try:
        learner.publish()
        save_model(loaded.model, loaded.tokenizer, partial)
        learner.save(partial / LEARNER)
        torch.save(random_states(), partial / RANDOM)
        state = {"update": update, "objective": objective.state_dict(), "sizes": _sizes(partial)}
        (partial / STATE).write_text(json.dumps(state))
        _sync(partial)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        # A full disk is an OSError in Python, a RuntimeError in torch and a SafetensorError in safetensors.
        if isinstance(error, OSError | RuntimeError | SafetensorError):
            raise StorageError(f"{final}: the checkpoint cannot be written: {error}") from error
        raise
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    _flush(folder)
    kept = [path for path in checkpoints(run) if not damage(path)][-keep:]
    for old in checkpoints(run):
        if old not in kept:
            shutil.rmtree(old)
    return final


def checkpoints(run: Path) -> list[Path]:
    """The run's checkpoints, oldest first."""
    return sorted(p.parent for p in (run / "checkpoints").glob(f"update-*/{STATE}") if p.parent.suffix != ".partial")


def update_of(checkpoint: Path) -> int:
    """How many updates it holds."""
    return int(checkpoint.name.removeprefix("update-"))


def latest_checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run that is whole.

    Raises:
        ConfigError: there is none.
    """
    found = [path for path in checkpoints(run) if not damage(path)]
    if not found:
        raise ConfigError(f"{run}: no checkpoint there; expected a folder that `srl-swe train` wrote to")
    return found[-1]


def model_source(name: str) -> str:
    """What a model's name stands for: a run's folder for its last checkpoint, any other for itself.

    Raises:
        ConfigError: a run's folder without a checkpoint.
    """
    return str(latest_checkpoint(Path(name))) if (Path(name) / "checkpoints").is_dir() else name


def damage(checkpoint: Path) -> str:
    """What is wrong with a checkpoint's files; empty where each has the size it was written with."""
    try:
        sizes = json.loads((checkpoint / STATE).read_text())["sizes"]
        there = _sizes(checkpoint)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{STATE} cannot be read ({error})"
    wrong = [name for name, size in sizes.items() if there.get(name) != size]
    return f"{wrong[0]} has {there.get(wrong[0], 0)} bytes instead of {sizes[wrong[0]]}" if wrong else ""


def restore(checkpoint: Path, learner: Learner | Crew, objective: Objective) -> int:
    """Load the state of learner, objective and random generators; return the update's number.

    Raises:
        ConfigError: the files are damaged, or of another model.
    """
    import torch

    try:
        state: dict[str, Any] = json.loads((checkpoint / STATE).read_text())
        random = torch.load(checkpoint / RANDOM, map_location="cpu", weights_only=True)
        learner.load(checkpoint / LEARNER)
        objective.load_state_dict(state["objective"])
        restore_random_states(random)
        return int(state["update"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"{checkpoint}: not a whole checkpoint of this model ({error}); remove it to go on"
        ) from error


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != STATE)
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(files)}


def _sync(folder: Path) -> None:
    """Flush the folder and its files to the disk: a rename must not outlive what it names."""
    for path in [*folder.rglob("*"), folder]:
        _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
