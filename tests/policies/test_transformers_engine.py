"""The embedded engine gives what a plain forward pass gives."""

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_models import save_tiny_model

from srl_swe.errors import ConfigError, ModelError
from srl_swe.policies.models import LoadedModel, load_model
from srl_swe.policies.transformers_engine import TransformersEngine
from srl_swe.records import Sampling

PROMPTS = [(5, 6, 7), (9, 10, 11, 12, 13, 14, 15), (5, 6, 7, 8)]


def plain_logprobs(folder: Path, ids: tuple[int, ...], temperature: float = 1.0) -> torch.Tensor:
    """Log-probabilities [T, V] by the model's own attention."""
    model = load_model(str(folder), dtype="float32", device="cpu").model
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0] / temperature, dim=-1)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("max_sequences", [128, 3])
def test_logprobs_are_those_of_a_plain_forward_pass(
    tiny_model: LoadedModel, tiny_model_folder: Path, temperature: float, max_sequences: int
) -> None:
    engine = TransformersEngine(tiny_model, max_sequences=max_sequences)
    sampling = Sampling(max_new_tokens=12, temperature=temperature, seed=3)
    groups = engine.generate(PROMPTS, 3, sampling)
    assert [len(g) for g in groups] == [3, 3, 3]
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            expected = plain_logprobs(tiny_model_folder, prompt + completion.token_ids, temperature)
            for t, (token, logprob) in enumerate(zip(completion.token_ids, completion.logprobs, strict=True)):
                assert expected[len(prompt) - 1 + t, token].item() == pytest.approx(logprob, abs=1e-4)


def test_sequences_that_end_early_do_not_disturb_the_others(tiny_model: LoadedModel, tiny_model_folder: Path) -> None:
    # Half of the vocabulary ends a turn, so that the batch is compacted again and again.
    ending = dataclasses.replace(tiny_model, end_ids=tuple(range(0, 49152, 7)))
    groups = TransformersEngine(ending).generate(PROMPTS, 6, Sampling(max_new_tokens=24, seed=1))
    lengths = {len(c.token_ids) for group in groups for c in group}
    assert len(lengths) > 4
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            ended = [token % 7 == 0 for token in completion.token_ids]
            assert not any(ended[:-1])
            assert ended[-1] == completion.finished
            expected = plain_logprobs(tiny_model_folder, prompt + completion.token_ids)
            last = len(prompt) + len(completion.token_ids) - 2
            assert expected[last, completion.token_ids[-1]].item() == pytest.approx(completion.logprobs[-1], abs=1e-4)


def test_greedy_takes_the_most_likely_token(tiny_model: LoadedModel, tiny_model_folder: Path) -> None:
    ((completion,),) = TransformersEngine(tiny_model).generate(
        [PROMPTS[0]], 1, Sampling(max_new_tokens=6, temperature=0)
    )
    expected = plain_logprobs(tiny_model_folder, PROMPTS[0] + completion.token_ids).argmax(dim=-1)
    assert list(completion.token_ids) == expected[len(PROMPTS[0]) - 1 : -1].tolist()


def test_a_seed_decides_the_draws(tiny_model: LoadedModel) -> None:
    engine = TransformersEngine(tiny_model)
    first, again, other = (engine.generate(PROMPTS, 2, Sampling(max_new_tokens=8, seed=s)) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert len({c.token_ids for c in first[0]}) == 2


def test_draws_follow_the_distribution(tiny_model: LoadedModel, tiny_model_folder: Path) -> None:
    ((*completions,),) = TransformersEngine(tiny_model, max_sequences=1000).generate(
        [PROMPTS[0]], 1000, Sampling(max_new_tokens=1, seed=0)
    )
    probabilities = plain_logprobs(tiny_model_folder, PROMPTS[0])[-1].exp()
    likely = probabilities.topk(5).indices.tolist()
    for token in likely:
        share = sum(c.token_ids == (token,) for c in completions) / len(completions)
        p = probabilities[token].item()
        assert abs(share - p) < 4 * (p * (1 - p) / len(completions)) ** 0.5


def test_a_groups_prompt_is_computed_once(tiny_model: LoadedModel) -> None:
    prompt = tuple(range(5, 105))
    engine = TransformersEngine(tiny_model)
    engine.generate([prompt], 8, Sampling(max_new_tokens=4, seed=0))
    assert engine.counts.prompt_tokens == engine.counts.prompt_tokens_computed == 100
    # In turns, by two sequences at once: still once.
    engine = TransformersEngine(tiny_model, max_sequences=2)
    engine.generate([prompt], 8, Sampling(max_new_tokens=4, seed=0))
    assert engine.counts.prompt_tokens_computed == 100


def test_prompts_that_begin_alike_share_their_beginning(tiny_model: LoadedModel, tiny_model_folder: Path) -> None:
    first = tuple(range(5, 105))
    prompts = [first, (*first[:60], *range(300, 330)), first[:40], first]
    engine = TransformersEngine(tiny_model)
    groups = engine.generate(prompts, 2, Sampling(max_new_tokens=6, seed=0))
    assert engine.counts.prompt_tokens == 330
    # 40, 60 more of the whole, its last token again, 30 of the other.
    assert engine.counts.prompt_tokens_computed == 40 + 60 + 1 + 30
    for prompt, group in zip(prompts, groups, strict=True):
        for completion in group:
            expected = plain_logprobs(tiny_model_folder, prompt + completion.token_ids)
            for t, (token, logprob) in enumerate(zip(completion.token_ids, completion.logprobs, strict=True)):
                assert expected[len(prompt) - 1 + t, token].item() == pytest.approx(logprob, abs=1e-4)


def test_sequences_enter_as_others_end(tiny_model: LoadedModel) -> None:
    ending = dataclasses.replace(tiny_model, end_ids=tuple(range(0, 49152, 7)))
    sampling = Sampling(max_new_tokens=40, seed=1)
    engine = TransformersEngine(ending, max_sequences=4)
    groups = engine.generate(PROMPTS, 8, sampling)
    decoded = sum(len(c.token_ids) - 1 for group in groups for c in group)
    # A batch that waits for its slowest would make far more passes than those that full rows need.
    assert engine.counts.passes <= decoded / 4 + 40
    at_once = TransformersEngine(ending).generate(PROMPTS, 8, sampling)
    assert [c.token_ids for g in groups for c in g] == [c.token_ids for g in at_once for c in g]


def test_memory_is_bounded(tiny_model: LoadedModel) -> None:
    # 2 layers x 2 heads x 8 numbers, keys and values, 4 bytes: 256 bytes a token.
    engine = TransformersEngine(tiny_model, cache_gb=256 * 40e-9)
    groups = engine.generate([*PROMPTS, tuple(range(5, 65))], 3, Sampling(max_new_tokens=10, seed=0))
    # No more than 3 sequences of 10 tokens and one prompt fit; the prompt of 60 tokens is answered alone.
    assert [len(group) for group in groups] == [3] * 4
    assert engine.counts.passes >= 9 * 4
    with pytest.raises(ConfigError, match="cache_gb"):
        TransformersEngine(tiny_model, cache_gb=0)


def test_weight_versions(tiny_model: LoadedModel) -> None:
    engine = TransformersEngine(tiny_model)
    assert engine.weight_version == 0
    engine.load(None, 3)
    assert engine.weight_version == 3


def test_models_that_cannot_share_a_prompt_are_refused(tmp_path: Path) -> None:
    from transformers import AutoConfig

    folder = save_tiny_model(tmp_path)
    loaded = load_model(str(folder), dtype="float32", device="cpu")
    assert AutoConfig.from_pretrained(folder).model_type == "llama"
    loaded.model.config.layer_types = ["sliding_attention", "full_attention"]
    with pytest.raises(ModelError, match="sliding_attention"):
        TransformersEngine(loaded)
