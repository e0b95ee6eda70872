"""Group-relative advantages (GRPO; arXiv 2402.03300, section 4.1; kept groups: arXiv 2510.25992, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def group_advantages(rewards_G: Sequence[float], *, min_std: float | None, scale: bool = True) -> list[float] | None:
    """Return (r - mean) / std for each reward of a group, or ``None`` where the std does not exceed ``min_std``.

    The standard deviation is the population's (divided by G), so that a group of two is treated like a larger one.

    Args:
        rewards_G: The group's.
        min_std: ε; ``None``: every group has advantages, those of equal rewards are 0.
        scale: Divide by the std; ``False``: r - mean (Dr. GRPO, arXiv 2503.20783).

    Raises:
        ValueError: the group is empty or holds a reward that is not a number.
    """
    rewards = np.asarray(rewards_G, dtype=np.float64)
    if rewards.size == 0 or not np.isfinite(rewards).all():
        raise ValueError(f"expected at least one finite reward, got {list(rewards_G)}")
    # Of equal rewards rounding can leave a deviation of 1e-17, which the division would make 1 of.
    std = 0.0 if rewards.min() == rewards.max() else float(rewards.std())
    if min_std is not None and (std <= min_std or std == 0.0):
        return None
    if std == 0.0:
        return [0.0] * rewards.size
    return [float(a) for a in (rewards - rewards.mean()) / (std if scale else 1.0)]
