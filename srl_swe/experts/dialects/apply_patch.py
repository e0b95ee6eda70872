"""The patch format of Codex's ``apply_patch``, said by our editor.

::

    *** Begin Patch
    *** Update File: src/money.py          (or Add File, Delete File)
    *** Move to: src/cash.py               (optional)
    @@ def total():
     context
    -old
    +new
    *** End Patch
"""

from __future__ import annotations

import re
from shlex import quote

from srl_swe.environments.actions import EDITOR
from srl_swe.experts.dialects.dialect import Arguments, Unmapped, Way, Workspace, argument
from srl_swe.experts.dialects.ways import write_file

_FILE = re.compile(r"\*\*\* (Add|Update|Delete) File: (.*)")
_MOVE = "*** Move to: "
_END_OF_FILE = "*** End of File"


def apply_patch(*names: str) -> Way:
    """Apply a patch, which is the argument under one of these names."""

    def way(arguments: Arguments, _: Workspace) -> str:
        return commands(argument(arguments, *names))

    return way


def commands(patch: str) -> str:
    """The commands that do what a patch says; the first that fails ends them.

    Raises:
        Unmapped: it is not such a patch.
    """
    _, begun, body = patch.partition("*** Begin Patch\n")
    body, ended, _ = body.partition("*** End Patch")
    if not begun or not ended:
        raise Unmapped("not a patch")
    done: list[str] = []
    section: list[str] = []
    head: re.Match[str] | None = None
    for line in [*body.splitlines(), "*** Delete File: "]:  # the last closes the section before it
        if opening := _FILE.match(line):
            done += _file(head[1], head[2].strip(), section) if head else []
            head, section = opening, []
        elif head is None:
            raise Unmapped("not a patch")
        else:
            section.append(line)
    if not done:
        raise Unmapped("an empty patch")
    if not any("<<" in command for command in done[:-1]):
        return " && ".join(done)
    return "(set -e\n" + "\n".join(done) + "\n)"  # a here-document must end its line, so that && cannot follow it


def _file(kind: str, path: str, section: list[str]) -> list[str]:
    if kind == "Delete":
        return [f"rm {quote(path)}"]
    if kind == "Add":
        return [write_file(path, "\n".join(line[1:] for line in section if line.startswith("+")))]
    done = [command for hunk in _hunks(section) if (command := _replace(path, hunk))]
    if moved := next((line.removeprefix(_MOVE).strip() for line in section if line.startswith(_MOVE)), None):
        done.append(f"mv {quote(path)} {quote(moved)}")
    return done


def _hunks(section: list[str]) -> list[list[str]]:
    hunks: list[list[str]] = [[]]
    for line in section:
        if line.startswith("@@"):
            hunks.append([])
        elif not line.startswith((_MOVE, _END_OF_FILE)):
            hunks[-1].append(line)
    return [hunk for hunk in hunks if hunk]


def _replace(path: str, hunk: list[str]) -> str:
    before = "\n".join(line[1:] for line in hunk if not line.startswith("+"))
    after = "\n".join(line[1:] for line in hunk if not line.startswith("-"))
    if before == after:
        return ""
    if not before.strip():
        raise Unmapped("a hunk without anything around it")
    return f"{EDITOR} str_replace {quote(path)} --old_str {quote(before)} --new_str {quote(after)}"
