"""Random numbers that belong to a completion, not to the batch in which it happens to be made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from srl_swe.records import Sampling

_SEEDS = 2**62
"""Seeds lie below this, so that the place of a completion can be added within 63 bits."""


class SeedStream:
    """The seeds of an engine's calls: those asked for, and a stream of its own where none is.

    Args:
        seed: Where the stream starts.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._calls = 0

    def prompt_seeds(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[int]:
        """One seed a prompt; the i-th of its completions takes the seed plus i.

        A seed depends on the call's seed, the prompt's tokens, and how often the same prompt stands before it: not on
        the other prompts.
        """
        call: tuple[int, int]
        if sampling.seed is None:
            call = (self._seed, self._calls)
            self._calls += 1
        else:
            call = (sampling.seed, -1)
        seen: Counter[tuple[int, ...]] = Counter()
        seeds = []
        for prompt in prompts:
            key = tuple(prompt)
            text = repr((call, seen[key], key))
            seen[key] += 1
            seeds.append(int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) % _SEEDS)
        return seeds


def uniforms(seed: int, count: int) -> list[float]:
    """The numbers in [0, 1) with which one completion's tokens are drawn."""
    drawn: list[float] = np.random.Generator(np.random.PCG64(seed)).random(count).tolist()
    return drawn
