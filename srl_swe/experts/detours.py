"""Mistakes that an engineer notices and mends: tried in a sandbox first, so that each really fails."""

from __future__ import annotations

import keyword
import random
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from srl_swe.experts.forms import Editing, edit_command
from srl_swe.experts.patches import Edit

if TYPE_CHECKING:
    from srl_swe.sandbox.protocol import Sandbox

_TEST_TIMEOUT_S = 60.0
_MOST_TRIES = 4


def wrong_path(path: str, sandbox: Sandbox) -> str | None:
    """A look at a file where it is not; ``None``: no such mistake fails."""
    file = PurePosixPath(path)
    guess = file.name if len(file.parts) > 1 else f"src/{file.name}"
    command = f"cat {shlex.quote(guess)}"
    return command if sandbox.run(command).exit_code else None


def ambiguous_edit(edit: Edit, text: str, sandbox: Sandbox) -> str | None:
    """The edit with a text to replace that is not unique, which the edit program refuses; ``None``: there is none."""
    if edit.kind != "replace":
        return None
    for word in re.findall(r"[A-Za-z_]\w{3,}", edit.old):
        if text.count(word) > 1 and edit.old.count(word) == 1 and edit.old != word and not keyword.iskeyword(word):
            at = edit.old.index(word)
            head, tail = edit.old[:at], edit.old[at + len(word) :]
            if not (edit.new.startswith(head) and edit.new.endswith(tail) and len(head) + len(tail) < len(edit.new)):
                continue
            new = edit.new[len(head) : len(edit.new) - len(tail)]
            command = edit_command(replace(edit, old=word, new=new))
            return command if sandbox.run(command).exit_code else None
    return None


def broken_edit(edit: Edit, text: str, test: str, sandbox: Sandbox, rng: random.Random) -> Edit | None:
    """The edit with a mistake in it that the visible tests notice; ``None``: none was found. The file stays as it was.

    Args:
        edit: The right one.
        text: The file at this point, with all earlier edits made in the sandbox.
        test: The command that runs the visible tests, which pass so far.
        sandbox: To try it in.
        rng: Decides which mistake.
    """
    if edit.kind != "replace" or not edit.path.endswith(".py"):
        return None
    place = f"/testbed/{edit.path}"
    candidates = [wrong for wrong in _mistakes(edit) if text.replace(edit.old, wrong, 1).count(wrong) == 1]
    rng.shuffle(candidates)
    if not candidates or sandbox.run(test, timeout_s=_TEST_TIMEOUT_S).exit_code:
        return None
    for wrong in candidates[:_MOST_TRIES]:
        sandbox.write_file(place, text.replace(edit.old, wrong, 1).encode())
        tried = sandbox.run(test, timeout_s=_TEST_TIMEOUT_S)
        sandbox.write_file(place, text.encode())
        if tried.exit_code == 1 and not tried.timed_out:  # pytest's "some tests failed"
            return replace(edit, new=wrong)
    return None


def undone(wrong: Edit, right: Edit, text: str, editing: Editing, *, sole: bool, rng: random.Random) -> list[str]:
    """Commands from the wrong edit to the right one.

    Args:
        wrong: What was done.
        right: What is to be.
        text: The file before the wrong edit.
        editing: The habit.
        sole: Whether the file has no other change.
        rng: Decides between ways.
    """
    again = edit_command(right, text, editing)
    spoiled = text.replace(wrong.old, wrong.new, 1)
    ways = [[edit_command(replace(right, old=wrong.new), spoiled, editing)]]
    if sole:
        ways.append([f"git checkout {shlex.quote(right.path)}", again])
    if editing == "editor":
        ways.append([f"str_replace_editor undo_edit {shlex.quote(right.path)}", again])
    return rng.choice(ways)


def _mistakes(edit: Edit) -> Iterator[str]:
    """The new text with one thing wrong."""
    swaps = {"<=": ">", ">=": "<", "==": "!=", " and ": " or ", " or ": " and ", " + ": " - ", " - ": " + ", "not ": ""}
    for good, bad in swaps.items():
        if edit.new.count(good) == 1:
            yield edit.new.replace(good, bad)
    old_words = set(re.findall(r"[A-Za-z_]\w*", edit.old))
    for word in dict.fromkeys(re.findall(r"[A-Za-z_]\w{3,}", edit.new)):
        if word not in old_words and not keyword.iskeyword(word):
            # Two letters changed places: everybody's typo.
            yield re.sub(rf"\b{word}\b", word[:1] + word[2] + word[1] + word[3:], edit.new)
