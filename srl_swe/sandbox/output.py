"""The output of one command, kept within bounds while it streams in: its head, its tail, and where it ends."""

from __future__ import annotations

_LONGEST_MARKER = 1 << 24


class CappedOutput:
    """Collects bytes until a marker ends them. Memory is bounded, whatever comes.

    The marker is ``RS nonce SP fields SP nonce RS``, with RS the byte 0x1e: `fields` is what stands between.

    Args:
        nonce: Random, so that output does not hold it by chance.
        limit: Most characters of `text`, the note about the missing middle aside.
    """

    def __init__(self, nonce: str, limit: int) -> None:
        self._opening = f"\x1e{nonce} ".encode()
        self._closing = f" {nonce}\x1e".encode()
        self._limit = limit
        # A character has at most 4 bytes.
        self._head_bytes = self._tail_bytes = max(4 * limit, 1 << 16)
        self._data = bytearray()
        self._dropped = 0
        self._marker_at = -1
        self._ends_at = -1
        self.fields: bytes | None = None
        """What the marker says; ``None`` until it has come whole."""

    def feed(self, data: bytes) -> None:
        """Take more bytes; look for the marker; drop what is in the middle."""
        before = len(self._data)
        self._data += data
        if self._marker_at < 0:
            # It may have begun in what came before.
            self._marker_at = self._data.find(self._opening, max(0, before - len(self._opening) + 1))
        if self._marker_at < 0:
            surplus = len(self._data) - self._head_bytes - self._tail_bytes
            if surplus > self._tail_bytes:  # seldom, so that a byte is moved once on average
                self._dropped += surplus
                del self._data[self._head_bytes : self._head_bytes + surplus]
        elif self.fields is None:
            start = self._marker_at + len(self._opening)
            end = self._data.find(self._closing, max(start, before - len(self._closing) + 1))
            if end >= 0:
                # The last beginning counts: a shell that was killed while it said something leaves half a marker.
                self.fields = bytes(self._data[start:end]).rpartition(self._opening)[2]
                self._ends_at = end + len(self._closing)

    @property
    def endless(self) -> bool:
        """Whether a marker has begun that is longer than any of ours can be."""
        return self.fields is None and 0 <= self._marker_at < len(self._data) - _LONGEST_MARKER

    def rest(self) -> bytes:
        """Return what came after the marker: the beginning of the next output."""
        return bytes(self._data[self._ends_at :]) if self._ends_at >= 0 else b""

    def text(self) -> tuple[str, bool]:
        """Return the output, invalid UTF-8 replaced, and whether its middle was left out."""
        end = self._marker_at if self._marker_at >= 0 else len(self._data)
        half = self._limit // 2
        if not self._dropped:
            whole = self._data[:end].decode("utf-8", "replace")
            if len(whole) <= self._limit:
                return whole, False
            return self._cut(whole[:half], len(whole) - 2 * half, whole[len(whole) - half :]), True
        head = self._data[: self._head_bytes].decode("utf-8", "replace")
        tail = self._data[self._head_bytes : end].decode("utf-8", "replace")
        missing = self._dropped + len(head) + len(tail) - 2 * half
        return self._cut(head[:half], missing, tail[len(tail) - half :]), True

    @staticmethod
    def _cut(head: str, missing: int, tail: str) -> str:
        return f"{head}\n[… {missing} characters left out …]\n{tail}"
