"""Real trajectories that lie beside the repository on some machines, and are never part of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[3] / "../shared/data"
FOLDER = Path(os.environ.get("SRL_SWE_SHARED_DATA") or _BESIDE) / "trajectories"
needs_shared_trajectories = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no real trajectories in {FOLDER} (set SRL_SWE_SHARED_DATA)"
)
