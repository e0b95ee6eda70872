"""A tiny random model with the embedded model's tokenizer, and a file of trajectories."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from srl_swe.experts.trajectories import write_trajectories
from srl_swe.policies.models import LoadedModel, default_model_folder, load_model
from srl_swe.records import Step, Trajectory


def save_tiny_model(folder: Path, **options: object) -> Path:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(default_model_folder()))
    settings = {
        "vocab_size": 49152,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
        "eos_token_id": 2,
        "bos_token_id": 1,
        "pad_token_id": 2,
        "tie_word_embeddings": True,
    }
    LlamaForCausalLM(LlamaConfig(**(settings | options))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture
def tiny_model(tiny_model_folder: Path) -> LoadedModel:
    return load_model(str(tiny_model_folder), dtype="float32", device="cpu")


def make_trajectory(number: int, split: str = "train") -> Trajectory:
    steps = [
        Step(thought="Look around.", action="ls", observation="exit code: 0\nREADME.md\nmoney.py"),
        Step(thought="Find it.", action=f'grep -rn "round_{number}" .', observation="exit code: 0\nmoney.py:3"),
        Step(thought="Done.", action="submit", observation="solved"),
    ]
    return Trajectory(
        trajectory_id=f"t{number}",
        task_id=f"suite/task-{number}",
        split=split,  # type: ignore[arg-type]
        problem_statement=f"# round_{number} is wrong\nIt rounds down.",
        steps=tuple(steps),
        source="oracle",
        resolved=True,
    )


@pytest.fixture
def trajectories_file(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    write_trajectories(path, [make_trajectory(i) for i in range(4)])
    return path
