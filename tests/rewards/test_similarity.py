"""The similarity reward is difflib's value, to the bit."""

import difflib
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srl_swe.rewards.long_texts import are_long, matched_characters
from srl_swe.rewards.similarity import matching_blocks, similarity

TEXT = st.text(alphabet=st.sampled_from("abc \n`'éß✓"), max_size=300)


@given(TEXT, TEXT, st.booleans())
def test_equals_difflib(a: str, b: str, autojunk: bool) -> None:
    expected = difflib.SequenceMatcher(None, a, b, autojunk=autojunk).ratio()
    assert similarity(a, b, autojunk=autojunk) == expected


def test_equals_difflib_on_long_commands() -> None:
    generator = random.Random(0)
    for _ in range(50):
        a = "".join(generator.choices("grep -rn sed python/", k=generator.randrange(200, 900)))
        b = "".join(generator.choices("grep -rn sed python/", k=generator.randrange(200, 900)))
        for autojunk in (False, True):
            assert similarity(a, b, autojunk=autojunk) == difflib.SequenceMatcher(None, a, b, autojunk).ratio()


def test_what_was_compared_before_changes_nothing() -> None:
    """An expert's index is kept; several threads compare with it at once."""
    generator = random.Random(2)
    texts = ["".join(generator.choices("ls -la/", k=generator.randrange(300))) for _ in range(20)]
    pairs = [(a, b, autojunk) for a in texts for b in texts for autojunk in (False, True)]
    expected = [difflib.SequenceMatcher(None, a, b, autojunk).ratio() for a, b, autojunk in pairs]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: [similarity(a, b, autojunk=j) for a, b, j in pairs], range(8)):
            assert found == expected


def matched_by_difflib(a: str, b: str) -> int:
    return sum(size for _, _, size in difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())


@given(TEXT | st.text(), TEXT | st.text())
def test_the_way_for_long_texts_equals_difflib_on_short_ones(a: str, b: str) -> None:
    assert matched_characters(a, b, long=0) == matched_by_difflib(a, b)


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.lists(st.sampled_from("abcd"), max_size=12))
def test_the_way_for_long_texts_equals_difflib_on_moved_blocks(a: list[str], b: list[str]) -> None:
    blocks = {"a": "def total(x):\n", "b": "    return x\n", "c": "x" * 70, "d": "\ud800é😀"}
    first, second = ("".join(blocks[name] for name in names) for names in (a, b))
    assert matched_characters(first, second, long=0) == matched_by_difflib(first, second)


def test_equals_difflib_on_long_texts() -> None:
    generator = random.Random(1)
    for size in (2000, 4000):
        lines = ["".join(generator.choices("abcdef (){}=\n", k=generator.randrange(40))) for _ in range(size // 20)]
        a = "\n".join(lines)
        generator.shuffle(lines)
        b = "\n".join([*lines[: size // 30], *(line[::-1] for line in lines[size // 30 :])])
        assert are_long(len(a), len(b))
        assert similarity(a, b) == difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()
    assert similarity("x" * 30_000, "x" * 20_000) == 0.8


def test_autojunk_is_off_by_default_and_matters() -> None:
    a, b = "ab" * 150 + "c", "ba" * 150
    assert similarity(a, b) > 0.9
    assert similarity(a, b, autojunk=True) == 0.0  # every character of b is too frequent to count


@pytest.mark.parametrize(("a", "b", "expected"), [("", "", 1.0), ("ls", "", 0.0), ("ls", "ls -a", 4 / 7)])
def test_worked_by_hand(a: str, b: str, expected: float) -> None:
    assert similarity(a, b) == pytest.approx(expected)


@given(TEXT, TEXT)
def test_blocks_make_the_ratio(a: str, b: str) -> None:
    blocks = matching_blocks(a, b)
    assert all(a[x.a_start : x.a_start + x.size] == b[x.b_start : x.b_start + x.size] for x in blocks)
    if a or b:
        assert similarity(a, b) == pytest.approx(2 * sum(x.size for x in blocks) / (len(a) + len(b)))
