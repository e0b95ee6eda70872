"""Output is exact below the limit, head and tail above, wherever the stream is cut into chunks."""

from __future__ import annotations

import itertools
import re
import time

from hypothesis import given
from hypothesis import strategies as st

from srl_swe.sandbox.output import CappedOutput

NONCE = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
END = f"\x1e{NONCE} done 0\0/\0declare -x A\n {NONCE}\x1e".encode()
PIECES = st.sampled_from(
    [b"\x1e", NONCE.encode(), b" ", END[:-1], f"\x1e{OTHER} done 0 {OTHER}\x1e".encode(), f"\x1e{NONCE[:-1]}".encode()]
)
DATA = st.lists(st.binary(max_size=40) | PIECES, max_size=8).map(b"".join).filter(lambda d: END[:34] not in d)


def fed(stream: bytes, cuts: list[int], limit: int) -> CappedOutput:
    output = CappedOutput(NONCE, limit)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    for start, end in itertools.pairwise(places):
        output.feed(stream[start:end])
    return output


@given(DATA, st.binary(max_size=30), st.lists(st.integers(0, 500), max_size=20))
def test_any_bytes_in_any_chunks(data: bytes, rest: bytes, cuts: list[int]) -> None:
    output = fed(data + END + rest, cuts, 10_000)
    assert output.text() == (data.decode("utf-8", "replace"), False)
    assert output.fields == END[34:-34]
    assert output.rest() == rest


@given(DATA, st.lists(st.integers(0, 500), max_size=20))
def test_without_a_whole_marker_it_goes_on(data: bytes, cuts: list[int]) -> None:
    output = fed(data + END[:-1], cuts, 10_000)
    assert output.fields is None
    assert output.rest() == b""
    assert output.text()[0] == data.decode("utf-8", "replace")


@given(
    st.text(st.sampled_from("ab\né漢😀"), max_size=300), st.integers(2, 60), st.lists(st.integers(0, 900), max_size=9)
)
def test_above_the_limit_head_and_tail_are_kept(text: str, limit: int, cuts: list[int]) -> None:
    shown, truncated = fed(text.encode() + END, cuts, limit).text()
    assert truncated == (len(text) > limit)
    if not truncated:
        assert shown == text
        return
    half = limit // 2
    missing = re.fullmatch(r"\n\[… (\d+) characters left out …\]\n", shown[half : len(shown) - half])
    assert missing is not None
    assert (shown[:half], shown[len(shown) - half :]) == (text[:half], text[len(text) - half :])
    assert int(missing[1]) == len(text) - 2 * half


@given(st.integers(0, 70_000), st.sampled_from([1, 7, 4096, 50_000]), st.integers(0, 40_000))
def test_what_is_dropped_is_the_middle(lines: int, chunk: int, offset: int) -> None:
    """Ten times what is held, in small pieces too: a head that comes byte by byte is kept."""
    chunk = max(chunk, 200) if lines > 5_000 else chunk
    data = b"H" * 10 + b"".join(b"%d\n" % (number + offset) for number in range(lines)) + b"T" * 10
    output = CappedOutput(NONCE, 100)
    for start in range(0, len(data), chunk):
        output.feed(data[start : start + chunk])
    output.feed(END)
    shown, truncated = output.text()
    assert output.fields is not None
    assert truncated == (len(data) > 100)
    assert shown.startswith(data[:50].decode())
    assert shown.endswith(data[-50:].decode())
    assert len(shown) < 200
    if truncated:
        assert f"[… {len(data) - 100} characters left out …]" in shown


def test_memory_and_time_are_bounded() -> None:
    output = CappedOutput(NONCE, 16_000)
    start = time.monotonic()
    for _ in range(10_000):
        output.feed(b"x" * 32_768)
    assert time.monotonic() - start < 20
    assert len(output._data) < 1 << 20
    output.feed(END)
    assert output.fields is not None


def test_a_marker_without_end_is_noticed() -> None:
    output = CappedOutput(NONCE, 100)
    output.feed(b"text" + END[:40])
    for _ in range(600):
        assert not output.endless or _ > 500
        output.feed(b"x" * 32_768)
    assert output.endless
    assert output.text() == ("text", False)
