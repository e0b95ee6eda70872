"""``srl-swe eval``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from srl_swe.commands.acting import (
    Actor,
    AgentOptions,
    EndpointOptions,
    EngineOptions,
    EpisodeOptions,
    PolicyName,
    check_options,
    scripted_policy,
)
from srl_swe.commands.experts import load_trajectories
from srl_swe.commands.output import console, number, percent, print_table
from srl_swe.commands.results import print_episodes, print_summary, tell_failures
from srl_swe.commands.suites import Suites, TaskIds, prepare_all, read_tasks, sweep_first
from srl_swe.errors import ConfigError
from srl_swe.evaluation.summary import summarise, write_summary
from srl_swe.evaluation.votes import SameAnswers
from srl_swe.policies.model_policy import ModelPolicy
from srl_swe.records import EpisodeResult, Split, Task, Trajectory

Files = Annotated[tuple[Path, ...], tyro.conf.UseAppendAction]


Episodes = Annotated[EpisodeOptions, tyro.conf.arg(name="")]
Generating = Annotated[EngineOptions, tyro.conf.arg(name="")]
Endpoint = Annotated[EndpointOptions, tyro.conf.arg(name="")]
External = Annotated[AgentOptions, tyro.conf.arg(name="")]
_EPISODES, _ENGINE, _ENDPOINT, _AGENT = EpisodeOptions(), EngineOptions(), EndpointOptions(), AgentOptions()


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
    samples: int = 4,
    episodes: Episodes = _EPISODES,
    engine: Generating = _ENGINE,
    endpoint: Endpoint = _ENDPOINT,
    agent: External = _AGENT,
    backend: str = "docker",
    seed: int = 0,
) -> int:
    """Run a policy over tasks and print how it did. Exits with 1 if a task could not be judged.

    Results are written as they come; the same command goes on where it was interrupted. With --measure steps, a model
    answers every step of the tasks' expert trajectories, and the similarity to the expert's actions is printed.

    Args:
        suites: Suite folders; every one in envs/ by default.
        policy: Who acts: the gold patch, the recorded expert, nobody, a model here or behind a server, or an agent.
        out: Folder for results.jsonl, transcripts.jsonl, evaluation.json and meta.json.
        model: A model id, a folder or a .gguf file, the embedded one by default; for openai the name at the server.
        split: Only this split; None for all.
        task: Only this task; may be given several times.
        trajectories: For the expert and for steps: trajectory files; those of the suites by default.
        measure: Whole episodes in containers, single steps against the expert's, or both.
        samples: Answers a step, drawn at temperature 1; the most likely answer is asked for besides.
        episodes: How episodes are run.
        engine: For --policy model.
        endpoint: For --policy openai.
        agent: For --policy command.
        backend: Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds.
        seed: Seed of the environments, of the model and of the intervals.
    """
    check_options(policy, model, measure, episodes, engine, endpoint, agent)
    tasks = read_tasks(suites, split=split, ids=task, domain=None)
    if measure != "steps":
        tasks = _judged(tasks)
    recorded: list[Trajectory] = []
    if policy == "expert" or measure != "episodes":
        recorded = _recorded(tasks, trajectories)
    if measure != "steps" and any(t.domain == "repository" for t in tasks):
        sweep_first(backend)
    actor = Actor(
        policy=policy,
        model=model,
        episodes=episodes,
        engine=engine,
        endpoint=endpoint,
        agent=agent,
        backend=backend,
    )
    with contextlib.closing(actor):
        if policy == "model":
            actor.load(seed)
            if measure != "episodes":
                _measure_steps(actor.at(1.0), recorded, out, samples=samples)
        else:
            actor.scripted = scripted_policy(policy, tasks, recorded)
        if measure == "steps":
            return 0
        results = actor.run(prepare_all(tasks, backend), out, split=split, seed=seed)
    return print_results(results, out, seed=seed)


def print_results(results: Sequence[EpisodeResult], out: Path, *, seed: int = 0) -> int:
    """Print the tables, write ``evaluation.json``; return the exit code."""
    same = SameAnswers()
    summary = summarise(results, seed=seed, same=same)
    print_episodes(results)
    print_summary(summary)
    tell_failures(same)
    console().print(f"written: {write_summary(out, summary, seed=seed)}", markup=False)
    if lost := sum(series.lost for series in summary.series.values()):
        console(stderr=True).print(f"{lost} could not be judged; the same command tries them again", style="yellow")
    return 1 if lost else 0


def _recorded(tasks: Sequence[Task], trajectories: tuple[Path, ...]) -> list[Trajectory]:
    wanted = {task.task_id for task in tasks}
    files = load_trajectories(trajectories, list(dict.fromkeys(task.suite for task in tasks)))
    return [trajectory for trajectory in files if trajectory.task_id in wanted]


def _judged(tasks: list[Task]) -> list[Task]:
    """Without the maths problems whose answer nobody knows, which is said.

    Raises:
        ConfigError: none is left.
    """
    from srl_swe.tasks.folder import has_outcome

    judged = [task for task in tasks if has_outcome(task)]
    if left_out := len(tasks) - len(judged):
        console(stderr=True).print(f"{left_out} problems left out: nobody knows their answers", style="yellow")
    if not judged:
        raise ConfigError("no problem whose answer is known")
    return judged


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
