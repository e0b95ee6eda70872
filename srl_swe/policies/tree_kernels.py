"""Three ways to compute attention in a trie; see `srl_swe.policies.tree_attention`.

Each takes queries ``[H, n, D]``, keys and values ``[K, m + n, D]`` (m ancestors, then the part's own n tokens), a
`TreeLayout`, the scale and a sliding window, and returns ``[H, n, D]``.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Ints = NDArray[np.int64]

TILE_QUERIES = 128
"""Most queries a tile: its scores of one key-value head should stay in the processor's second-level cache."""
FLEX_BLOCK = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """Some neighbouring queries, and the keys that any of them attends to."""

    start: int
    """First query."""
    end: int
    """One past the last query."""
    keys: tuple[tuple[int, int], ...]
    """Ranges of keys, ascending."""
    first_masked: int
    """Before this place among the keys, every query attends to each."""
    hidden: Tensor | None
    """True where a query does not attend, for keys from ``first_masked`` on; ``None``: nowhere."""


class TreeLayout:
    """Who attends to whom in a part of a trie.

    Args:
        ends: One past each key's last descendant ``[m + n]``, counted as the keys are.
        depths: Each key's depth ``[m + n]``; sliding windows count it.
        queries: n.
        device: Where masks go.
    """

    def __init__(self, ends: Ints, depths: Ints, queries: int, device: torch.device) -> None:
        self.ends, self.depths, self.queries, self.device = ends, depths, queries, device
        self.context = len(ends) - queries
        self._made: dict[tuple[str, int | None], Any] = {}

    def made(self, what: str, window: int | None, make: Callable[[], Any]) -> Any:
        """What a kernel needs beside the tensors: the same for all layers with the same window."""
        if window is not None and window > self.depths[-self.queries :].max():
            window = None  # it hides nothing
        if (what, window) not in self._made:
            self._made[what, window] = make()
        return self._made[what, window]

    def path(self, key: int, window: int | None = None) -> Ints:
        """The ancestors of a key that it attends to, itself left out, ascending."""
        path = np.flatnonzero(self.ends[:key] > key)
        return path if window is None else path[self.depths[path] > self.depths[key] - window]

    def segments(self) -> list[tuple[int, int]]:
        """Ranges of keys among the part's own in which each but the first is the child of the one before."""
        own = np.arange(self.context, len(self.ends))
        child = (self.depths[own[1:]] == self.depths[own[:-1]] + 1) & (self.ends[own[:-1]] > own[1:])
        # A token with more children than the next one ends a segment as well: only in a chain do all ends agree.
        chain = child & (self.ends[own[1:]] == self.ends[own[:-1]])
        starts = [self.context, *(own[1:][~chain]).tolist(), len(self.ends)]
        return list(itertools.pairwise(starts))

    def tiles(self, window: int | None) -> list[Tile]:
        """Cut the queries into tiles, between branches where that makes none too small."""
        jumps = {start for start, _ in self.segments()}
        made, start, total = [], self.context, len(self.ends)
        while start < total:
            end = min(start + TILE_QUERIES, total)
            if end < total:
                end = max((j for j in range(start + TILE_QUERIES // 2, end + 1) if j in jumps), default=end)
            made.append(self._tile(start, end, window))
            start = end
        return made

    def _tile(self, start: int, end: int, window: int | None) -> Tile:
        queries = np.arange(start, end)
        # Ancestors of any of them that come before the first one are ancestors of the first one as well.
        keys = np.concatenate([np.flatnonzero(self.ends[:start] > start), queries])
        if window is not None:
            keys = keys[self.depths[keys] > self.depths[start:end].min() - window]
        seen = (keys <= queries[:, None]) & (queries[:, None] < self.ends[keys])
        if window is not None:
            seen &= self.depths[queries][:, None] - self.depths[keys] < window
        free = int(np.argmin(np.append(seen.all(axis=0), False)))
        hidden = torch.from_numpy(~seen[:, free:]).to(self.device) if free < len(keys) else None
        cuts = np.flatnonzero(np.diff(keys) != 1) + 1
        ranges = tuple((int(part[0]), int(part[-1]) + 1) for part in np.split(keys, cuts))
        return Tile(start=start - self.context, end=end - self.context, keys=ranges, first_masked=free, hidden=hidden)


def tiles(q: Tensor, k: Tensor, v: Tensor, layout: TreeLayout, scale: float, window: int | None) -> Tensor:
    """Plain products, tile by tile and head by head, computed again on the way back: nothing quadratic is kept.

    In bfloat16 on CPUs plain products take a third of the time of torch's fused kernel, most of it saved going back.
    """
    chosen = layout.made("tiles", window, lambda: layout.tiles(window))
    out: Tensor = _Tiles.apply(q, k, v, chosen, scale)  # type: ignore[no-untyped-call]
    return out


class _Tiles(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, tiles: list[Tile], scale: float) -> Tensor:
        ctx.save_for_backward(q, k, v)
        ctx.tiles, ctx.scale = tiles, scale
        out_KRnD = torch.empty(q.shape[0], q.shape[1], v.shape[2], dtype=v.dtype, device=v.device)
        out_KRnD = out_KRnD.view(k.shape[0], -1, q.shape[1], v.shape[2])
        q_KRnD = (q * scale).view(k.shape[0], -1, *q.shape[1:])
        for tile in tiles:
            k_KsD, v_KsD = _rows(k, tile), _rows(v, tile)
            for head in range(k.shape[0]):
                rows = q_KRnD[head, :, tile.start : tile.end]
                weights = _weights(rows, k_KsD[head], tile)
                out_KRnD[head, :, tile.start : tile.end] = (weights @ v_KsD[head]).view(*rows.shape[:2], -1)
        return out_KRnD.view(q.shape[0], q.shape[1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v = ctx.saved_tensors
        heads = k.shape[0]
        q_KRnD = (q * ctx.scale).view(heads, -1, *q.shape[1:])
        out_KRnD = grads[0].reshape(heads, -1, q.shape[1], v.shape[2])
        dq_KRnD = torch.empty_like(q_KRnD)
        # Not in bfloat16: many tiles add to the keys that they share.
        dk, dv = (torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32)) for x in (k, v))
        for tile in ctx.tiles:
            k_KsD, v_KsD = _rows(k, tile), _rows(v, tile)
            for head in range(heads):
                rows = q_KRnD[head, :, tile.start : tile.end]
                flat, out = rows.reshape(-1, rows.shape[-1]), out_KRnD[head, :, tile.start : tile.end].flatten(0, 1)
                weights = _weights(rows, k_KsD[head], tile)
                scores = torch._softmax_backward_data(out @ v_KsD[head].T, weights, -1, weights.dtype)
                dq_KRnD[head, :, tile.start : tile.end] = (scores @ k_KsD[head]).view(rows.shape)
                _add_rows(dk[head], tile, scores.T @ flat)
                _add_rows(dv[head], tile, weights.T @ out)
        return (dq_KRnD * ctx.scale).view(q.shape), dk.to(k.dtype), dv.to(v.dtype), None, None


def _weights(rows: Tensor, keys: Tensor, tile: Tile) -> Tensor:
    """``[R, t, D]`` scaled queries and ``[s, D]`` keys to attention weights ``[R * t, s]``."""
    scores = rows.reshape(-1, rows.shape[-1]) @ keys.T
    if tile.hidden is not None:
        scores.view(*rows.shape[:2], -1)[..., tile.first_masked :].masked_fill_(tile.hidden, float("-inf"))
    return scores.softmax(dim=-1)


def _rows(x: Tensor, tile: Tile) -> Tensor:
    pieces = [x[:, low:high] for low, high in tile.keys]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)


def _add_rows(total: Tensor, tile: Tile, grad: Tensor) -> None:
    at = 0
    for low, high in tile.keys:
        total[low:high] += grad[at : at + high - low]
        at += high - low


def flex(q: Tensor, k: Tensor, v: Tensor, layout: TreeLayout, scale: float, window: int | None) -> Tensor:
    """FlexAttention. On CPUs it is not compiled, and has no backward pass."""
    mask = layout.made("flex", window, lambda: block_mask(layout, window))
    attention = _flex_attention(q.device.type)
    out: Tensor = attention(
        q[None], k[None], v[None], block_mask=mask, scale=scale, enable_gqa=q.shape[0] != k.shape[0]
    )
    return out[0]


@functools.cache
def _flex_attention(device_type: str) -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    attention: Any = flex_attention
    return torch.compile(attention) if device_type == "cuda" else attention


def block_mask(layout: TreeLayout, window: int | None) -> Any:
    """FlexAttention's block mask, straight from the intervals: `create_block_mask` would make it n × (m + n) first."""
    from torch.nn.attention.flex_attention import BlockMask

    ends, depths, total, context = layout.ends, layout.depths, len(layout.ends), layout.context
    rows, columns = -(-layout.queries // FLEX_BLOCK), -(-total // FLEX_BLOCK)
    kinds = np.zeros((rows, columns), dtype=np.int8)  # 0: none of it is seen, 1: some, 2: all
    for row in range(rows):
        start, end = context + row * FLEX_BLOCK, min(context + (row + 1) * FLEX_BLOCK, total)
        keys = np.arange(end)
        some = ends[:end] > np.maximum(keys, start)
        every = (keys <= start) & (ends[:end] >= end)
        if window is not None:
            some &= depths[:end] > depths[start:end].min() - window
            every &= depths[:end] > depths[start:end].max() - window
        padding = np.zeros(columns * FLEX_BLOCK - end, dtype=bool)
        blocks = np.append(some, padding).reshape(columns, -1), np.append(every, padding).reshape(columns, -1)
        kinds[row] = np.where(blocks[1].all(axis=1), 2, blocks[0].any(axis=1))
    device = layout.device
    ends_t, depths_t = torch.from_numpy(ends).to(device), torch.from_numpy(depths).to(device)

    def seen(_batch: Tensor, _head: Tensor, q: Tensor, key: Tensor) -> Tensor:
        place = q + context
        visible = (key <= place) & (place < ends_t[key])
        return visible if window is None else visible & (depths_t[place] - depths_t[key] < window)

    return BlockMask.from_kv_blocks(
        *_listed(kinds == 1, device),
        *_listed(kinds == 2, device),
        BLOCK_SIZE=FLEX_BLOCK,
        mask_mod=seen,
        seq_lengths=(layout.queries, total),
    )


def _listed(chosen: NDArray[np.bool_], device: torch.device) -> tuple[Tensor, Tensor]:
    """How many blocks each row has, and which, first in its list: ``[1, 1, rows]``, ``[1, 1, rows, columns]``."""
    order = np.argsort(~chosen, axis=1, kind="stable").astype(np.int32)
    counts = chosen.sum(axis=1).astype(np.int32)
    return torch.from_numpy(counts).to(device)[None, None], torch.from_numpy(order).to(device)[None, None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """Segments with their ancestors, as FlashAttention takes sequences of unlike lengths."""

    keys: Tensor
    """Which keys, sequence after sequence."""
    key_starts: Tensor
    """Where each sequence's keys start, and where the last one's end; int32."""
    query_starts: Tensor
    """The same of its queries."""
    longest: tuple[int, int]
    """Most queries, and most keys, of a sequence."""


def varlen(q: Tensor, k: Tensor, v: Tensor, layout: TreeLayout, scale: float, window: int | None) -> Tensor:
    """FlashAttention over segments; elsewhere than on CUDA torch's own attention, segment by segment."""
    g: Gathered = layout.made("varlen", window, lambda: _gather(layout, window))
    k_KsD, v_KsD = k[:, g.keys], v[:, g.keys]
    if q.device.type != "cuda":
        return _segment_by_segment(q, k_KsD, v_KsD, g, scale, window)
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = (x.transpose(0, 1).contiguous() for x in (q, k_KsD, v_KsD))
    out = varlen_attn(
        query,
        key,
        value,
        g.query_starts,
        g.key_starts,
        g.longest[0],
        g.longest[1],
        scale=scale,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=q.shape[0] != k.shape[0],
    )
    assert isinstance(out, Tensor)
    return out.transpose(0, 1)


def _gather(layout: TreeLayout, window: int | None) -> Gathered:
    segments = layout.segments()
    keys = [np.append(layout.path(start, window), np.arange(start, end)) for start, end in segments]
    lengths = [end - start for start, end in segments]

    def starts(counts: list[int]) -> Tensor:
        return torch.tensor([0, *np.cumsum(counts)], dtype=torch.int32, device=layout.device)

    return Gathered(
        keys=torch.from_numpy(np.concatenate(keys)).to(layout.device),
        key_starts=starts([len(part) for part in keys]),
        query_starts=starts(lengths),
        longest=(max(lengths), max(len(part) for part in keys)),
    )


def _segment_by_segment(q: Tensor, k: Tensor, v: Tensor, g: Gathered, scale: float, window: int | None) -> Tensor:
    out = []
    bounds = [(*a, *b) for a, b in zip(_pairs(g.query_starts), _pairs(g.key_starts), strict=True)]
    for q_low, q_high, k_low, k_high in bounds:
        queries, keys = q_high - q_low, k_high - k_low
        places = torch.arange(keys - queries, keys, device=q.device)[:, None] - torch.arange(keys, device=q.device)
        mask = (places >= 0) if window is None else (places >= 0) & (places < window)
        parts = q[None, :, q_low:q_high], k[None, :, k_low:k_high], v[None, :, k_low:k_high]
        gqa = q.shape[0] != k.shape[0]
        out.append(F.scaled_dot_product_attention(*parts, attn_mask=mask, scale=scale, enable_gqa=gqa)[0])
    return torch.cat(out, dim=1)


def _pairs(starts: Tensor) -> list[tuple[int, int]]:
    return list(itertools.pairwise(starts.tolist()))
