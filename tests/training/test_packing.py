"""The trie: what is laid out, what is shared, and how budgets cut it."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training.naive_passes import make_sample, trajectory_samples

from srl_swe.records import Sample
from srl_swe.training.packing import Trie, pack

LIMITLESS = {"max_tokens": 10**9, "max_trained": 10**9}


def sample(ids: list[int], mask: str) -> Sample:
    return make_sample(ids, [c == "x" for c in mask], 1.0)


def ancestors(trie: Trie, place: int) -> list[int]:
    return [int(k) for k in np.flatnonzero((np.arange(len(trie.ends)) <= place) & (trie.ends > place))]


def check(trie: Trie, samples: list[Sample]) -> None:
    """Each sample's path holds its tokens up to its last trained one, and its ancestors are its path."""
    assert len({(int(d), tuple(trie.token_ids[ancestors(trie, p)])) for p, d in enumerate(trie.depths)}) == len(
        trie.depths
    )
    for number, path in trie.paths.items():
        ids, mask = samples[number].token_ids, samples[number].loss_mask
        last = max(t for t, trained in enumerate(mask) if trained)
        assert tuple(trie.token_ids[path]) == ids[:last]
        assert ancestors(trie, int(path[-1])) == path.tolist()
        assert trie.depths[path].tolist() == list(range(last))
        along, tokens = trie.edges[number]
        assert [(int(a) + 1, int(t)) for a, t in zip(along, tokens, strict=True)] == [
            (t, ids[t]) for t, trained in enumerate(mask) if trained
        ]


def test_a_trie_by_hand() -> None:
    samples = [sample([5, 6, 7, 8], "...x"), sample([5, 6, 9, 8, 4], "...xx"), sample([5, 6, 7, 8], ".x.x")]
    (trie,) = pack(samples, **LIMITLESS)
    check(trie, samples)
    # The larger branch comes first; what only predicts nothing (the last tokens) is not laid out.
    assert trie.token_ids.tolist() == [5, 6, 9, 8, 7]
    assert trie.ends.tolist() == [5, 5, 4, 4, 5]
    (part,) = trie.parts(100)
    edges = list(zip(part.edge_sources.tolist(), part.edge_tokens.tolist(), strict=True))
    assert sorted(edges) == [(0, 6), (2, 8), (3, 4), (4, 8)]
    assert [[edges[e] for e in own] for own in part.sample_edges] == [
        {0: [(4, 8)], 1: [(2, 8), (3, 4)], 2: [(0, 6), (4, 8)]}[number] for number in part.samples
    ]


def test_a_trajectorys_trunk_stands_in_one_piece() -> None:
    samples = trajectory_samples(scale=5)
    (trie,) = pack(samples, **LIMITLESS)
    check(trie, samples)
    longest = max(trie.paths.values(), key=len)
    assert longest.tolist() == list(range(len(longest)))


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=12), min_size=1, max_size=12),
    seed=st.integers(0, 99),
    at_once=st.integers(1, 30),
    budget=st.integers(1, 40),
)
def test_any_samples(rows: list[list[int]], seed: int, at_once: int, budget: int) -> None:
    draw = random.Random(seed)
    samples = [sample(ids, "." + "".join(draw.choice(".x") for _ in ids[1:])) for ids in rows]
    trained = {i for i, s in enumerate(samples) if any(s.loss_mask)}
    tries = pack(samples, max_tokens=budget, max_trained=budget)
    assert sorted(i for trie in tries for i in trie.paths) == sorted(trained)
    for trie in tries:
        check(trie, samples)
        unique_edges = {
            (int(trie.paths[i][a]), int(t)) for i in trie.paths for a, t in zip(*trie.edges[i], strict=True)
        }
        assert len(trie.paths) == 1 or (len(trie.token_ids) <= budget and len(unique_edges) <= budget)
        parts = trie.parts(at_once)
        assert [p.start for p in parts] == [0, *(p.end for p in parts[:-1])]
        assert parts[-1].end == len(trie.token_ids)
        assert sorted(i for p in parts for i in p.samples) == sorted(trie.paths)
        for part in parts:
            assert part.ancestors.tolist() == [k for k in ancestors(trie, part.start) if k < part.start]
            assert part.kept == any(part.start <= k < part.end for p in parts for k in p.ancestors)


def test_two_trajectories_share_a_trie_only_as_far_as_they_agree() -> None:
    samples = [sample([1, 2, 3, 4], "...x"), sample([7, 2, 3, 4], "...x")]
    (trie,) = pack(samples, **LIMITLESS)
    check(trie, samples)
    assert len(trie.token_ids) == 6


def test_nothing_to_train_is_no_trie() -> None:
    assert pack([], **LIMITLESS) == []
    assert pack([sample([1, 2, 3], "...")], **LIMITLESS) == []


@pytest.mark.parametrize("count", [1200])
def test_a_trie_of_many_levels(count: int) -> None:
    """More of them than Python allows calls in one another."""
    trunk = list(range(5 * count))
    samples = [sample([*trunk[: 5 * k + 1], 7000 + k, 0], "." * (5 * k + 1) + "xx") for k in range(count)]
    samples += [sample([*trunk[: 5 * k + 1], 9000 + k, 0], "." * (5 * k + 1) + "xx") for k in range(count)]
    (trie,) = pack(samples, **LIMITLESS)
    assert len(trie.paths) == 2 * count
    assert len(trie.token_ids) == 5 * (count - 1) + 1 + 2 * count
