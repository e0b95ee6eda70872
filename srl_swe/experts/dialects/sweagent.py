"""SWE-agent's own commands: a window on one open file, edits by line numbers, by search, or by cursors.

https://swe-agent.com/latest/config/tools/. Which lines a command showed is read off what came back (``12:code``), so
that the mapped command shows the same ones; where nothing came back, the window is computed.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from shlex import quote
from typing import Any

from srl_swe.environments.actions import EDITOR
from srl_swe.experts.dialects import ways
from srl_swe.experts.dialects.dialect import (
    Arguments,
    Dialect,
    Unmapped,
    Way,
    Workspace,
    argument,
    optional,
    whole_number,
)

WINDOW, OVERLAP = 100, 2
_SHOWN = re.compile(r"^(\d+):", re.MULTILINE)
_REFUSED = re.compile(r"introduced new syntax error|changes have NOT been applied|edit was not applied", re.IGNORECASE)
"""Our editor has no linter: an edit that it would make must not be one that was not made."""
_END_OF_EDIT = re.compile(r"\n?end_of_edit\s*\Z")
_RANGE = re.compile(r"\s*(\d+)\s*:\s*(\d+)\s*\Z")


def read_line(command: str) -> tuple[str, str] | None:
    """(the command's name, what follows it), if it is one of SWE-agent's own and not the shell's."""
    name, _, rest = command.strip().partition(" ")
    first, newline, more = name.partition("\n")
    rest = f"{newline}{more}{' ' if rest else ''}{rest}" if newline else rest
    return (first, rest) if first in SWE_AGENT.lines else None


def line_arguments(name: str, rest: str) -> dict[str, Any]:
    """The arguments of a command line, by name.

    Raises:
        Unmapped: it is not written as such a command must be.
    """
    if name == "edit":
        head, newline, text = rest.partition("\n")
        if newline and (not head.strip() or _RANGE.match(head)):
            numbers = _RANGE.match(head)
            span = {"start_line": numbers[1], "end_line": numbers[2]} if numbers else {}
            return {"replacement_text": _END_OF_EDIT.sub("", text), **span}
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise Unmapped(f"quotes that do not match: {error}") from error
    names = ("search", "replace", "replace-all") if name == "edit" else SWE_AGENT.lines[name]
    if names is None:
        return {}
    if len(words) > len(names):
        raise Unmapped("too many arguments")
    return dict(zip(names, words, strict=False))


def _open(arguments: Arguments, workspace: Workspace) -> str:
    path = argument(arguments, "path", "filename")
    line = whole_number(arguments, "line_number") or 1
    workspace.file, workspace.opened_in = path, workspace.folder
    return _show(workspace, max(1, line - WINDOW // 6))


def _goto(arguments: Arguments, workspace: Workspace) -> str:
    line = whole_number(arguments, "line_number")
    if line is None:
        raise Unmapped("line_number is missing")
    return _show(workspace, max(1, line - WINDOW // 6))


def _scroll(pages: int) -> Way:
    def way(_: Arguments, workspace: Workspace) -> str:
        return _show(workspace, max(1, workspace.first + pages * (WINDOW - OVERLAP)))

    return way


def _show(workspace: Workspace, first: int) -> str:
    path = _file(workspace)
    shown = [int(number) for number in _SHOWN.findall(workspace.observation)]
    start, end = (shown[0], shown[-1]) if shown else (first, first + WINDOW - 1)
    workspace.first, workspace.last = start, end
    return f"{EDITOR} view {quote(path)} --view_range {start} {end}"


def _create(arguments: Arguments, workspace: Workspace) -> str:
    path = argument(arguments, "filename", "path")
    workspace.file, workspace.opened_in, workspace.first, workspace.last = path, workspace.folder, 1, 1
    return f"{EDITOR} create {quote(path)} --file_text ''"


def _edit(arguments: Arguments, workspace: Workspace) -> str:
    if _REFUSED.search(workspace.observation):
        raise Unmapped("an edit that SWE-agent's linter took back")
    if optional(arguments, "search") is not None:
        changed = {**arguments, "path": _file(workspace)}
        return ways.replace("path", "search", "replace", everywhere="replace-all")(changed, workspace)
    path = quote(_file(workspace))
    first = whole_number(arguments, "start_line") or workspace.first
    last = whole_number(arguments, "end_line") or workspace.last
    text = argument(arguments, "replacement_text")
    cut = f"sed -i {first},{last}d {path}"
    if not text:
        return cut
    return f"{cut} && {EDITOR} insert {path} --insert_line {first - 1} --new_str {quote(text)}"


def _insert(arguments: Arguments, workspace: Workspace) -> str:
    path, text = quote(_file(workspace)), argument(arguments, "text")
    line = whole_number(arguments, "line")
    if line is None:  # at the end of the file
        return f"printf '%s\\n' {quote(text)} >> {path}"
    return f"{EDITOR} insert {path} --insert_line {line} --new_str {quote(text)}"


def _set_cursors(arguments: Arguments, workspace: Workspace) -> str:
    first, last = whole_number(arguments, "start_line"), whole_number(arguments, "end_line")
    if first is None or last is None:
        raise Unmapped("a cursor is missing")
    workspace.first, workspace.last = first, last
    return f"{EDITOR} view {quote(_file(workspace))} --view_range {first} {last}"


def _search_dir(arguments: Arguments, _: Workspace) -> str:
    term, where = argument(arguments, "search_term"), optional(arguments, "dir") or "."
    return f"grep -rnI --exclude-dir='.?*' -- {quote(term)} {quote(str(where))}"


def _search_file(arguments: Arguments, workspace: Workspace) -> str:
    path = optional(arguments, "file") or _file(workspace)
    return f"grep -n -- {quote(argument(arguments, 'search_term'))} {quote(str(path))}"


def _find_file(arguments: Arguments, _: Workspace) -> str:
    name, where = argument(arguments, "file_name"), optional(arguments, "dir") or "."
    return f"find {quote(str(where))} -name {quote(name)}"


def _file(workspace: Workspace) -> str:
    """The open file, from where the agent is now."""
    if not workspace.file:
        raise Unmapped("no file is open")
    if workspace.folder == workspace.opened_in:
        return workspace.file
    return posixpath.normpath(posixpath.join(workspace.opened_in, workspace.file))


_ELSEWHERE: dict[str, Way] = {
    "filemap": ways.nothing("an outline of a file"),
    "view_image": ways.nothing("a picture"),
    "exit_forfeit": ways.nothing("gives up"),
    **dict.fromkeys(("decompile", "disassemble"), ways.nothing("a decompiler")),
    **{f"connect_{what}": ways.nothing("a network connection") for what in ("start", "sendline", "exec", "stop")},
    **{
        f"debug_{what}": ways.nothing("a debugger")
        for what in ("start", "add_breakpoint", "continue", "step", "exec", "stop")
    },
}
"""Tools that nothing in our container can do; the last are EnIGMA's."""

SWE_AGENT = Dialect(
    name="swe-agent",
    tools={
        "bash": ways.shell(),
        "str_replace_editor": ways.editor(),
        "submit": ways.submit(),
        "open": _open,
        "goto": _goto,
        "scroll_up": _scroll(-1),
        "scroll_down": _scroll(1),
        "create": _create,
        "edit": _edit,
        "insert": _insert,
        "set_cursors": _set_cursors,
        "search_dir": _search_dir,
        "search_file": _search_file,
        "find_file": _find_file,
        **_ELSEWHERE,
    },
    lines={
        "submit": (),
        "open": ("path", "line_number"),
        "goto": ("line_number",),
        "scroll_up": (),
        "scroll_down": (),
        "create": ("filename",),
        "edit": ("replacement_text", "start_line", "end_line"),
        "insert": ("text", "line"),
        "set_cursors": ("start_line", "end_line"),
        "search_dir": ("search_term", "dir"),
        "search_file": ("search_term", "file"),
        "find_file": ("file_name", "dir"),
        **dict.fromkeys(_ELSEWHERE),
    },
)
"""https://github.com/SWE-agent/SWE-agent; SWE-smith's agents speak it too."""
