"""Attention in a trie: each kernel against a dense mask, and what is refused."""

import random

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MixtralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3NextConfig,
)

from srl_swe.errors import ModelError
from srl_swe.policies.tree_attention import ATTENTION, check_no_dropout, check_tree_model, choose_kernel, tree_attention
from srl_swe.policies.tree_kernels import TreeLayout, flex, tiles, varlen

SHAPE = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "vocab_size": 11, "intermediate_size": 16}


def random_tree(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends and depths of a random tree, depth first: chains of some tokens, with branches between."""
    draw = random.Random(seed)
    parents: list[int] = [-1]
    for place in range(1, size):
        path = [place - 1]
        while parents[path[-1]] >= 0:
            path.append(parents[path[-1]])
        parents.append(path[0] if draw.random() < 0.95 else draw.choice(path))
    depths, ends = np.zeros(size, dtype=np.int64), np.arange(1, size + 1)
    for place in range(1, size):
        depths[place] = depths[parents[place]] + 1
    for place in range(size - 1, 0, -1):
        ends[parents[place]] = max(ends[parents[place]], ends[place])
    return ends, depths


def part_of_a_tree(context: int, queries: int, seed: int) -> TreeLayout:
    """The last ``queries`` tokens of a tree with those of the tokens before that are above them."""
    ends, depths = random_tree(context + queries, seed)
    above = np.flatnonzero(ends[:context] > context)
    keys = np.append(above, np.arange(context, context + queries))
    local = ends[keys] - context + len(above)
    return TreeLayout(local, depths[keys], queries, torch.device("cpu"))


def dense(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, layout: TreeLayout, window: int | None) -> torch.Tensor:
    total = len(layout.ends)
    keys, queries = np.arange(total), np.arange(layout.context, total)[:, None]
    seen = (keys <= queries) & (queries < layout.ends)
    if window is not None:
        seen &= layout.depths[queries] - layout.depths < window
    repeat = q.shape[0] // k.shape[0]
    scores = q @ k.repeat_interleave(repeat, 0).transpose(1, 2) * 0.3
    weights = scores.masked_fill(~torch.from_numpy(seen), float("-inf")).softmax(-1)
    return weights @ v.repeat_interleave(repeat, 0)


def tensors(layout: TreeLayout, device: str = "cpu") -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    total = len(layout.ends)
    shapes = [(6, layout.queries, 16), (2, total, 16), (2, total, 16), (6, layout.queries, 16)]
    return [torch.randn(shape, generator=draw).to(device) for shape in shapes]


CASES = [(0, 1, 0), (0, 90, 1), (0, 500, 2), (700, 300, 3), (40, 5, 4)]


@pytest.mark.parametrize("window", [None, 7, 100])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kernel", [tiles, varlen])
def test_values_and_gradients_are_those_of_a_dense_mask(kernel, case, window) -> None:  # type: ignore[no-untyped-def]
    layout = part_of_a_tree(*case)
    q, k, v, grad = tensors(layout)
    found, expected = [], []
    for attend, out in ((kernel, found), (dense, expected)):
        leaves = [x.clone().requires_grad_() for x in (q, k, v)]
        args = (0.3, window) if attend is kernel else (window,)
        value = attend(*leaves, layout, *args)
        value.backward(grad)
        out += [value.detach(), *(x.grad for x in leaves)]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("window", [None, 7, 100])
@pytest.mark.parametrize("case", CASES)
def test_flex_attentions_block_mask(case: tuple[int, int, int], window: int | None) -> None:
    """On a CPU, where FlexAttention is not compiled and has no backward pass."""
    layout = part_of_a_tree(*case)
    q, k, v, _ = tensors(layout)
    with torch.no_grad():
        torch.testing.assert_close(
            flex(q, k, v, layout, 0.3, window), dense(q, k, v, layout, window), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("window", [None, 7, 100])
@pytest.mark.parametrize("case", CASES)
def test_flex_attention_looks_at_no_block_that_nobody_sees(case: tuple[int, int, int], window: int | None) -> None:
    from srl_swe.policies.tree_kernels import FLEX_BLOCK, block_mask

    layout = part_of_a_tree(*case)
    mask = block_mask(layout, window)
    total = len(layout.ends)
    keys, queries = np.arange(total), np.arange(layout.context, total)[:, None]
    seen = (keys <= queries) & (queries < layout.ends)
    if window is not None:
        seen &= layout.depths[queries] - layout.depths < window
    for row in range(mask.kv_num_blocks.shape[-1]):
        some = set(mask.kv_indices[0, 0, row, : mask.kv_num_blocks[0, 0, row]].tolist())
        every = set(mask.full_kv_indices[0, 0, row, : mask.full_kv_num_blocks[0, 0, row]].tolist())
        rows = seen[row * FLEX_BLOCK : (row + 1) * FLEX_BLOCK]
        for column in range(-(-total // FLEX_BLOCK)):
            block = rows[:, column * FLEX_BLOCK : (column + 1) * FLEX_BLOCK]
            whole = block.all() and block.shape[1] == FLEX_BLOCK
            assert (column in every) == whole
            if not whole:
                assert (column in some) == block.any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("window", [None, 100])
@pytest.mark.parametrize("kernel", [flex, varlen, tiles])
@pytest.mark.parametrize("case", [(0, 500, 2), (700, 300, 3), (0, 4000, 5)])
def test_kernels_on_a_gpu(kernel, case, window) -> None:  # type: ignore[no-untyped-def]
    layout = part_of_a_tree(*case)
    q, k, v, grad = (x.repeat(1, 1, 4) for x in tensors(layout))
    there = TreeLayout(layout.ends, layout.depths, layout.queries, torch.device("cuda"))
    found, expected = [], []
    for attend, where, out in ((kernel, there, found), (dense, layout, expected)):
        dtype = torch.bfloat16 if attend is kernel else torch.float32
        leaves = [x.to(where.device, dtype).requires_grad_() for x in (q, k, v)]
        args = (0.3, window) if attend is kernel else (window,)
        value = attend(*leaves, where, *args)
        value.backward(grad.to(value))
        out += [x.float().cpu() for x in (value.detach(), *(leaf.grad for leaf in leaves))]
    for a, b in zip(found, expected, strict=True):
        assert ((a - b).norm() / b.norm()).item() < 0.02


def test_the_kernel_is_chosen_by_device_precision_and_size() -> None:
    small, large = part_of_a_tree(0, 90, 1), part_of_a_tree(0, 1100, 1)
    assert choose_kernel(torch.device("cpu"), torch.bfloat16, large) == "tiles"
    assert choose_kernel(torch.device("cuda"), torch.bfloat16, small) == "varlen"
    assert choose_kernel(torch.device("cuda"), torch.bfloat16, large) == "flex"
    assert choose_kernel(torch.device("cuda"), torch.float32, small) == "flex"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (MambaConfig(hidden_size=16, num_hidden_layers=1, vocab_size=11), "carries a state"),
        (
            Qwen3NextConfig(
                **SHAPE, num_key_value_heads=1, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=8,
                shared_expert_intermediate_size=8, linear_num_key_heads=1, linear_num_value_heads=2,
                layer_types=["linear_attention", "full_attention"],
            ),
            "linear attention carries a state",
        ),
        (MixtralConfig(**SHAPE, num_key_value_heads=1, num_local_experts=2), "'mixtral'"),
        (GPT2Config(n_embd=16, n_head=2, n_layer=1, vocab_size=11), "'gpt2'"),
        (
            LlamaConfig(**SHAPE, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}),
            "longest sequence",
        ),
    ],
    ids=["mamba", "linear attention", "mixture of experts", "gpt2", "dynamic positions"],
)  # fmt: skip
def test_models_that_a_trie_would_be_wrong_for_are_refused(config: PreTrainedConfig, reason: str) -> None:
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(ModelError, match=reason) as error:
        check_tree_model(model)
    assert "packing='padded'" in str(error.value)


def test_dropout_is_refused_adapters_too() -> None:
    check_no_dropout(AutoModelForCausalLM.from_config(LlamaConfig(**SHAPE)))
    with pytest.raises(ModelError, match=r"attention_dropout = 0\.1"):
        check_no_dropout(AutoModelForCausalLM.from_config(Qwen2Config(**SHAPE, attention_dropout=0.1)))
    peft = pytest.importorskip("peft")
    model = AutoModelForCausalLM.from_config(LlamaConfig(**SHAPE))
    peft.inject_adapter_in_model(peft.LoraConfig(lora_dropout=0.05, target_modules=["q_proj"]), model)
    with pytest.raises(ModelError, match=r"q_proj\.lora_dropout.*0\.05"):
        check_no_dropout(model)


def test_the_models_own_attention_comes_back_and_ours_refuses_to_guess() -> None:
    model = AutoModelForCausalLM.from_config(LlamaConfig(**SHAPE))
    before = model.config._attn_implementation
    ids = torch.tensor([[1, 2, 3]])
    with tree_attention(model), pytest.raises(ModelError, match="without a trie"):
        assert model.config._attn_implementation == ATTENTION
        model(ids)
    assert model.config._attn_implementation == before
    model(ids)
