"""The output of one command, kept within bounds while it streams in: its head, its tail, and where it ends."""

from __future__ import annotations


class CappedOutput:
    """Collects bytes until a marker ends them. Memory is bounded, whatever comes.

    The marker is ``RS nonce SP fields SP nonce RS``, with RS the byte 0x1e: `fields` is what stands between.

    Args:
        nonce: Random for each command, so that output cannot forge it.
        limit: Most characters of `text`.
    """

    def __init__(self, nonce: str, limit: int) -> None:
        self._opening = f"\x1e{nonce} ".encode()
        self._closing = f" {nonce}\x1e".encode()
        self._limit = limit
        # A character has at most 4 bytes; the tail must also hold a whole marker with a long path and variables.
        self._head_bytes = self._tail_bytes = max(4 * limit, 1 << 16)
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0
        self._marker_at = -1
        self.fields: bytes | None = None
        """What the marker says; ``None`` until it has come whole."""

    def feed(self, data: bytes) -> None:
        """Take more bytes; look for the marker; drop what is in the middle."""
        room = self._head_bytes - len(self._head)
        searched = max(0, len(self._tail) - len(self._opening))
        if room > 0 and not self._tail:
            # The head never holds the marker's beginning: the last bytes stay in the tail, where it is looked for.
            keep = max(0, min(room, len(data) - len(self._opening)))
            at = data.find(self._opening)
            keep = min(keep, at) if at >= 0 else keep
            self._head += data[:keep]
            data = data[keep:]
        self._tail += data
        if self._marker_at < 0:
            self._marker_at = self._tail.find(self._opening, searched)
        if self._marker_at < 0:
            self._trim()
            return
        start = self._marker_at + len(self._opening)
        end = self._tail.find(self._closing, start)
        if end >= 0:
            self.fields = bytes(self._tail[start:end])

    def _trim(self) -> None:
        surplus = len(self._tail) - self._tail_bytes
        if surplus > self._tail_bytes:  # seldom, so that a byte is moved once on average
            self._dropped += surplus
            del self._tail[:surplus]

    def text(self) -> tuple[str, bool]:
        """Return the output, invalid UTF-8 replaced, and whether its middle was left out."""
        tail = self._tail[: self._marker_at] if self._marker_at >= 0 else self._tail
        half = self._limit // 2
        if not self._dropped:
            whole = bytes(self._head + tail).decode("utf-8", "replace")
            if len(whole) <= self._limit:
                return whole, False
            return self._cut(whole[:half], len(whole) - 2 * half, whole[len(whole) - half :]), True
        head = self._head.decode("utf-8", "replace")
        end = tail.decode("utf-8", "replace")
        missing = self._dropped + len(head) + len(end) - 2 * half
        return self._cut(head[:half], missing, end[len(end) - half :]), True

    @staticmethod
    def _cut(head: str, missing: int, tail: str) -> str:
        return f"{head}\n[… {missing} characters left out …]\n{tail}"
