"""Models are found, converted once, and refused with one clear message."""

from pathlib import Path

import pytest

from srl_swe.errors import ModelError
from srl_swe.policies.chat import encode_answer, encode_prompt
from srl_swe.policies.models import DEFAULT_MODEL, default_model_folder, load_model, save_model


@pytest.mark.parametrize("name", ["./no/such/folder", "/nowhere/model.gguf", "no-such-model-anywhere"])
def test_an_unknown_model_is_a_clear_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="model '") as caught:
        load_model(name)
    assert name in str(caught.value)


def test_a_folder_without_a_model_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(str(tmp_path))


@pytest.mark.model
def test_the_embedded_model_loads_and_is_converted_once() -> None:
    folder = default_model_folder()
    before = (folder / "model.safetensors").stat().st_mtime_ns
    loaded = load_model(DEFAULT_MODEL, dtype="float32", device="cpu")
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert sum(p.numel() for p in loaded.model.parameters()) == pytest.approx(134.5e6, rel=0.01)
    assert loaded.tokenizer.convert_ids_to_tokens(list(loaded.end_ids)) == ["<|im_end|>"]


def test_a_saved_model_is_the_same_model(tiny_model_folder: Path, tmp_path: Path) -> None:
    import torch

    loaded = load_model(str(tiny_model_folder), dtype="float32", device="cpu")
    save_model(loaded.model, loaded.tokenizer, tmp_path / "copy")
    again = load_model(str(tmp_path / "copy"), dtype="float32", device="cpu")
    pairs = zip(loaded.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_prompt_and_answer_make_the_template_of_the_whole(tiny_model_folder: Path) -> None:
    tokenizer = load_model(str(tiny_model_folder), dtype="float32", device="cpu").tokenizer
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}]
    answer = "<think>\nx\n</think>\n```bash\nls\n```"
    ids = encode_prompt(tokenizer, messages) + encode_answer(tokenizer, answer)
    whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": answer}], tokenize=False)
    assert tokenizer.decode(ids) == whole.rstrip("\n")
