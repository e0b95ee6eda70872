"""The issue of a synthetic task, from what the failing tests show: behaviour, never the place of the fault."""

from __future__ import annotations

import ast
import random
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from srl_swe.tasks.synthesis.examples import example
from srl_swe.tasks.synthesis.failing_test import Example

_TITLES = {
    "value": (
        "Wrong result{topic} in {name}",
        "{name} gives another value than it should{topic}",
        "Unexpected output of {name}{topic}",
        "Result is off{topic} ({name})",
        "{name}: the answer is not right{topic}",
        "Incorrect value from {name}{topic}",
    ),
    "truth": (
        "{name}: a check has the wrong answer{topic}",
        "Something that should hold does not{topic} in {name}",
        "Inconsistent behaviour of {name}{topic}",
        "{name} behaves the wrong way round{topic}",
    ),
    "error": (
        "{name} fails on valid input{topic}",
        "Unexpected exception{topic} in {name}",
        "Error out of nowhere{topic} ({name})",
        "{name}: valid use ends in a traceback{topic}",
        "Cannot do this any more with {name}{topic}",
    ),
    "no_error": (
        "{name} accepts what it should refuse{topic}",
        "Missing error{topic} in {name}",
        "Invalid input goes unnoticed{topic} ({name})",
        "{name}: no exception where there should be one{topic}",
    ),
    "other": ("Wrong behaviour of {name}{topic}", "{name} does not do what it should{topic}"),
}
_INTRODUCTIONS = (
    "This is the smallest example that I could come up with:",
    "While cleaning up one of our scripts I ran into this:",
    "I tried the following with {release}:",
    "Please have a look at this:",
    "Our own tests began to fail, and it comes down to this:",
    "A colleague showed me this and I could not explain it:",
    "To reproduce, in a fresh interpreter:",
    "With {release}, do this:",
)
_SENTENCES = {
    "value": (
        "This gives {got}. I expected {expected}.",
        "I get {got}, where I expected {expected}.",
        "The result is {got}; it should be {expected}.",
        "It returns {got} instead of {expected}.",
        "Expected: {expected}\n\nActual: {got}",
    ),
    "unknown": (
        "I expected {expected}, and that is not what comes out.",
        "The result should be {expected}, but it is something else.",
        "This should give {expected}. It does not.",
    ),
    "truth": (
        "I expected this to be {expected}, and it is not.",
        "That should be {expected}, but it is the other way round.",
        "As I understand the documentation this is {expected}. It is not here.",
    ),
    "error": (
        "It ends with {got}.",
        "What I get is {got}.",
        "This raises {got}.",
    ),
    "no_error": (
        "I expected {expected} here, and nothing is raised.",
        "That goes through without a word. It should raise {expected}.",
        "No exception comes, although {expected} would be right.",
    ),
    "other": ("This does not work as it should.", "That is not what I expected."),
}
_NO_ERROR = ("I expected it to work.", "There should be no error at all.", "That is valid, as far as I can see.")
_SECOND = ("The same kind of trouble here:", "Another case:", "It also shows here:", "And one more:")
_CLOSINGS = (
    "",
    "",
    "",
    "Other calls that I tried are fine.",
    "Most other cases work as they should.",
    "Thanks for looking into it!",
)
_SHOWN = 3


def problem_statement(
    evidence: Sequence[Mapping[str, Any]], tests: Mapping[str, str], *, name: str, release: str, rng: random.Random
) -> str | None:
    """Write the issue.

    Args:
        evidence: Of failing tests, as `mutant_runs.evidence` gives it.
        tests: Test files: path to text.
        name: The package.
        release: It with its version.
        rng: Chooses the wording.

    Returns:
        ``None`` where no failing test can be told as an example.
    """
    made: list[tuple[Example, str]] = []
    for found in evidence:
        path = found["test"].partition("::")[0]
        try:
            one = example(dict(found), tests[path])
        except (SyntaxError, RecursionError):
            continue
        if one is not None and one.code not in [other.code for other, _ in made]:
            made.append((one, path))
    if not made:
        return None
    # Those that stand alone first; of equal ones the short.
    made.sort(key=lambda item: (not item[0].complete, item[0].kind == "truth", len(item[0].code)))
    if not made[0][0].complete and len(made[0][0].code) < 25:
        return None
    shown = [item[0] for item in made if item[0].complete or item is made[0]][:_SHOWN]
    title = rng.choice(_TITLES[shown[0].kind]).format(name=name, topic=_topic(made[0][1], name))
    parts = [
        f"# {title[0].upper() + title[1:]}",
        rng.choice(_INTRODUCTIONS).format(release=release),
        *_told(shown[0], rng),
    ]
    for following in shown[1:]:
        parts += [rng.choice(_SECOND), *_told(following, rng)]
    parts.append(rng.choice(_CLOSINGS))
    return "\n\n".join(part for part in parts if part)


def _told(shown: Example, rng: random.Random) -> list[str]:
    kind = "unknown" if shown.kind == "value" and not shown.got else shown.kind
    expected = shown.expected if kind in ("truth", "other") else _quoted(shown.expected or "an error")
    sentence = rng.choice(_SENTENCES[kind]).format(got=_quoted(shown.got), expected=expected)
    if kind == "error":
        sentence += f" I expected {_quoted(shown.expected)}." if shown.expected else f" {rng.choice(_NO_ERROR)}"
    return [textwrap.indent(shown.code, "    "), *_blocks(sentence)]


def _quoted(value: str) -> str:
    """A value in a sentence; text of several lines as it is printed, in a block of its own."""
    try:
        text = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        text = None
    if isinstance(text, str) and text.count("\n") > 1:
        return "\0" + textwrap.indent(text.strip("\n"), "    ") + "\0"
    fence = "``" if "`" in value else "`"
    pad = " " if value.startswith("`") or value.endswith("`") else ""
    return f"{fence}{pad}{value}{pad}{fence}"


def _blocks(sentence: str) -> list[str]:
    """A sentence with blocks in it, as paragraphs."""
    pieces = sentence.split("\0")
    made = []
    for index, piece in enumerate(pieces):
        text = piece if index % 2 else piece.strip(" .,;\n") if index else piece.strip(" ")
        if text.strip():
            made.append(text.rstrip() + (":" if not index % 2 and index + 1 < len(pieces) and text[-1] != ":" else ""))
    return made


def _topic(path: str, name: str) -> str:
    """What the test file is about, where its name says it."""
    stem = (
        path.rpartition("/")[2].removesuffix(".py").removeprefix("test_").removesuffix("_test").removesuffix("_tests")
    )
    words = stem.replace("_", " ").strip()
    plain = name.replace("-", "").replace("_", "").removeprefix("python")
    if words in ("test", "tests", "") or words.replace(" ", "") in (plain, f"{plain}s") or len(words) < 3:
        return ""
    return f" ({words})"
