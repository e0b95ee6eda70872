"""What every engine promises, on each engine that is there.

The vLLM ones need ``pytest -m vllm`` in an environment that has vLLM (`make test` makes one).
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch._dynamo
from tiny_models import save_tiny_model
from vllm_servers import vllm_server

from srl_swe.errors import (
    ConfigError,
    ContextLengthError,
    EndpointError,
    EngineMismatchError,
    InfrastructureError,
)
from srl_swe.policies.canary import TOLERANCES, Canary, check_canary
from srl_swe.policies.engine import Engine
from srl_swe.policies.engines import make_engine
from srl_swe.policies.models import LoadedModel, load_model
from srl_swe.records import Completion, Sample, Sampling

CONTEXT = 256
PROMPTS = [tuple(range(5, 45)), (9, 10, 11), tuple(range(5, 30)), (9, 10, 11)]
ENGINES = [
    "transformers",
    pytest.param("vllm", marks=[pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]),
    pytest.param("vllm-server", marks=[pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, its heads wide enough for vLLM, its vocabulary so small that turns end by chance."""
    return save_tiny_model(
        tmp_path_factory.mktemp("contract-model"),
        vocab_size=128,
        hidden_size=128,
        num_attention_heads=4,
        initializer_range=0.1,
        max_position_embeddings=CONTEXT,
    )


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedModel:
    """The learner's model, changed by the tests as training would."""
    return load_model(str(folder), dtype="float32", device="cpu")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, loaded: LoadedModel, folder: Path) -> Iterator[Engine]:
    """Each engine, started once."""
    with contextlib.ExitStack() as stack:
        url = None
        if request.param != "transformers":
            pytest.importorskip("vllm")
            stack.enter_context(torch._dynamo.config.patch(disable=True))  # as in the server's environment
        if request.param == "vllm-server":
            log = request.getfixturevalue("tmp_path_factory").mktemp("server") / "log"
            url, process = stack.enter_context(
                vllm_server(folder, log, "--dtype", "float32", "--logprobs-mode", "processed_logprobs")
            )
            SERVERS.append(process)
        made = make_engine(request.param, loaded, seed=7, url=url)
        stack.callback(made.close)
        yield made


SERVERS: list[subprocess.Popen[bytes]] = []


def own_logprobs(
    loaded: LoadedModel, prompt: tuple[int, ...], completion: Completion, temperature: float
) -> list[float]:
    """The completion's log-probabilities by one plain pass of transformers' own attention."""
    ids = torch.tensor([prompt + completion.token_ids])
    implementation = loaded.model.config._attn_implementation
    loaded.model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            logits = loaded.model(ids).logits[0, len(prompt) - 1 : -1] / (temperature or 1.0)
    finally:
        loaded.model.set_attn_implementation(implementation)
    return torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0].tolist()


def largest_gap(engine: Engine, loaded: LoadedModel, sampling: Sampling, n: int = 2) -> float:
    groups = engine.generate(PROMPTS, n, sampling)
    return max(
        abs(theirs - ours)
        for prompt, group in zip(PROMPTS, groups, strict=True)
        for completion in group
        for theirs, ours in zip(
            completion.logprobs, own_logprobs(loaded, prompt, completion, sampling.temperature), strict=True
        )
    )


def train_a_little(loaded: LoadedModel) -> None:
    """Change every weight, the tied embedding too, by about a tenth."""
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(0.1 * parameter.std().nan_to_num(1.0) * torch.randn_like(parameter))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_logprobs_are_the_models_before_and_after_syncs(
    engine: Engine, loaded: LoadedModel, temperature: float
) -> None:
    assert loaded.model.get_output_embeddings().weight is loaded.model.get_input_embeddings().weight
    engine.load(loaded.weights(), 0)
    for version in range(1, 5):
        sampling = Sampling(max_new_tokens=10, temperature=temperature, seed=version)
        assert largest_gap(engine, loaded, sampling) <= 1e-4
        assert largest_gap(engine, loaded, sampling) <= 1e-4  # again, with whatever was cached
        train_a_little(loaded)
        engine.load(loaded.weights(), version)
        assert engine.weight_version == version


def test_prompts_and_answers_are_in_order(engine: Engine, loaded: LoadedModel) -> None:
    engine.load(loaded.weights(), 1)
    groups = engine.generate(PROMPTS, 3, Sampling(max_new_tokens=5, seed=1))
    assert [len(group) for group in groups] == [3] * len(PROMPTS)
    assert all(len(c.token_ids) == len(c.logprobs) for group in groups for c in group)
    for completion in (c for group in groups for c in group):
        assert completion.text == loaded.tokenizer.decode(completion.token_ids, skip_special_tokens=True)
    assert engine.generate([], 3, Sampling()) == []


def tokens(groups: list[list[Completion]]) -> list[list[tuple[int, ...]]]:
    return [[completion.token_ids for completion in group] for group in groups]


def test_seeds(engine: Engine) -> None:
    first, again, other = (tokens(engine.generate(PROMPTS, 2, Sampling(max_new_tokens=6, seed=s))) for s in (1, 1, 2))
    assert first == again
    assert first != other
    assert len({completion for group in first for completion in group}) == 2 * len(PROMPTS)  # one prompt stands twice
    stream = [tokens(engine.generate(PROMPTS[:1], 2, Sampling(max_new_tokens=6))) for _ in range(2)]
    assert stream[0] != stream[1]


def test_draws_do_not_depend_on_the_other_prompts(engine: Engine) -> None:
    sampling = Sampling(max_new_tokens=6, seed=5)
    together = tokens(engine.generate(PROMPTS, 2, sampling))
    alone = [tokens(engine.generate([prompt], 2, sampling))[0] for prompt in PROMPTS[:3]]
    assert together[:3] == alone
    assert tokens(engine.generate(PROMPTS[2::-1], 2, sampling)) == alone[::-1]


def test_greedy(engine: Engine, loaded: LoadedModel) -> None:
    sampling = Sampling(max_new_tokens=6, temperature=0)
    assert largest_gap(engine, loaded, sampling) <= 1e-4
    for prompt, group in zip(PROMPTS, engine.generate(PROMPTS, 2, sampling), strict=True):
        assert group[0] == group[1]
        with torch.no_grad():
            logits = loaded.model(torch.tensor([prompt + group[0].token_ids]), use_cache=False).logits[0]
        assert logits.argmax(dim=-1)[len(prompt) - 1 : -1].tolist() == list(group[0].token_ids)


def test_answers_end_at_the_end_of_turn_or_the_limit(engine: Engine, loaded: LoadedModel) -> None:
    engine.load(loaded.weights(), 2)
    groups = engine.generate(PROMPTS, 8, Sampling(max_new_tokens=32, seed=0))
    made = [completion for group in groups for completion in group]
    for completion in made:
        ends = [token in loaded.end_ids for token in completion.token_ids]
        assert not any(ends[:-1])
        assert completion.finished == ends[-1]
        assert completion.finished or len(completion.token_ids) == 32
    assert {completion.finished for completion in made} == {True, False}


def test_the_context_is_the_last_limit(engine: Engine) -> None:
    assert engine.context_length == CONTEXT
    almost = tuple(5 + i % 100 for i in range(CONTEXT - 3))
    ((completion,),) = engine.generate([almost], 1, Sampling(max_new_tokens=20, seed=0))
    assert len(completion.token_ids) <= 3
    for prompt in ((), (7,) * CONTEXT):
        with pytest.raises(ContextLengthError, match=f"{len(prompt)} tokens"):
            engine.generate([PROMPTS[0], prompt], 1, Sampling(max_new_tokens=2))


def test_the_canary(engine: Engine, loaded: LoadedModel) -> None:
    engine.load(loaded.weights(), 4)
    canary = Canary(engine, PROMPTS[:2], temperature=0.8, tolerance=TOLERANCES["float32"])

    def score(samples: list[Sample]) -> list[list[float]]:
        found = []
        for sample in samples:
            start = sample.loss_mask.index(True)
            completion = Completion(token_ids=sample.token_ids[start:], logprobs=(), text="", finished=False)
            found.append(own_logprobs(loaded, sample.token_ids[:start], completion, 0.8))
        return found

    assert canary.check(score) <= TOLERANCES["float32"]
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight[:100].mul_(1.5)
    if not isinstance_of_embedded(engine):  # the embedded one has the learner's own weights: it cannot be stale
        with pytest.raises(EngineMismatchError, match="weights 4"):
            canary.check(score)
    engine.load(loaded.weights(), 5)
    assert canary.check(score) <= TOLERANCES["float32"]


def isinstance_of_embedded(engine: Engine) -> bool:
    return type(engine).__name__ == "TransformersEngine"


def test_only_the_embedded_engine_shares_the_learners_weights(engine: Engine) -> None:
    if isinstance_of_embedded(engine):
        engine.load(None, 6)
        assert engine.weight_version == 6
    else:
        with pytest.raises(ConfigError, match="needs the learner's"):
            engine.load(None, 6)


@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore")
def test_zz_a_dead_server_is_no_answer(engine: Engine, loaded: LoadedModel) -> None:
    """Last but one: it ends the server."""
    if not SERVERS or type(engine).__name__ != "VllmServerEngine":
        pytest.skip("not a server")
    SERVERS[-1].kill()
    SERVERS[-1].wait()
    with pytest.raises(EndpointError, match="does not answer"):
        engine.generate(PROMPTS, 1, Sampling(max_new_tokens=2))
    with pytest.raises(EndpointError, match="does not answer"):
        engine.load(loaded.weights(), 7)
    with pytest.raises(EndpointError, match="does not answer"):
        make_engine("vllm-server", loaded, url="http://127.0.0.1:9")


def test_zzz_a_closed_engine(engine: Engine, loaded: LoadedModel) -> None:
    engine.close()
    engine.close()
    with pytest.raises(InfrastructureError, match="closed"):
        engine.generate(PROMPTS, 1, Sampling())
    with pytest.raises(InfrastructureError, match="closed"):
        engine.load(loaded.weights(), 8)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vllm-server", {}, "needs the server's URL"),
        ("transformers", {"url": "http://localhost:1"}, "takes no URL"),
        ("transformers", {"sleep": True}, "cannot sleep"),
        ("vllm-server", {"url": "localhost:1"}, "expected a URL"),
        ("sglang", {}, "expected transformers, vllm or vllm-server"),
    ],
)
def test_wrong_options(loaded: LoadedModel, name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_engine(name, loaded, **options)


def test_differences_that_are_not_numbers_fail_the_canary() -> None:
    assert check_canary([[-1.0, -2.0]], [[-1.00001, -2.0]], tolerance=1e-4) == pytest.approx(1e-5, rel=1e-3)
    for theirs in (-1.1, float("nan"), float("-inf")):
        with pytest.raises(EngineMismatchError, match="1 of 2"):
            check_canary([[theirs, -2.0]], [[-1.0, -2.0]], tolerance=1e-2)
