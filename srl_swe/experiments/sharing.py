"""Several processes on one experiment: each takes what no other has in hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from srl_swe.sandbox.locks import lock_if_free

_PAUSE = 2.0
"""Seconds between two looks at what other processes have in hand."""


def share(pieces: Mapping[Path, Callable[[], bool]]) -> None:
    """Do every piece that no other process is at, and wait until the others have done theirs.

    A piece says whether it could be done yet. Who is killed, or fails, lets go of its piece for others to go on with.
    """
    left = dict(pieces)
    while left:
        before = len(left)
        for folder, piece in list(left.items()):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with lock_if_free(folder.with_name(f"{folder.name}.lock")) as ours:
                if ours and piece():
                    del left[folder]
        if len(left) == before:
            time.sleep(_PAUSE)
