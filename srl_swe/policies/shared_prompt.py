"""Attention for several continuations of one prompt, in which the prompt is computed once.

Two cases of one idea, both reached through transformers' `AttentionInterface` under the name `ATTENTION`, so that any
model that uses that interface can have them:

- *training*: one row holds the prompt's L tokens and then those of its G completions, one after the other, without
  padding. Each completion attends to the prompt and to itself (`PackedLayout`).
- *decoding*: see `srl_swe.policies.decoding_cache`.

Shapes: B rows, H query heads, K key-value heads, R = H / K, D head width, L prompt tokens, G completions, T tokens of
the longest completion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F
from transformers import AttentionInterface

from srl_swe.errors import ModelError
from srl_swe.policies.decoding_cache import DecodingCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTENTION = "srl_swe_shared_prompt"


class PackedLayout:
    """Where the tokens of a prompt and its completions stand in one packed row."""

    def __init__(self, prompt_length: int, lengths: list[int], device: torch.device) -> None:
        self.prompt_length = prompt_length
        self.groups = len(lengths)
        self.longest = max(lengths)
        slots = [g * self.longest + t for g, length in enumerate(lengths) for t in range(length)]
        self.slots = torch.tensor(slots, device=device)
        """Cell of each completion token in the padded ``[G * T]`` grid that attention works on."""
        positions = [*range(prompt_length), *(prompt_length + t for length in lengths for t in range(length))]
        self.position_ids_BT = torch.tensor([positions], device=device)
        own = torch.ones(self.longest, self.longest, dtype=torch.bool, device=device).tril()
        self.mask_TS = torch.cat([own.new_ones(self.longest, prompt_length), own], dim=1)
        """What a completion's token sees: all of the prompt, and itself up to there."""

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        """``q [1, H, L + ΣT, D]``, ``k``, ``v`` ``[1, K, …]`` to ``[1, H, L + ΣT, D]``."""
        repeat = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
        n = self.prompt_length
        causal_SS = torch.ones(n, n, dtype=torch.bool, device=q.device).tril()
        prompt = _masked_attention(q[:, :, :n], k[:, :, :n], v[:, :, :n], causal_SS, scale)
        q_G, k_G, v_G = (self._grid(x[:, :, n:]) for x in (q, k, v))
        k_all = torch.cat([k[:, :, :n].expand(self.groups, -1, -1, -1), k_G], dim=2)
        v_all = torch.cat([v[:, :, :n].expand(self.groups, -1, -1, -1), v_G], dim=2)
        out_G = _masked_attention(q_G, k_all, v_all, self.mask_TS, scale)
        flat = out_G.transpose(0, 1).reshape(q.shape[1], -1, q.shape[3])[:, self.slots]
        return torch.cat([prompt, flat.unsqueeze(0)], dim=2)

    def _grid(self, x: torch.Tensor) -> torch.Tensor:
        """``[1, H, ΣT, D]`` to ``[G, H, T, D]``; empty cells are 0, and no real token sees them."""
        grid = x.new_zeros(x.shape[1], self.groups * self.longest, x.shape[3]).index_copy(1, self.slots, x[0])
        return grid.view(x.shape[1], self.groups, self.longest, x.shape[3]).transpose(0, 1)


def _masked_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor, scale: float
) -> torch.Tensor:
    """Attention where ``mask`` is true. Each row of the mask has a true cell."""
    if q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    # On CPUs torch's fused kernel takes 2.5 times as long as plain products in bfloat16, most of it going backward.
    bias = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill(~mask, float("-inf"))
    return ((q * scale) @ k.transpose(2, 3) + bias).softmax(dim=-1) @ v


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    shared_prompt: PackedLayout | DecodingCache | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if isinstance(shared_prompt, PackedLayout):
        out = shared_prompt.attend(query, key, value, scale)
    elif isinstance(shared_prompt, DecodingCache):
        out = shared_prompt.attend(int(module.layer_idx), query, key, value, scale)  # type: ignore[arg-type]
    else:
        gqa = query.shape[1] != key.shape[1]
        causal = attention_mask is None
        out = F.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, is_causal=causal, scale=scale, enable_gqa=gqa
        )
    return out.transpose(1, 2), None


AttentionInterface.register(ATTENTION, _attention)


def use_shared_prompt(model: PreTrainedModel) -> None:
    """Switch ``model`` to this module's attention.

    Raises:
        ModelError: the model has layers whose state is not keys and values by position (recurrent, sliding window).
    """
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or (
        getattr(model.config, "sliding_window", None) and getattr(model.config, "use_sliding_window", True)
    ):
        raise ModelError(
            f"{type(model).__name__} has layers of kind {', '.join(sorted(kinds))} (sliding window: "
            f"{getattr(model.config, 'sliding_window', None)}); only full attention can share a prompt so far"
        )
    model.set_attn_implementation(ATTENTION)
