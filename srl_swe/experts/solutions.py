"""Experts' worked solutions, cut into steps: trajectories to train on as on any others (arXiv 2510.25992, section 4.1).

============  ======================================================================================================
style         a step is
============  ======================================================================================================
titled        ``1. **Title** …`` up to the next number, as the paper's experts write
numbered      that, or plain ``1. …``, ``Step 1: …``
lines         a line, as in GSM8K
paragraphs    what stands between blank lines
auto          the first of titled, numbered, lines (where it ends in ``####``) that the solution conforms to
============  ======================================================================================================

GSM8K's last line ``#### 72`` becomes ``\\boxed{72}``, and its calculator's ``<<48/2=24>>`` is left out. A solution that
does not conform, or has fewer than two steps, is dropped, with the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

from srl_swe import __version__
from srl_swe.errors import ConfigError
from srl_swe.records import Step, Task, Trajectory
from srl_swe.rewards.answers import stated_answer, whole_number

StepStyle = Literal["auto", "titled", "numbered", "lines", "paragraphs"]

_ITEM = re.compile(
    r"^(?:#{1,6}[ \t]+)?(?P<bold>\*\*)?(?:[Ss]tep[ \t]+)?(?P<number>\d{1,3})[.):](?:\*\*(?=[ \t]))?[ \t]+(?P<rest>.*)$",
    re.MULTILINE,
)
_TITLE = re.compile(r"\*\*(?P<title>[^*\n]+?)\*\*")
_ANSWER_LINE = re.compile(r"\n####[ \t]*(\S[^\n]*?)[ \t]*\Z")
_BOXED_LINE = re.compile(r"\\boxed\{.*\}")
_CALCULATOR = re.compile(r"<<[^<>\n]*>>")


class NotConformingError(ValueError):
    """A solution is not in the style; the message says in what way, in the same words for all of a kind."""


def cut_solution(solution: str, style: StepStyle = "auto") -> tuple[Step, ...]:
    """Cut one solution. Of a titled step the title is the thought; a step's text is kept, title and number too.

    Raises:
        NotConformingError: it is not in the style, or has fewer than two steps.
        ConfigError: there is no such style.
    """
    if style not in get_args(StepStyle):
        raise ConfigError(f"style: expected one of {', '.join(get_args(StepStyle))}, got {style!r}")
    text = solution.replace("\r\n", "\n").strip()
    if "<think>" in text or "</think>" in text:
        raise NotConformingError("holds a tag of thoughts")
    if not text:
        raise NotConformingError("no solution")
    if style == "auto":
        return _first_that_fits(text)
    steps = _CUTS[style](_ANSWER_LINE.sub(r"\n\\boxed{\1}", _CALCULATOR.sub("", text)))
    if len(steps) < 2:
        raise NotConformingError("fewer than two steps")
    return tuple(steps)


def solution_trajectories(
    tasks: Iterable[Task], style: StepStyle = "auto", *, least: int = 2
) -> tuple[list[Trajectory], Counter[str]]:
    """Cut the solutions of problems.

    Args:
        tasks: Maths problems; those without a solution are counted as dropped.
        style: See the module.
        least: Fewest steps a solution may have.

    Returns:
        The trajectories, and how many problems were dropped, by reason.

    Raises:
        ConfigError: an argument is out of range.
    """
    if least < 2:
        raise ConfigError(f"least: expected at least 2 steps, got {least}")
    found: list[Trajectory] = []
    dropped: Counter[str] = Counter()
    for task in tasks:
        try:
            steps = cut_solution(task.solution, style)
            if len(steps) < least:
                raise NotConformingError(f"fewer than {least} steps")
        except NotConformingError as error:
            dropped[str(error)] += 1
            continue
        found.append(_trajectory(task, steps, style))
    return found, dropped


def _trajectory(task: Task, steps: tuple[Step, ...], style: StepStyle) -> Trajectory:
    return Trajectory(
        trajectory_id=f"{task.task_id}@solution",
        task_id=task.task_id,
        split=task.split,
        problem_statement=task.problem_statement,
        steps=steps,
        source="solution",
        resolved=_states_the_answer(task),
        domain="mathematics",
        provenance={"task_hash": task.content_hash, "style": style, "package_version": __version__},
    )


def _states_the_answer(task: Task) -> bool | None:
    """Whether the solution ends in the right answer, where that can be seen without algebra; ``None``: it cannot."""
    stated, key = stated_answer(task.solution), task.answer
    if key is None or not stated:
        return None
    numbers = whole_number(stated), whole_number(key.answer)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return True if stated == key.answer else None


def _first_that_fits(text: str) -> tuple[Step, ...]:
    styles: list[StepStyle] = ["titled", "numbered"]
    if _ANSWER_LINE.search(text):
        styles.append("lines")
    reason = NotConformingError("neither numbered steps nor lines that end in ####")
    for style in styles:
        try:
            return cut_solution(text, style)
        except NotConformingError as error:
            if style == "lines" or str(error) in _TELLING:
                reason = error
    raise reason


def _numbered(text: str) -> list[Step]:
    """Top-level items alone: what is indented belongs to the step it stands in."""
    items = list(_ITEM.finditer(text))
    if not items:
        raise NotConformingError("no numbered steps")
    if [int(item["number"]) for item in items] != list(range(1, len(items) + 1)):
        raise NotConformingError("steps are not numbered 1, 2, 3 …")
    starts = [0, *(item.start() for item in items[1:])]  # what precedes step 1 belongs to it
    ends = [*starts[1:], len(text)]
    return [
        Step(thought=_title(item), action=text[start:end].strip(), observation="")
        for item, start, end in zip(items, starts, ends, strict=True)
    ]


def _titled(text: str) -> list[Step]:
    steps = _numbered(text)
    if not all(step.thought for step in steps):
        raise NotConformingError("steps without a title")
    return steps


def _title(item: re.Match[str]) -> str:
    """What stands in bold at the head of a step; empty: nothing does."""
    rest = f"**{item['rest']}" if item["bold"] and not item["rest"].startswith("**") else item["rest"]
    found = _TITLE.match(rest)
    return found["title"].strip().rstrip(":.").strip() if found else ""


def _lines(text: str) -> list[Step]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and _BOXED_LINE.fullmatch(lines[-1]):  # the answer by itself is no step to think about
        lines[-2:] = ["\n".join(lines[-2:])]
    return [Step(thought="", action=line, observation="") for line in lines]


def _paragraphs(text: str) -> list[Step]:
    parts = [part.strip() for part in re.split(r"\n[ \t]*\n", text)]
    return [Step(thought="", action=part, observation="") for part in parts if part]


_TELLING = ("steps are not numbered 1, 2, 3 …", "fewer than two steps")
_CUTS = {"titled": _titled, "numbered": _numbered, "lines": _lines, "paragraphs": _paragraphs}
