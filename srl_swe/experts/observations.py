"""When two observations are the same: what legitimately varies from run to run is no difference."""

from __future__ import annotations

import re

from srl_swe.rewards.similarity import similarity

_MOST_CHARS = 20_000  # two observations of this length are compared in half a second
_HEX = r"(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]"  # a number in decimals, or a word, is no hash

_VARYING: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), placeholder)
    for pattern, placeholder in (
        (r"\b\d+m\d+(?:\.\d+)?s\b", "<duration>"),
        (r"\b\d+(?:\.\d+)?\s?(?:seconds|s|ms|us)\b(?: \(\d+:\d\d:\d\d\))?", "<duration>"),
        (r"\b\d+(?:\.\d+)?\s?[kMG]i?B/s", "<speed>"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z| ?[+-]\d\d:?\d\d)?)?", "<date>"),
        (
            r"\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2}"
            r"(?: \d\d:\d\d(?::\d\d)?)?(?: +\d{4})?\b",
            "<date>",
        ),
        (r"\b\d+:\d\d:\d\d(?:[.,]\d+)?\b", "<time>"),
        (r"\b1[6-9]\d{8}(?:\.\d+)?\b", "<time>"),
        (r"\b0x[0-9a-fA-F]+\b", "<address>"),
        (r"\b1[34]\d{13}\b", "<object id>"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
        (r"/tmp/[\w.+-]+(?:/pytest-\d+)?", "<temporary>"),
        (r"(?<![\w.])tmp(?=[a-z0-9_]*[0-9_])[a-z0-9_]{8}\b", "<temporary>"),
        (r"\b(?:localhost|127\.0\.0\.1|\[::1\]):\d{4,5}\b", "<port>"),
        (r"(?i)\bpid[ =:]+\d+", "<process>"),
        (r"\bThread-\d+\b", "<thread>"),
        (r"\b[0-9a-f]{40}\b", "<commit>"),
        # Short ids of commits, whose dates are in them; those of contents ("index 1a2b..3c4d") do not vary.
        (rf"^(?:{_HEX}{{7,12}})(?= \S)", "<commit>"),
        (rf"(?<=commit )(?:{_HEX}{{7,12}})\b|(?<=HEAD is now at )(?:{_HEX}{{7,12}})\b", "<commit>"),
        (rf"(?<=^\[)([\w/.-]+(?: \(root-commit\))?) (?:{_HEX}{{7,12}})(?=\])", r"\1 <commit>"),
        (r"^total \d+$", "total <blocks>"),
    )
)
_SET = re.compile(r"\{([^{}:\n]*,[^{}:\n]*)\}")


def compare(recorded: str, observed: str) -> tuple[float, bool]:
    """(similarity of two observations, whether they drifted apart).

    Durations, dates, addresses, temporary names and commit ids may vary, and so may the order of a set and of lines:
    the order in which ``grep -r`` visits files is the file system's.
    """
    before, after = normalise(recorded), normalise(observed)
    if before == after or sorted(before.splitlines()) == sorted(after.splitlines()):
        return 1.0, False
    return similarity(before[:_MOST_CHARS], after[:_MOST_CHARS]), True


def normalise(observation: str) -> str:
    """The observation with what legitimately varies from run to run replaced by placeholders."""
    for pattern, placeholder in _VARYING:
        observation = pattern.sub(placeholder, observation)
    observation = _SET.sub(_sorted_set, observation)
    return "\n".join(line.rstrip() for line in observation.splitlines())


def _sorted_set(match: re.Match[str]) -> str:
    """Strings hash differently in every process, and sets of them are printed in that order."""
    return "{" + ", ".join(sorted(part.strip() for part in match[1].split(","))) + "}"
