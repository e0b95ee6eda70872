"""The learner: one optimiser step on one batch of samples, and their log-probabilities."""

from __future__ import annotations

import math
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from srl_swe.errors import DivergedError
from srl_swe.policies.models import LoadedModel
from srl_swe.policies.tree_attention import check_no_dropout
from srl_swe.records import Sample
from srl_swe.training.losses import Loss, LossValue, TrainedTokens
from srl_swe.training.passes import PaddedPasses, Passes, TreePasses
from srl_swe.training.tensor_files import read_tensors, write_tensors

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from transformers import PreTrainedModel

Packing = Literal["tree", "padded"]
"""``tree``: every unique token once; ``padded``: one row a sample, for models that a trie would be wrong for."""

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateStats:
    """What one update did."""

    loss: float
    """The objective's value."""
    grad_norm: float
    """Global gradient norm before clipping."""
    logprob_gap: float
    """Mean absolute difference between the engine's and the learner's log-probabilities of trained tokens; 0 where the
    loss uses no log-probabilities of an engine."""
    logprob_gap_max: float
    """The largest such difference."""
    entropy: float
    """Mean over trained tokens of the learner's entropy before the update, in nats."""
    clip_fraction: float
    """Fraction of trained tokens whose probability ratio is out of the loss's clipping range."""
    truncated_fraction: float
    """Fraction of trained tokens whose importance weight was cut to its cap."""
    trained_tokens: int
    """Trained tokens of all samples."""
    tokens: int
    """Tokens computed: with packing each unique one once, else with padding."""
    raw_tokens: int
    """Tokens of all samples, as a padded learner would compute them without its padding."""
    memory_gb: float
    """Peak memory: on CUDA what tensors took of the device during the update, else what the process has ever taken."""


@dataclass(kw_only=True, slots=True)
class Tally:
    """What is counted while an update goes on."""

    loss: float = 0.0
    """The parts' losses, added up."""
    gap: float = 0.0
    """The sum of `UpdateStats.logprob_gap` over trained tokens."""
    gap_max: float = 0.0
    """The largest such gap."""
    entropy: float = 0.0
    """The sum of entropies."""
    clipped: int = 0
    """Tokens out of the clipping range."""
    truncated: int = 0
    """Tokens whose weight was cut."""
    trained: int = 0
    """Trained tokens."""
    computed: int = 0
    """See `UpdateStats.tokens`."""

    def add(self, value: LossValue, tokens: TrainedTokens, entropies_N: Tensor, *, has_old: bool) -> None:
        """Count a part of the update."""
        self.loss += value.loss.item()
        self.clipped += value.clipped
        self.truncated += value.truncated
        self.trained += len(entropies_N)
        self.entropy += entropies_N.sum().item()
        if has_old:
            gap_N = (tokens.logprobs_N.detach() - tokens.old_logprobs_N).abs()
            self.gap += gap_N.sum().item()
            self.gap_max = max(self.gap_max, gap_N.max().item())


class Learner:
    """AdamW on float32 weights; the forward and backward pass in the model's own precision.

    Args:
        loaded: The model that is trained in place; an engine may hold the same object. Of a model with adapters only
            those are trained, as their parameters alone require gradients.
        loss: What is minimised.
        weight_decay: Decoupled weight decay.
        max_grad_norm: Gradients are scaled down to this global norm.
        temperature: Log-probabilities are those of logits / temperature, as they were sampled.
        packing: See `Packing`.
        max_tokens: Most unique tokens of a trie; samples beyond are another trie's.
        max_trained: The same of unique trained tokens.
        tokens_at_once: Most tokens of one forward and backward pass: of a part of a trie, or of a padded batch.
            Gradients are added up over passes.

    Raises:
        ModelError: the model has dropout, or cannot be packed.
    """

    _group: ProcessGroup | None = None
    """The processes that hold a part each; ``None``: this one holds all."""

    def __init__(
        self,
        loaded: LoadedModel,
        loss: Loss,
        *,
        weight_decay: float = 0.0,
        max_grad_norm: float = 1.0,
        temperature: float = 1.0,
        packing: Packing = "tree",
        max_tokens: int = 65_536,
        max_trained: int = 65_536,
        tokens_at_once: int = 4096,
    ) -> None:
        self.model: PreTrainedModel = loaded.model
        self.loss = loss
        self.max_grad_norm = max_grad_norm
        self.temperature = temperature
        check_no_dropout(self.model)
        self.passes: Passes = (
            PaddedPasses(self.model, tokens_at_once=tokens_at_once)
            if packing == "padded"
            else TreePasses(self.model, max_tokens=max_tokens, max_trained=max_trained, tokens_at_once=tokens_at_once)
        )
        trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.names, self.parameters = list(trained), list(trained.values())
        # In bfloat16 an update of 1e-5 is lost in rounding: the optimiser works on float32 copies.
        self.masters = [p if p.element_size() >= 4 else p.detach().float().clone() for p in self.parameters]
        fused = all(p.device.type in ("cpu", "cuda") for p in self.masters)
        self.optimizer = torch.optim.AdamW(
            self.masters, lr=0.0, betas=(0.9, 0.95), eps=1e-8, weight_decay=weight_decay, fused=fused
        )

    def update(self, samples: Sequence[Sample], learning_rate: float) -> UpdateStats:
        """Take one optimiser step on ``samples``, which may have any loss mask.

        Raises:
            ConfigError: a sample cannot be packed.
            DivergedError: the loss or the gradient is not finite; nothing was changed.
        """
        if self.model.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.model.device)
        tally = self.backward(samples)
        grad_norm = self._step(tally.loss, learning_rate)
        trained = max(1, tally.trained)
        return UpdateStats(
            loss=tally.loss,
            grad_norm=grad_norm,
            logprob_gap=tally.gap / trained,
            logprob_gap_max=tally.gap_max,
            entropy=tally.entropy / trained,
            clip_fraction=tally.clipped / trained,
            truncated_fraction=tally.truncated / trained,
            trained_tokens=tally.trained,
            tokens=tally.computed,
            raw_tokens=sum(len(sample.token_ids) for sample in samples),
            memory_gb=self._peak_memory_gb(),
        )

    def backward(self, samples: Sequence[Sample]) -> Tally:
        """Add the gradients of the loss over ``samples`` to the float32 weights'; return what was counted."""
        return self._backward(samples, self.loss.token_weights(samples))

    def _backward(self, samples: Sequence[Sample], weights: Sequence[float]) -> Tally:
        tally = Tally()

        def visit(numbers: Sequence[int], logprobs_N: Tensor, entropies_N: Tensor) -> Tensor:
            tokens = _trained_tokens(samples, numbers, weights, logprobs_N)
            value = self.loss.function(tokens)
            tally.add(value, tokens, entropies_N, has_old=self.loss.clip is not None)
            return value.loss

        with self._checkpointing():
            tally.computed = self.passes.run(samples, self.temperature, visit, self._collect_gradients)
        return tally

    @torch.no_grad()
    def score(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """Log-probabilities of each sample's trained tokens, in the sample's order, in float32.

        Raises:
            ConfigError: a sample cannot be packed.
        """
        scores: list[tuple[float, ...]] = [()] * len(samples)

        def visit(numbers: Sequence[int], logprobs_N: Tensor, _entropies_N: Tensor) -> None:
            counts = [sum(samples[i].loss_mask) for i in numbers]
            for i, own in zip(numbers, torch.split(logprobs_N, counts), strict=True):
                scores[i] = tuple(own.tolist())

        self.passes.run(samples, self.temperature, visit, lambda: None)
        return scores

    def save(self, folder: Path) -> None:
        """Write float32 weights and optimiser state.

        Raises:
            StorageError: they cannot be written.
        """
        write_tensors(self._tensors(), folder, group=self._group)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote, in however many processes.

        Raises:
            ConfigError: it is damaged, or of another model.
        """
        tensors = self._tensors()
        read_tensors(tensors, folder, group=self._group)
        for name, master in zip(self.names, self.masters, strict=True):
            self.optimizer.state[master] = {
                "step": tensors["step"].clone(),
                **{moment: tensors[f"{moment}.{name}"] for moment in _MOMENTS},
            }
        self._copy_masters()

    def publish(self) -> None:
        """Bring the loaded model up to date, where what is trained is another object. Here it is the same."""

    def _tensors(self) -> dict[str, Tensor]:
        """The tensors themselves; zeros where the optimiser has none yet."""
        tensors = {"step": torch.zeros((), device=self.masters[0].device)}
        for name, master in zip(self.names, self.masters, strict=True):
            state = self.optimizer.state.get(master, {})
            tensors |= {"step": state.get("step", tensors["step"]), f"master.{name}": master.detach()}
            for moment in _MOMENTS:
                tensors[f"{moment}.{name}"] = state[moment] if moment in state else torch.zeros_like(master.detach())
        return tensors

    @contextmanager
    def _checkpointing(self) -> Iterator[None]:
        """Layers checkpoint only where they are told that they train; all else stays in evaluation mode."""
        from transformers.modeling_layers import GradientCheckpointingLayer

        layers = [m for m in self.model.modules() if isinstance(m, GradientCheckpointingLayer)]
        before = [layer.training for layer in layers]
        for layer in layers:
            layer.training = layer.gradient_checkpointing
        try:
            yield
        finally:
            for layer, training in zip(layers, before, strict=True):
                layer.training = training

    def _collect_gradients(self) -> None:
        """Take gradients into the float32 weights after each pass: a bfloat16 sum over many passes would drift."""
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            if master is not parameter and parameter.grad is not None:
                master.grad = parameter.grad.float() if master.grad is None else master.grad.add_(parameter.grad)
                parameter.grad = None

    def _step(self, loss: float, learning_rate: float) -> float:
        self._collect_gradients()
        grad_norm = self._clip_gradients()
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            self.optimizer.zero_grad()
            raise DivergedError(f"loss {loss}, gradient norm {grad_norm}: not finite; a lower learning rate may help")
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._copy_masters()
        return grad_norm

    def _clip_gradients(self) -> float:
        return float(torch.nn.utils.clip_grad_norm_(self.masters, self.max_grad_norm))

    @torch.no_grad()
    def _copy_masters(self) -> None:
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            if master is not parameter:
                parameter.copy_(master)

    def _peak_memory_gb(self) -> float:
        if self.model.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.model.device) / 1e9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _trained_tokens(
    samples: Sequence[Sample], numbers: Sequence[int], weights: Sequence[float], logprobs_N: Tensor
) -> TrainedTokens:
    """Everything a loss needs of the samples that ``numbers`` names, laid end to end."""
    device = logprobs_N.device
    counts = torch.tensor([sum(samples[i].loss_mask) for i in numbers], device=device)

    def each(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=device).repeat_interleave(counts)

    def trained(values: Sequence[Sequence[float]]) -> Tensor:
        pairs = zip(values, numbers, strict=True)
        return torch.tensor([v for own, i in pairs for v in compress(own, samples[i].loss_mask)], device=device)

    references = [samples[i].reference_logprobs for i in numbers]
    return TrainedTokens(
        logprobs_N=logprobs_N,
        old_logprobs_N=trained([samples[i].old_logprobs for i in numbers]),
        reference_logprobs_N=None if None in references else trained([r for r in references if r is not None]),
        advantages_N=each([float(samples[i].advantage) for i in numbers]),
        weights_N=each([weights[i] for i in numbers]),
        sample_N=torch.arange(len(numbers), device=device).repeat_interleave(counts),
    )
