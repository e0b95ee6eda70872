"""Decoding of several continuations of one prompt, in which the prompt is computed once.

Every sequence brings one new token; prompt keys and values exist once a prompt, and each sequence has its own for what
it has sampled so far (`DecodingCache`). Models reach it through transformers' `AttentionInterface`, under the name
`ATTENTION`. (Training shares far more than prompts: see `srl_swe.policies.tree_attention`.)

Shapes: B rows, H query heads, K key-value heads, R = H / K, D head width, L prompt tokens, M prompts, N sequences a
prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F
from transformers import AttentionInterface

from srl_swe.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTENTION = "srl_swe_shared_prompt"


class DecodingCache:
    """Keys and values of M prompts, once each, and of N sampled sequences a prompt."""

    def __init__(self, max_new_tokens: int) -> None:
        self.max_new_tokens = max_new_tokens
        self.step = 0
        """Tokens that every sequence has in its own part."""
        self._prompts: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self._prompt_kv: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._own_kv: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._mask_M: torch.Tensor | None = None
        self.prefilling = True

    def begin(self, sequences: int) -> None:
        """End the prompts' pass: lay their keys and values side by side, with room for ``sequences`` a prompt."""
        for layer, parts in self._prompts.items():
            longest = max(k.shape[2] for k, _ in parts)
            k, v = (torch.cat([F.pad(p[i], (0, 0, 0, longest - p[i].shape[2])) for p in parts]) for i in (0, 1))
            self._prompt_kv[layer] = (k, v)
            shape = (len(parts), sequences, k.shape[1], self.max_new_tokens, k.shape[3])
            self._own_kv[layer] = (k.new_zeros(shape), k.new_zeros(shape))
        lengths = torch.tensor([k.shape[2] for k, _ in self._prompts[0]], device=k.device)
        self._mask_M = torch.arange(longest, device=k.device)[None] < lengths[:, None]
        self._prompts.clear()
        self.prefilling = False

    def keep(self, prompts: torch.Tensor, sequences: torch.Tensor) -> None:
        """Go on with these prompts ``[M']`` and, of each, these sequences ``[M', N']``."""
        assert self._mask_M is not None
        self._mask_M = self._mask_M[prompts]
        for layer, (k, v) in self._prompt_kv.items():
            self._prompt_kv[layer] = (k[prompts], v[prompts])
            k_own, v_own = self._own_kv[layer]
            self._own_kv[layer] = (k_own[prompts[:, None], sequences], v_own[prompts[:, None], sequences])

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        """``q [B, H, 1, D]``, ``k``, ``v`` ``[B, K, 1, D]`` with B = M * N, or one prompt's ``[1, …, L, D]``."""
        if self.prefilling:
            self._prompts.setdefault(layer, []).append((k, v))
            return F.scaled_dot_product_attention(
                q, k, v, is_causal=True, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
            )
        assert self._mask_M is not None
        (k_prompt, v_prompt), (k_own, v_own) = self._prompt_kv[layer], self._own_kv[layer]
        m, n, kv, _, width = k_own.shape
        repeat = q.shape[1] // kv
        k_own[:, :, :, self.step] = k.reshape(m, n, kv, width)
        v_own[:, :, :, self.step] = v.reshape(m, n, kv, width)
        seen = self.step + 1
        q_MNKR = q.reshape(m, n, kv, repeat, width)
        q_MK = q_MNKR.transpose(1, 2).reshape(m, kv, n * repeat, width)
        to_prompt = (q_MK @ k_prompt.transpose(2, 3)).float().mul_(scale)
        to_prompt.masked_fill_(~self._mask_M[:, None, None, :], float("-inf"))
        to_prompt = to_prompt.view(m, kv, n, repeat, -1).transpose(1, 2)
        to_own = (q_MNKR @ k_own[:, :, :, :seen].transpose(3, 4)).float().mul_(scale)
        weights = torch.cat([to_prompt, to_own], dim=-1).softmax(dim=-1).to(q.dtype)
        of_prompt, of_own = weights[..., :-seen], weights[..., -seen:]
        of_prompt_MK = of_prompt.transpose(1, 2).reshape(m, kv, n * repeat, -1)
        out: torch.Tensor = (of_prompt_MK @ v_prompt).view(m, kv, n, repeat, width).transpose(1, 2) + of_own @ v_own[
            :, :, :, :seen
        ]
        return out.reshape(m * n, kv * repeat, 1, width)


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
