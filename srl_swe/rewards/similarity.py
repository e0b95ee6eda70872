"""Sequence similarity, the reward of Supervised Reinforcement Learning (arXiv 2510.25992, equation 3).

The value is exactly that of ``difflib.SequenceMatcher(None, a, b, autojunk=…).ratio()`` = 2M / T, where M counts the
characters in matching blocks and T those of both strings; it is computed by cydifflib, which equals difflib to the bit,
and for long strings by `srl_swe.rewards.long_texts`, which does too.
"""

from __future__ import annotations

from dataclasses import dataclass

from cydifflib import SequenceMatcher

from srl_swe.rewards.long_texts import are_long, matched_characters


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
    return float(SequenceMatcher(None, student, expert, autojunk=autojunk).ratio())


def matching_blocks(student: str, expert: str, *, autojunk: bool = False) -> list[MatchingBlock]:
    """Return the blocks that `similarity` counts, in order, without difflib's empty last one."""
    matcher = SequenceMatcher(None, student, expert, autojunk=autojunk)
    return [MatchingBlock(a_start=a, b_start=b, size=n) for a, b, n in matcher.get_matching_blocks() if n]
