"""Checkpoints: written beside, then renamed, so that one is whole or not there.

``RUN/checkpoints/update-000010/`` is a normal Hugging Face folder (transformers and vLLM load it) that also holds
``learner.pt`` (float32 weights, optimiser state) and ``state.json`` (update, place in the data order).
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from srl_swe.errors import ConfigError, StorageError
from srl_swe.policies.models import LoadedModel, save_model

if TYPE_CHECKING:
    from srl_swe.training.learner import Learner

STATE = "state.json"
LEARNER = "learner.pt"


def save_checkpoint(run: Path, loaded: LoadedModel, learner: Learner, *, update: int, position: int, keep: int) -> Path:
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
        save_model(loaded.model, loaded.tokenizer, partial)
        torch.save(learner.state_dict(), partial / LEARNER)
        (partial / STATE).write_text(json.dumps({"update": update, "position": position}))
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
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)
    return final


def checkpoints(run: Path) -> list[Path]:
    """The run's whole checkpoints, oldest first."""
    return sorted(p.parent for p in (run / "checkpoints").glob(f"update-*/{STATE}") if p.parent.suffix != ".partial")


def latest_checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run.

    Raises:
        ConfigError: there is none.
    """
    found = checkpoints(run)
    if not found:
        raise ConfigError(f"{run}: no checkpoint there; expected a folder that `srl-swe train` wrote to")
    return found[-1]


def restore_learner(checkpoint: Path, learner: Learner) -> tuple[int, int]:
    """Load learner state; return the update's number and the place in the data order.

    Raises:
        ConfigError: the files are damaged, or of another model.
    """
    import torch

    try:
        state = json.loads((checkpoint / STATE).read_text())
        learner.load_state_dict(torch.load(checkpoint / LEARNER, map_location="cpu", weights_only=True))
        return int(state["update"]), int(state["position"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"{checkpoint}: not a whole checkpoint of this model ({error}); remove it to go on"
        ) from error


def _sync(folder: Path) -> None:
    """Flush the folder's files to the disk: a rename must not outlive what it names."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
