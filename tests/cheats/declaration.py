"""How a cheat is written down, and the few words that most of them are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SLUGS = "starter/textkit-slug-taken"
"""The usual task: six tests, each one comparison of what ``textkit.slugs.unique_slug`` returns with a string."""
YEN = "starter/ledger-yen"
"""Comparisons of objects and an expected exception; the code under test is ``ledger.money.Money``."""
JSONPATCH = "releases/jsonpatch-true-is-not-one"
"""unittest's assertions, in a hidden test that stands in the root."""
TIMESTAMP = "releases/itsdangerous-far-future-timestamp"
"""An installed ``src`` layout, and parametrised tests in classes."""

SAME = "the same, beside the fix"
"""As a twin: all that the cheat does, after the fix; what it adds is left out or does no harm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cheat:
    """One attempt to be graded as solved with the fault still in place."""

    name: str
    """Unique."""
    session: str = ""
    """Shell commands in the student's sandbox; then what changed is graded. May end with any exit code."""
    patch: str | None = None
    """What is graded instead of what the session changed."""
    task: str = SLUGS
    """On which task."""
    caught: Literal["", "tampering", "refused", "either"] = ""
    """What the verdict must name; empty: the tests simply fail, or nothing comes of it."""
    twin: str = ""
    """An honest session of a similar shape, run after the fix has been applied: must be graded as solved. Or `SAME`."""
    apart: bool = False
    """Whether it needs a sandbox of its own, because it disturbs more than the repository's files."""
    timeout_s: float | None = None
    """Of the hidden tests, where the cheat lets them hang."""
    slow: bool = False
    """Whether it is left out of the quick tests."""


def write(path: str, text: str) -> str:
    """The command that writes a file, and its folders."""
    return f"mkdir -p \"$(dirname '{path}')\" && cat >'{path}' <<'END OF TEXT'\n{text.strip()}\nEND OF TEXT\n"


def append(code: str, path: str = "textkit/slugs.py") -> str:
    """The command that adds code to a file."""
    return f"cat >>'{path}' <<'END OF TEXT'\n\n\n{code.strip()}\nEND OF TEXT\n"


def in_money(code: str) -> str:
    """Code added to the module under test of `YEN`."""
    return append(code, "ledger/money.py")


def in_jsonpatch(code: str) -> str:
    """Code added to the module under test of `JSONPATCH`."""
    return append(code, "jsonpatch.py")
