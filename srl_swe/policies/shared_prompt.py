"""Decoding of several continuations of one prompt, in which the prompt is computed once, for any model that uses
transformers' `AttentionInterface`: see `srl_swe.policies.decoding_cache`. Training shares far more than prompts: see
`srl_swe.policies.tree_attention`.
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


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    shared_prompt: DecodingCache | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if shared_prompt is not None:
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
