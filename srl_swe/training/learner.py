"""The learner: one optimiser step on one batch of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from srl_swe.errors import DivergedError
from srl_swe.policies.models import LoadedModel
from srl_swe.policies.shared_prompt import PackedLayout, use_shared_prompt
from srl_swe.records import Sample
from srl_swe.training.losses import Loss, TrainedTokens
from srl_swe.training.packing import PackedRow, pack

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
    clip_fraction: float
    """Fraction of trained tokens whose probability ratio is out of the loss's clipping range."""
    tokens: int
    """Tokens computed: each prompt once."""
    raw_tokens: int
    """Tokens of all samples, as a padded learner would compute them without its padding."""


class Learner:
    """AdamW on float32 weights; the forward and backward pass in the model's own precision.

    Args:
        loaded: The model that is trained in place; an engine may hold the same object.
        loss: What is minimised.
        weight_decay: Decoupled weight decay.
        max_grad_norm: Gradients are scaled down to this global norm.
        temperature: Log-probabilities are those of logits / temperature, as they were sampled.
        max_row_tokens: Most tokens in one forward pass.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        loss: Loss,
        *,
        weight_decay: float = 0.0,
        max_grad_norm: float = 1.0,
        temperature: float = 1.0,
        max_row_tokens: int = 4096,
    ) -> None:
        self.model: PreTrainedModel = loaded.model
        self.loss = loss
        self.max_grad_norm = max_grad_norm
        self.temperature = temperature
        self.max_row_tokens = max_row_tokens
        use_shared_prompt(self.model)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        # In bfloat16 an update of 1e-5 is lost in rounding: the optimiser works on float32 copies.
        self.masters = [p if p.dtype == torch.float32 else p.detach().float().clone() for p in self.parameters]
        fused = all(p.device.type in ("cpu", "cuda") for p in self.masters)
        self.optimizer = torch.optim.AdamW(
            self.masters, lr=0.0, betas=(0.9, 0.95), eps=1e-8, weight_decay=weight_decay, fused=fused
        )

    def update(self, samples: Sequence[Sample], learning_rate: float) -> UpdateStats:
        """Take one optimiser step on ``samples``.

        Raises:
            ConfigError: a sample cannot be packed.
            DivergedError: the loss or the gradient is not finite; nothing was changed.
        """
        rows = pack(samples, max_tokens=self.max_row_tokens)
        weights = self.loss.token_weights(samples)
        loss, gap, clipped = 0.0, 0.0, 0
        for row in rows:
            tokens = self._row_tokens(row, samples, weights)
            value = self.loss.function(tokens)
            value.loss.backward()  # type: ignore[no-untyped-call]
            loss += value.loss.item()
            clipped += value.clipped
            if self.loss.clip is not None:
                gap += (tokens.logprobs_N.detach() - tokens.old_logprobs_N).abs().sum().item()
        grad_norm = self._step(loss, learning_rate)
        trained = sum(sum(sample.loss_mask) for sample in samples)
        return UpdateStats(
            loss=loss,
            grad_norm=grad_norm,
            logprob_gap=gap / trained,
            clip_fraction=clipped / trained,
            tokens=sum(row.tokens for row in rows),
            raw_tokens=sum(len(sample.token_ids) for sample in samples),
        )

    @torch.no_grad()
    def score(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """Log-probabilities of each sample's trained tokens, in order, without gradient."""
        scored: dict[int, tuple[float, ...]] = {}
        for row in pack(samples, max_tokens=self.max_row_tokens):
            tokens = self._row_tokens(row, samples, [0.0] * len(samples))
            for place, index in enumerate(row.indices):
                scored[index] = tuple(tokens.logprobs_N[tokens.sample_N == place].tolist())
        return [scored[index] for index in range(len(samples))]

    def logprobs(self, row: PackedRow) -> torch.Tensor:
        """Log-probabilities of the row's completions, laid end to end ``[N]``, in float32."""
        device = self.model.device
        lengths = [len(c) for c in row.completions]
        layout = PackedLayout(len(row.prompt_ids), lengths, device)
        flat = [token for c in row.completions for token in c]
        # A token is predicted at the place before it; a completion's first one at the prompt's last place.
        sources, start = [], len(row.prompt_ids)
        for length in lengths:
            sources += [len(row.prompt_ids) - 1, *range(start, start + length - 1)]
            start += length
        logits_NV = self.model(
            input_ids=torch.tensor([[*row.prompt_ids, *flat]], device=device),
            position_ids=layout.position_ids_BT,
            use_cache=False,
            logits_to_keep=torch.tensor(sources, device=device),
            shared_prompt=layout,
        ).logits[0]
        scaled_NV = logits_NV.float() / self.temperature
        targets_N = torch.tensor(flat, device=device)
        return -torch.nn.functional.cross_entropy(scaled_NV, targets_N, reduction="none")

    def state_dict(self) -> dict[str, Any]:
        """Float32 weights and optimiser state."""
        return {"masters": [p.detach() for p in self.masters], "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        with torch.no_grad():
            for master, saved in zip(self.masters, state["masters"], strict=True):
                master.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self._copy_masters()

    def _row_tokens(self, row: PackedRow, samples: Sequence[Sample], weights: Sequence[float]) -> TrainedTokens:
        logprobs_N = self.logprobs(row)
        before, device = len(row.prompt_ids), logprobs_N.device
        # Where each trained token is: the sample's place in the row, its index, and the position in it.
        places = [
            (place, index, t)
            for place, index in enumerate(row.indices)
            for t in range(before, len(samples[index].token_ids))
        ]
        kept = [n for n, (_, index, t) in enumerate(places) if samples[index].loss_mask[t]]
        places = [places[n] for n in kept]
        references = [samples[i].reference_logprobs for i in row.indices]

        def tensor(values: list[float]) -> torch.Tensor:
            return torch.tensor(values, device=device)

        return TrainedTokens(
            logprobs_N=logprobs_N[torch.tensor(kept, device=device)],
            old_logprobs_N=tensor([samples[i].old_logprobs[t] for _, i, t in places]),
            reference_logprobs_N=None
            if None in references
            else tensor([(references[p] or ())[t] for p, _, t in places]),
            advantages_N=tensor([samples[i].advantage for _, i, _ in places]),
            weights_N=tensor([weights[i] for _, i, _ in places]),
            sample_N=torch.tensor([p for p, _, _ in places], device=device),
        )

    def _step(self, loss: float, learning_rate: float) -> float:
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            if master is not parameter and parameter.grad is not None:
                master.grad = parameter.grad.float()
                parameter.grad = None
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self.masters, self.max_grad_norm))
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            self.optimizer.zero_grad()
            raise DivergedError(f"loss {loss}, gradient norm {grad_norm}: not finite; a lower learning rate may help")
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._copy_masters()
        return grad_norm

    @torch.no_grad()
    def _copy_masters(self) -> None:
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            if master is not parameter:
                parameter.copy_(master)
