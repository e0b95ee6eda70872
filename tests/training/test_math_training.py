"""Training on steps of solutions: the real small model, warmed up in the test so that some answers are well-formed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from srl_swe.cli import main
from srl_swe.environments.answers import read_answer
from srl_swe.experts.trajectories import read_trajectories
from srl_swe.policies.models import load_model
from srl_swe.training.data import encode_steps, read_training_steps

THINGS = ("pears", "stamps", "coins", "books", "marbles", "shells", "buttons", "pencils", "cards", "seeds")


def rows() -> list[dict[str, str]]:
    """Ten problems of two steps each, in GSM8K's form."""
    found = []
    for number, thing in enumerate(THINGS, start=3):
        total = number * 4
        found.append(
            {
                "question": f"Ann has {number} bags of 4 {thing} and gives 2 away. How many {thing} are left?",
                "answer": f"Ann has {number}*4 = <<{number}*4={total}>>{total} {thing}.\n"
                f"She keeps {total}-2 = <<{total}-2={total - 2}>>{total - 2} {thing}.\n#### {total - 2}",
            }
        )
    return found


@pytest.fixture
def solutions(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    file = tmp_path / "own.train.jsonl"
    options = ["--to", str(tmp_path / "own"), "--split", "train", "--trajectories", str(file)]
    assert main(["math", "import", str(tmp_path / "rows.jsonl"), *options]) == 0
    return file


def test_twenty_steps_are_encoded_in_the_form_of_solutions(solutions: Path) -> None:
    assert len(read_trajectories(solutions)) == 10
    steps = read_training_steps((solutions,), history=2, observation_chars=300)
    tokenizer = load_model(dtype="float32", device="cpu").tokenizer
    data = encode_steps(steps, tokenizer, max_prompt_tokens=512)
    assert len(data.instances) == 20
    text = str(tokenizer.decode(data.instances[1].answer_ids, skip_special_tokens=True))
    assert steps[1].expert_action == "She keeps 12-2 = 10 pears.\n\\boxed{10}"
    assert read_answer(text, domain="mathematics")[1] == steps[1].expert_action


@pytest.mark.slow
@pytest.mark.model
def test_one_update_of_srl_with_the_real_model(solutions: Path, tmp_path: Path) -> None:
    def run(name: str, options: str) -> dict[str, float]:
        folder = ["--out", str(tmp_path / name), "--trajectories", str(solutions)]
        assert main(["train", *options.split(), *folder]) == 0
        return dict(json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[-1]))

    run("warm", "--objective sft --updates 4 --batch 10 --learning-rate 3e-4 --warmup-updates 0")
    model = next((tmp_path / "warm" / "checkpoints").iterdir())
    sampling = "--batch 2 --group-size 4 --max-new-tokens 40 --min-reward-std 0.001"
    metrics = run("srl", f"--objective srl --updates 1 --model {model} {sampling}")
    assert metrics["kept_groups"] == 2
    assert metrics["well_formed"] > 0
    rollout = json.loads((tmp_path / "srl" / "rollouts.jsonl").read_text().splitlines()[0])
    assert "own/rows-" in json.dumps(rollout)
