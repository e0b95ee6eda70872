"""Group-relative advantages (GRPO; arXiv 2402.03300, section 4.1; kept groups: arXiv 2510.25992, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def group_advantages(rewards_G: Sequence[float], *, min_std: float) -> list[float] | None:
    """Return (r - mean) / std for each reward of a group, or ``None`` where the std does not exceed ``min_std``.

    The standard deviation is the population's (divided by G), so that a group of two is treated like a larger one.

    Raises:
        ValueError: the group is empty or holds a reward that is not a number.
    """
    rewards = np.asarray(rewards_G, dtype=np.float64)
    if rewards.size == 0 or not np.isfinite(rewards).all():
        raise ValueError(f"expected at least one finite reward, got {list(rewards_G)}")
    std = float(rewards.std())
    if std <= min_std or std == 0.0:
        return None
    return [float(a) for a in (rewards - rewards.mean()) / std]
