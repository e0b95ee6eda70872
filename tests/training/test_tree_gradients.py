"""The contract of tree packing: its loss and every parameter's gradient are those of one pass a sample."""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from training.naive_passes import (
    CONFIGS,
    make_learner,
    make_model,
    make_sample,
    naive,
    packed,
    trajectory_samples,
    worst,
)

from srl_swe.records import Sample
from srl_swe.training.losses import Loss, negative_log_likelihood, policy_loss
from srl_swe.training.packing import pack

GRPO = policy_loss("grpo", longest_response=16)
SFT = Loss(function=negative_log_likelihood, per_response=False)
GSPO = policy_loss("gspo", longest_response=16, clip=0.5, clip_high=0.5)

LIMIT = 1e-5
FLOOR = 1e-2
"""Gradients smaller than this part of the whole are held against that part, where so little is computed."""


@pytest.mark.parametrize("kernel", ["tiles", "varlen"])
@pytest.mark.parametrize("at_once", [1, 12, 4096])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_trajectorys_gradients(name: str, at_once: int, kernel: str) -> None:
    samples, model = trajectory_samples(), make_model(name)
    truth_loss, truth = naive(model.double(), samples, GRPO)
    loss, gradients, computed = packed(
        make_learner(model.float(), GRPO, tokens_at_once=at_once, kernel=kernel), samples
    )
    assert loss == pytest.approx(truth_loss, rel=LIMIT)
    assert worst(gradients, truth) <= LIMIT
    assert computed < sum(len(s.token_ids) for s in samples) / 2


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("at_once", [12, 4096])
@pytest.mark.parametrize("name", ["llama", "mistral-window-4", "qwen3"])
def test_flex_attentions_log_probabilities(name: str, at_once: int) -> None:
    """On a CPU it goes forward alone; backward it is tried on a GPU below."""
    samples, model = trajectory_samples(), make_model(name)
    expected = make_learner(model.float(), GRPO, packing="padded").score(samples)
    found = make_learner(model, GRPO, tokens_at_once=at_once, kernel="flex").score(samples)
    for a, b in zip(found, expected, strict=True):
        assert a == pytest.approx(b, abs=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kernel", ["tiles", "flex", "varlen"])
@pytest.mark.parametrize("name", ["llama", "mistral-window-4", "qwen2", "qwen3"])
def test_a_trajectorys_gradients_on_a_gpu(name: str, kernel: str) -> None:
    """FlashAttention has no float32: there it is held against the padded learner's own distance from the truth."""
    samples, model = trajectory_samples(), make_model(name)
    _, truth = naive(model.double(), samples, SFT)
    dtype = torch.bfloat16 if kernel == "varlen" else torch.float32
    model.to("cuda", dtype)
    errors = []
    for options in ({"packing": "padded"}, {"tokens_at_once": 60, "kernel": kernel}):
        _, gradients, _ = packed(make_learner(model, SFT, **options), samples)
        errors.append(worst([g.cpu() for g in gradients], truth))
    assert errors[1] <= (1e-4 if dtype == torch.float32 else 2 * errors[0])


@pytest.mark.parametrize("loss", [GRPO, SFT, GSPO], ids=["grpo", "sft", "gspo"])
@pytest.mark.parametrize(
    "options", [{"packing": "padded", "tokens_at_once": 40}, {"max_tokens": 40}, {"max_trained": 9}]
)
def test_other_losses_the_padded_learner_and_tries_that_are_split(loss: Loss, options: dict[str, Any]) -> None:
    samples, model = trajectory_samples(), make_model("qwen3")
    truth_loss, truth = naive(model.double(), samples, loss)
    value, gradients, _ = packed(make_learner(model.float(), loss, **options), samples)
    assert value == pytest.approx(truth_loss, rel=LIMIT)
    assert worst(gradients, truth) <= LIMIT


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([([5, 6, 7, 8], "..xx")], id="one sample alone"),
        pytest.param([([5, 6, 7, 8], "..xx")] * 3, id="duplicates"),
        pytest.param([([5, 6, 7], "..x"), ([5, 6, 8], "..x"), ([5, 6, 7], "..x")], id="one-token leaves"),
        pytest.param([([5, 6, 7, 8], ".xx."), ([5, 6, 7, 8, 9, 10], "....xx")], id="the beginning of another"),
        pytest.param([([5, 6, 7, 8], ".x.x"), ([5, 6, 7, 9], "..x.")], id="masks that differ on a shared path"),
        pytest.param([([5, 6, 7], ".xx"), ([15, 6, 7], ".xx")], id="nothing shared"),
        pytest.param([([5, 6, 7], "..."), ([5, 6, 7, 8], "...x")], id="one that trains nothing"),
        pytest.param([([5, 6, 7, 8, 9, 5, 6], ".xx.xx."), ([5, 6, 7, 8, 3, 4], ".xx..x")], id="episodes of two turns"),
    ],
)
@pytest.mark.parametrize("at_once", [1, 64])
def test_small_tries(rows: list[tuple[list[int], str]], at_once: int) -> None:
    samples = [make_sample(ids, [c == "x" for c in mask], 1.0 - 0.7 * i) for i, (ids, mask) in enumerate(rows)]
    model = make_model("llama")
    truth_loss, truth = naive(model.double(), samples, GRPO)
    loss, gradients, _ = packed(make_learner(model.float(), GRPO, tokens_at_once=at_once), samples)
    assert loss == pytest.approx(truth_loss, rel=LIMIT)
    assert worst(gradients, truth, floor=FLOOR) <= LIMIT


@st.composite
def _samples(draw: st.DrawFn) -> list[Sample]:
    """Few ids, so that beginnings are shared: deep tries, prefixes and duplicates come by themselves."""
    rows = draw(st.lists(st.lists(st.integers(3, 5), min_size=2, max_size=14), min_size=1, max_size=8))
    samples = []
    for number, ids in enumerate(rows):
        mask = draw(st.lists(st.booleans(), min_size=len(ids) - 1, max_size=len(ids) - 1))
        samples.append(make_sample(ids, [False, *mask], (-1) ** number * (1 + 0.3 * number)))
    return samples


_DRAWN = {
    "samples": _samples(),
    "name": st.sampled_from(sorted(CONFIGS)),
    "loss": st.sampled_from([GRPO, SFT, GSPO]),
    "at_once": st.sampled_from([1, 5, 17, 1000]),
    "max_tokens": st.sampled_from([6, 20, 1000]),
    "kernel": st.sampled_from(["tiles", "varlen"]),
}


def check_random(samples: list[Sample], name: str, loss: Loss, at_once: int, max_tokens: int, kernel: str) -> None:
    options = {"tokens_at_once": at_once, "max_tokens": max_tokens, "kernel": kernel}
    model = make_model(name)
    truth_loss, truth = naive(model.double(), samples, loss)
    value, gradients, _ = packed(make_learner(model.float(), loss, **options), samples)
    assert value == pytest.approx(truth_loss, rel=LIMIT, abs=1e-6)
    # In short rows of equal tokens the gradients of queries and keys cancel out nearly to 0: rounding in any pass.
    assert worst(gradients, truth, floor=FLOOR) <= LIMIT


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(**_DRAWN)
def test_random_tries(**drawn: Any) -> None:
    check_random(**drawn)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(**_DRAWN)
def test_a_thousand_random_tries(**drawn: Any) -> None:
    check_random(**drawn)


@pytest.mark.parametrize("name", ["llama", "mistral-window-4"])
@pytest.mark.parametrize("at_once", [12, 4096])
def test_gradient_checkpointing(name: str, at_once: int) -> None:
    samples, model = trajectory_samples(), make_model(name)
    _, truth = naive(model.double(), samples, GRPO)
    model.float().gradient_checkpointing_enable({"use_reentrant": False})
    recomputed = []
    model.get_decoder().layers[0].mlp.register_forward_pre_hook(lambda *_: recomputed.append(1))
    _, gradients, _ = packed(make_learner(model, GRPO, tokens_at_once=at_once), samples)
    assert worst(gradients, truth) <= LIMIT
    (trie,) = pack(samples, max_tokens=4096, max_trained=4096)
    assert len(recomputed) == 2 * len(trie.parts(at_once))
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("at_once", [12, 4096])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("targets", [["q_proj", "down_proj"], "all-linear", ["v_proj", "lm_head"]])
def test_adapters_alone_are_trained(at_once: int, checkpointing: bool, targets: list[str] | str) -> None:
    peft = pytest.importorskip("peft")
    samples, model = trajectory_samples(), make_model("llama-untied")
    config = peft.LoraConfig(r=2, target_modules=targets, task_type="CAUSAL_LM", init_lora_weights=False)
    torch.manual_seed(1)
    peft.inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    _, truth = naive(model.double(), samples, GRPO)
    model.float()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    learner = make_learner(model, GRPO, tokens_at_once=at_once)
    _, gradients, _ = packed(learner, samples)
    assert worst(gradients, truth) <= LIMIT
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)
    frozen = [p.detach().clone() for p in model.parameters() if not p.requires_grad]
    learner.update(samples, 1e-2)
    assert all(
        torch.equal(a, b) for a, b in zip(frozen, (p for p in model.parameters() if not p.requires_grad), strict=True)
    )


@pytest.mark.parametrize("name", ["llama", "mistral-window-4", "qwen3"])
def test_bfloat16_is_no_further_from_the_truth_than_the_padded_learner(name: str) -> None:
    """Over several draws: how one draw's roundings fall is chance. No clipping, which would make steps of them."""
    errors = {"padded": 0.0, "tree": 0.0, "parts": 0.0}
    options: dict[str, dict[str, Any]] = {
        "padded": {"packing": "padded", "tokens_at_once": 700},
        "tree": {},
        "parts": {"tokens_at_once": 60},
    }
    for seed in range(4):
        samples, model = trajectory_samples(seed=seed, scale=3), make_model(name, torch.bfloat16)
        _, truth = naive(model.double(), samples, SFT)
        model.to(torch.bfloat16)
        for way, chosen in options.items():
            _, gradients, _ = packed(make_learner(model, SFT, **chosen), samples)
            pairs = zip(gradients, truth, strict=True)
            errors[way] += torch.stack([(g.double() - t).norm() for g, t in pairs]).norm().item()
    assert errors["tree"] <= 1.1 * errors["padded"]
    assert errors["parts"] <= 1.1 * errors["padded"]


def test_positions_that_start_again_are_not_taken_for_a_packed_batch() -> None:
    """Left to itself transformers would cut each branch off from its ancestors, silently."""
    samples = [
        make_sample([5, 6, 7, 8, 9], [False] * 3 + [True] * 2, 1.0),
        make_sample([5, 6, 7, 3, 4], [False] * 3 + [True] * 2, -1.0),
    ]
    model = make_model("llama")
    _, truth = naive(model.double(), samples, GRPO)
    model.float()
    learner = make_learner(model, GRPO)
    assert worst(packed(learner, samples)[1], truth) <= LIMIT
    # The trap is there: the same tokens and positions with the model's own attention are another computation.
    ids, positions = torch.tensor([[5, 6, 7, 8, 3]]), torch.tensor([[0, 1, 2, 3, 3]])
    with torch.no_grad():
        guessed = torch.log_softmax(model(ids, position_ids=positions, use_cache=False).logits[0, 4], -1)[4].item()
    assert abs(guessed - learner.score(samples)[1][1]) > 0.01
