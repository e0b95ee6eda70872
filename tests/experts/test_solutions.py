"""Worked solutions cut into steps: what conforms, what does not, and what the student sees of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from public_maths import ROWS, TITLED

from srl_swe.errors import ConfigError
from srl_swe.experts.dataset import iter_instances, write_instances
from srl_swe.experts.instances import step_instances
from srl_swe.experts.solutions import NotConformingError, cut_solution, solution_trajectories
from srl_swe.experts.trajectories import read_trajectories, write_trajectories
from srl_swe.records import AnswerKey, Task
from srl_swe.tasks.mathematics.importing import import_problems
from srl_swe.tasks.mathematics.problems import make_task

_SHARED = Path(os.environ.get("SRL_SWE_SHARED_DATA") or Path(__file__).resolve().parents[2] / "../shared/data") / "math"


def problem(solution: str, name: str = "pears") -> Task:
    return make_task(
        "own",
        Path(),
        name=name,
        group="own",
        split="train",
        problem="Half of the pears are 12. How many are there?",
        answer=AnswerKey(answer="24"),
        solution=solution,
    )


def test_titled_steps_are_the_papers() -> None:
    steps = cut_solution(TITLED)
    assert [step.thought for step in steps] == ["Name the number", "Write the equation", "Solve it"]
    assert steps[1].action.startswith("2. **Write the equation:**\n   1. Half")
    assert steps[2].action.endswith("\\boxed{24} \\).")
    assert "\n\n".join(step.action for step in steps) == TITLED


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("1. Take one.\n2. Take another.", ["", ""]),
        ("Step 1: Take one.\nStep 2: Take another.", ["", ""]),
        ("### Step 1: **Take**\none\n\n### Step 2: **Give**\nit", ["Take", "Give"]),
        ("**Step 1: Take one**\nand\n**Step 2: Give it**\nback", ["Step 1", "Step 2"]),
        ("We begin.\n1. **Take**: one.\n2. **Give**. it", ["Take", "Give"]),
        ("1) a\r\n2) b", ["", ""]),
    ],
)
def test_other_numbers(text: str, titles: list[str]) -> None:
    steps = cut_solution(text, "numbered")
    assert len(steps) == len(titles)
    if titles[0] != "Step 1":
        assert [step.thought for step in steps] == titles
    assert steps[0].action.startswith(text[:4].strip())


def test_lines_are_gsm8ks() -> None:
    steps = cut_solution(ROWS["gsm8k"]["answer"])
    assert [step.action for step in steps] == [
        "Ann has 3*4 = 12 pears.",
        "She has 12-2 = 10 pears left.\n\\boxed{10}",
    ]


def test_paragraphs() -> None:
    assert [s.action for s in cut_solution("a\nb\n\nc\n \n\nd", "paragraphs")] == ["a\nb", "c", "d"]


@pytest.mark.parametrize(
    ("text", "style", "reason"),
    [
        ("", "auto", "no solution"),
        ("Some prose.\n\nAnd more.", "auto", "neither numbered steps nor lines that end in ####"),
        ("1. a\n2. b\n1. c\n2. d", "auto", "steps are not numbered 1, 2, 3 …"),
        ("2. a\n3. b", "numbered", "steps are not numbered 1, 2, 3 …"),
        ("1. only this", "numbered", "fewer than two steps"),
        ("1. **Title** a\n2. b", "titled", "steps without a title"),
        ("one line\n#### 3", "lines", "fewer than two steps"),
        ("no numbers", "titled", "no numbered steps"),
        ("1. <think>\n2. b", "numbered", "holds a tag of thoughts"),
    ],
)
def test_what_does_not_conform_is_dropped_with_the_reason(text: str, style: str, reason: str) -> None:
    with pytest.raises(NotConformingError, match=f"^{reason.replace('…', '.')}$"):
        cut_solution(text, style)  # type: ignore[arg-type]
    found, dropped = solution_trajectories([problem(text), problem(TITLED, "more")], style)  # type: ignore[arg-type]
    assert dropped[reason] >= 1
    assert len(found) + sum(dropped.values()) == 2


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="style: expected one of auto"):
        cut_solution("x", "words")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="least"):
        solution_trajectories([], least=1)


def test_the_student_sees_problem_and_all_earlier_steps(tmp_path: Path) -> None:
    """N - 1 instances of N steps, as the paper has them; the thought and the step itself are not shown."""
    (trajectory,), _ = solution_trajectories([problem(TITLED)])
    assert trajectory.domain == "mathematics"
    instances = step_instances(trajectory, skip_first=True)
    assert [i.step for i in instances] == [1, 2]
    last = instances[-1]
    seen = last.messages[1]["content"]
    assert trajectory.problem_statement in seen
    assert all(step.action in seen for step in trajectory.steps[:2])
    assert "Solve it" not in seen
    assert seen.endswith("Write only the next step.")
    assert "\\boxed" in last.messages[0]["content"]
    assert step_instances(trajectory)[0].messages[1]["content"].endswith("Write only the first step.")
    told = step_instances(trajectory, hint="title")[2].messages[1]["content"]
    assert told.endswith("Hint for the next step: Solve it")
    short = step_instances(trajectory, budget=len(seen) + len(last.messages[0]["content"]) - 20)[-1]
    assert "(1 earlier step left out)" in short.messages[1]["content"]
    assert trajectory.steps[0].action not in short.messages[1]["content"]
    write_instances(tmp_path / "steps.jsonl", instances)
    assert list(iter_instances(tmp_path / "steps.jsonl")) == instances


def test_trajectories_of_solutions_are_written_and_read(tmp_path: Path) -> None:
    found, _ = solution_trajectories([problem(TITLED), problem("1. a\n2. b", "other")])
    assert [trajectory.resolved for trajectory in found] == [True, None]
    write_trajectories(tmp_path / "t.jsonl", found)
    assert read_trajectories(tmp_path / "t.jsonl") == found


@pytest.mark.skipif(not _SHARED.is_dir(), reason=f"{_SHARED} is not here")
def test_real_solutions(tmp_path: Path) -> None:
    _, tasks = import_problems([str(_SHARED / "gsm8k_train.jsonl")], tmp_path / "g", split="train")
    found, dropped = solution_trajectories(tasks)
    assert (len(found), sum(len(t.steps) for t in found), dropped) == (7473, 26720, {})
    assert all("\\boxed{" in t.steps[-1].action for t in found)
    assert not any("<<" in step.action or "####" in step.action for t in found for step in t.steps)
    _, tasks = import_problems([str(_SHARED / "s1k_questions_solutions.jsonl")], tmp_path / "s")
    found, dropped = solution_trajectories(tasks, "titled")
    assert (len(found), sum(dropped.values())) == (194, 806)
    assert all(step.thought for t in found for step in t.steps)
