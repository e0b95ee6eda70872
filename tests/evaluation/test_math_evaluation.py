"""Maths problems by the same runner: one answer a problem, with what was read and how it was scored in the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from public_maths import ROWS, TITLED

from srl_swe.cli import main
from srl_swe.evaluation.runner import evaluate, read_results
from srl_swe.evaluation.steps import evaluate_steps, read_steps
from srl_swe.experts.instances import step_instances
from srl_swe.experts.solutions import solution_trajectories
from srl_swe.policies.model_policy import ModelPolicy
from srl_swe.policies.models import LoadedModel
from srl_swe.policies.transformers_engine import TransformersEngine
from srl_swe.records import Ending, Message, PreparedTask, Sampling
from srl_swe.tasks.folder import read_suite
from srl_swe.tasks.mathematics.importing import import_problems
from srl_swe.tasks.prepare import prepare


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    rows = [ROWS["math-500"], ROWS["aime"], ROWS["amc"], ROWS["olympiadbench-proof"]]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_problems([str(tmp_path / "rows.jsonl")], tmp_path / "suite")
    return tmp_path / "suite"


def judged(suite: Path) -> list[PreparedTask]:
    return [prepare(task) for task in read_suite(suite) if task.answer is not None]


class Saying:
    """Says the same in every conversation."""

    name = "saying"

    def __init__(self, text: str) -> None:
        self.text = text

    def act(self, conversations: Sequence[tuple[Message, ...]], tasks: Sequence[PreparedTask]) -> list[str]:
        assert all(messages[-1]["content"].endswith("Write the solution.") for messages in conversations)
        return [self.text for _ in tasks]


def test_results_carry_answer_and_score(suite: Path, tmp_path: Path) -> None:
    evaluate(Saying("<think>\nHm.\n</think>\nIt is \\boxed{1.5}."), judged(suite), tmp_path / "out", concurrency=3)
    results = {r.task_id: r for r in read_results(tmp_path / "out")}
    right, wrong = results["suite/test-algebra-7"], results["suite/amc-2023-12a-1"]
    assert (right.solved, right.answer, right.score, right.ending) == (True, "1.5", 1.0, Ending.SUBMITTED)
    assert (wrong.solved, wrong.answer, wrong.score, wrong.repository) == (False, "1.5", 0.0, "amc")
    transcript = json.loads((tmp_path / "out" / "transcripts.jsonl").read_text().splitlines()[0])
    assert (transcript["transcript"][0]["thought"], transcript["answer"]) == ("Hm.", "1.5")


def test_malformed_answers_are_counted(suite: Path, tmp_path: Path) -> None:
    results = evaluate(Saying("<think>\nno end"), judged(suite), tmp_path / "out")
    assert {(r.solved, r.malformed, r.ending) for r in results} == {(False, 1, Ending.MALFORMED)}


@pytest.mark.parametrize(("policy", "solved"), [("gold", 3), ("nothing", 0)])
def test_the_command_takes_suites_of_problems(
    suite: Path, tmp_path: Path, policy: str, solved: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", str(suite), "--policy", policy, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert f"solved {solved} of 3" in said.out
    assert "1 problems left out: nobody knows their answers" in said.err


def test_a_model_is_sampled_at_a_temperature(suite: Path, tmp_path: Path, tiny_model: LoadedModel) -> None:
    policy = ModelPolicy(
        "tiny",
        TransformersEngine(tiny_model, seed=1),
        tiny_model.tokenizer,
        Sampling(max_new_tokens=4, temperature=1.0),
    )
    results = evaluate(policy, judged(suite), tmp_path / "out", concurrency=3)
    assert [r.solved for r in results] == [False] * 3


def test_single_steps_are_measured_in_their_own_form(tmp_path: Path) -> None:
    row = ROWS["s1k-plain"]
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    _, tasks = import_problems([str(tmp_path / "rows.jsonl")], tmp_path / "suite")
    (trajectory,), _ = solution_trajectories(tasks)
    last = trajectory.steps[-1].action

    def generate(conversations: Sequence[tuple[Message, ...]], n: int) -> list[list[str]]:
        return [[f"<think>\nhm\n</think>\n{last}"] * n for _ in conversations]

    summary = evaluate_steps(generate, step_instances(trajectory), tmp_path / "out", name="x", samples=2)
    records = read_steps(tmp_path / "out")
    assert (summary.well_formed.value, records[-1]["samples"][0]["similarity"]) == (1.0, 1.0)
    assert TITLED.endswith(last)
