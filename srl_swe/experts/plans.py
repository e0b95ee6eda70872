"""The oracle's plan: from a gold patch, the actions that a good engineer might have taken to arrive at it.

Orient, search, view, (look at the tests,) edit, check, test, submit. The plan is made against the real repository, so
that each search finds something and each edit has exactly one place to go; the task and the seed alone decide it.
"""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from srl_swe.errors import TaskError
from srl_swe.experts.patches import Edit, edits_of, parse_patch, split_lines
from srl_swe.records import PreparedTask

if TYPE_CHECKING:
    from srl_swe.sandbox.protocol import Sandbox

Kind = Literal["orient", "search", "view", "tests", "edit", "check", "run", "submit"]

_VIEW_LINES = 25
_MOST_HITS = 25
_BEST_SEARCH = 0.7  # how often the most telling search is taken, and not the second
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """and are assert class def does elif else error expected false file for from function get give given have
        import into lambda line method module name none not one only python raise return self set should that the this
        true try value when which while with yield you""",
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStep:
    """One action to take, and what its thought can be made of."""

    kind: Kind
    """What the action is for."""
    command: str
    """The action."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Words for the thought: ``title``, ``ident``, ``path``, ``line``, ``scope``, ``old``, ``new`` … as they apply."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What the plan needs to know of the repository at its base state."""

    files: tuple[str, ...]
    """Every tracked file."""
    texts: Mapping[str, str]
    """The text of the files that the gold patch touches."""


def survey(prepared: PreparedTask, sandbox: Sandbox) -> Surroundings:
    """Look at the repository in a sandbox that is used for nothing else.

    Raises:
        TaskError: the gold patch changes a file that is not there, or one that is not text.
    """
    files = tuple(sandbox.run("git -c core.quotePath=off ls-files | head -2000").output.splitlines())
    texts = {}
    for change in parse_patch(prepared.gold_patch):
        if change.old_path is None or not change.hunks:
            continue
        try:
            texts[change.old_path] = sandbox.read_file(f"/testbed/{change.old_path}").decode()
        except UnicodeDecodeError as error:
            raise TaskError(f"{prepared.task.task_id}: gold patch: {change.old_path} is not UTF-8 text") from error
    return Surroundings(files=files, texts=texts)


def make_plan(prepared: PreparedTask, sandbox: Sandbox, rng: random.Random) -> list[PlannedStep]:
    """Plan the whole episode.

    Args:
        prepared: The task.
        sandbox: To try searches in; nothing is changed there.
        rng: Decides between ways of doing the same thing.
    """
    around = survey(prepared, sandbox)
    edits = edits_of(prepared.gold_patch, around.texts)
    facts = {"title": title_of(prepared.task.problem_statement)}
    plan = [PlannedStep(kind="orient", command=rng.choice(["ls", "git ls-files | head -30"]), facts=facts)]
    search = _search(prepared.task.problem_statement, edits, around, sandbox, rng)
    if search is not None:
        plan.append(search)
    changes = list(_views_and_edits(edits, around.texts, shown=search))
    if len(edits) == 1 and rng.random() < 0.6 and (test := _related_test(edits[0].path, around.files)):
        look = rng.choice([f'grep -n "def test" {shlex.quote(test)}', f"head -30 {shlex.quote(test)}"])
        changes.insert(1, PlannedStep(kind="tests", command=look, facts={"path": test}))
    plan.extend(changes)
    plan.append(_check(edits, rng))
    plan.append(_run(edits, around.files))
    plan.append(PlannedStep(kind="submit", command="submit", facts=facts))
    return plan


def title_of(problem: str) -> str:
    """The first line of a problem that holds words, without Markdown's decoration."""
    for line in problem.splitlines():
        if text := line.strip().strip("#*=- ").strip():
            return text.rstrip(".")
    return ""


def quote(text: str) -> str:
    """Quote for the shell: in the plainest way that keeps the text exact."""
    if "'" not in text:
        return f"'{text}'"
    if not set(text) & set('"$`\\!'):
        return f'"{text}"'
    return shlex.quote(text)


def edit_command(edit: Edit) -> str:
    """The shell command that makes an edit."""
    path = shlex.quote(edit.path)
    if edit.kind == "replace":
        return f"str_replace_editor str_replace {path} {_option('old_str', edit.old)} {_option('new_str', edit.new)}"
    if edit.kind == "create":
        return f"str_replace_editor create {path} {_option('file_text', edit.new)}"
    if edit.kind == "rewrite":
        return f"printf %s {quote(edit.new)} > {path}"
    if edit.kind == "rename":
        target = shlex.quote(edit.new)
        folder = shlex.quote(str(PurePosixPath(edit.new).parent))
        return f"mkdir -p {folder} && git mv {path} {target}"
    return f"rm {path}"


def _option(name: str, value: str) -> str:
    joint = "=" if value.startswith("-") else " "  # a value that starts with a dash would be taken for an option
    return f"--{name}{joint}{quote(value)}"


def _search(
    problem: str, edits: list[Edit], around: Surroundings, sandbox: Sandbox, rng: random.Random
) -> PlannedStep | None:
    """A grep that really finds the place: for a word that the problem and the source share, or the enclosing name."""
    known = [edit for edit in edits if edit.path in around.texts]
    first = next((edit for edit in known if edit.scope), known[0] if known else None)
    if first is None:
        return None
    place = PurePosixPath(first.path)
    where = shlex.quote(place.parts[0]) if len(place.parts) > 1 else f"*{place.suffix}"
    found: list[PlannedStep] = []
    for ident, pattern, named in _candidates(problem, first, around.texts[first.path]):
        command = f'grep -{"rn" if len(place.parts) > 1 else "n"} "{pattern}" {where}'
        output = sandbox.run(command).output.splitlines()
        if output and len(output) <= _MOST_HITS and (len(place.parts) == 1 or any(first.path in hit for hit in output)):
            facts = {"ident": ident, "named": "yes" if named else "", "path": first.path}
            found.append(PlannedStep(kind="search", command=command, facts=facts))
        if len(found) == 2:
            break
    if not found:
        return None
    return found[0] if rng.random() < _BEST_SEARCH else found[-1]


def _candidates(problem: str, edit: Edit, source: str) -> Iterator[tuple[str, str, bool]]:
    """(identifier, what to search for, whether the problem names it), the most telling first."""
    lines = split_lines(source)
    near = "".join(lines[max(0, edit.line - 12) : edit.end_line + 12]) + edit.scope
    in_source = set(re.findall(r"[A-Za-z_]\w+", source))
    defined = set(re.findall(r"(?:def|class)\s+(\w+)", source))
    scores: dict[str, int] = {}
    for match in re.finditer(r"[A-Za-z_]\w+", problem):
        word, before, after = match[0], problem[: match.start()][-1:], problem[match.end() :][:1]
        if len(word) < 3 or word not in in_source or word.lower() in _STOP_WORDS:
            continue
        code = "_" in word or re.search(r"[a-z][A-Z]", word) is not None or before in ("`", ".") or after in ("`", "(")
        score = (
            3 * (word == edit.scope)
            + 2 * bool(code)
            + 2 * (word in defined)
            + (re.search(rf"\b{word}\b", near) is not None)
        )
        scores[word] = max(score, scores.get(word, 0))
    ranked = sorted(scores, key=lambda word: (-scores[word], word))
    yield from ((word, word, True) for word in ranked if scores[word] >= 2)
    if edit.scope:
        yield edit.scope, f"def {edit.scope}", False
        yield edit.scope, f"class {edit.scope}", False
    yield from ((word, word, True) for word in ranked if scores[word] < 2)
    yield from ((w, w, False) for w in re.findall(r"[A-Za-z_]\w{3,}", edit.old) if w.lower() not in _STOP_WORDS)


def _views_and_edits(edits: list[Edit], texts: Mapping[str, str], shown: PlannedStep | None) -> Iterator[PlannedStep]:
    """Each edit, with a look at the place before it unless it was on the screen already."""
    lengths = {path: len(split_lines(text)) for path, text in texts.items()}
    window = ("", 0, 0)
    searched = shown.facts["ident"] if shown is not None else ""
    for edit in edits:
        facts = {"path": edit.path, "line": str(edit.line), "scope": edit.scope}
        if edit.kind == "replace" and all(re.match(r"(from|import)\s", line) for line in edit.new.splitlines()):
            facts["imports"] = "yes"
        if edit.kind == "rename":
            lengths[edit.new] = lengths.get(edit.path, 0)
        if edit.kind in ("replace", "rewrite"):
            path, first, last = window
            if path != edit.path or edit.line < first or edit.end_line > last:
                window = (edit.path, *_around(edit, lengths[edit.path]))
                command = f"str_replace_editor view {shlex.quote(edit.path)} --view_range {window[1]} {window[2]}"
                yield PlannedStep(kind="view", command=command, facts=facts | {"ident": searched})
                searched = ""
        yield PlannedStep(
            kind="edit", command=edit_command(edit), facts=facts | {"old": edit.old, "new": edit.new, "edit": edit.kind}
        )
        if edit.kind == "replace":
            growth = edit.new.count("\n") - edit.old.count("\n")
            lengths[edit.path] += growth
            window = (window[0], window[1], window[2] + growth)


def _around(edit: Edit, length: int) -> tuple[int, int]:
    spare = max(_VIEW_LINES - (edit.end_line - edit.line + 1), 10)
    first = max(1, edit.line - spare // 2)
    return first, min(max(length, 1), max(edit.end_line + 3, first + _VIEW_LINES - 1))


def _check(edits: list[Edit], rng: random.Random) -> PlannedStep:
    edit = edits[-1]
    if len(edits) > 1 or edit.kind != "replace" or rng.random() < 0.5:
        return PlannedStep(kind="check", command="git diff" if edit.kind == "replace" else "git status --short")
    last = edit.line + max(edit.new.count("\n"), 1) + 4
    command = f"str_replace_editor view {shlex.quote(edit.path)} --view_range {max(1, edit.line - 5)} {last}"
    return PlannedStep(kind="check", command=command, facts={"path": edit.path})


def _run(edits: list[Edit], files: tuple[str, ...]) -> PlannedStep:
    tests = [path for path in files if _is_test(path)]
    if tests and len(tests) <= 30:
        return PlannedStep(kind="run", command="python -m pytest -q")
    related = next((test for edit in edits if (test := _related_test(edit.path, files))), None)
    if related is not None:
        return PlannedStep(kind="run", command=f"python -m pytest -q {shlex.quote(related)}")
    sources = [edit.path for edit in edits if edit.path.endswith(".py") and edit.kind != "delete"]
    target = shlex.quote(sources[0]) if sources else "."
    return PlannedStep(kind="run", command=f"python -m compileall -q {target}", facts={"untested": "yes"})


def _related_test(path: str, files: tuple[str, ...]) -> str | None:
    stem = PurePosixPath(path).stem.strip("_")
    for test in files:
        if _is_test(test) and re.search(rf"(^|_){re.escape(stem)}(_|$)", PurePosixPath(test).stem):
            return test
    return None


def _is_test(path: str) -> bool:
    name = PurePosixPath(path).name
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))
