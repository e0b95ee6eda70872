"""Tree packing: a radix trie over the token ids of any samples, so that each unique token is computed once.

Only what a trained token depends on is laid out: of each sample the tokens before its last trained one. Those of the
trie are in depth-first order, the largest branch first, so that the long trunk of a trajectory stands in one piece. A
trained token is an *edge*: the place it is predicted from, and its id. Samples that say the same share both.

Shapes: N unique tokens of a trie, E unique edges of a part, T tokens of a sample.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from srl_swe.errors import ConfigError
from srl_swe.records import Sample

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A range of a trie's tokens that is computed at once, and the samples that end there."""

    start: int
    """Its first token."""
    end: int
    """One past its last token."""
    ancestors: Ints
    """Tokens of earlier parts that its tokens attend to, ascending."""
    samples: tuple[int, ...]
    """Samples whose last edge starts here, by their numbers in what was packed."""
    edge_sources: Ints
    """Where each edge starts ``[E]``: a place among the ancestors and then the part's own tokens."""
    edge_tokens: Ints
    """Which token each edge leads to ``[E]``."""
    sample_edges: tuple[Ints, ...]
    """The edges of each sample's trained tokens, in the sample's order."""
    kept: bool
    """Whether a later part attends to some of its tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trie:
    """Some samples, laid out."""

    token_ids: Ints
    """``[N]``, depth first."""
    depths: Ints
    """Tokens before it on its path ``[N]``: its position."""
    ends: Ints
    """One past the last descendant ``[N]``: token q attends to k if and only if k <= q < ends[k]."""
    paths: dict[int, Ints]
    """Places of each sample's laid-out tokens, by the sample's number."""
    edges: dict[int, tuple[Ints, Ints]]
    """Of each sample's trained tokens: how far along its path the edge starts, and the token's id."""

    def parts(self, max_tokens: int) -> list[Part]:
        """Cut the trie, at branches, into parts of at most ``max_tokens``; a longer branch is a part of its own."""
        starts = [0]
        branches = [0, *(np.flatnonzero(_branches(self.depths, self.ends)) + 1).tolist(), len(self.token_ids)]
        for low, high in itertools.pairwise(branches):
            if high - starts[-1] > max_tokens and low > starts[-1]:
                starts.append(low)
        ending: dict[int, list[int]] = {}
        for sample, path in self.paths.items():
            ending.setdefault(int(np.searchsorted(starts, path[-1], side="right")) - 1, []).append(sample)
        bounds = [*starts, len(self.token_ids)]
        return [self._part(bounds[i], bounds[i + 1], ending.get(i, [])) for i in range(len(starts))]

    def _part(self, start: int, end: int, samples: list[int]) -> Part:
        ancestors = np.flatnonzero(self.ends[:start] > start)
        pairs = [np.zeros((0, 2), dtype=np.int64)]
        for sample in samples:
            along, tokens = self.edges[sample]
            places = self.paths[sample][along]
            local = np.where(places < start, np.searchsorted(ancestors, places), places - start + len(ancestors))
            pairs.append(np.stack([local, tokens], axis=1))
        unique, index = np.unique(np.concatenate(pairs), axis=0, return_inverse=True)
        cuts = np.cumsum([len(part) for part in pairs[1:]])
        return Part(
            start=start,
            end=end,
            ancestors=ancestors,
            samples=tuple(samples),
            edge_sources=unique[:, 0],
            edge_tokens=unique[:, 1],
            sample_edges=tuple(np.split(index.reshape(-1), cuts)[:-1]),
            kept=bool((self.ends[start:end] > end).any()),
        )


def _branches(depths: Ints, ends: Ints) -> NDArray[np.bool_]:
    """Whether each token but the first is something else than the only child of the one before it."""
    jumps: NDArray[np.bool_] = (depths[1:] != depths[:-1] + 1) | (ends[1:] != ends[:-1])
    return jumps


def pack(samples: Sequence[Sample], *, max_tokens: int, max_trained: int) -> list[Trie]:
    """Pack samples into tries of at most ``max_tokens`` unique tokens and ``max_trained`` unique edges.

    A sample is never cut: one that is over a budget by itself has a trie of its own. Samples without a trained token
    are left out.

    Raises:
        ConfigError: a sample's lengths differ, or it trains its first token, which nothing predicts.
    """
    rows = _rows(samples)
    order = sorted(rows, key=lambda i: (rows[i].key, i))
    tries, chosen = [], list[int]()
    tokens = trained = 0
    known = np.zeros(0, dtype=bool)
    for before, number in zip([None, *order], order, strict=False):
        row = rows[number]
        shared = _shared(rows[before].token_ids, row.token_ids) if before is not None and chosen else 0
        # Edges that the samples before have on the shared path. The one from its last place may lead elsewhere.
        old = (row.trained[:shared] & known[:shared])[:-1]
        new = len(row.token_ids) - shared, int(row.trained.sum() - old.sum())
        if chosen and (tokens + new[0] > max_tokens or trained + new[1] > max_trained):
            tries.append(_trie(samples, rows, chosen))
            chosen, tokens, trained, shared = [], 0, 0, 0
            new = len(row.token_ids), int(row.trained.sum())
        chosen.append(number)
        tokens, trained = tokens + new[0], trained + new[1]
        alike = max(0, shared - 1)  # the edge from the last shared place leads elsewhere than the known one
        known = np.append(known[:alike] | row.trained[:alike], row.trained[alike:])
    return [*tries, _trie(samples, rows, chosen)] if chosen else tries


def split(samples: Sequence[Sample], count: int, *, packed: bool) -> list[list[int]]:
    """Cut samples into ``count`` shares, by their numbers, so that the largest has as few tokens as can be.

    Samples that begin alike stay together: what a share's samples have in common is counted once where they are
    ``packed``, and in each share that it is part of. Samples without a trained token are in none.

    Raises:
        ConfigError: as `pack`.
    """
    rows = _rows(samples)
    order = sorted(rows, key=lambda i: (rows[i].key, i))
    lengths = [len(rows[i].token_ids) for i in order]
    pairs = zip([None, *order], order, strict=False)
    shared = [_shared(rows[a].token_ids, rows[b].token_ids) if packed and a is not None else 0 for a, b in pairs]

    def cut(limit: int) -> list[list[int]]:
        shares, tokens = list[list[int]](), limit
        for number, length, known in zip(order, lengths, shared, strict=True):
            if tokens + length - known > limit:
                shares.append([])
                tokens = known
            shares[-1].append(number)
            tokens += length - known
        return shares

    limits = range(max(lengths, default=0), sum(lengths) + 1)
    limit = limits[bisect.bisect_left(limits, True, key=lambda limit: len(cut(limit)) <= count)]
    shares = cut(limit)
    return shares + [[] for _ in range(count - len(shares))]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """What of a sample is laid out."""

    token_ids: Ints
    """The tokens before its last trained one."""
    trained: NDArray[np.bool_]
    """Whether the token *after* each of them is trained."""
    key: bytes
    """Orders rows so that those with a common beginning stand together."""


def _rows(samples: Sequence[Sample]) -> dict[int, _Row]:
    rows = {}
    for number, sample in enumerate(samples):
        mask = np.asarray(sample.loss_mask, dtype=bool)
        lengths = (len(sample.token_ids), len(sample.loss_mask), len(sample.old_logprobs))
        if len(set(lengths)) != 1:
            raise ConfigError(f"sample {number}: token ids, mask and log-probabilities differ in length: {lengths}")
        if mask[:1].any():
            raise ConfigError(f"sample {number}: its first token is trained, but nothing predicts it")
        if mask.any():
            length = int(np.flatnonzero(mask)[-1])
            ids = np.asarray(sample.token_ids[:length], dtype=np.int64)
            rows[number] = _Row(token_ids=ids, trained=mask[1 : length + 1], key=ids.astype(">u4").tobytes())
    return rows


def _shared(a: Ints, b: Ints) -> int:
    """How many tokens two rows have in common at their start."""
    n = min(len(a), len(b))
    differ = np.flatnonzero(a[:n] != b[:n])
    return int(differ[0]) if len(differ) else n


@dataclass(kw_only=True, slots=True)
class _Branch:
    """Tokens without a branch between them."""

    row: Ints
    """A row that goes through it."""
    low: int
    """Depth of its first token."""
    high: int
    """One past the depth of its last token."""
    ending: list[int]
    """Samples whose row ends at its end."""
    children: list[_Branch] = field(default_factory=list)
    size: int = 0
    """Tokens in it and below it."""


def _trie(samples: Sequence[Sample], rows: dict[int, _Row], order: list[int]) -> Trie:
    """Lay out samples whose rows are in order."""
    root = _grow([rows[i].token_ids for i in order], order)
    ids, depths, ends, paths = [], [], [], {}
    at = 0
    for branch, path in _depth_first(root):
        length = branch.high - branch.low
        own = np.arange(at, at + length)
        ids.append(branch.row[branch.low : branch.high])
        depths.append(np.arange(branch.low, branch.high))
        ends.append(np.full(length, at + branch.size))
        path.append(own)
        at += length
        for sample in branch.ending:
            paths[sample] = np.concatenate(path)
    edges = {}
    for sample in order:
        along = np.flatnonzero(rows[sample].trained)
        edges[sample] = (along, np.asarray(samples[sample].token_ids, dtype=np.int64)[along + 1])
    return Trie(
        token_ids=np.concatenate(ids),
        depths=np.concatenate(depths),
        ends=np.concatenate(ends),
        paths=paths,
        edges=edges,
    )


def _grow(rows: list[Ints], numbers: list[int]) -> _Branch:
    """The tree of branches of rows in order; its root may have no tokens."""
    shared = np.array([0, *(_shared(a, b) for a, b in itertools.pairwise(rows))])
    root = _Branch(row=rows[0], low=0, high=0, ending=[])
    waiting = [(root, 0, len(rows))]
    made = [root]
    while waiting:
        parent, first, last = waiting.pop()
        splits = [first, *(first + 1 + np.flatnonzero(shared[first + 1 : last] == parent.high)).tolist(), last]
        for low, high in itertools.pairwise(splits):
            if len(rows[low]) == parent.high:  # it ends here, alone in its part: it shares no more with the next
                parent.ending.append(numbers[low])
                continue
            depth = int(shared[low + 1 : high].min()) if high - low > 1 else len(rows[low])
            child = _Branch(row=rows[low], low=parent.high, high=depth, ending=[])
            parent.children.append(child)
            made.append(child)
            waiting.append((child, low, high))
    for branch in reversed(made):  # children come after their parents
        branch.size = branch.high - branch.low + sum(child.size for child in branch.children)
    return root


def _depth_first(root: _Branch) -> Iterator[tuple[_Branch, list[Ints]]]:
    """Each branch with the path to it, to which the caller adds the branch's own places; the largest child first."""
    waiting: list[tuple[_Branch, list[Ints]]] = [(root, [])]
    while waiting:
        branch, above = waiting.pop()
        path = [*above]
        yield branch, path
        waiting += [(child, path) for child in sorted(branch.children, key=lambda child: child.size)]
