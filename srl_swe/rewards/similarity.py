"""Sequence similarity, the reward of Supervised Reinforcement Learning (arXiv 2510.25992, equation 3).

The value is exactly that of ``difflib.SequenceMatcher(None, a, b, autojunk=…).ratio()`` = 2M / T, where M counts the
characters in matching blocks and T those of both strings; it is computed by cydifflib, which equals difflib to the bit,
and for long strings by `srl_swe.rewards.long_texts`, which does too.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass

from cydifflib import SequenceMatcher

from srl_swe.rewards.long_texts import are_long, matched_characters

_MOST_KEPT = 128
_LONGEST_KEPT = 5000  # an index of that many characters takes some 200 kB


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchingBlock:
    """``a[a_start:a_start + size] == b[b_start:b_start + size]``."""

    a_start: int
    """Offset in the first string, in characters."""
    b_start: int
    """Offset in the second string, in characters."""
    size: int
    """Length in characters, at least 1."""


def similarity(student: str, expert: str, *, autojunk: bool = False) -> float:
    """Return 2M/T in [0, 1]; 1 for two empty strings.

    ``autojunk`` is difflib's heuristic that ignores characters which are frequent in an ``expert`` of 200 characters or
    more; it changes the value on about half of such pairs, so it is off here and recorded where it is switched on.
    """
    if not autojunk and are_long(len(student), len(expert)):
        return 2.0 * matched_characters(student, expert) / (len(student) + len(expert))
    if len(expert) > _LONGEST_KEPT:
        return float(SequenceMatcher(None, student, expert, autojunk=autojunk).ratio())
    matcher = _matchers.of(expert, autojunk)
    matcher.set_seq1(student)
    return float(matcher.ratio())


class _Matchers(threading.local):
    """A matcher has an index of its expert's action, which many answers are compared with; each thread has its own."""

    def __init__(self) -> None:
        self.of = functools.lru_cache(_MOST_KEPT)(_matcher)


def _matcher(expert: str, autojunk: bool) -> SequenceMatcher:
    return SequenceMatcher(None, "", expert, autojunk=autojunk)


_matchers = _Matchers()


def matching_blocks(student: str, expert: str, *, autojunk: bool = False) -> list[MatchingBlock]:
    """Return the blocks that `similarity` counts, in order, without difflib's empty last one."""
    matcher = SequenceMatcher(None, student, expert, autojunk=autojunk)
    return [MatchingBlock(a_start=a, b_start=b, size=n) for a, b, n in matcher.get_matching_blocks() if n]
