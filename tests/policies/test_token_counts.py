"""Windows and lengths in a model's own tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from srl_swe.cli import main
from srl_swe.errors import ModelError
from srl_swe.experts.dataset import iter_instances
from srl_swe.policies.chat import encode_prompt
from srl_swe.policies.models import LoadedModel, load_tokenizer
from srl_swe.policies.token_counts import TokenCounter

TRAIN = Path(__file__).parents[2] / "trajectories/starter.train.jsonl"


def test_messages_add_up_to_the_prompt_or_a_little_more(tiny_model: LoadedModel) -> None:
    counter = TokenCounter(tiny_model.tokenizer)
    for k, text in enumerate(("x", "\n\n  indented\n", "", "ls -la /testbed\n" * 30, "naïve ✓ 😀")):
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
        messages += [{"role": "assistant", "content": text}, {"role": "user", "content": text}] * k
        prompt = counter.prompt(messages)
        assert prompt == len(encode_prompt(tiny_model.tokenizer, messages))
        sizes = counter.opening + sum(counter.message(message["content"]) for message in messages)
        assert prompt <= sizes <= prompt + 2 * len(messages)


def test_a_budget_of_tokens_holds_and_is_used(tmp_path: Path, tiny_model_folder: Path) -> None:
    out, counter = tmp_path / "o.jsonl", TokenCounter(load_tokenizer(str(tiny_model_folder)))
    command = ["experts", "instances", str(TRAIN), "--to", str(out), "--history", "all", "--observation-chars", "1000"]
    assert main([*command, "--budget", "900", "--tokenizer", str(tiny_model_folder)]) == 0
    card = json.loads((tmp_path / "o.card.json").read_text())
    lengths = {instance.instance_id: counter.prompt(instance.messages) for instance in iter_instances(out)}
    assert (card["prompt_tokens"]["least"], card["prompt_tokens"]["most"]) == (
        min(lengths.values()),
        max(lengths.values()),
    )
    assert (card["tokenizer"], card["token_budget"], card["over_token_budget"]) == (str(tiny_model_folder), 900, 0)
    assert max(lengths.values()) <= 900
    assert "tokens of" in (tmp_path / "o.card.md").read_text()
    whole = tmp_path / "whole.jsonl"
    assert main([*command[:4], str(whole), *command[5:], "--tokenizer", str(tiny_model_folder)]) == 0
    for instance in iter_instances(whole):
        if counter.prompt(instance.messages) <= 890:  # what fits as it is was not cut
            assert lengths.get(instance.instance_id, 0) in (0, counter.prompt(instance.messages))


def test_a_budget_below_the_template_is_refused(tmp_path: Path, tiny_model_folder: Path) -> None:
    command = ["experts", "instances", str(TRAIN), "--to", str(tmp_path / "o.jsonl"), "--budget", "1"]
    assert main([*command, "--tokenizer", str(tiny_model_folder)]) == 2
    assert main([*command, "--tokenizer", str(tmp_path / "none")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError):
        load_tokenizer(str(tmp_path))
