"""The configuration of one training run. The command line is made from it; importing it imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from srl_swe.environments.prompts import OBSERVATION_CHARS
from srl_swe.errors import ConfigError
from srl_swe.training.instance_files import CUT_ALREADY

ObjectiveName = Literal["sft", "srl"]

_SRL_ONLY = ("group_size", "min_reward_std", "max_refills", "max_new_tokens", "temperature", "clip", "autojunk")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run of one objective. A curriculum is two runs, the second from the first's last checkpoint."""

    out: Path
    """Folder of the run: config.json, metrics.jsonl, rollouts.jsonl, tensorboard/, checkpoints/."""
    trajectories: tuple[Path, ...] = ()
    """JSONL files of expert trajectories; held-out ones are refused."""
    instances: tuple[Path, ...] = ()
    """JSONL files of step instances, as ``srl-swe experts instances`` writes them; held-out ones are refused."""
    objective: ObjectiveName = "srl"
    """``sft``: imitate thought and action; ``srl``: step-wise similarity reward (arXiv 2510.25992)."""
    model: str = "smollm2-135m-instruct"
    """The embedded default, a transformers folder, a .gguf file or a hub id."""
    updates: int = 100
    """Optimiser steps in all."""
    batch: int = 6
    """Step instances an update: samples for ``sft``, kept groups for ``srl``."""
    learning_rate: float = 3e-5
    """Peak learning rate of AdamW."""
    warmup_updates: int = 3
    """Updates over which the learning rate rises linearly to its peak."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this global norm."""
    seed: int = 0
    """Seed of data order and sampling."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the forward and backward pass; the optimiser always keeps float32 weights."""

    history: int | None = 2
    """Action-observation pairs that the student sees; ``None``: all."""
    observation_chars: int = OBSERVATION_CHARS
    """Longest observation shown."""
    max_prompt_tokens: int = 2048
    """Step instances with a longer prompt are left out and counted."""

    group_size: int = 8
    """srl: completions of each step instance, G."""
    min_reward_std: float = 0.05
    """srl: a group is kept if the standard deviation of its rewards exceeds this, ε."""
    max_refills: int = 8
    """srl: times that dropped groups are replaced by new ones before an update goes on with what it has."""
    max_new_tokens: int = 96
    """srl: most tokens of a completion."""
    temperature: float = 1.0
    """srl: sampling temperature."""
    clip: float = 0.2
    """srl: the probability ratio is clipped to [1 - clip, 1 + clip]."""
    autojunk: bool = False
    """srl: difflib's heuristic in the similarity reward."""

    save_every: int = 10
    """Updates between checkpoints; the last update is always saved."""
    keep_checkpoints: int = 1
    """Checkpoints kept, the newest ones."""

    def __post_init__(self) -> None:
        """Check every field that has a range."""
        positive = ("updates", "batch", "learning_rate", "max_grad_norm", "max_prompt_tokens", "max_new_tokens")
        for name in (*positive, "temperature", "observation_chars", "save_every", "keep_checkpoints"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("warmup_updates", "weight_decay", "min_reward_std", "max_refills", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if self.group_size < 2:
            raise ConfigError(f"group_size: expected at least 2 completions to compare, got {self.group_size}")
        if not 0 < self.clip < 1:
            raise ConfigError(f"clip: expected a number between 0 and 1, got {self.clip}")
        if self.history is not None and self.history < 0:
            raise ConfigError(f"history: expected 0 or more pairs, or None for all, got {self.history}")
        if self.objective == "sft":
            defaults = {field.name: field.default for field in fields(self)}
            for name in _SRL_ONLY:
                if getattr(self, name) != defaults[name]:
                    raise ConfigError(f"{name}: has no effect with objective 'sft'; leave it out")
        if not self.trajectories and not self.instances:
            raise ConfigError("trajectories: expected at least one file, of them or of instances")
        if not self.trajectories:
            for name in CUT_ALREADY:
                if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                    raise ConfigError(f"{name}: has no effect with instances, which are cut already; leave it out")
