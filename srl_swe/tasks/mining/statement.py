"""Drafts a problem statement: what the authors wrote, and what one sees when the tests fail."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Mapping, Sequence

from srl_swe.tasks.mining.failures import Failure
from srl_swe.tasks.mining.notes import choose_notes
from srl_swe.tasks.mining.secrets import Secrets

_INLINE = 110
"""Characters; longer code gets lines of its own."""
_CASES = 3
"""Shown of one parametrised test."""
_LONGEST_ACTUAL = 600
_ONCE = ("import ", "from ", "def ", "class ")
"""Steps that are shown once: what they define stays."""
_AND_MORE = "The other cases of this kind that I tried go wrong in the same way."


def draft(
    repository: str, notes: Sequence[str], failures: Mapping[str, Failure], secrets: Secrets, *, base_names: str = ""
) -> str:
    """Write a problem statement.

    Args:
        repository: The package's name.
        notes: What the authors wrote of the change.
        failures: By node id, how each test fails; those of which nothing is known are not there.
        secrets: What must not be told.
        base_names: More words that notes may speak of.

    Returns:
        Markdown that tells the behaviour, and nothing of the fix.
    """
    said = " ".join([*failures, base_names, *(f"{f.subject} {f.message} {f.expected}" for f in failures.values())])
    chosen = [
        note
        for note in choose_notes(notes, said, forbidden=secrets.names | secrets.hints, package=repository)
        if not secrets.leak(note)
    ]
    parts = [f"# {_title(repository, chosen, failures)}"]
    parts += [_sentence_of(note) for note in chosen if note.rstrip(".") not in parts[0]]
    groups: dict[str, list[Failure]] = {}
    for node_id, failure in failures.items():
        groups.setdefault(node_id.partition("[")[0], []).append(failure)
    shown: set[str] = set()
    steps_shown: set[str] = set()
    for group in groups.values():
        told: list[str] = []
        for failure in group:
            essence = f"{failure.steps} {tell(failure, short=True)}"
            if told and (failure.steps, failure.subject) == (group[0].steps, group[0].subject):
                continue  # what makes it another case is not in the words
            if essence not in shown and len(told) < _CASES:
                told.append(tell(failure, short=bool(told) and failure.steps == group[0].steps, known=steps_shown))
                steps_shown |= {step for step in failure.steps if step.startswith(_ONCE)}
            shown.add(essence)
        parts += told
        if len(group) > len(told) > 0:
            parts.append(_AND_MORE)
    return "\n\n".join(parts) + "\n"


def tell(failure: Failure, *, short: bool = False, known: Collection[str] = ()) -> str:
    """One failure in words.

    Args:
        failure: What fails.
        short: The reader has seen the steps already.
        known: Steps that the reader has seen already.
    """
    steps = () if short else tuple(step for step in failure.steps if step not in known)
    subject = failure.subject
    if not steps and _is_inline(subject) and failure.kind != "check":
        text = _outcome(failure, f"`{subject}`")
    else:
        code = "\n".join([*_spaced(steps), subject])
        text = re.sub(r" *\n{3,}", "\n\n", f"{_block(code)}\n\n{_outcome(failure, 'This')}")
    rest = [] if short else _understood(failure)
    if rest:
        text += f"\n\nIt should also hold that\n\n{_block(chr(10).join(rest))}"
    return text


def _outcome(failure: Failure, this: str) -> str:
    expected, actual = failure.expected, _known(failure.actual)
    match failure.kind:
        case "equal":
            came = (
                f"{this} gives {_code(actual)}".replace("gives \n", "gives\n")
                if actual
                else f"{this} gives something else than it should"
            )
            return _expecting(came, expected)
        case "truth":
            return f"{this} is {'false' if expected == 'True' else 'true'}; it should be {expected.lower()}."
        case "compare":
            if failure.operator in ("in", "not in"):
                came = f"{this} gives {_code(actual)}" if actual else this
                came += f"{'' if came.endswith(chr(10)) else '. '}It should" if actual else " should"
                return f"{came} {'not ' if failure.operator == 'not in' else ''}contain {_code(expected)}."
            came = f" It is {_code(actual)}." if actual else ""
            return f"{this} should be {_RELATIONS[failure.operator]} {_code(expected)}.{came}"
        case "raises" if failure.exception:
            return f"{this} raises {_raised(failure)}. I expected `{expected}`."
        case "raises":
            return f"{this} raises nothing. I expected `{expected}`."
        case "warns" if failure.exception:
            return f"{this} raises {_raised(failure)}. I expected a warning: `{expected}`."
        case "warns":
            return f"{this} does not give the warning that I expected, `{expected or 'DeprecationWarning'}`."
        case "crash" if expected:
            return _expecting(f"{this} raises {_raised(failure)}", expected)
        case "crash":
            return f"{this} raises {_raised(failure)}. It should not."
    reason = _one_line(failure.message)
    if not reason:
        return f"{this} check fails."
    return f"{this} check fails: `{reason}`." if "`" not in reason else f"{this} check fails:\n\n{_block(reason)}"


def _title(repository: str, notes: Sequence[str], failures: Mapping[str, Failure]) -> str:
    if notes and len(notes[0]) <= 90:
        return f"{repository}: {notes[0].rstrip('.')}"
    for failure in failures.values():
        subject = failure.subject
        if "\n" in subject or len(subject) > 60 or failure.kind == "check" or re.search(r"\bself\.|^_", subject):
            continue
        match failure.kind:
            case "crash" | "raises" | "warns" if failure.exception:
                return f"{repository}: `{subject}` raises `{failure.exception}`"
            case "raises":
                return f"{repository}: `{subject}` does not raise `{failure.expected}`"
            case "warns":
                return f"{repository}: no warning from `{subject}`"
            case "equal" | "compare" | "truth" if "(" in subject:
                return f"{repository}: wrong result of `{subject}`"
    return f"{repository}: {_words(next(iter(failures)))}"


def _words(node_id: str) -> str:
    """A test's name as words."""
    name = node_id.rpartition("::")[2].partition("[")[0]
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", re.sub(r"^test_?", "", name))
    return " ".join(name.replace("_", " ").split()).lower() or "wrong behaviour"


def _expecting(came: str, expected: str) -> str:
    stop = "\n" if came.endswith("\n") else ". "
    return f"{came}{stop}I expected" + (f" `{expected}`." if _is_inline(expected, 200) else f"\n\n{_block(expected)}")


def _raised(failure: Failure) -> str:
    message = _one_line(failure.message)
    return f"`{failure.exception}`" + (f" (`{message}`)" if message and "`" not in message else "")


def _known(actual: str) -> str:
    """What came, unless its repr says nothing that would be the same in the reader's hands."""
    if " at 0x" in actual:
        return ""
    return actual if len(actual) <= _LONGEST_ACTUAL else actual[:_LONGEST_ACTUAL] + "…"


def _understood(failure: Failure) -> list[str]:
    """Later assertions whose names the reader has seen."""
    seen = set(re.findall(r"[A-Za-z_]\w*", "\n".join([*failure.steps, failure.subject])))
    builtin = set(dir(__builtins__)) if not isinstance(__builtins__, dict) else set(__builtins__)
    kept = []
    for line in dict.fromkeys(failure.rest[:6]):
        bare = re.sub(r"(['\"]).*?\1", "", line)
        names = set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", bare)) - builtin - _WORDS
        if names <= seen and len(line) < 300:
            kept.append(line)
    return kept


def _spaced(steps: Sequence[str]) -> list[str]:
    """A blank line after imports, and around what has several lines."""
    found: list[str] = []
    for step in steps:
        is_import = step.startswith(("import ", "from "))
        if found and (
            "\n" in step or "\n" in found[-1] or (found[-1].startswith(("import ", "from ")) and not is_import)
        ):
            found.append("")
        found.append(step)
    return [*found, ""] if found and ("\n" in found[-1] or found[-1].startswith(("import ", "from "))) else found


def _code(text: str) -> str:
    return f"`{text}`" if _is_inline(text, 200) else f"\n\n{_block(text)}\n"


def _is_inline(text: str, longest: int = _INLINE) -> bool:
    return "\n" not in text and "`" not in text and len(text) <= longest


def _block(text: str) -> str:
    return textwrap.indent(text.strip("\n"), "    ")


def _one_line(text: str) -> str:
    flat = " ".join(re.split(r"\nassert |\n ?[-+] |\nFirst |\nDiff", text)[0].split())
    flat = re.sub(r" at 0x[0-9a-f]+", "", flat)
    return flat if len(flat) <= 400 else flat[:399] + "…"


def _sentence_of(note: str) -> str:
    return note if note.endswith((".", "!", "?", "`")) else note + "."


_WORDS = {"assert", "not", "in", "is", "and", "or", "for", "if", "else", "lambda", "self", "True", "False", "None"}
_RELATIONS = {
    "!=": "something else than", "<": "less than", "<=": "at most", ">": "greater than", ">=": "at least",
    "is not": "something else than", "==": "equal to", "is": "the same as",
}  # fmt: skip
