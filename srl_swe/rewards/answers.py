"""Final answers: found in a solution's text, and compared where that takes no algebra."""

from __future__ import annotations

import re

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])\s*")
# Followed by a word it is a heading.
_HASHES = re.compile(r"^[ \t]*#{4}[ \t]*([-+$\\(]*[\d\\.].*?)[ \t]*$", re.MULTILINE)
_SAID = re.compile(r"(?:final\s+)?answer\s*(?:is|:)\s*:?\s*(.+)", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.0*)?")
_WRAPPED = re.compile(r"\\(?:text|textbf|mathbf|mathrm)\s*\{([^{}]*)\}|\(([^()]*)\)")
_UNIT = re.compile(r"(\\?\$?[-+]?\d[\d,]*(?:[./]\d+)?)\s+(?P<words>[a-z]{3,}(?:\s+[a-z]+){0,3})\.?")
_NO_UNITS = {
    "and", "billion", "divided", "dozen", "half", "hundred", "minus", "million", "mod", "not", "or", "over", "percent",
    "plus", "thousand", "times", "to", "trillion",
}  # fmt: skip
_LONGEST = 2_000


def final_answer(text: str) -> str:
    r"""Return the last final answer that a text gives, or an empty string.

    In this order: the last ``\boxed{…}`` (also ``\fbox``, ``\framebox``), the last line that begins with ``####``, the
    last "answer is …", the whole text where it is one line, the last line. Longer than 2,000 characters it is none.
    """
    found = _last_box(text)
    if found is None and (lines := _HASHES.findall(text)):
        found = lines[-1]
    if found is None and (said := _SAID.findall(text)):
        found = said[-1].strip().rstrip(".").strip("*")
    if found is None:
        found = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    # Half of a surrogate pair, which JSON can spell, is no text.
    found = found.strip().strip("*").strip().encode("utf-8", "replace").decode()
    return found if len(found) <= _LONGEST else ""


def stated_answer(solution: str) -> str:
    r"""Return what a worked solution states as its answer by ``\boxed{…}`` or a last line ``####``; empty: nothing."""
    found = _last_box(solution)
    if found is None:
        last = _HASHES.fullmatch(solution.strip().rpartition("\n")[2])
        found = last[1] if last else ""
    return found.strip()


def whole_number(text: str) -> int | None:
    """Return the whole number that a text is (``1,234``, ``$18$``, ``27.0`` too); ``None``: it is another thing."""
    bare = text.strip()
    while wrapped := _WRAPPED.fullmatch(bare):
        bare = (wrapped[1] or wrapped[2]).strip()
    bare = bare.replace("{,}", ",").replace("\\$", "").replace("$", "").strip()
    if len(bare) > 1_000 or not _INTEGER.fullmatch(bare):
        return None
    return int(bare.partition(".")[0].replace(",", ""))


def without_unit(answer: str) -> str:
    """Return the number alone where an answer is a number and what it counts, such as ``18 dollars``."""
    found = _UNIT.fullmatch(answer.strip())
    return found[1] if found and not _NO_UNITS & set(found["words"].split()) else answer


def _last_box(text: str) -> str | None:
    """The content of the last box whose braces are balanced; without braces, the token after it."""
    for match in reversed(list(_BOX.finditer(text))):
        start = match.end()
        if text[start : start + 1] != "{":
            token = re.match(r"[^\s$]+", text[start:])
            if token:
                return token[0]
            continue
        depth = 0
        for place in range(start, len(text)):
            character = text[place]
            if character in "{}" and text[place - 1] != "\\":
                depth += 1 if character == "{" else -1
                if depth == 0:
                    return text[start + 1 : place]
    return None
