"""Text that others wrote: a model, a repository, somebody else's agent. It goes into pages as text, and no further."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """The text with what no page can hold, or nobody can see, as a replacement character."""
    return _UNPRINTABLE.sub("\ufffd", text)


def clip(text: str, limit: int) -> str:
    """At most ``limit`` characters and a line that says how many were left out: head and tail are kept."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def first_line(text: str, limit: int = 120) -> str:
    """The first line that is not blank, cut."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= limit else line[: limit - 1] + "…"
