"""Where downloads, converted models and recorded trajectories are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return ``$SRL_SWE_CACHE`` or ``~/.cache/srl_swe``, made if it is not there."""
    folder = Path(os.environ.get("SRL_SWE_CACHE") or Path.home() / ".cache" / "srl_swe")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
