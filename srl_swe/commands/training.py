"""``srl-swe train`` and ``srl-swe model fetch``."""

from __future__ import annotations

from typing import Annotated

import tyro
from tyro.conf import Positional

from srl_swe.commands.output import console
from srl_swe.training.config import TrainConfig


def train(config: Annotated[TrainConfig, tyro.conf.arg(name="")]) -> int:
    """Train a model: by SFT or SRL on expert trajectories, or by RLVR on tasks in containers."""
    from srl_swe.training.loop import train as run
    from srl_swe.training.processes import is_first

    checkpoint = run(config, console=console(stderr=True))
    if is_first():
        console().print(f"written: {checkpoint}", markup=False)
    return 0


def fetch_model(model: Positional[str | None] = None) -> int:
    """Put a model where training and evaluation find it.

    Args:
        model: A model id, a folder or a .gguf file; the embedded model by default.
    """
    from srl_swe.policies.models import DEFAULT_MODEL, default_model_folder, load_model

    if model in (None, DEFAULT_MODEL):
        console().print(str(default_model_folder()), markup=False)
    else:
        assert model is not None
        console().print(f"{load_model(model).name}: can be loaded", markup=False)
    return 0
