"""The text space."""

from __future__ import annotations

import copy
import pickle

import gymnasium
import pytest
from gymnasium.vector.utils import batch_space

from srl_swe.environments.spaces import UnicodeText


class TextEnv(gymnasium.Env[str, str]):
    """Spaces, and nothing else."""

    observation_space = action_space = UnicodeText(10)


def test_it_contains_any_text_up_to_its_length() -> None:
    space = UnicodeText(5)
    assert all(text in space for text in ("", "a b\nc", "日本🙂\0", "\ud800"))
    assert all(other not in space for other in ("sixsix", b"abc", 3, None))


def test_samples_are_seeded_and_contained() -> None:
    first, second = UnicodeText(1000, seed=3), UnicodeText(1000)
    second.seed(3)
    drawn = [first.sample() for _ in range(50)]
    assert drawn == [second.sample() for _ in range(50)]
    assert all(text in first for text in drawn)
    assert len(set(drawn)) > 40
    assert any(not text.isascii() for text in drawn)
    assert first.sample(mask=(7, None)) != "" and UnicodeText(0).sample() == ""


def test_equality_copies_and_batches() -> None:
    space = UnicodeText(5)
    assert space == UnicodeText(5) == copy.deepcopy(space) == pickle.loads(pickle.dumps(space))
    assert space != UnicodeText(6)
    assert repr(space) == "UnicodeText(5)"
    assert ("é", " ") in batch_space(space, 2)


def test_shared_memory_is_refused_rather_than_filled_with_rubbish() -> None:
    with pytest.raises(ValueError, match="shared_memory=False"):
        gymnasium.vector.AsyncVectorEnv([lambda: TextEnv()])
