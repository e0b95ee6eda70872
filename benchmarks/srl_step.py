"""One update of SRL from end to end (sampling, training, giving the engine the new weights), against padded ones.

    python -m benchmarks.srl_step --json benchmarks/results/srl_step.json

An update is the first ``--steps`` steps of a real trajectory with ``--group`` answers each, all of exactly ``--new``
tokens, so that everybody does the same work. Three do it, each on a model of its own (in float32 16 bytes a weight), in
turn, round after round; ratios are of the same round:

- ours: the objective, the engine (``--engine``) and the learner of `srl-swe train`;
- padded: transformers' padded `generate`, then our learner on one row a sample;
- TRL: `GRPOTrainer`, which pads both, where it is installed and ``--trl`` is given. Its sync is no work, since its
  `generate` has the trainer's weights; what it does around its passes, the optimiser's step too, is not counted.

Trajectories are files of ours, or of any format that is read (``--trajectories FILE --place 0``), such as
mini-swe-agent's.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.generation import padded_generate
from benchmarks.record import parse, report
from srl_swe.experts.formats.reading import read_file
from srl_swe.experts.instances import step_instances
from srl_swe.policies.models import LoadedModel, load_model
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import TrainingData, encode_steps
from srl_swe.training.samples import answer_sample

PARTS = ("sampling", "training", "sync")
RATE = 1e-6
Update = Callable[[int], dict[str, float]]
"""Update number -> seconds of each part."""


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trajectories", type=Path, default=Path("trajectories/starter.train.jsonl"))
    parser.add_argument("--place", type=int, default=0, help="which trajectory of the file")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--group", type=int, default=4, help="answers a step")
    parser.add_argument("--new", type=int, default=32, help="tokens an answer")
    parser.add_argument("--history", type=int, default=2, help="pairs of action and observation shown; -1: all")
    parser.add_argument("--observation-chars", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=4, help="rows of TRL's forward and backward passes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--trl", action="store_true", help="TRL too")
    options = parse(__doc__, parser)
    first = load(options)
    data = real_steps(first, options)
    with tempfile.TemporaryDirectory() as folder:
        updates = {"ours": ours(first, data, options), "padded": padded(load(options), data, options)}
        if options.trl:
            updates["TRL"] = trl(load(options), data, options, folder)
        seconds: dict[str, list[dict[str, float]]] = {name: [] for name in updates}
        for number in range(options.rounds + 1):
            for name, update in updates.items():
                taken = update(number + 1)
                if number:  # the first one warms up
                    seconds[name].append(taken)
    publish(seconds, data, options)


def load(options: argparse.Namespace) -> LoadedModel:
    """A model in which no token ends an answer."""
    return replace(load_model(options.model, dtype=options.dtype), end_ids=())


def real_steps(loaded: LoadedModel, options: argparse.Namespace) -> TrainingData:
    """The first steps of the trajectory."""
    trajectory = list(read_file(options.trajectories))[options.place]
    history = None if options.history < 0 else options.history
    steps = step_instances(trajectory, history=history, observation_chars=options.observation_chars)[: options.steps]
    return encode_steps(steps, loaded.tokenizer, max_prompt_tokens=10**6)


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add what the block takes."""
    start = time.perf_counter()
    yield
    seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start


def ours(loaded: LoadedModel, data: TrainingData, options: argparse.Namespace) -> Update:
    """As in `srl_swe.training.loop`."""
    from srl_swe.policies.engines import make_engine
    from srl_swe.training.learner import Learner
    from srl_swe.training.step_reward import StepReward

    config = TrainConfig(
        out=Path("unused"),
        trajectories=(options.trajectories,),
        batch=len(data.instances),
        group_size=options.group,
        max_new_tokens=options.new,
        dynamic_sampling=False,
    )
    engine = make_engine(options.engine, loaded)
    objective = StepReward(data, config, engine)
    learner = Learner(loaded, objective.loss)

    def update(number: int) -> dict[str, float]:
        seconds: dict[str, float] = {}
        with timed(seconds, "sampling"):
            batch = objective.next_batch(number)
        with timed(seconds, "training"):
            learner.update(batch.samples, RATE)
        with timed(seconds, "sync"):
            engine.load(loaded.weights(), number)
        return seconds

    return update


def padded(loaded: LoadedModel, data: TrainingData, options: argparse.Namespace) -> Update:
    """The same with one row a sample, in sampling and in training."""
    from srl_swe.training.learner import Learner
    from srl_swe.training.losses import policy_loss

    learner = Learner(loaded, policy_loss("grpo", longest_response=options.new), packing="padded")
    prompts = [instance.prompt_ids for instance in data.instances]

    def update(number: int) -> dict[str, float]:
        del number
        seconds: dict[str, float] = {"sync": 0.0}
        with timed(seconds, "sampling"):
            rows = padded_generate(loaded, prompts, options.group, options.new)
        with timed(seconds, "training"):
            owners = [prompt for prompt in prompts for _ in range(options.group)]
            samples = [answer_sample(prompt, row, None, 0.0) for prompt, row in zip(owners, rows, strict=True)]
            learner.update(samples, RATE)
        return seconds

    return update


def trl(loaded: LoadedModel, data: TrainingData, options: argparse.Namespace, folder: str) -> Update:
    """A trainer that is asked for one step at a time."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    rows = len(data.instances) * options.group
    seconds: dict[str, float] = {}

    class Timed(GRPOTrainer):  # type: ignore[misc]
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            with timed(seconds, "sampling"):
                return super()._generate_and_score_completions(inputs)

        def training_step(self, *parts: Any, **named: Any) -> Any:
            with timed(seconds, "whole"):
                return super().training_step(*parts, **named)

    settings = GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=options.rows,
        gradient_accumulation_steps=rows // options.rows,
        num_generations=options.group,
        max_completion_length=options.new,
        generation_kwargs={"min_new_tokens": options.new},
        max_steps=1,
        learning_rate=RATE,
        loss_type="grpo",
        beta=0.0,
        bf16=options.dtype == "bfloat16",
        gradient_checkpointing=False,
        use_cpu=loaded.model.device.type == "cpu",
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        shuffle_dataset=False,
    )
    trainer = Timed(
        model=loaded.model,
        reward_funcs=lambda completions, **_: [float(place % 2) for place in range(len(completions))],
        args=settings,
        train_dataset=Dataset.from_list([{"prompt": list(i.instance.messages)} for i in data.instances]),
        processing_class=loaded.tokenizer,
    )

    trainer.remove_callback(PrinterCallback)

    def update(number: int) -> dict[str, float]:
        del number
        seconds.clear()
        trainer.train()
        sampling = seconds["sampling"]
        return {"sampling": sampling, "training": seconds["whole"] - sampling, "sync": 0.0}

    return update


def publish(seconds: dict[str, list[dict[str, float]]], data: TrainingData, options: argparse.Namespace) -> None:
    """The table and the figures."""
    whole = {name: [sum(round_.values()) for round_ in rounds] for name, rounds in seconds.items()}
    ratios = {
        name: statistics.median(other / own for other, own in zip(times, whole["ours"], strict=True))
        for name, times in whole.items()
    }
    table: list[Sequence[object]] = [("update", *PARTS, "seconds in all", "times ours")]
    figures: dict[str, float] = {}
    for name, rounds in seconds.items():
        middles = [statistics.median(round_[part] for round_ in rounds) for part in PARTS]
        table.append((name, *middles, statistics.median(whole[name]), ratios[name]))
        key = name.lower()
        figures |= {f"{key}_{part}_seconds": middle for part, middle in zip(PARTS, middles, strict=True)}
        figures[f"{key}_seconds"] = statistics.median(whole[name])
        if name != "ours":
            figures[f"speedup_vs_{key}"] = ratios[name]
    prompts = [len(instance.prompt_ids) for instance in data.instances]
    figures |= {"steps": len(prompts), "group": options.group, "new_tokens": options.new, "rounds": options.rounds}
    figures["prompt_tokens"] = sum(prompts) / len(prompts)
    versions = {"dtype": options.dtype, "engine": options.engine}
    versions |= {name: version(name) for name in ("torch", "transformers", *(("trl",) if options.trl else ()))}
    title = f"{len(prompts)} steps of {figures['prompt_tokens']:.0f} tokens x {options.group} of {options.new}"
    report(title, table, figures, versions, options.json)


if __name__ == "__main__":
    main()
