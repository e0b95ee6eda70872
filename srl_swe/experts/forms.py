"""The shell commands in which engineers look, edit and test: several forms of each, one habit a trajectory."""

from __future__ import annotations

import difflib
import random
import re
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from srl_swe.experts.patches import Edit, split_lines

Editing = Literal["editor", "sed", "python", "patch"]
Viewing = Literal["editor", "sed", "numbered", "whole"]

SHORT_FILE = 60
"""Lines up to which a file may be read whole."""
_MARK = "EOF"


@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """How one engineer works."""

    editing: Editing
    """With what files are changed, where it can be done that way."""
    viewing: Viewing
    """With what files are read."""
    searching: Literal["grep", "git grep", "words", "files"]
    """With what words are searched for."""
    orients: bool
    """Looks at the layout first."""
    reproduces: Literal["first", "before", "never"]
    """Runs the issue's example: at the very start, right before the change, or not at all."""
    tests_first: bool
    """Runs the visible tests before the change too."""
    reads_tests: bool
    """Looks at what the tests of a module expect."""
    slips: Literal["", "path", "edit", "old"]
    """What goes wrong on the way: a wrong path, an edit that breaks a test, a text that is not unique."""


def draw_habits(rng: random.Random) -> Habits:
    """Habits by a seed."""
    editing: tuple[Editing, ...] = ("editor", "sed", "python", "patch")
    viewing: tuple[Viewing, ...] = ("editor", "sed", "numbered", "whole")
    return Habits(
        editing=rng.choices(editing, (55, 15, 15, 15))[0],
        viewing=rng.choices(viewing, (40, 25, 15, 20))[0],
        searching=rng.choices(("grep", "git grep", "words", "files"), (45, 25, 20, 10))[0],
        orients=rng.random() < 0.75,
        reproduces=rng.choices(("first", "before", "never"), (30, 30, 40))[0],
        tests_first=rng.random() < 0.25,
        reads_tests=rng.random() < 0.5,
        slips=rng.choices(("", "path", "edit", "old"), (65, 10, 15, 10))[0],
    )


def orient_command(files: tuple[str, ...], rng: random.Random) -> str:
    """A first look at the repository."""
    choices = ["ls", "git ls-files | head -30", "ls -p", 'find . -name "*.py" | sort | head -30']
    readme = next((path for path in files if path.lower().startswith("readme") and "/" not in path), None)
    if readme is not None:
        choices.append(f"ls && head -20 {shlex.quote(readme)}")
    folder = next((PurePosixPath(path).parts[0] for path in files if path.endswith("/__init__.py")), None)
    if folder is not None:
        choices.append(f"ls . {shlex.quote(folder)}")
    return rng.choice(choices)


def search_command(pattern: str, place: PurePosixPath, habit: str) -> str:
    """A search for a pattern where a file lies; the plain form is ``grep``'s."""
    deep = len(place.parts) > 1
    where = shlex.quote(place.parts[0]) if deep else f"*{place.suffix}"
    if habit == "git grep":
        return f'git grep -n "{pattern}" -- {where if deep else shlex.quote(where)}'
    flags = {"words": "nw", "files": "l"}.get(habit, "n")
    return f'grep -{"r" if deep else ""}{flags} "{pattern}" {where}'


def view_command(path: str, first: int, last: int, length: int, habit: Viewing) -> str:
    """A look at some lines of a file."""
    quoted = shlex.quote(path)
    if habit == "whole" and length <= SHORT_FILE:
        return f"cat {quoted}"
    if habit == "numbered":
        return f"cat -n {quoted} | sed -n '{first},{last}p'"
    if habit in ("sed", "whole"):
        return f"sed -n '{first},{last}p' {quoted}"
    return f"str_replace_editor view {quoted} --view_range {first} {last}"


def test_look(path: str, rng: random.Random) -> str:
    """A look at a file of tests."""
    quoted = shlex.quote(path)
    return rng.choice([f'grep -n "def test" {quoted}', f"head -30 {quoted}", f"sed -n '1,40p' {quoted}"])


def edit_command(edit: Edit, text: str = "", editing: Editing = "editor") -> str:
    """The shell command that makes an edit.

    Args:
        edit: What is to be changed.
        text: The file at this point; needed for all but the editor.
        editing: The habit; the editor's form is taken where it cannot be followed.
    """
    path = shlex.quote(edit.path)
    if edit.kind == "replace":
        made = _other_form(edit, text, editing) if editing != "editor" and "\r" not in text else None
        old_new = f"{_option('old_str', edit.old)} {_option('new_str', edit.new)}"
        return made or f"str_replace_editor str_replace {path} {old_new}"
    if edit.kind == "create":
        if editing != "editor" and edit.new.endswith("\n") and _fits(edit.new):
            return f"cat > {path} <<'{_MARK}'\n{edit.new}{_MARK}"
        return f"str_replace_editor create {path} {_option('file_text', edit.new)}"
    if edit.kind == "rewrite":
        return f"printf %s {quote(edit.new)} > {path}"
    if edit.kind == "rename":
        target = shlex.quote(edit.new)
        folder = shlex.quote(str(PurePosixPath(edit.new).parent))
        return f"mkdir -p {folder} && git mv {path} {target}"
    return f"rm {path}"


def quote(text: str) -> str:
    """Quote for the shell: in the plainest way that keeps the text exact."""
    if "'" not in text:
        return f"'{text}'"
    if not set(text) & set('"$`\\!'):
        return f'"{text}"'
    return shlex.quote(text)


def _option(name: str, value: str) -> str:
    joint = "=" if value.startswith("-") else " "  # a value that starts with a dash would be taken for an option
    return f"--{name}{joint}{quote(value)}"


def _other_form(edit: Edit, text: str, editing: Editing) -> str | None:
    if edit.old not in text or not text.endswith("\n"):
        return None
    if editing == "sed":
        # A change of several lines is no work for sed.
        return _sed_form(edit, text) or _python_form(edit)
    return _python_form(edit) if editing == "python" else _patch_form(edit, text)


def _sed_form(edit: Edit, text: str) -> str | None:
    if any(character in edit.old + edit.new for character in "\n'") or not edit.new:
        return None
    number = text[: text.index(edit.old)].count("\n") + 1
    before = re.sub(r"([\\.*\[\]^$/])", r"\\\1", edit.old)
    after = re.sub(r"([\\&/])", r"\\\1", edit.new)
    return f"sed -i '{number}s/{before}/{after}/' {shlex.quote(edit.path)}"


def _python_form(edit: Edit) -> str | None:
    if not _fits(edit.old) or not _fits(edit.new):
        return None
    return (
        f"python - <<'{_MARK}'\nfrom pathlib import Path\n\npath = Path({edit.path!r})\ntext = path.read_text()\n"
        f"old = {_literal(edit.old)}\nnew = {_literal(edit.new)}\nassert text.count(old) == 1\n"
        f"path.write_text(text.replace(old, new))\n{_MARK}"
    )


def _patch_form(edit: Edit, text: str) -> str | None:
    after = text.replace(edit.old, edit.new, 1)
    if not after.endswith("\n") or not _fits(text) or not _fits(after):
        return None
    lines = difflib.unified_diff(split_lines(text), split_lines(after), f"a/{edit.path}", f"b/{edit.path}", n=2)
    return f"git apply <<'{_MARK}'\n{''.join(lines)}{_MARK}"


def _literal(text: str) -> str:
    if "\n" in text and "\\" not in text and '"""' not in text and not text.endswith('"'):
        return f'"""{text}"""'
    return repr(text)


def _fits(text: str) -> bool:
    """Whether a here-document can hold it."""
    return _MARK not in text.splitlines() and "\0" not in text
