"""Keys and values of a changing set of sequences, in which each prompt's exist once.

Reached through transformers' `AttentionInterface`, so that any model that uses that interface can decode with it: the
model is called with ``shared_prompt=cache``, and each layer's attention calls `DecodingCache.attend`.

Shapes: B sequences, H query heads, K key-value heads, R = H / K, D head width, L tokens of a prompt, S slots, T most
tokens of a sequence, U tokens that the longest sequence has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

KeysValues = tuple[torch.Tensor, torch.Tensor]


class PromptBlock:
    """One prompt's keys and values ``[K, L, D]`` for each layer."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = tuple(tokens)
        self.layers: dict[int, KeysValues] = {}


class DecodingCache:
    """Keys and values of some prompts, once each, and of the sequences that are sampled from them.

    Sequences stand in rows 0 to B - 1; each row belongs to a prompt.

    Args:
        slots: Most sequences at once.
        max_new_tokens: Most tokens of a sequence.
    """

    def __init__(self, slots: int, max_new_tokens: int) -> None:
        self.slots, self.max_new_tokens = slots, max_new_tokens
        self.blocks: list[PromptBlock] = []
        """Of each row."""
        self.lengths: list[int] = []
        """Tokens that each row holds."""
        self._own: dict[int, KeysValues] = {}
        self._filling: PromptBlock | None = None
        self._prefix: tuple[PromptBlock, int] | None = None
        self._plan: _Plan | None = None

    def fill(self, block: PromptBlock, prefix: tuple[PromptBlock, int] | None = None) -> None:
        """The next pass computes ``block``'s prompt, but for the first tokens, which are another's, if given."""
        self._filling, self._prefix = block, prefix

    def fill_done(self) -> None:
        """The pass was made; the following ones bring one token a row."""
        self._filling = self._prefix = None

    def add(self, block: PromptBlock) -> None:
        """Put a sequence that starts after ``block``'s prompt into the next row."""
        assert len(self.blocks) < self.slots
        self.blocks.append(block)
        self.lengths.append(0)
        self._plan = None

    def remove(self, row: int) -> None:
        """End the sequence in ``row``; the last row's sequence takes its place."""
        last = len(self.blocks) - 1
        if row != last:
            length = self.lengths[last]
            for k, v in self._own.values():
                k[row, :, :length] = k[last, :, :length]
                v[row, :, :length] = v[last, :, :length]
            self.blocks[row], self.lengths[row] = self.blocks[last], self.lengths[last]
        self.blocks.pop()
        self.lengths.pop()
        self._plan = None

    def positions(self) -> list[int]:
        """The position of each row's next token."""
        return [len(block.tokens) + length for block, length in zip(self.blocks, self.lengths, strict=True)]

    def advance(self) -> None:
        """End a pass that brought one token a row."""
        self.lengths = [length + 1 for length in self.lengths]
        if self._plan is not None:
            self._plan.advance()

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        """``q [B, H, 1, D]``, ``k``, ``v`` ``[B, K, 1, D]`` to ``[B, H, 1, D]``; for a prompt ``[1, …, L, D]``."""
        if self._filling is not None:
            return self._attend_prompt(layer, q, k, v, scale)
        b, kv, _, width = k.shape
        if layer not in self._own:
            shape = (self.slots, kv, self.max_new_tokens, width)
            self._own[layer] = (k.new_zeros(shape), k.new_zeros(shape))
        if self._plan is None:
            self._plan = _Plan(self.blocks, self.lengths, k.device)
        plan = self._plan
        k_own, v_own = self._own[layer]
        k_own[plan.rows_B, :, plan.lengths_B] = k[:, :, 0]
        v_own[plan.rows_B, :, plan.lengths_B] = v[:, :, 0]
        q_BKRD = q.view(b, kv, q.shape[1] // kv, width)
        own = _partial(q_BKRD, k_own[:b, :, : plan.longest], v_own[:b, :, : plan.longest], scale, plan.unseen())
        return _merge(own, plan.attend_prompts(layer, q_BKRD, scale)).to(q.dtype).view(b, -1, 1, width)

    def _attend_prompt(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float
    ) -> torch.Tensor:
        assert self._filling is not None
        mask, gqa = None, q.shape[1] != k.shape[1]
        if self._prefix is not None:
            block, length = self._prefix
            k_old, v_old = block.layers[layer]
            k = torch.cat([k_old[None, :, :length], k], dim=2)
            v = torch.cat([v_old[None, :, :length], v], dim=2)
            mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril(length)
        self._filling.layers[layer] = (k[0], v[0])
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=gqa
        )


_Partial = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Attention to some of the keys: weighted values, sum of weights, and the maximum that was taken off the logarithms."""


class _Plan:
    """What a pass needs to know of the rows; the same for all layers, and until rows come or go."""

    def __init__(self, blocks: Sequence[PromptBlock], lengths: Sequence[int], device: torch.device) -> None:
        rows_of: dict[PromptBlock, list[int]] = {}
        for row, block in enumerate(blocks):
            rows_of.setdefault(block, []).append(row)
        order = [row for rows in rows_of.values() for row in rows]
        self.groups = [(block, len(rows)) for block, rows in rows_of.items()]
        in_order = order == sorted(order)
        self.order_B = None if in_order else torch.tensor(order, device=device)
        self.back_B = (
            None if in_order else torch.tensor(sorted(range(len(order)), key=order.__getitem__), device=device)
        )
        self.rows_B = torch.arange(len(order), device=device)
        self.lengths_B = torch.tensor(lengths, device=device)
        self.longest = max(lengths) + 1
        self._shortest = min(lengths) + 1
        self._unseen: torch.Tensor | None = None

    def advance(self) -> None:
        self.lengths_B = self.lengths_B + 1
        self.longest += 1
        self._shortest += 1
        self._unseen = None

    def unseen(self) -> torch.Tensor | None:
        """Cells of ``[B, U]`` that hold nothing of the row's sequence; ``None``: there are none."""
        if self._unseen is None and self._shortest < self.longest:
            self._unseen = torch.arange(self.longest, device=self.lengths_B.device)[None] > self.lengths_B[:, None]
        return self._unseen

    def attend_prompts(self, layer: int, q_BKRD: torch.Tensor, scale: float) -> _Partial:
        """Each row's attention to its prompt: one product a prompt, for all of its rows together."""
        b, kv, repeat, width = q_BKRD.shape
        q_KBRD = (q_BKRD if self.order_B is None else q_BKRD[self.order_B]).transpose(0, 1)
        parts, start = [], 0
        for block, count in self.groups:
            q = q_KBRD[:, start : start + count].reshape(kv, count * repeat, width)
            k, v = block.layers[layer]
            parts.append(_partial(q, k, v, scale))
            start += count
        joined = [
            torch.cat([part[i] for part in parts], dim=1).view(kv, b, repeat, -1).transpose(0, 1) for i in range(3)
        ]
        values, sums, maxima = joined if self.back_B is None else [x[self.back_B] for x in joined]
        return values, sums, maxima


def _partial(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, unseen_BU: torch.Tensor | None = None
) -> _Partial:
    """``q [… , R, D]``, ``k``, ``v`` ``[…, U, D]``; logarithms and sums in float32."""
    scores = (q @ k.transpose(-1, -2)).float().mul_(scale)
    if unseen_BU is not None:
        scores.masked_fill_(unseen_BU[:, None, None], float("-inf"))
    maxima = scores.amax(dim=-1, keepdim=True)
    weights = scores.sub_(maxima).exp_()
    return (weights.to(q.dtype) @ v).float(), weights.sum(dim=-1, keepdim=True), maxima


def _merge(a: _Partial, b: _Partial) -> torch.Tensor:
    """Attention to both sets of keys."""
    maxima = torch.maximum(a[2], b[2])
    scale_a, scale_b = (a[2] - maxima).exp_(), (b[2] - maxima).exp_()
    return (a[0] * scale_a + b[0] * scale_b) / (a[1] * scale_a + b[1] * scale_b)
