"""What running episodes together gains: answers a second of many episodes at once, against one at a time.

    python -m benchmarks.evaluation --json benchmarks/results/evaluation.json

The same model answers greedily in the same episodes (real containers, so many steps each), first one episode at a time
and then all of them, in turns. Figures: ``throughput_vs_one_at_a_time`` (median over rounds of the ratio; ``…_spread``:
the distance of its quartiles ÷ it), ``answers_per_second``, ``tokens_per_second`` and the same ``…_one_at_a_time``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from rich.progress import track

from benchmarks.record import parse, report
from srl_swe.environments.episodes import repo_environment
from srl_swe.evaluation.runner import evaluate
from srl_swe.policies.model_policy import ModelPolicy
from srl_swe.policies.models import DEFAULT_MODEL, load_model
from srl_swe.policies.transformers_engine import TransformersEngine
from srl_swe.records import PreparedTask, Sampling
from srl_swe.tasks import prepare, read_suite

ENVS = Path(__file__).parents[1] / "envs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """All episodes once."""

    answers: int
    """Answers given."""
    tokens: int
    """Tokens written."""
    seconds: float
    """Wall-clock."""


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="docker")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    options = parse(__doc__, parser)
    every = read_suite(ENVS / "starter")
    tasks = [prepare(task, backend=options.backend) for task in every[: options.episodes]]
    loaded = load_model(options.model)
    sampling = Sampling(max_new_tokens=options.max_new_tokens, temperature=0.0)
    policy = ModelPolicy(loaded.name, TransformersEngine(loaded), loaded.tokenizer, sampling)
    measure = partial(one_pass, policy, steps=options.steps, backend=options.backend)
    measure(tasks[:1], 1)  # a first one, for what is loaded late
    rounds = [(measure(tasks, 1), measure(tasks, len(tasks))) for _ in track(range(options.rounds), "rounds")]
    figures = summary(rounds)
    rows: list[list[object]] = [["figure", "value"], *([name, value] for name, value in figures.items())]
    versions = {"torch": version("torch"), "transformers": version("transformers"), "model": loaded.name}
    report(f"{len(tasks)} episodes of {options.steps} steps, {options.backend}", rows, figures, versions, options.json)


def one_pass(policy: ModelPolicy, tasks: Sequence[PreparedTask], concurrency: int, *, steps: int, backend: str) -> Pass:
    """Run the episodes of all tasks, so many at a time."""
    environments = partial(repo_environment, backend=backend)
    with tempfile.TemporaryDirectory(prefix="srl-swe-") as out:
        start = time.perf_counter()
        results = evaluate(
            policy, tasks, Path(out), max_steps=steps, concurrency=concurrency, environments=environments
        )
        seconds = time.perf_counter() - start
    assert all(result.solved is not None for result in results), results
    tokens = sum(result.completion_tokens or 0 for result in results)
    return Pass(answers=sum(result.steps for result in results), tokens=tokens, seconds=seconds)


def summary(rounds: Sequence[tuple[Pass, Pass]]) -> dict[str, float]:
    """The figures of some rounds, each one at a time and then together."""
    # Episodes may differ a little, since a batch rounds otherwise: what counts is answers a second, not seconds.
    ratios = [together.answers / together.seconds / (alone.answers / alone.seconds) for alone, together in rounds]
    middle = statistics.median(ratios)
    figures = {"throughput_vs_one_at_a_time": middle}
    if len(ratios) > 1:
        low, _, high = statistics.quantiles(ratios, n=4)
        figures["throughput_vs_one_at_a_time_spread"] = (high - low) / middle
    for index, suffix in ((1, ""), (0, "_one_at_a_time")):
        passes = [one[index] for one in rounds]
        figures[f"answers_per_second{suffix}"] = statistics.median(p.answers / p.seconds for p in passes)
        figures[f"tokens_per_second{suffix}"] = statistics.median(p.tokens / p.seconds for p in passes)
    return figures


if __name__ == "__main__":
    main()
