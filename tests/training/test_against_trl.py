"""Our losses and our SFT against TRL's own, on the same tensors and the same data. Skips where TRL is not installed."""

import collections
import json
import types
from pathlib import Path

import pytest
import torch

from srl_swe.policies.models import load_model
from srl_swe.records import Sample
from srl_swe.training.config import LossName, TrainConfig
from srl_swe.training.loop import train
from srl_swe.training.losses import Loss, TrainedTokens, policy_loss
from srl_swe.training.objectives import read_objective

pytestmark = pytest.mark.filterwarnings("ignore")  # TRL's and its dependencies' own
trl = pytest.importorskip("trl", reason="TRL is not installed: pip install 'srl-swe[trl]'")

LENGTHS = [7, 3, 5, 1]
LONGEST = 9


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    """Log-probabilities [B, T] of 4 responses, some of which have moved out of the clipping range."""
    draw = torch.Generator().manual_seed(seed)
    shape = (len(LENGTHS), max(LENGTHS))
    old = -torch.rand(shape, generator=draw) * 3
    mask = (torch.arange(shape[1])[None] < torch.tensor(LENGTHS)[:, None]).int()
    return {
        "new": (old + torch.randn(shape, generator=draw) * 0.4).requires_grad_(),
        "old": old,
        "ref": old + torch.randn(shape, generator=draw) * 0.3,
        "mask": mask,
        "advantages": torch.tensor([1.2, -0.7, 0.4, -1.5]),
    }


def of_trl(made: dict[str, torch.Tensor], **settings: object) -> torch.Tensor:
    """`GRPOTrainer._compute_loss`, with log-probabilities that are given instead of a model's."""
    from trl.trainer.grpo_trainer import GRPOTrainer

    attributes: dict[str, object] = {
        "importance_sampling_level": "token",
        "loss_type": "grpo",
        "epsilon_low": 0.2,
        "epsilon_high": 0.2,
        "beta": 0.0,
        "max_completion_length": LONGEST,
        "use_vllm": False,
        "vllm_importance_sampling_correction": True,
        "aux_loss_enabled": False,
        "_entropy_bonus_enabled": False,
        "off_policy_mask_threshold": None,
        "top_entropy_quantile": 1.0,
        "current_gradient_accumulation_steps": 1,
        "model": types.SimpleNamespace(training=True),
        "args": types.SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        "accelerator": types.SimpleNamespace(
            num_processes=1, gather=lambda x: x, reduce=lambda x, **_: x, sync_gradients=True
        ),
        "_metrics": collections.defaultdict(lambda: collections.defaultdict(list)),
        "_get_per_token_logps_and_entropies": lambda *_, **__: (made["new"], torch.zeros_like(made["new"]), None),
    }
    inputs = {
        "prompt_ids": torch.zeros(len(LENGTHS), 2, dtype=torch.long),
        "prompt_mask": torch.ones(len(LENGTHS), 2, dtype=torch.long),
        "completion_ids": torch.zeros_like(made["mask"], dtype=torch.long),
        "completion_mask": made["mask"],
        "advantages": made["advantages"],
        "old_per_token_logps": made["old"],
        "ref_per_token_logps": made["ref"],
        "num_items_in_batch": made["mask"].sum(),
    }
    if "importance_sampling_ratio" in settings:
        inputs |= {"importance_sampling_ratio": settings.pop("importance_sampling_ratio"), "old_per_token_logps": None}
    stub = types.SimpleNamespace(**attributes | settings)
    result: torch.Tensor = GRPOTrainer._compute_loss(stub, None, inputs)
    return result


def of_ours(made: dict[str, torch.Tensor], loss: Loss) -> torch.Tensor:
    samples = [
        Sample(token_ids=(1,) * (n + 1), loss_mask=(False,) + (True,) * n, old_logprobs=(0.0,) * (n + 1), advantage=0.0)
        for n in LENGTHS
    ]
    chosen = made["mask"].bool()
    counts = torch.tensor(LENGTHS)
    tokens = TrainedTokens(
        logprobs_N=made["new"][chosen],
        old_logprobs_N=made["old"][chosen],
        reference_logprobs_N=made["ref"][chosen],
        advantages_N=made["advantages"].repeat_interleave(counts),
        weights_N=torch.tensor(loss.token_weights(samples)).repeat_interleave(counts),
        sample_N=torch.arange(len(LENGTHS)).repeat_interleave(counts),
    )
    return loss.function(tokens).loss


CASES: list[tuple[LossName, dict[str, object], dict[str, object]]] = [
    ("grpo", {}, {}),
    ("grpo", {"kl_coefficient": 0.3}, {"beta": 0.3}),
    ("clip_higher", {}, {"epsilon_high": 0.28}),
    ("token_level", {}, {"loss_type": "dapo"}),
    ("token_level", {"clip_high": 0.28}, {"loss_type": "dapo", "epsilon_high": 0.28}),
    ("dr_grpo", {}, {"loss_type": "dr_grpo"}),
    ("gspo", {"clip": 0.05}, {"importance_sampling_level": "sequence", "epsilon_low": 0.05, "epsilon_high": 4e-4}),
    ("cispo", {"clip_high": 0.3}, {"loss_type": "cispo", "epsilon_high": 1.3}),
]


@pytest.mark.parametrize(("name", "ours", "theirs"), CASES)
def test_losses_and_gradients_equal_trls(name: LossName, ours: dict[str, object], theirs: dict[str, object]) -> None:
    made = tensors()
    expected = of_trl(made, **theirs)
    (expected_gradient,) = torch.autograd.grad(expected, made["new"])
    loss = of_ours(made, policy_loss(name, longest_response=LONGEST, **ours))  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(loss, made["new"])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-8)


def test_truncated_importance_weights_equal_trls() -> None:
    made = tensors()
    weight = (made["new"] - made["old"]).exp().detach().clamp(max=1.5)
    expected = of_trl(made, use_vllm=True, importance_sampling_ratio=weight)
    (expected_gradient,) = torch.autograd.grad(expected, made["new"])
    loss = of_ours(made, policy_loss("grpo", longest_response=LONGEST, importance_cap=1.5))
    (gradient,) = torch.autograd.grad(loss, made["new"])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-8)


def test_sft_ends_with_the_loss_of_trls_sft_trainer(
    tmp_path: Path, tiny_model_folder: Path, trajectories_file: Path
) -> None:
    """The same samples in the same order, the same optimiser: the same losses, from the first update to the last."""
    from datasets import Dataset

    updates, batch, rate = 8, 3, 3e-3
    config = TrainConfig(
        out=tmp_path / "ours",
        model=str(tiny_model_folder),
        trajectories=(trajectories_file,),
        objective="sft",
        updates=updates,
        batch=batch,
        learning_rate=rate,
        warmup_updates=0,
        dtype="float32",
        logger="none",
        save_every=updates,
    )
    train(config)
    ours = [json.loads(line)["loss"] for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    loaded = load_model(str(tiny_model_folder), dtype="float32")
    objective = read_objective(config)(loaded)
    samples = [sample for update in range(updates) for sample in objective.next_batch(update + 1).samples]
    rows = [
        {
            "input_ids": list(s.token_ids),
            "labels": [t if trained else -100 for t, trained in zip(s.token_ids, s.loss_mask, strict=True)],
        }
        for s in samples
    ]
    settings = trl.SFTConfig(
        output_dir=str(tmp_path / "theirs"),
        per_device_train_batch_size=batch,
        num_train_epochs=1,
        learning_rate=rate,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        max_grad_norm=1.0,
        weight_decay=0.0,
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = trl.SFTTrainer(
        model=loaded.model, args=settings, train_dataset=Dataset.from_list(rows), processing_class=loaded.tokenizer
    )
    trainer.train()
    theirs = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(theirs) == len(ours) == updates
    assert ours[-1] < ours[0] - 0.5
    assert ours == pytest.approx(theirs, abs=1e-3)
