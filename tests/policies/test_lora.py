"""Adapters: nothing at first, off for the reference, merged for engines and folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny_model

from srl_swe.errors import ConfigError
from srl_swe.policies.lora import add_lora
from srl_swe.policies.models import LoadedModel, load_model, save_model, save_weights
from srl_swe.policies.transformers_engine import TransformersEngine
from srl_swe.records import Sampling

pytest.importorskip("peft")
IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


def logits(loaded: LoadedModel) -> torch.Tensor:
    with torch.no_grad():
        return loaded.model(IDS, use_cache=False).logits


def with_adapter(folder: Path, **options: object) -> LoadedModel:
    """A model whose adapter does something."""
    loaded = load_model(str(folder), dtype="float32", device="cpu", lora_rank=4, **options)
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    return loaded


def test_an_adapter_changes_nothing_at_first_and_alone_is_trained(tiny_model_folder: Path) -> None:
    plain = load_model(str(tiny_model_folder), dtype="float32", device="cpu")
    loaded = load_model(str(tiny_model_folder), dtype="float32", device="cpu", lora_rank=4)
    assert torch.equal(logits(plain), logits(loaded))
    trained = [name for name, p in loaded.model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 7 * 2  # two factors of seven linear layers in two blocks
    assert all("lora_" in name for name in trained)
    assert not any(module.training for module in loaded.model.modules())


def test_the_reference_is_the_model_without_its_adapter(tiny_model_folder: Path) -> None:
    plain = load_model(str(tiny_model_folder), dtype="float32", device="cpu")
    loaded = with_adapter(tiny_model_folder)
    adapted = logits(loaded)
    trained = [name for name, p in loaded.model.named_parameters() if p.requires_grad]
    with loaded.reference():
        assert torch.equal(logits(loaded), logits(plain))
    assert torch.equal(logits(loaded), adapted)
    assert (adapted - logits(plain)).abs().max() > 0.1
    assert [name for name, p in loaded.model.named_parameters() if p.requires_grad] == trained
    with pytest.raises(ConfigError, match="lora_rank"):
        plain.reference()


def test_weights_are_merged_under_the_plain_names(tiny_model_folder: Path) -> None:
    plain = load_model(str(tiny_model_folder), dtype="float32", device="cpu")
    loaded = with_adapter(tiny_model_folder)
    weights = dict(loaded.weights())
    assert weights.keys() == plain.model.state_dict().keys()
    assert "lm_head.weight" in weights  # tied to the embedding, and named all the same
    plain.model.load_state_dict(weights)
    assert (logits(plain) - logits(loaded)).abs().max() < 1e-4


def test_a_saved_model_is_merged_and_has_the_adapter_beside(tiny_model_folder: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    loaded = with_adapter(tiny_model_folder, lora_alpha=2)
    expected = logits(loaded)
    save_model(loaded.model, loaded.tokenizer, tmp_path / "saved")
    assert torch.equal(logits(loaded), expected)  # saving changes nothing
    again = load_model(str(tmp_path / "saved"), dtype="float32", device="cpu")
    assert (logits(again) - expected).abs().max() < 1e-4
    base = load_model(str(tiny_model_folder), dtype="float32", device="cpu")
    adapted = PeftModel.from_pretrained(base.model, str(tmp_path / "saved" / "adapter"))
    with torch.no_grad():
        assert (adapted(IDS, use_cache=False).logits - expected).abs().max() < 1e-4
    assert json.loads((tmp_path / "saved" / "adapter" / "adapter_config.json").read_text())["lora_alpha"] == 2


def test_the_engine_samples_with_the_adapter(tiny_model_folder: Path) -> None:
    loaded = with_adapter(tiny_model_folder)
    ((completion,),) = TransformersEngine(loaded).generate([(5, 6, 7)], 1, Sampling(max_new_tokens=4, seed=0))
    ids = torch.tensor([(5, 6, 7, *completion.token_ids)])
    with torch.no_grad():
        expected = torch.log_softmax(loaded.model(ids, use_cache=False).logits[0], dim=-1)
    for t, (token, logprob) in enumerate(zip(completion.token_ids, completion.logprobs, strict=True)):
        assert expected[2 + t, token].item() == pytest.approx(logprob, abs=1e-4)


def test_wrong_ranks(tiny_model: LoadedModel) -> None:
    with pytest.raises(ConfigError, match="lora_rank: must be at least 1, not -1"):
        add_lora(tiny_model.model, rank=-1)
    add_lora(tiny_model.model, rank=1)
    with pytest.raises(ConfigError, match="has an adapter already"):
        add_lora(tiny_model.model, rank=1)


def test_gradient_checkpointing_gives_the_same_gradients(tiny_model_folder: Path) -> None:
    grads = []
    for checkpointing in (False, True):
        loaded = load_model(str(tiny_model_folder), dtype="float32", device="cpu", gradient_checkpointing=checkpointing)
        passes = []
        layer = loaded.model.model.layers[0].mlp
        layer.register_forward_pre_hook(lambda *_, passes=passes: passes.append(1))
        loaded.model(IDS, use_cache=False).logits.square().mean().backward()
        assert len(passes) == 1 + checkpointing
        grads.append([p.grad for p in loaded.model.parameters()])
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in zip(*grads, strict=True))


def test_weights_go_to_files_in_shards(tiny_model: LoadedModel, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    save_weights(tiny_model.weights(), tmp_path, shard_gb=0.001)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) > 1
    found = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert found.keys() == dict(tiny_model.weights()).keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tiny_model.weights())


@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore")
def test_a_saved_adapter_runs_in_vllm(tmp_path: Path) -> None:
    """The merged folder, loaded by vLLM itself."""
    vllm = pytest.importorskip("vllm")
    folder = save_tiny_model(tmp_path / "plain", hidden_size=128, num_attention_heads=4, initializer_range=0.1)
    loaded = with_adapter(folder)
    save_model(loaded.model, loaded.tokenizer, tmp_path / "saved")
    with torch._dynamo.config.patch(disable=True):
        llm = vllm.LLM(
            model=str(tmp_path / "saved"),
            dtype="float32",
            enforce_eager=True,
            logprobs_mode="processed_logprobs",
            max_model_len=64,
            kv_cache_memory_bytes=64 << 20,
        )
        (output,) = llm.generate(
            [{"prompt_token_ids": [5, 6, 7]}],
            vllm.SamplingParams(max_tokens=4, seed=0, logprobs=0, ignore_eos=True),
            use_tqdm=False,
        )
    tokens = list(output.outputs[0].token_ids)
    with torch.no_grad():
        expected = torch.log_softmax(
            loaded.model(torch.tensor([[5, 6, 7, *tokens]]), use_cache=False).logits[0], dim=-1
        )
    for t, (token, entry) in enumerate(zip(tokens, output.outputs[0].logprobs, strict=True)):
        assert entry[token].logprob == pytest.approx(expected[2 + t, token].item(), abs=1e-4)
    llm.llm_engine.engine_core.shutdown()
