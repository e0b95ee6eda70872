"""Whether a text gives the fix away: a line of it, or a name that only it introduces."""

from __future__ import annotations

import io
import keyword
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from srl_swe.tasks.mining.candidates import changed_lines

_SHORTEST_LINE = 16
"""Characters; a shorter line of code may stand anywhere by chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Secrets:
    """What a problem statement must not hold."""

    lines: frozenset[str]
    """Lines that the fix adds, without their indentation."""
    names: frozenset[str]
    """Names that are neither in the source before the fix nor in the tests."""
    hints: frozenset[str] = frozenset()
    """Names that the fix brings to where it is made, and that the tests do not use; notes that tell them say how."""

    def leak(self, text: str) -> str:
        """Say what of the fix a text gives away; empty: nothing."""
        flat = " ".join(text.split())
        for line in sorted(self.lines):
            if line in flat:
                return f"it holds a line of the fix: {line}"
        found = sorted(self.names & set(re.findall(r"[A-Za-z_]\w*", text)))
        return f"it names what only the fix has: {', '.join(found)}" if found else ""


def secrets_of(patch: str, base: Path, tests: Iterable[str]) -> Secrets:
    """What a fix keeps to itself.

    Args:
        patch: The fix.
        base: The source before it.
        tests: The hidden tests: what they call may be named.
    """
    added = [line[1:].strip() for line in changed_lines(patch) if line.startswith("+")]
    tests = list(tests)
    texts = [p.read_text("utf-8", "replace") for p in base.rglob("*.py")] + tests
    known_lines = {" ".join(line.split()) for text in texts for line in text.splitlines()}
    known_names = {name for text in texts for name in re.findall(r"[A-Za-z_]\w*", text)}
    lines = {" ".join(line.split()) for line in added if not line.startswith("#")}
    lines = {line for line in lines - known_lines if len(line) >= _SHORTEST_LINE and re.search(r"[=(:.\[]", line)}
    # A value alone is an example in a docstring, and may well be what a test expects.
    lines = {line for line in lines if not line.startswith((">>>", "...")) and _identifiers(line)}
    names = {name for line in added for name in _identifiers(line)} - known_names
    around = {name for line in _lines_around(patch) for name in re.findall(r"[A-Za-z_]\w*", line)}
    tested = {name for text in tests for name in re.findall(r"[A-Za-z_]\w*", text)}
    hints = {name for line in added for name in _identifiers(line)} - around - tested
    return Secrets(lines=frozenset(lines), names=_telling(names), hints=_telling(hints))


def _identifiers(line: str) -> set[str]:
    """Names in one line of code; not those in its strings and comments."""
    found = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(line).readline):
            if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
                found.add(token.string)
    except (tokenize.TokenError, IndentationError, SyntaxError):
        # Half a statement; what came before its end counts.
        pass
    return found


def _lines_around(patch: str) -> list[str]:
    """Lines that a patch shows or removes: what stands where the fix is made."""
    return [line[1:] for line in patch.splitlines() if line[:1] in (" ", "-", "@")]


def _telling(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in names if _is_telling(name))


def _is_telling(name: str) -> bool:
    """Whether a name is no word of plain English."""
    return len(name) >= 4 and ("_" in name.strip("_") or re.search(r"[a-z0-9][A-Z]", name) is not None)
