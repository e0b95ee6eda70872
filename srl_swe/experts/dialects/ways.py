"""Ways to say a tool's call in our grammar. Each takes the names that a dialect gives its parameters."""

from __future__ import annotations

import re
from shlex import quote

from srl_swe.environments.actions import EDITOR, SUBMIT
from srl_swe.experts.dialects.dialect import (
    Arguments,
    Unmapped,
    Way,
    Workspace,
    argument,
    optional,
    truth,
    whole_number,
)

_KEYS = re.compile(r"(?:C-[a-z]|ctrl\+[a-z])", re.IGNORECASE)
_EVERYWHERE = (
    "import sys; path, old, new = sys.argv[1:]; text = open(path, newline='').read(); "
    "assert old in text, 'not found'; open(path, 'w', newline='').write(text.replace(old, new))"
)


def shell(*names: str, typing: str = "is_input") -> Way:
    """A shell command as it is, under one of these names; by default ``command``."""

    def way(arguments: Arguments, _: Workspace) -> str:
        text = optional(arguments, *(names or ("command",)))
        if isinstance(text, list) and all(isinstance(word, str) for word in text):  # Codex: ["bash", "-lc", command]
            text = text[-1] if text[:1] in (["bash"], ["sh"]) and len(text) == 3 else " ".join(map(quote, text))
        if not isinstance(text, str) or not text.strip():
            raise Unmapped("no command")
        if truth(arguments, typing) or _KEYS.fullmatch(text.strip()):
            raise Unmapped("typed into a running program")
        return text

    return way


def keystrokes(keys: str = "keystrokes") -> Way:
    """What is typed into a terminal, where it is whole commands."""

    def way(arguments: Arguments, _: Workspace) -> str:
        typed = argument(arguments, keys)
        if not typed.strip() or _KEYS.fullmatch(typed.strip()) or not typed.endswith("\n"):
            raise Unmapped("typed into a running program")
        return typed.strip("\n")

    return way


def editor() -> Way:
    """Anthropic's edit tool, whose commands our editor has too."""

    def way(arguments: Arguments, _: Workspace) -> str:
        command, path = argument(arguments, "command"), quote(argument(arguments, "path"))
        match command:
            case "view":
                lines = _range(optional(arguments, "view_range"))
                return f"{EDITOR} view {path}{lines}"
            case "create":
                return f"{EDITOR} create {path} --file_text {quote(argument(arguments, 'file_text'))}"
            case "str_replace":
                old, new = argument(arguments, "old_str"), optional(arguments, "new_str") or ""
                return f"{EDITOR} str_replace {path} --old_str {quote(old)} --new_str {quote(str(new))}"
            case "insert":
                after = whole_number(arguments, "insert_line")
                text = argument(arguments, "new_str", "insert_text")
                return f"{EDITOR} insert {path} --insert_line {after} --new_str {quote(text)}"
            case "undo_edit":
                return f"{EDITOR} undo_edit {path}"
        raise Unmapped(f"the editor has no command {command[:20]!r}")

    return way


def _range(lines: object) -> str:
    if lines is None or lines == []:
        return ""
    numbers = re.findall(r"-?\d+", str(lines))
    if len(numbers) != 2:
        raise Unmapped("view_range is not two numbers")
    return f" --view_range {numbers[0]} {numbers[1]}"


def view(*path: str, first: str = "", count: str = "", last: str = "") -> Way:
    """Show a file, or some of its lines; lines count from 1."""

    def way(arguments: Arguments, _: Workspace) -> str:
        name = quote(argument(arguments, *path))
        start, many, end = (whole_number(arguments, key) for key in (first, count, last))
        if start is None and many is None and end in (None, -1):
            return f"{EDITOR} view {name}"
        start = max(1, start or 1)
        end = start + many - 1 if many is not None else -1 if end is None else end
        return f"{EDITOR} view {name} --view_range {start} {end}"

    return way


def replace(path: str, old: str, new: str, *, everywhere: str = "") -> Way:
    """Replace a text that occurs once, or everywhere. An empty old text makes a new file."""

    def way(arguments: Arguments, _: Workspace) -> str:
        name, before, after = quote(argument(arguments, path)), argument(arguments, old), argument(arguments, new)
        if not before:
            return f"{EDITOR} create {name} --file_text {quote(after)}"
        if everywhere and truth(arguments, everywhere):
            return f"python3 -c {quote(_EVERYWHERE)} {name} {quote(before)} {quote(after)}"
        return f"{EDITOR} str_replace {name} --old_str {quote(before)} --new_str {quote(after)}"

    return way


def replace_many(path: str, edits: str, old: str, new: str, *, everywhere: str = "") -> Way:
    """Several replacements in one file, one after the other."""
    one = replace(path, old, new, everywhere=everywhere)

    def way(arguments: Arguments, workspace: Workspace) -> str:
        changes = optional(arguments, edits)
        if not isinstance(changes, list) or not changes or not all(isinstance(change, dict) for change in changes):
            raise Unmapped(f"{edits} is no list of edits")
        return " && ".join(one({path: optional(arguments, path), **change}, workspace) for change in changes)

    return way


def write(path: str, text: str) -> Way:
    """Write a whole file, over what is there."""

    def way(arguments: Arguments, _: Workspace) -> str:
        return write_file(argument(arguments, path), argument(arguments, text))

    return way


def write_file(path: str, text: str) -> str:
    """The command that writes a file, whose last line ends with a newline."""
    end = "EOF"
    while f"\n{end}\n" in f"\n{text}\n":
        end += "_"
    folder = path.rpartition("/")[0]
    made = f"mkdir -p {quote(folder)} && " if folder else ""
    return f"{made}cat > {quote(path)} <<'{end}'\n{text.removesuffix(chr(10))}\n{end}"


def grep() -> Way:
    """Search in files, with the names of ripgrep's options that agents share."""

    def way(arguments: Arguments, _: Workspace) -> str:
        if truth(arguments, "multiline"):
            raise Unmapped("a pattern over several lines")
        options = ["-rE"] + (["-i"] if truth(arguments, "-i") else [])
        match str(optional(arguments, "output_mode") or "files_with_matches"):
            case "content":
                options += ["-n"] + [f"-{c} {n}" for c in "ABC" if (n := whole_number(arguments, f"-{c}")) is not None]
            case "count":
                options.append("-c")
            case _:
                options.append("-l")
        if isinstance(include := optional(arguments, "glob", "include"), str):
            options.append(f"--include={quote(include)}")
        head = whole_number(arguments, "head_limit")
        rest = f" | head -n {head}" if head else ""
        where = optional(arguments, "path") or "."
        return f"grep {' '.join(options)} -- {quote(argument(arguments, 'pattern'))} {quote(str(where))}{rest}"

    return way


def find_text(term: str, where: str) -> Way:
    """Search for a text in a file or folder."""

    def way(arguments: Arguments, _: Workspace) -> str:
        place = optional(arguments, where) or "."
        return f"grep -rn -- {quote(argument(arguments, term))} {quote(str(place))}"

    return way


def glob(pattern: str = "pattern", path: str = "path") -> Way:
    """Find files by a pattern in which ``**/`` goes into folders."""

    def way(arguments: Arguments, _: Workspace) -> str:
        wanted, where = argument(arguments, pattern), str(optional(arguments, path) or ".").rstrip("/") or "/"
        name = wanted.removeprefix("**/")
        if "/" not in name and name != wanted:
            return f"find {quote(where)} -type f -name {quote(name)}"
        if "/" not in name:
            return f"find {quote(where)} -maxdepth 1 -type f -name {quote(name)}"
        wanted = wanted if wanted.startswith("/") else f"{where}/{wanted}"
        return f"find {quote(where)} -type f -path {quote(wanted.replace('**/', '*'))}"

    return way


def list_folder(path: str = "path") -> Way:
    """List a folder."""
    return lambda arguments, _: f"ls -la {quote(str(optional(arguments, path) or '.'))}"


def python(code: str = "code", *, foreign: tuple[str, ...] = ()) -> Way:
    """Run Python; not the notebook's own commands, nor functions that only the agent's notebook has."""

    def way(arguments: Arguments, _: Workspace) -> str:
        text = argument(arguments, code)
        if re.search(r"^\s*[%!]", text, re.MULTILINE):
            raise Unmapped("a notebook's command")
        if found := re.search(rf"\b(?:{'|'.join(foreign)})\(", text) if foreign else None:
            raise Unmapped(f"{found[0][:-1]} is the agent's own function")
        end = "EOF"
        while f"\n{end}\n" in f"\n{text}\n":
            end += "_"
        return f"python3 - <<'{end}'\n{text}\n{end}"

    return way


def submit() -> Way:
    """The end of the work."""
    return lambda _arguments, _workspace: SUBMIT


def nothing(reason: str) -> Way:
    """Nothing that could run."""

    def way(_arguments: Arguments, _workspace: Workspace) -> str:
        raise Unmapped(reason)

    return way
