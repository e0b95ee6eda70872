"""A text space for model output: `gymnasium.spaces.Text` refuses spaces, newlines and the empty string by default."""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import CustomSpaceError
from gymnasium.vector.utils import create_shared_memory
from numpy.typing import NDArray

_SAMPLE_LENGTH = 64
_SAMPLED = "".join(map(chr, range(32, 127))) + "\n\t`äßçñøλжעक中あ한…→🙂"


class UnicodeText(spaces.Text):
    """Every string of at most ``max_length`` characters (code points).

    `sample` draws short strings over ASCII and a few other scripts, from the space's own seeded generator; `contains`
    knows no alphabet. In an `AsyncVectorEnv` use ``shared_memory=False``: gymnasium's shared memory holds the indices
    of one alphabet, and would return rubbish for text outside it; here it is refused.
    """

    def __init__(self, max_length: int, *, seed: int | np.random.Generator | None = None) -> None:
        """Make the space; ``max_length`` counts characters and is included."""
        super().__init__(max_length, min_length=0, charset=_SAMPLED, seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a string that is not too long."""
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(
        self,
        mask: tuple[int | None, NDArray[np.int8] | None] | None = None,
        probability: tuple[int | None, NDArray[np.float64] | None] | None = None,
    ) -> str:
        """Draw a short string; ``mask`` and ``probability`` are as in `gymnasium.spaces.Text.sample`."""
        if mask is None and probability is None:
            mask = (int(self.np_random.integers(0, min(self.max_length, _SAMPLE_LENGTH) + 1)), None)
        return super().sample(mask, probability)

    @property
    def is_np_flattenable(self) -> bool:
        """False: there is no finite alphabet to number."""
        return False

    def __eq__(self, other: object, /) -> bool:
        """Whether ``other`` is the same space."""
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """As it is constructed."""
        return f"UnicodeText({self.max_length})"


@create_shared_memory.register(UnicodeText)
def _refuse_shared_memory(space: UnicodeText, n: int = 1, ctx: Any = multiprocessing) -> Any:  # noqa: ARG001
    raise CustomSpaceError("free text has no finite alphabet: use shared_memory=False")
