"""Log-probabilities of chosen next tokens, from hidden states, without keeping logits.

Shapes: N places, d hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from srl_swe.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CHUNK = 512
"""Places whose logits exist at a time."""

# What some models do to logits after the output layer, by the name in their configuration, and what leaves them alone.
_CHANGES = {"final_logit_softcapping": None, "logit_scale": 1.0, "logits_scaling": 1.0, "lm_head_multiplier": 1.0}


def check_output_layer(model: PreTrainedModel) -> None:
    """Refuse a model that does more to its hidden states than its output layer says.

    Raises:
        ModelError: the reason.
    """
    name = type(model).__name__
    if output_layer(model) is None:
        raise ModelError(f"{name} has no output layer: a causal language model is expected")
    for key, neutral in _CHANGES.items():
        value = getattr(model.config, key, neutral)
        if value not in (None, neutral):
            raise ModelError(f"{name} changes what its output layer says ({key} = {value}), which is not computed here")


def output_layer(model: PreTrainedModel) -> torch.nn.Module | None:
    """What makes logits of the last hidden states."""
    layer: torch.nn.Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return layer


def token_logprobs(
    model: PreTrainedModel, hidden_Nd: Tensor, targets_N: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of ``targets_N`` and entropies, both ``[N]`` in float32 or better, of logits / temperature.

    Logits are made chunk by chunk, and again on the way back. Entropies have no gradient.
    """
    head = output_layer(model)
    assert head is not None, "see check_output_layer"
    if type(head) is torch.nn.Linear and head.bias is None:
        out: tuple[Tensor, Tensor] = _TokenLogprobs.apply(hidden_Nd, head.weight, targets_N, temperature)
        return out
    # An output layer with an adapter or a bias of its own: slower, and for any module.
    pieces = [
        checkpoint(_plain_logprobs, head, h, t, temperature, use_reentrant=False)
        for h, t in _chunks(hidden_Nd, targets_N)
    ]
    return torch.cat([p[0] for p in pieces]), torch.cat([p[1] for p in pieces])


def _chunks(hidden_Nd: Tensor, targets_N: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(hidden_Nd, CHUNK), torch.split(targets_N, CHUNK), strict=True)


def _plain_logprobs(head: torch.nn.Module, h: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    logits = head(h)
    logprobs = (logits.to(_precise(logits)) / temperature).log_softmax(dim=-1)
    return logprobs.gather(1, targets[:, None])[:, 0], _entropy(logprobs.detach())


def _entropy(logprobs_NV: Tensor) -> Tensor:
    entropy: Tensor = -torch.linalg.vecdot(logprobs_NV.exp(), logprobs_NV.clamp(min=-1e30))
    return entropy


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_Nd: Tensor, weight_Vd: Tensor, targets_N: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(hidden_Nd, weight_Vd, targets_N)
        ctx.temperature = temperature
        precise = _precise(hidden_Nd)
        chosen, entropies = [hidden_Nd.new_empty(0, dtype=precise)], [hidden_Nd.new_empty(0, dtype=precise)]
        for h, targets in _chunks(hidden_Nd, targets_N):
            logprobs = _logits(h, weight_Vd, temperature).log_softmax(dim=-1, dtype=precise)
            chosen.append(logprobs.gather(1, targets[:, None])[:, 0])
            entropies.append(_entropy(logprobs))
        out = torch.cat(chosen), torch.cat(entropies)
        ctx.mark_non_differentiable(out[1])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        hidden_Nd, weight_Vd, targets_N = ctx.saved_tensors
        d_hidden = torch.empty_like(hidden_Nd)
        # Not in bfloat16: the sum goes over all chunks.
        d_weight = torch.zeros_like(weight_Vd, dtype=_precise(weight_Vd)) if ctx.needs_input_grad[1] else None
        for start in range(0, len(hidden_Nd), CHUNK):
            rows = slice(start, start + CHUNK)
            h, targets = hidden_Nd[rows], targets_N[rows, None]
            grad = (grads[0][rows, None] / ctx.temperature).to(h.dtype)
            # d logits = g · (one at the target - probabilities)
            d_logits = _logits(h, weight_Vd, ctx.temperature).softmax(dim=-1).to(h.dtype).mul_(-grad)
            d_logits.scatter_add_(1, targets, grad)
            d_hidden[rows] = d_logits @ weight_Vd
            if d_weight is not None:
                d_weight += d_logits.T @ h
        return d_hidden, None if d_weight is None else d_weight.to(weight_Vd.dtype), None, None


def _logits(h: Tensor, weight_Vd: Tensor, temperature: float) -> Tensor:
    logits = h @ weight_Vd.T
    return logits if temperature == 1.0 else logits.to(_precise(logits)) / temperature


def _precise(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
