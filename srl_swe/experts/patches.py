"""A gold patch as small edits: each a text that occurs exactly once in its file, and what replaces it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from srl_swe.errors import TaskError

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_MERGE_GAP = 1  # changes at most this many lines apart are one edit
_ESCAPE = re.compile(rb'\\([0-7]{3}|[abtnvfr"\\])')
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Hunk:
    """One ``@@`` block of a unified diff."""

    old_start: int
    """First line, counted from 1, in the old file; 0 for an empty old file."""
    lines: tuple[tuple[str, str], ...]
    """(``" "``, ``"-"`` or ``"+"``; the line with its newline, where it has one)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChange:
    """What a patch does to one file."""

    old_path: str | None
    """``None``: the file is new."""
    new_path: str | None
    """``None``: the file is deleted."""
    hunks: tuple[Hunk, ...]
    """In order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One edit of one file, given the edits before it."""

    kind: Literal["replace", "create", "delete", "rename", "rewrite"]
    """``rewrite``: no unique text to replace could be found, so the whole file is written anew."""
    path: str
    """The file, relative to the repository root; of a rename, the old name."""
    old: str = ""
    """``replace``: occurs exactly once in the file at this point."""
    new: str = ""
    """``replace``: what takes its place; ``create``, ``rewrite``: the whole text; ``rename``: the new name."""
    line: int = 1
    """First changed line, counted from 1, in the file at this point."""
    end_line: int = 1
    """Last line touched, in the file at this point."""
    scope: str = ""
    """Name of the function or class around the change, where there is one."""


def parse_patch(patch: str) -> list[FileChange]:
    """Parse a unified diff, with or without git's extended headers.

    Raises:
        TaskError: it is not a diff, or one of binary files.
    """
    changes: list[FileChange] = []
    old: str | None = None
    new: str | None = None
    hunks: list[Hunk] = []
    started = False

    def finish() -> None:
        if started and (hunks or old != new):
            changes.append(FileChange(old_path=old, new_path=new, hunks=tuple(hunks)))

    lines = patch.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith("diff --git ") or (line.startswith("--- ") and (hunks or not started)):
            finish()
            hunks, started = [], True
            old = new = ""
        if line.startswith(("GIT binary patch", "Binary files ")):
            raise TaskError("gold patch: holds a binary file, which no text edit can make")
        if line.startswith("rename from "):
            old = _path(line.removeprefix("rename from "), prefix="")
        elif line.startswith("rename to "):
            new = _path(line.removeprefix("rename to "), prefix="")
        elif line.startswith("--- "):
            old = _path(line[4:], prefix="a/")
        elif line.startswith("+++ "):
            new = _path(line[4:], prefix="b/")
        elif match := _HUNK.match(line):
            hunk, at = _hunk(match, lines, at)
            hunks.append(hunk)
        elif line.startswith("new file mode") and lines[at : at + 1] and not _has_hunks(lines, at):
            old, new = None, _header_path(lines[at - 2])
        elif line.startswith("deleted file mode") and not _has_hunks(lines, at):
            old, new = _header_path(lines[at - 2]), None
    finish()
    if not changes:
        raise TaskError("gold patch: holds no change")
    return changes


def apply_hunks(text: str, hunks: tuple[Hunk, ...], *, path: str) -> str:
    """The text with the hunks applied, exactly where they say.

    Raises:
        TaskError: the text is not what the patch was made from.
    """
    lines = split_lines(text)
    for start, old, new in reversed(list(_groups(hunks))):
        if lines[start : start + len(old)] != old:
            raise TaskError(f"gold patch: does not apply to {path} at line {start + 1}")
        lines[start : start + len(old)] = new
    return "".join(lines)


def edits_of(patch: str, texts: Mapping[str, str]) -> list[Edit]:
    """The patch as edits, to be made in this order.

    Args:
        patch: Unified diff.
        texts: Text of every file that exists before the patch and is touched by it.

    Raises:
        TaskError: the patch does not apply to the texts.
    """
    edits: list[Edit] = []
    for change in parse_patch(patch):
        if change.new_path is None:
            edits.append(Edit(kind="delete", path=change.old_path or ""))
        elif change.old_path is None:
            created = "".join(text for hunk in change.hunks for tag, text in hunk.lines if tag == "+")
            edits.append(Edit(kind="create", path=change.new_path, new=created, end_line=len(split_lines(created))))
        else:
            if change.old_path not in texts:
                raise TaskError(f"gold patch: changes {change.old_path}, which is not in the repository")
            if change.old_path != change.new_path:
                edits.append(Edit(kind="rename", path=change.old_path, new=change.new_path))
            edits.extend(_replacements(texts[change.old_path], change.hunks, path=change.new_path))
    return edits


def split_lines(text: str) -> list[str]:
    """Lines with their newlines; only ``\\n`` ends a line, as in a diff."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def scope_at(lines: list[str], index: int, indent: int) -> str:
    """Name of the innermost ``def`` or ``class`` around a line: counted from 0, indented by ``indent`` characters."""
    for line in reversed(lines[:index]):
        match = re.match(r"(\s*)(?:async\s+)?(?:def|class)\s+(\w+)", line)
        if match and len(match[1]) < max(indent, 1):
            return match[2]
        if line.strip() and not line[0].isspace() and not line.startswith((")", "#")):
            break  # a statement at the left margin: nothing above it can enclose the line
    return ""


def _replacements(text: str, hunks: tuple[Hunk, ...], *, path: str) -> list[Edit]:
    whole = apply_hunks(text, hunks, path=path)
    rewrite = [Edit(kind="rewrite", path=path, new=whole, end_line=len(split_lines(whole)))]
    edits: list[Edit] = []
    made: list[tuple[int, int]] = []  # (line of the old file, lines gained there)
    # The edit program shows a file whose every line ends in \r\n as if they ended in \n, and wants them so.
    windows = "\r\n" in text and text.count("\r\n") == text.count("\n")
    if windows:
        text = text.replace("\r\n", "\n")
    if "\r" in text or "\r" in (whole.replace("\r\n", "\n") if windows else whole):
        return rewrite
    # A missing import is noticed where its name is needed: the change there comes first.
    for original_start, old, new in sorted(_groups(hunks), key=lambda group: _is_import([*group[1], *group[2]])):
        start = original_start + sum(gained for line, gained in made if line < original_start)
        if windows:
            old, new = ([line.replace("\r\n", "\n") for line in side] for side in (old, new))
        lines = split_lines(text)
        smallest = _smallest(text, lines, start, old, new)
        if smallest is None:
            break
        before, after = smallest
        changed = next((line for line in (*old, *new) if line.strip()), "")
        edits.append(
            Edit(
                kind="replace",
                path=path,
                old=before,
                new=after,
                line=min(start + 1, max(len(lines), 1)),
                end_line=start + max(len(old), 1),
                scope=scope_at(lines, start, len(changed) - len(changed.lstrip()))
                or _defined_name(old[:1] or lines[start : start + 1]),
            )
        )
        text = text.replace(before, after, 1)
        made.append((original_start, len(new) - len(old)))
    return edits if (text.replace("\n", "\r\n") if windows else text) == whole else rewrite


def _smallest(text: str, lines: list[str], start: int, old: list[str], new: list[str]) -> tuple[str, str] | None:
    """The least text around a change that occurs once in the file, and its replacement."""
    end = start + len(old)
    for extra in range(len(lines) - len(old) + 1):
        for up in range(min(extra, start), -1, -1):
            down = extra - up
            if end + down > len(lines):
                break
            head, tail = "".join(lines[start - up : start]), "".join(lines[end : end + down])
            before, after = head + "".join(old) + tail, head + "".join(new) + tail
            if before.endswith("\n") and after.endswith("\n"):
                before, after = before[:-1], after[:-1]
            if before.strip() and after.strip() and _occurrences(text, before) == 1:
                return _without_indent(text, before, after)
    return None


def _without_indent(text: str, before: str, after: str) -> tuple[str, str]:
    common = 0
    while before[common : common + 1].isspace() and before[common : common + 1] == after[common : common + 1]:
        common += 1
    if before[common:] and _occurrences(text, before[common:]) == 1:
        return before[common:], after[common:]
    return before, after


def _is_import(lines: list[str]) -> bool:
    return all(re.match(r"(import|from)\s|\s*$", line) for line in lines)


def _occurrences(text: str, part: str) -> int:
    """Overlapping ones count, as they do for the edit program."""
    return len(re.findall(f"(?={re.escape(part)})", text))


def _groups(hunks: tuple[Hunk, ...]) -> Iterator[tuple[int, list[str], list[str]]]:
    """Each change: (line counted from 0 in the old file, old lines, new lines); near ones within a hunk are one."""
    for hunk in hunks:
        starts_empty = not any(tag != "+" for tag, _ in hunk.lines)
        position = hunk.old_start if starts_empty else hunk.old_start - 1
        group: tuple[int, list[str], list[str]] | None = None
        gap: list[str] = []
        for tag, text in hunk.lines:
            if tag == " ":
                gap.append(text)
                position += 1
                continue
            if group is not None and len(gap) > _MERGE_GAP:
                yield group
                group = None
            if group is None:
                group = (position, [], [])
            else:
                group[1].extend(gap)
                group[2].extend(gap)
            gap = []
            (group[1] if tag == "-" else group[2]).append(text)
            position += tag == "-"
        if group is not None:
            yield group


def _hunk(match: re.Match[str], lines: list[str], at: int) -> tuple[Hunk, int]:
    missing_old, missing_new = int(match[2] or 1), int(match[4] or 1)
    body: list[tuple[str, str]] = []
    while at < len(lines) and (missing_old > 0 or missing_new > 0):
        tag, text = lines[at][:1] or " ", lines[at][1:]  # mailers strip the space of an empty context line
        at += 1
        if tag == "\\":
            body[-1] = (body[-1][0], body[-1][1].removesuffix("\n"))
            continue
        if tag not in " -+":
            break
        body.append((tag, text + "\n"))
        missing_old -= tag != "+"
        missing_new -= tag != "-"
    if missing_old or missing_new:
        raise TaskError(f"gold patch: the hunk {match[0]!r} is shorter than it says")
    if lines[at : at + 1] and lines[at].startswith("\\"):
        body[-1] = (body[-1][0], body[-1][1].removesuffix("\n"))
        at += 1
    return Hunk(old_start=int(match[1]), lines=tuple(body)), at


def _has_hunks(lines: list[str], at: int) -> bool:
    for line in lines[at:]:
        if line.startswith("diff --git "):
            return False
        if _HUNK.match(line):
            return True
    return False


def _path(text: str, *, prefix: str) -> str | None:
    text = text.split("\t")[0].rstrip("\r")
    if text.startswith('"') and text.endswith('"'):
        raw = _ESCAPE.sub(_unescape, text[1:-1].encode())
        text = raw.decode(errors="replace")
    return None if text == "/dev/null" else text.removeprefix(prefix)


def _header_path(line: str) -> str:
    return line.removeprefix("diff --git ").rpartition(" b/")[2]


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([int(code, 8)]) if len(code) == 3 else _ESCAPES.get(code, code)


def _defined_name(lines: list[str]) -> str:
    match = re.match(r"\s*(?:async\s+)?(?:def|class)\s+(\w+)", lines[0]) if lines else None
    return match[1] if match else ""
