"""How many characters of two long texts difflib matches, in time that grows with their lengths and not their product.

difflib takes the longest block that both texts have (of equal ones the first in ``a``, then the first in ``b``), then
the longest on either side of it, and so on. It finds a block by visiting every pair of equal characters: tens of
millions in two texts of 10,000. Here a block's length is searched for by halving, with hashes of all substrings of one
length, made at once; what the hashes say is always checked on the texts, so that the count is exactly difflib's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from cydifflib import SequenceMatcher

LONG = 700
"""This way is the faster one where the product of two lengths is more than so many times their sum."""

_ODD = 0x9E3779B97F4A7C15  # odd, so that its powers can be inverted modulo 2**64
_FILTER = 8  # places of the filter for each hash in it

Hashes = npt.NDArray[np.uint64]


def are_long(a: int, b: int, *, long: int = LONG) -> bool:
    """Whether `matched_characters` is the faster way for texts of these lengths."""
    return a * b > long * (a + b)


def matched_characters(a: str, b: str, *, long: int = LONG) -> int:
    """M of difflib's 2M/T without autojunk: the characters in ``SequenceMatcher(None, a, b, False)``'s blocks.

    Args:
        a: One text.
        b: The other.
        long: Parts that are not `are_long` by this number are left to cydifflib.
    """
    texts = _Substrings(a), _Substrings(b)
    matched = 0
    waiting = [(0, len(a), 0, len(b), min(len(a), len(b)))]
    while waiting:
        a_start, a_end, b_start, b_end, most = waiting.pop()
        if not are_long(a_end - a_start, b_end - b_start, long=long):
            # Without autojunk, the blocks of a part do not depend on what is around it.
            matcher = SequenceMatcher(None, a[a_start:a_end], b[b_start:b_end], autojunk=False)
            matched += sum(size for _, _, size in matcher.get_matching_blocks())
            continue
        i, j, size = _longest_block(texts, a_start, a_end, b_start, b_end, most)
        if size:
            matched += size
            waiting.append((a_start, i, b_start, j, size))
            waiting.append((i + size, a_end, j + size, b_end, size))
    return matched


class _Substrings:
    """A text, and the hashes of its substrings."""

    def __init__(self, text: str) -> None:
        self.text = text
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
        powers = np.full(len(text) + 1, _ODD, dtype=np.uint64)
        powers[0] = 1
        inverses = np.full(len(text) + 1, pow(_ODD, -1, 1 << 64), dtype=np.uint64)
        inverses[0] = 1
        self._sums = np.zeros(len(text) + 1, dtype=np.uint64)
        # All modulo 2**64, as numpy's integers are.
        np.cumsum((codes + 1) * np.cumprod(powers)[:-1], out=self._sums[1:])
        self._inverses = np.cumprod(inverses)

    def hashes(self, start: int, end: int, size: int) -> Hashes:
        """Of each substring of this size within ``[start, end)``: equal where the substrings are."""
        last = end - size + 1
        sums = self._sums
        mixed: Hashes = (sums[start + size : last + size] - sums[start:last]) * self._inverses[start:last]
        return mixed


def _longest_block(
    texts: tuple[_Substrings, _Substrings], a_start: int, a_end: int, b_start: int, b_end: int, most: int
) -> tuple[int, int, int]:
    """difflib's ``find_longest_match`` in a part of two texts, where ``most`` is known to bound the block's size."""
    a, b = texts[0].text, texts[1].text
    most = min(most, a_end - a_start, b_end - b_start)
    best = (a_start, b_start, 0)
    is_first = True  # whether ``best`` is the first block of its size
    trial = min(most, 32)
    while trial > best[2]:
        found = _first_common(texts, a_start, a_end, b_start, b_end, trial)
        if found is None:
            most = trial - 1
        else:
            i, j = found
            extra = _common_length(a[i + trial : min(a_end, i + most)], b[j + trial : min(b_end, j + most)])
            best, is_first = (i, j, trial + extra), extra == 0
        # Blocks are short as a rule: doubled until none is found, halved from there.
        trial = min(2 * best[2], (best[2] + most + 1) // 2) if best[2] else (most + 1) // 2
    if not is_first:
        found = _first_common(texts, a_start, a_end, b_start, b_end, best[2])
        assert found is not None
        best = (*found, best[2])
    return best


def _first_common(
    texts: tuple[_Substrings, _Substrings], a_start: int, a_end: int, b_start: int, b_end: int, size: int
) -> tuple[int, int] | None:
    """Where the first substring of ``a`` of this size begins that ``b`` has too, and where its first one in ``b``."""
    a_hashes, b_hashes = texts[0].hashes(a_start, a_end, size), texts[1].hashes(b_start, b_end, size)
    bits = (_FILTER * len(b_hashes)).bit_length()
    places = np.arange(len(a_hashes))
    for shift in (np.uint64(64 - bits), np.uint64(32 - bits // 2)):  # one in a hundred gets through both by chance
        mask = np.uint64((1 << bits) - 1)
        known = np.zeros(1 << bits, dtype=bool)
        known[b_hashes >> shift & mask] = True
        places = places[known[a_hashes[places] >> shift & mask]]
        if not len(places):
            return None
    for place in places.tolist():
        i = a_start + place
        j = texts[1].text.find(texts[0].text[i : i + size], b_start, b_end)
        if j >= 0:
            return i, j
    return None


def _common_length(a: str, b: str) -> int:
    """How many characters the two begin with together."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
