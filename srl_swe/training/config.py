"""The configuration of one training run. The command line is made from it; importing it imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from srl_swe.environments.prompts import OBSERVATION_CHARS
from srl_swe.errors import ConfigError
from srl_swe.policies.engines import EngineName
from srl_swe.training.instance_files import CUT_ALREADY

OptimizerName = Literal["adamw", "adamw8bit"]
ObjectiveName = Literal["sft", "srl", "rlvr"]
LossName = Literal["grpo", "clip_higher", "token_level", "dr_grpo", "gspo", "cispo"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run of one objective. A curriculum is two runs: the second one's ``model`` is the first one's folder."""

    out: Path
    """Folder of the run: config.json, metrics.jsonl, rollouts.jsonl, tensorboard/, checkpoints/."""
    trajectories: tuple[Path, ...] = ()
    """JSONL files of expert trajectories; held-out ones are refused. rlvr: only for ``reverse_curriculum``."""
    instances: tuple[Path, ...] = ()
    """sft, srl: JSONL files of step instances, of ``srl-swe experts instances``; held-out ones are refused."""
    suites: tuple[Path, ...] = ()
    """rlvr: task suites, of which the training tasks are used."""
    tasks: tuple[str, ...] = ()
    """rlvr: ids of tasks, where not all are to be used."""
    objective: ObjectiveName = "srl"
    """``sft``: imitate thought and action; ``srl``: step-wise similarity reward (arXiv 2510.25992); ``rlvr``: whole
    episodes in containers, rewarded by hidden tests."""
    unit: Literal["step", "trajectory"] = "step"
    """sft: a sample is one step, or a whole trajectory, trained on at each of its steps. srl: the student writes one
    step, or all actions at once, which are compared as a whole with all of the expert's."""
    model: str = "smollm2-135m-instruct"
    """The embedded default, a run's folder (its last checkpoint), a transformers folder, a .gguf file or a hub id."""
    updates: int = 100
    """Optimiser steps in all."""
    max_trained_tokens: int | None = None
    """End with the update at which the loss has been taken over this many tokens."""
    max_seconds: float | None = None
    """End with the update at which all updates have taken this long; then no two machines do the same."""
    batch: int = 6
    """Samples an update for ``sft``; groups to train on an update for ``srl`` and ``rlvr``."""
    learning_rate: float = 3e-5
    """Peak learning rate of AdamW."""
    optimizer: OptimizerName = "adamw"
    """``adamw8bit``: its moments take 2 bytes a trained weight instead of 8, by bitsandbytes; slow on CPUs."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """What the learning rate does after the warm-up: it stays, or goes to 0 at the last update."""
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

    lora_rank: int = 0
    """Rank of an adapter, which alone is trained then; 0: every weight is."""
    packing: Literal["tree", "padded"] = "tree"
    """``tree``: every unique token of an update's samples is computed once; ``padded``: one row a sample, for models
    that a trie would be wrong for."""
    tokens_at_once: int = 4096
    """Most tokens of one forward and backward pass; gradients are added up over passes."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, a third more time."""

    history: int | None = 2
    """Action-observation pairs that the student sees; ``None``: all."""
    observation_chars: int = OBSERVATION_CHARS
    """Longest observation shown."""
    max_prompt_tokens: int = 2048
    """Step instances with a longer prompt are left out and counted; an episode whose context gets longer ends."""

    engine: EngineName = "transformers"
    """srl, rlvr: what generates: ``transformers``, embedded, on the learner's own weights; ``vllm``, in this process;
    ``vllm-server``, which somebody has started."""
    engine_url: str | None = None
    """srl, rlvr: where the server is, such as ``http://localhost:8000``."""
    overlap: bool = False
    """srl, rlvr: the next batch is sampled while this one is trained on, by weights that are one update older; for the
    engines that have weights of their own."""
    group_size: int = 8
    """srl, rlvr: completions of each step instance, or episodes of each task, G."""
    dynamic_sampling: bool = True
    """srl, rlvr: groups whose rewards vary too little are dropped and replaced by others; else all are trained on."""
    min_reward_std: float = 0.05
    """srl, rlvr: a group is kept if the standard deviation of its rewards exceeds this, ε."""
    max_refills: int = 8
    """srl, rlvr: an update goes on with what it has once it has sampled this many times ``batch`` groups more."""
    max_new_tokens: int = 96
    """srl, rlvr: most tokens of a completion."""
    temperature: float = 1.0
    """srl, rlvr: sampling temperature."""
    autojunk: bool = False
    """srl: difflib's heuristic in the similarity reward."""

    loss: LossName = "grpo"
    """srl, rlvr: see `srl_swe.training.losses`."""
    clip: float | None = None
    """srl, rlvr: the probability ratio is clipped to [1 - clip, …; ``None``: the loss's own."""
    clip_high: float | None = None
    """srl, rlvr: … 1 + clip_high]; ``None``: ``clip``, or the loss's own."""
    kl_coefficient: float = 0.0
    """srl, rlvr: weight of the divergence from the model that the run began with."""
    importance_cap: float | None = None
    """srl, rlvr: weigh tokens by the ratio of learner to engine, cut to this; ``None``: clip that ratio instead."""

    max_steps: int = 10
    """rlvr: most actions of an episode."""
    environments: int = 8
    """rlvr: containers open at a time."""
    backend: str = "docker"
    """rlvr: what the containers run on."""
    keep_answers: bool = False
    """rlvr: the student sees its earlier answers whole, thoughts too, and an episode is one sequence of tokens."""
    reverse_curriculum: bool = False
    """rlvr: episodes start where an expert's last steps are left to do, and ever earlier as they are solved."""

    logger: Literal["tensorboard", "wandb", "trackio", "none"] = "tensorboard"
    """Where metrics go, beside metrics.jsonl."""
    save_every: int = 10
    """Updates between checkpoints; the last update is always saved."""
    keep_checkpoints: int = 2
    """Checkpoints kept, the newest ones."""

    def __post_init__(self) -> None:
        """Check every field that has a range, and that no option is without effect."""
        self._check_ranges()
        self._check_objective()
        self._check_contradictions()

    def _check_ranges(self) -> None:
        positive = ("updates", "batch", "learning_rate", "max_grad_norm", "max_prompt_tokens", "max_new_tokens")
        more = (
            "tokens_at_once",
            "temperature",
            "observation_chars",
            "max_steps",
            "environments",
            "save_every",
            "keep_checkpoints",
        )
        for name in (*positive, *more):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: expected a positive number, got {getattr(self, name)}")
        natural = ("warmup_updates", "max_refills", "seed", "lora_rank")
        for name in (*natural, "weight_decay", "min_reward_std", "kl_coefficient"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if self.group_size < 2:
            raise ConfigError(f"group_size: expected at least 2 completions to compare, got {self.group_size}")
        if self.clip is not None and not 0 < self.clip < 1:
            raise ConfigError(f"clip: expected a number between 0 and 1, got {self.clip}")
        for name in ("clip_high", "importance_cap", "max_trained_tokens", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name}: expected a positive number, got {value}")
        if self.history is not None and self.history < 0:
            raise ConfigError(f"history: expected 0 or more pairs, or None for all, got {self.history}")

    def _check_objective(self) -> None:
        for name, objectives in _ONLY_FOR.items():
            if self.objective not in objectives and self._is_set(name):
                raise ConfigError(f"{name}: has no effect with objective {self.objective!r}; leave it out")
        if self.objective == "rlvr" and not self.suites:
            raise ConfigError("suites: expected at least one folder")
        if self.objective != "rlvr" and not self.trajectories and not self.instances:
            raise ConfigError("trajectories: expected at least one file, of them or of instances")

    def _check_contradictions(self) -> None:
        without_effect: dict[str, str | bool] = {
            "min_reward_std": not self.dynamic_sampling and "dynamic_sampling = False",
            "max_refills": not self.dynamic_sampling and "dynamic_sampling = False",
            "clip": self.loss == "cispo" and "loss 'cispo', whose ratio has an upper bound alone",
            "history": self.unit == "trajectory" and "unit 'trajectory'",
        }
        if self.instances and not self.trajectories:
            without_effect |= dict.fromkeys(CUT_ALREADY, "instances, which are cut already")
        for name, why in without_effect.items():
            if why and self._is_set(name):
                raise ConfigError(f"{name}: has no effect with {why}; leave it out")
        if self.instances and self.unit == "trajectory":
            raise ConfigError("instances: are single steps; unit 'trajectory' needs trajectories")
        if self.clip_high is not None and self.loss in ("grpo", "dr_grpo"):
            raise ConfigError(f"clip_high: loss {self.loss!r} is clipped symmetrically; choose 'clip_higher'")
        if (self.engine == "vllm-server") != (self.engine_url is not None):
            raise ConfigError("engine_url: goes with engine 'vllm-server', the one that has an address")
        if self.overlap and self.engine == "transformers":
            raise ConfigError("overlap: needs an engine that has weights of its own; 'transformers' has the learner's")
        if self.keep_answers and self.history is not None:
            raise ConfigError("keep_answers: needs history = None, all of the episode")
        if self.objective == "rlvr" and self.reverse_curriculum != bool(self.trajectories):
            raise ConfigError("reverse_curriculum: goes with trajectories, the experts' ways that it starts on")
        if self.schedule != "constant" and (self.max_trained_tokens or self.max_seconds):
            raise ConfigError(f"schedule: {self.schedule!r} falls to 0 at the last update, which a budget leaves open")
        if self.schedule != "constant" and self.updates <= self.warmup_updates:
            raise ConfigError(f"schedule: {self.schedule!r} needs more updates than warmup_updates")

    def _is_set(self, name: str) -> bool:
        return bool(getattr(self, name) != _DEFAULTS[name])


_SAMPLED: tuple[ObjectiveName, ...] = ("srl", "rlvr")
_ONLY_FOR: dict[str, tuple[ObjectiveName, ...]] = {
    **dict.fromkeys(("group_size", "dynamic_sampling", "min_reward_std", "max_refills", "max_new_tokens"), _SAMPLED),
    **dict.fromkeys(("temperature", "loss", "clip", "clip_high", "kl_coefficient", "importance_cap"), _SAMPLED),
    "autojunk": ("srl",),
    **dict.fromkeys(("unit", "instances"), ("sft", "srl")),
    **dict.fromkeys(("engine", "engine_url", "overlap"), _SAMPLED),
    **dict.fromkeys(("suites", "tasks", "max_steps", "environments", "backend"), ("rlvr",)),
    **dict.fromkeys(("keep_answers", "reverse_curriculum"), ("rlvr",)),
}
"""Which objectives a field has an effect with, where not with all."""
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(TrainConfig)}
