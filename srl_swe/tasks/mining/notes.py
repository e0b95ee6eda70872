"""What the authors wrote of a change: entries of change logs, made readable and chosen."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

_CHANGE_LOG = re.compile(r"(?i)^(changes|changelog|history|news|releases?|release[-_]?notes|whatsnew)(\.\w+)?$")
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_HEADING = re.compile(r"^\s*(?:[=~^\-#*\"'`]{3,}|#+\s.*|(?i:version|release|v)?\s*v?\d+\.\d+[\w.]*\b.{0,40})\s*$")
_VERSION_HEADING = re.compile(r"^\W*(?i:version|release|v)?\s*v?\d+\.\d+[\w.]*\b.{0,40}$")
_LINK = re.compile(r"^\s*(?:\[[^\]]+\]:|\.\. _)")
_NOISE = (
    (r":(?:issue|pr|gh|ghissue|bug|user|pull|commit):`[^`]*`", ""),
    (r"\([^()]*(?:#\d+|\b(?:issue|pr|gh|bug)[\s#-]*\d+)[^()]*\)", ""),
    (r"\[#?\w?\d+\](?:\([^)]*\)|\[[^\]]*\])", ""),
    (r":[\w:+-]+:`~?\.?(?:[^`<]*<)?([^`<>]+)>?`", r"`\1`"),
    (r"``([^`]*)``", r"`\1`"),
    (r"\[(`[^`\]]+`|[^\]`]+)\](?:\([^)]*\)|\[[^\]]*\])", r"\1"),
    (r"`([^`<]+) <[^>`]+>`_+", r"\1"),
    (r"(?:see\s+)?https?://\S+", ""),
    (
        r"\(?\b(?:closes|fix(?:es|ed)?|resolves|see|refs?|via)?:?\s*(?:issues?|pull request|pr|gh|bug)?[\s:-]*#\d+\)?",
        "",
    ),
    (r"`?\b(?:GHSA|CVE)-[\w-]+`?", ""),
    (r"(?:many\s+)?(?:thanks|thank you|kudos|courtesy)\b[^.]*\.?$", ""),
    (r"(?:,?\s*\bby|\s-|\s–)?\s*(?<![`\w])@[\w-]+", ""),
    (r"^(?:bug ?fix|bug|fixed|fix)\s*:\s*", ""),
    (r"^fix(?:e[sd])? (?:an? |the )?(?:issue|bug|problem|case|regression) (?:where|when|in which|that)\s+", ""),
    (r"\(\s*[,;]*\s*\)|\[\s*\]", ""),
    (r"\s+([,.;:])", r"\1"),
)
_MENDED = re.compile(
    r"(?i)^use\s|\b(regex|regular expression|refactor\w*|rewrit\w+|by using|switched|pull request|"
    r"check(?:s|ing)? (?:before|if|that|whether)|remov(?:e|es|ed|ing)|backport\w*|"
    r"now (?:allows?|uses?|checks?|calls?))\b"
)
_ASIDE = re.compile(
    r"(?i)\b(docs?|docstrings?|documentation|typos?|readme|ci|github actions|travis|tox|python \d\.\d+|python_requires|"
    r"dropped? support|type hints?|typing|annotations|mypy|black|ruff|flake8|release|changelog|packaging|wheels?)\b"
)


def changelog_notes(base: Path, fixed: Path, version: str) -> tuple[str, ...]:
    """The entries that ``fixed`` adds to its change logs, as they stand there."""
    found: list[str] = []
    for path in sorted(p for p in fixed.rglob("*") if p.is_file() and _CHANGE_LOG.match(p.name)):
        name = path.relative_to(fixed)
        if path.suffix in (".py", ".pyc") or len(name.parts) > 3:
            continue
        before = _lines(base / name)
        after = _lines(path)
        added = [line[2:] for line in difflib.ndiff(before, after) if line.startswith("+ ")] if before else after
        section = _section(after, version)
        if section:
            added = [line for line in section if not line.strip() or line in set(added)]
        elif any(_VERSION_HEADING.match(line) for line in added):
            continue  # of another release
        found += entries(added)
    return tuple(dict.fromkeys(found))[:30]


def entries(lines: Iterable[str]) -> list[str]:
    """Bullets and paragraphs, each on one line; headings and dates are left out."""
    found: list[str] = []
    current: list[str] = []

    def end() -> None:
        if current:
            found.append(" ".join(" ".join(current).split()))
            current.clear()

    for line in lines:
        if not line.strip() or _LINK.match(line) or (_HEADING.match(line) and not _BULLET.match(line)):
            end()
        elif _BULLET.match(line):
            end()
            current.append(_BULLET.sub("", line))
        else:
            current.append(line)
    end()
    return found


def choose_notes(notes: Iterable[str], failing: str, *, forbidden: Collection[str], package: str = "") -> list[str]:
    """The notes that speak of how the tests fail, cleaned, best first; at most three.

    Args:
        notes: As the authors wrote them.
        failing: All that is known of the failing tests: names, calls, messages.
        forbidden: Names that only the fix introduces: a note with one gives it away.
        package: Its name says nothing: every note may hold it.
    """
    said = _words(failing) - _words(package)
    ranked: list[tuple[int, int, str]] = []
    for order, note in enumerate(notes):
        text = clean_note(note)
        if not 20 <= len(text) <= 400 or ">>>" in text or text.endswith(":") or _ASIDE.search(text):
            continue
        if set(forbidden) & set(re.findall(r"[A-Za-z_]\w{2,}", text)):
            continue
        shared = _words(text) & said
        if shared:
            ranked.append((-len(shared), order, text))
    best = sorted(ranked)[:3]
    # One shared word says little beside a note that shares several.
    return [text for count, _, text in best if count <= -2 or len(best) == 1]


def clean_note(note: str) -> str:
    """A note without markup, references to issues, and thanks."""
    text = " ".join(note.split())
    for pattern, new in _NOISE:
        text = re.sub(pattern, new, " ".join(text.split()), flags=re.IGNORECASE)
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z`\"'])", text)
    # A symptom is told as it is; how it was mended is not.
    text = " ".join(s for s in sentences if not _MENDED.search(s))
    text = re.sub(r"(?i)^fix(?:ed|es)?\s+(?=.*\b(?:\w+ing|not|crash\w*|\w*errors?)\b)", "", text)
    text = " ".join(text.split()).strip(" -–*,;:([_").lstrip(")]. ")
    if text.count("(") > text.count(")"):
        text += ")"
    return text[:1].upper() + text[1:] if text else ""


def _words(text: str) -> set[str]:
    """Words that tell something, by their stems."""
    words = re.findall(r"[a-z]{4,}", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower().replace("_", " "))
    return {word[:5] for word in words} - _COMMON


_COMMON_WORDS = """
test tests assert assertion error errors value values expected result results true false none self with when
that this from into have which where there now support supports fixed fixes added adds string strings data
list dict raise raises raised method methods function functions class classes object objects attribute
type types return returns name names default also only more some being been would should could does
call calls called using used uses case cases input output correctly properly instead exception handle handles
"""
_COMMON = {word[:5] for word in _COMMON_WORDS.split()}


def _section(lines: list[str], version: str) -> list[str]:
    """The lines of the section whose heading names the version."""
    start = next((n for n, line in enumerate(lines) if _names(line, version)), None)
    if start is None:
        return []
    found = []
    for line in lines[start + 1 :]:
        if _VERSION_HEADING.match(line) and not _BULLET.match(line):
            break
        found.append(line)
    return found


def _names(line: str, version: str) -> bool:
    return len(line) < 80 and re.search(rf"(?<![\d.]){re.escape(version)}(?![\d.]*\d)", line) is not None


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8", "replace").splitlines() if path.is_file() else []


def message_notes(message: str) -> tuple[str, ...]:
    """A commit's message as notes: its subject and its paragraphs, without trailers."""
    lines = [line for line in message.splitlines() if not re.match(r"^[A-Z][\w-]+-[Bb]y: |^Change-Id: ", line)]
    lines = [re.sub(r"^(?:fix|bug|feat|bugfix|refactor)(?:\([^)]*\))?!?:\s*", "", line) for line in lines]
    return tuple(entries(lines))
