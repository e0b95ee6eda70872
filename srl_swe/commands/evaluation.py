"""``srl-swe eval`` and ``srl-swe report``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from srl_swe.commands.experts import load_trajectories
from srl_swe.commands.output import console, number, percent, print_table, verdict
from srl_swe.commands.suites import Suites, TaskIds, prepare_all, read_tasks, sweep_first
from srl_swe.environments.episodes import repo_environment
from srl_swe.errors import ConfigError
from srl_swe.evaluation.runner import evaluate, solve_rate
from srl_swe.policies.model_policy import ModelPolicy
from srl_swe.policies.protocol import Policy
from srl_swe.policies.scripted import DoNothingPolicy, ExpertPolicy, GoldPolicy
from srl_swe.records import EpisodeResult, Sampling, Split, Task, Trajectory

PolicyName = Literal["gold", "expert", "nothing", "model"]
Files = Annotated[tuple[Path, ...], tyro.conf.UseAppendAction]


def evaluate_policy(
    suites: Suites = (),
    *,
    policy: PolicyName,
    out: Path,
    model: str | None = None,
    split: Split | None = "heldout",
    task: TaskIds = (),
    trajectories: Files = (),
    measure: Literal["episodes", "steps", "both"] = "episodes",
    max_steps: int = 30,
    concurrency: int = 4,
    backend: str = "docker",
    samples: int = 4,
    temperature: float = 0.0,
    max_new_tokens: int = 192,
    seed: int = 0,
) -> int:
    """Run a policy over tasks and print the solve rate. Exits with 1 if a task could not be judged.

    Results are written as they come; the same command goes on where it was interrupted. With --measure steps, a model
    answers every step of the tasks' expert trajectories, and the similarity to the expert's actions is printed.

    Args:
        suites: Suite folders; every one in envs/ by default.
        policy: Who acts: the gold patch, the recorded expert, nobody, or a model.
        out: Folder for results.jsonl, transcripts.jsonl and meta.json.
        model: With --policy model: a model id, a folder or a .gguf file; the embedded one by default.
        split: Only this split; None for all.
        task: Only this task; may be given several times.
        trajectories: For the expert and for steps: trajectory files; those of the suites by default.
        measure: Whole episodes in containers, single steps against the expert's, or both.
        max_steps: Most actions an episode.
        concurrency: Most containers at a time.
        backend: Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds.
        samples: Answers a step, drawn at temperature 1; the most likely answer is asked for besides.
        temperature: Of a model in episodes; 0 takes the most likely answer.
        max_new_tokens: Most tokens of a model's answer.
        seed: Seed of the environments and of the model.
    """
    if policy != "model" and (model is not None or measure != "episodes"):
        raise ConfigError(f"--model and --measure steps go with --policy model, not with --policy {policy}")
    tasks = read_tasks(suites, split=split, ids=task)
    recorded: list[Trajectory] = []
    if policy == "expert" or measure != "episodes":
        wanted = {t.task_id for t in tasks}
        files = load_trajectories(trajectories, list(dict.fromkeys(t.suite for t in tasks)))
        recorded = [trajectory for trajectory in files if trajectory.task_id in wanted]
    if measure != "steps":
        sweep_first(backend)
    actor: Policy
    if policy == "model":
        actor = load_policy(model, temperature=temperature, max_new_tokens=max_new_tokens, seed=seed)
    else:
        actor = _scripted(policy, tasks, recorded)
    if isinstance(actor, ModelPolicy) and measure != "episodes":
        _measure_steps(actor, recorded, out, samples=samples)
    if measure == "steps":
        return 0
    settings = {"temperature": temperature, "max_new_tokens": max_new_tokens} if policy == "model" else {}
    results = evaluate(
        actor,
        prepare_all(tasks, backend),
        out,
        max_steps=max_steps,
        concurrency=concurrency,
        seed=seed,
        split=split,
        settings=settings,
        environments=partial(repo_environment, backend=backend),
        console=console(stderr=True),
    )
    print_results(results)
    return 0 if all(result.solved is not None for result in results) else 1


def print_results(results: Sequence[EpisodeResult]) -> None:
    """A table of the episodes, and the solve rate with its interval."""
    print_table(
        ["task", "result", "ended by", "steps", "malformed", "seconds", "note"],
        [
            (
                result.task_id,
                verdict(result.solved, yes="solved", no="not solved", unknown="not judged"),
                result.ending,
                result.steps,
                result.malformed,
                f"{result.seconds:.1f}",
                result.error or "; ".join(result.tampering),
            )
            for result in results
        ],
    )
    judged = [result for result in results if result.solved is not None]
    solved = sum(bool(result.solved) for result in judged)
    console().print(f"solved {solved} of {len(judged)}: {percent(solve_rate(results))} (95% interval)", markup=False)
    if lost := len(results) - len(judged):
        console(stderr=True).print(f"{lost} could not be judged; the same command tries them again", style="yellow")


def write_report(run: Positional[Path], *, out: Path | None = None) -> int:
    """Write one self-contained HTML page about a run, or about one evaluation.

    Args:
        run: The run's folder: metrics.jsonl, before/, warm/, after/ (any of them), or an evaluation's folder.
        out: The page; report.html in the run's folder by default.
    """
    from srl_swe.evaluation import report, steps

    path = report.write_report(run, out)
    folders = [run / phase for phase in report.PHASES] + [run]
    for folder in folders:
        if records := steps.read_steps(folder):
            summary = steps.summarise_steps(records)
            console().print(f"{folder}: step similarity {number(summary.similarity)}", markup=False)
    console().print(f"written: {path}", markup=False)
    return 0


def _scripted(name: PolicyName, tasks: Sequence[Task], recorded: Sequence[Trajectory]) -> Policy:
    if name == "gold":
        return GoldPolicy()
    if name == "nothing":
        return DoNothingPolicy()
    expert = ExpertPolicy(recorded)
    expert.require(task.task_id for task in tasks)
    return expert


def load_policy(
    model: str | None, *, temperature: float, max_new_tokens: int, seed: int = 0, name: str | None = None
) -> ModelPolicy:
    """A language model on the embedded engine; `None` for the embedded model. Results call it ``name``.

    Raises:
        ModelError: it cannot be found or loaded.
    """
    from srl_swe.policies.models import DEFAULT_MODEL, load_model
    from srl_swe.policies.transformers_engine import TransformersEngine

    loaded = load_model(model or DEFAULT_MODEL)
    engine = TransformersEngine(loaded, seed=seed)
    return ModelPolicy(
        name or loaded.name, engine, loaded.tokenizer, Sampling(max_new_tokens=max_new_tokens, temperature=temperature)
    )


def _measure_steps(policy: ModelPolicy, recorded: Sequence[Trajectory], out: Path, *, samples: int) -> None:
    """Evaluate single steps and print the means."""
    from srl_swe.evaluation.steps import evaluate_steps
    from srl_swe.experts.instances import all_step_instances

    def at(temperature: float) -> ModelPolicy:
        sampling = dataclasses.replace(policy.sampling, temperature=temperature)
        return ModelPolicy(policy.name, policy.engine, policy.tokenizer, sampling)

    summary = evaluate_steps(
        at(1.0).answer,
        all_step_instances(recorded),
        out,
        name=policy.name,
        samples=samples,
        greedy=at(0.0).answer,
        console=console(stderr=True),
    )
    print_table(
        ["quantity", "mean and 95% interval"],
        [
            ("similarity", number(summary.similarity)),
            ("similarity of the most likely answer", number(summary.greedy_similarity)),
            ("reward", number(summary.reward)),
            ("well-formed", percent(summary.well_formed)),
        ],
        title=f"{summary.instances} steps, {summary.samples} answers",
    )
