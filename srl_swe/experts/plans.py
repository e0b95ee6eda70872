"""The oracle's plan: from a gold patch, the actions that a good engineer might have taken to arrive at it.

Orient, search, view, edit, check, test, submit: by one engineer's habits, which the seed decides, with examples run
before and after, and now and then a mistake that is noticed and mended. The plan is made against the real repository,
so that each search finds something, each edit has one place to go, and each mistake fails; task and seed decide it.
"""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from srl_swe.errors import TaskError
from srl_swe.experts.detours import ambiguous_edit, broken_edit, undone, wrong_path
from srl_swe.experts.forms import (
    SHORT_FILE,
    Habits,
    draw_habits,
    edit_command,
    orient_command,
    search_command,
    test_look,
    view_command,
)
from srl_swe.experts.patches import Edit, edits_of, parse_patch, split_lines
from srl_swe.experts.reproduction import reproduction
from srl_swe.records import PreparedTask

if TYPE_CHECKING:
    from srl_swe.sandbox.protocol import Sandbox

Kind = Literal["orient", "search", "view", "tests", "reproduce", "slip", "undo", "edit", "check", "run", "submit"]
"""``slip``: a mistake, which later steps mend; not to be learnt."""

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
        sandbox: To try searches, examples, edits and mistakes in; of no use afterwards.
        rng: Decides between ways of doing the same thing.
    """
    around = survey(prepared, sandbox)
    edits = edits_of(prepared.gold_patch, around.texts)
    habits = draw_habits(rng)
    problem = prepared.task.problem_statement
    facts = {"title": title_of(problem)}
    search = _search(problem, edits, around, sandbox, rng, habits.searching)
    example = reproduction(problem, around.texts, sandbox) if habits.reproduces != "never" else None
    test = _test_command(edits, around.files, rng)
    reproduce = PlannedStep(kind="reproduce", command=example or "", facts=facts)
    plan: list[PlannedStep] = []
    if habits.orients or search is None:
        plan.append(PlannedStep(kind="orient", command=orient_command(around.files, rng), facts=facts))
    if example and habits.reproduces == "first":
        plan.insert(rng.randint(0, len(plan)), reproduce)
    if habits.tests_first and test.facts.get("untested") is None:
        plan.append(replace(test, facts={"before": "yes"}))
    plan.extend([search] if search is not None else [])
    changes = list(_views_and_edits(edits, around.texts, search, habits, sandbox, test, rng))
    first_edit = next(k for k, step in enumerate(changes) if step.kind == "edit")
    read = _related_test(edits[0].path, around.files) if len(edits) == 1 and habits.reads_tests else None
    before = [PlannedStep(kind="tests", command=test_look(read, rng), facts={"path": read})] if read else []
    before += [reproduce] if example and habits.reproduces == "before" else []
    plan += [*changes[:first_edit], *before, *changes[first_edit:]]
    plan += _closing(edits, example, test, rng)
    plan.append(PlannedStep(kind="submit", command="submit", facts=facts))
    return plan


def title_of(problem: str) -> str:
    """The first line of a problem that holds words, without Markdown's decoration."""
    for line in problem.splitlines():
        if text := line.strip().strip("#*=- ").strip():
            return text.rstrip(".")
    return ""


def _search(
    problem: str, edits: list[Edit], around: Surroundings, sandbox: Sandbox, rng: random.Random, habit: str
) -> PlannedStep | None:
    """A search that really finds the place: for a word that problem and source share, or the enclosing name."""
    known = [edit for edit in edits if edit.path in around.texts]
    first = next((edit for edit in known if edit.scope), known[0] if known else None)
    if first is None:
        return None
    place = PurePosixPath(first.path)
    found: list[PlannedStep] = []
    for ident, pattern, named in _candidates(problem, first, around.texts[first.path]):
        command = search_command(pattern, place, habit)
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


def _views_and_edits(
    edits: list[Edit],
    texts: Mapping[str, str],
    shown: PlannedStep | None,
    habits: Habits,
    sandbox: Sandbox,
    test: PlannedStep,
    rng: random.Random,
) -> Iterator[PlannedStep]:
    """Each edit, with a look at the place before it unless it was on the screen already.

    The edits are made in the sandbox as they are planned: a form that does not do what it should is not taken.
    """
    now = dict(texts)
    window = ("", 0, 0)
    searched = shown.facts["ident"] if shown is not None else ""
    for number, edit in enumerate(edits):
        facts = {"path": edit.path, "line": str(edit.line), "scope": edit.scope}
        if edit.kind == "replace" and all(re.match(r"(from|import)\s", line) for line in edit.new.splitlines()):
            facts["imports"] = "yes"
        if edit.kind in ("replace", "rewrite"):
            path, first, last = window
            if path != edit.path or edit.line < first or edit.end_line > last:
                length = len(split_lines(now[edit.path]))
                whole = habits.viewing == "whole" and length <= SHORT_FILE
                window = (edit.path, 1, length) if whole else (edit.path, *_around(edit, length))
                if number == 0 and habits.slips == "path" and (slip := wrong_path(edit.path, sandbox)):
                    yield PlannedStep(kind="slip", command=slip, facts=facts | {"slip": "path"})
                command = view_command(edit.path, window[1], window[2], length, habits.viewing)
                yield PlannedStep(kind="view", command=command, facts=facts | {"ident": searched})
                searched = ""
        last_edit = number == len(edits) - 1
        facts |= {"old": edit.old, "new": edit.new, "edit": edit.kind}
        text = now.get(edit.path, "")
        sole = sum(other.path == edit.path for other in edits) == 1
        made = list(_made(edit, text, facts, habits, sandbox, test if last_edit else None, rng, sole=sole))
        yield from made
        if any(step.kind == "slip" for step in made):
            habits = replace(habits, slips="")  # one mistake a trajectory
        if edit.kind == "rename":
            now[edit.new] = now.pop(edit.path, "")
        elif edit.kind == "replace":
            now[edit.path] = text.replace(edit.old, edit.new, 1)
            window = (window[0], window[1], window[2] + edit.new.count("\n") - edit.old.count("\n"))


def _made(
    edit: Edit,
    text: str,
    facts: dict[str, str],
    habits: Habits,
    sandbox: Sandbox,
    test: PlannedStep | None,
    rng: random.Random,
    *,
    sole: bool,
) -> Iterator[PlannedStep]:
    """One edit, perhaps with a mistake before it; made in the sandbox too."""
    editing = habits.editing
    if editing != "editor" and edit.kind == "replace":
        tried = sandbox.run(edit_command(edit, text, editing))
        place = f"/testbed/{edit.path}"
        if tried.exit_code or sandbox.read_file(place).decode() != text.replace(edit.old, edit.new, 1):
            editing = "editor"
        sandbox.write_file(place, text.encode())
    if habits.slips == "old" and editing == "editor" and (slip := ambiguous_edit(edit, text, sandbox)):
        yield PlannedStep(kind="slip", command=slip, facts=facts | {"slip": "old"})
    commands = [edit_command(edit, text, editing)]
    if habits.slips == "edit" and test is not None and test.facts.get("untested") is None:
        wrong = broken_edit(edit, text, test.command, sandbox, rng)
        if wrong is not None:
            command = edit_command(wrong, text, editing)
            yield PlannedStep(kind="slip", command=command, facts=facts | {"slip": "edit"})
            yield replace(test, facts={})
            commands = undone(wrong, edit, text, editing, sole=sole, rng=rng)
            facts = facts | {"mended": "yes"}
    for command in commands[:-1]:
        yield PlannedStep(kind="undo", command=command, facts=facts)
    yield PlannedStep(kind="edit", command=commands[-1], facts=facts)
    sandbox.run(edit_command(edit, text))


def _around(edit: Edit, length: int) -> tuple[int, int]:
    spare = max(_VIEW_LINES - (edit.end_line - edit.line + 1), 10)
    first = max(1, edit.line - spare // 2)
    return first, min(max(length, 1), max(edit.end_line + 3, first + _VIEW_LINES - 1))


def _closing(edits: list[Edit], example: str | None, test: PlannedStep, rng: random.Random) -> Iterator[PlannedStep]:
    """What follows the last edit: a look at the change, the example, the tests, in one order or another."""
    tests_last = rng.random() < 0.7
    steps = [PlannedStep(kind="reproduce", command=example, facts={"after": "yes"})] if example else []
    if not example or rng.random() < 0.5:
        check = _check(edits, rng)
        check = check if tests_last else replace(check, facts={**check.facts, "tested": "yes"})
        steps.insert(rng.randint(0, len(steps)), check)
    yield from [*steps, test] if tests_last else [test, *steps]


def _check(edits: list[Edit], rng: random.Random) -> PlannedStep:
    edit = edits[-1]
    if edit.kind != "replace":
        return PlannedStep(kind="check", command="git status --short")
    if len(edits) > 1 or rng.random() < 0.6:
        return PlannedStep(kind="check", command=rng.choice(["git diff", "git diff", "git diff --stat"]))
    first, last = max(1, edit.line - 5), edit.line + max(edit.new.count("\n"), 1) + 4
    command = view_command(edit.path, first, last, last + 100, rng.choice(("editor", "sed")))
    return PlannedStep(kind="check", command=command, facts={"path": edit.path})


def _test_command(edits: list[Edit], files: tuple[str, ...], rng: random.Random) -> PlannedStep:
    tests = [path for path in files if _is_test(path)]
    related = next((test for edit in edits if (test := _related_test(edit.path, files))), None)
    if tests and len(tests) <= 30 and (related is None or rng.random() < 0.7):
        command = rng.choice(["python -m pytest -q", "python -m pytest -x -q", "python -m pytest -q --tb=short"])
        return PlannedStep(kind="run", command=command)
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
