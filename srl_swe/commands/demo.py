"""``srl-swe demo``: the whole way, from expert trajectories to a trained model and a page about it.

Every part goes on where it was interrupted, and is skipped where it is done.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.progress import Progress, track

from srl_swe.commands.acting import load_policy
from srl_swe.commands.output import BAR, console, number, percent
from srl_swe.commands.suites import prepare_all, read_tasks, sweep_first
from srl_swe.errors import ConfigError
from srl_swe.records import PreparedTask, Trajectory
from srl_swe.training.config import TrainConfig

T = TypeVar("T")

SUITES = (Path("envs/starter"), Path("envs/releases"))
# Of the second suite as many as fit the demo's time.
RELEASES = (
    "cachetools-missing-not-stored", "itsdangerous-far-future-timestamp", "jsonpatch-malformed-patches",
    "jsonpatch-true-is-not-one", "mistune-heading-spaces", "parse-hyphen-in-field-name", "sqlparse-keep-hints",
    "tinydb-lru-cache-update", "tomlkit-delete-scattered-table", "tomlkit-integer-division",
    "voluptuous-extra-keys-with-any", "xmltodict-blank-elements",
)  # fmt: skip
NOTE = (
    "The warm-up imitates the expert on training steps until most answers have the required form; without it every "
    "answer is malformed, every reward is -1 and SRL has nothing to compare. All evaluations are on repositories that "
    "no training step comes from, on the same tasks and steps each time, with answers drawn at temperature 1."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How long each part is, for a model of 135M parameters on two cores."""

    warmup_updates: int
    """Updates of the SFT warm-up."""
    srl_updates: int
    """Updates of SRL."""
    srl_batch: int
    """Groups in each."""
    step_samples: int
    """Answers for each held-out step."""
    warmup_batch: int = 12
    """Samples in each update of the warm-up."""
    warmup_rate: float = 1e-4
    """Learning rate of the warm-up."""
    srl_rate: float = 6e-5
    """Learning rate of SRL."""
    max_steps: int
    """Most actions of an evaluation episode."""
    measured_steps: int | None = None
    """Held-out steps that are measured, at even distances; ``None``: all."""
    max_new_tokens: int = 96
    """Most tokens of an answer."""


SHORT = Schedule(warmup_updates=12, srl_updates=12, srl_batch=4, step_samples=2, max_steps=6, measured_steps=80)
LONG = Schedule(warmup_updates=12, srl_updates=24, srl_batch=6, step_samples=4, max_steps=10)


def demo(*, out: Path | None = None, long: bool = False, seeds: tuple[int, ...] = (0, 1, 2)) -> int:
    """Train the embedded model by SRL, evaluate it before and after, and write the report.

    Args:
        out: The run's folder; runs/demo, or runs/demo-long with --long.
        long: The run of up to two hours that is meant to show learning: one warm-up, then SRL with several seeds.
        seeds: With --long: the seeds of this call. Several calls may share the work; the last one sums up.
    """
    missing = [str(suite) for suite in SUITES if not suite.is_dir()]
    if missing:
        raise ConfigError(f"{', '.join(missing)}: not here; run the demo in a checkout of the project")
    sweep_first()
    world = prepare_world()
    if not long:
        run = Arm(world, SHORT, out or Path("runs/demo"))
        run.warm_up()
        run.reinforce(seed=0, out=run.out)
        return 0
    run = Arm(world, LONG, out or Path("runs/demo-long"))
    run.warm_up()
    for seed in seeds:
        run.reinforce(seed=seed, out=run.out / f"seed-{seed}")
    return _sum_up(run)


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What every arm of the demo works on."""

    heldout: list[PreparedTask]
    """Tasks to evaluate on."""
    training_file: Path
    """Verified expert trajectories of training tasks."""
    heldout_trajectories: list[Trajectory]
    """Verified expert trajectories of held-out tasks, to measure single steps on."""


def prepare_world() -> World:
    """Build the images, get every task's expert trajectory, and run each once more in a container.

    Only those that end solved again are used.
    """
    _say("1/5  images and experts")
    starter, releases = SUITES
    prepared = prepare_all([*read_tasks([starter]), *read_tasks([releases], ids=RELEASES)])
    trajectories = _experts(prepared)
    verified = _verify(trajectories, prepared)
    from srl_swe.experts.trajectories import write_trajectories
    from srl_swe.sandbox.cache import cache_dir

    training_file = cache_dir() / "trajectories" / "demo.train.jsonl"
    write_trajectories(training_file, [t for t in verified if t.split == "train"])
    heldout = [p for p in prepared if p.task.split == "heldout"]
    return World(
        heldout=heldout,
        training_file=training_file,
        heldout_trajectories=[t for t in verified if t.split == "heldout"],
    )


@dataclass(frozen=True, kw_only=False, slots=True)
class Arm:
    """A warm-up and what is trained from it. Each part is skipped where its results are there."""

    world: World
    """Tasks and trajectories."""
    schedule: Schedule
    """How long."""
    out: Path
    """Holds ``before/``, ``warmup/`` and ``warm/``."""

    def warm_up(self) -> None:
        """Evaluate the untrained model, imitate the expert for a while, and evaluate again."""
        from srl_swe.policies.models import DEFAULT_MODEL
        from srl_swe.training.loop import train

        _say("2/5  evaluation before training")
        _evaluate(DEFAULT_MODEL, self.world, self.schedule, self.out / "before")
        _say("3/5  SFT warm-up, and evaluation")
        _evaluate(
            str(train(self.warm_up_config(), console=console(stderr=True))),
            self.world,
            self.schedule,
            self.out / "warm",
        )

    def reinforce(self, *, seed: int, out: Path) -> None:
        """Go on from the warm-up by SRL, evaluate, and write the report."""
        from srl_swe.evaluation.site.build import Sources, write_site
        from srl_swe.files import write_atomically
        from srl_swe.training.checkpoint import latest_checkpoint
        from srl_swe.training.loop import train

        _say(f"4/5  SRL (seed {seed}), and evaluation")
        config = TrainConfig(
            out=out,
            trajectories=(self.world.training_file,),
            objective="srl",
            model=str(latest_checkpoint(self.out / "warmup")),
            updates=self.schedule.srl_updates,
            batch=self.schedule.srl_batch,
            learning_rate=self.schedule.srl_rate,
            max_new_tokens=self.schedule.max_new_tokens,
            seed=seed,
        )
        _evaluate(str(train(config, console=console(stderr=True))), self.world, self.schedule, out / "after")
        _say("5/5  report")
        for phase in ("before", "warm", "warmup"):
            if out != self.out and not (out / phase).exists():
                (out / phase).symlink_to(Path("..") / phase)
        summary = {
            "seed": seed,
            "schedule": dataclasses.asdict(self.schedule),
            "model": TrainConfig.model,
            "note": NOTE,
        }
        write_atomically(out / "summary.json", json.dumps(summary, indent=2) + "\n")
        sources = Sources(runs=(out,), trajectories=(self.world.training_file,))
        console().print(f"written: {write_site(sources, out / 'report')}", markup=False)

    def warm_up_config(self) -> TrainConfig:
        """The warm-up's run."""
        return TrainConfig(
            out=self.out / "warmup",
            trajectories=(self.world.training_file,),
            objective="sft",
            updates=self.schedule.warmup_updates,
            batch=self.schedule.warmup_batch,
            learning_rate=self.schedule.warmup_rate,
        )


def _sum_up(run: Arm) -> int:
    """Compare the seeds that are there; several are needed for a plot of more than luck."""
    from srl_swe.evaluation.learning import write_learning
    from srl_swe.evaluation.site.build import Sources, write_site

    finished = sorted(path.parent.parent for path in run.out.glob("seed-*/after/steps.jsonl"))
    result = write_learning(finished, run.out)
    page = write_site(Sources(runs=(run.out,), trajectories=(run.world.training_file,)), run.out / "report")
    written = f"{run.out / 'learning.json'}, {run.out / 'learning.svg'}, {page}"
    console().print(f"written: {written}\n{result.sentence}", markup=False)
    return 0


def _experts(prepared: Sequence[PreparedTask]) -> list[Trajectory]:
    """The committed trajectories of ``envs/starter``; those over other people's packages are recorded here."""
    from srl_swe.commands.experts import trajectory_files
    from srl_swe.experts.recording import record_suite
    from srl_swe.experts.trajectories import read_trajectories
    from srl_swe.sandbox.cache import cache_dir

    found: list[Trajectory] = []
    folder = cache_dir() / "trajectories"
    for suite, group in itertools.groupby(prepared, key=lambda p: p.task.suite):
        if committed := [f for f in trajectory_files(suite) if f.parent != folder]:
            found += [t for file in committed for t in read_trajectories(file)]
            continue
        tasks = sorted(group, key=lambda p: p.task.split)
        for split, part in itertools.groupby(tasks, key=lambda p: p.task.split):
            wanted = list(part)
            with Progress(*BAR, console=console(stderr=True)) as progress:
                bar = partial(progress.advance, progress.add_task(f"recording {suite}", total=len(wanted)))
                file = folder / f"{suite}.{split}.jsonl"
                recorded = record_suite(wanted, file, on_progress=lambda _, bar=bar: bar())  # type: ignore[misc]
            found += [result.trajectory for result in recorded if result.trajectory is not None]
    return found


def _verify(trajectories: Sequence[Trajectory], prepared: Sequence[PreparedTask]) -> list[Trajectory]:
    """Replay one trajectory a task in a real container; keep the trajectories of tasks that end solved.

    What was found is remembered for as long as neither the tasks nor the trajectories change.
    """
    from srl_swe.evaluation.lines import read_meta
    from srl_swe.experts.replay import replay
    from srl_swe.experts.trajectories import format_trajectory
    from srl_swe.files import write_atomically
    from srl_swe.sandbox.cache import cache_dir

    tasks = {p.task.task_id: p for p in prepared}
    first = {t.task_id: t for t in reversed(trajectories) if t.resolved and t.task_id in tasks}
    digest = hashlib.sha256("".join(p.task.content_hash for p in prepared).encode())
    digest.update(b"".join(format_trajectory(t) for t in first.values()))
    memory = cache_dir() / "trajectories" / "demo.verified.json"
    found = read_meta(memory)
    if found.get("of") != digest.hexdigest():
        reports = [replay(t, tasks[t.task_id]) for t in _bar(list(first.values()), "replaying experts")]
        solved = [t.task_id for t, report in zip(first.values(), reports, strict=True) if report.resolved]
        found = {"of": digest.hexdigest(), "solved": solved, "drifted": sum(bool(r.drifted) for r in reports)}
        write_atomically(memory, json.dumps(found) + "\n")
    console().print(
        f"replayed {len(first)} expert trajectories: {len(found['solved'])} end solved, {found['drifted']} drift "
        "somewhere",
        markup=False,
    )
    return [t for t in trajectories if t.task_id in found["solved"]]


def _evaluate(model: str, world: World, schedule: Schedule, out: Path) -> None:
    """Whole episodes on the held-out tasks, then single held-out steps; what is there already is not done again."""
    from srl_swe.evaluation.runner import evaluate, solve_rate
    from srl_swe.evaluation.steps import evaluate_steps
    from srl_swe.experts.instances import all_step_instances

    bar = console(stderr=True)
    name = Path(model).name if Path(model).is_dir() else model
    policy = load_policy(model, temperature=1.0, max_new_tokens=schedule.max_new_tokens, name=name)
    results = evaluate(
        policy,
        world.heldout,
        out,
        max_steps=schedule.max_steps,
        concurrency=len(world.heldout),
        split="heldout",
        settings={"temperature": 1.0, "max_new_tokens": schedule.max_new_tokens},
        console=bar,
    )
    instances = all_step_instances(world.heldout_trajectories)
    count = min(schedule.measured_steps or len(instances), len(instances))
    steps = evaluate_steps(
        policy.answer,
        [instances[i * len(instances) // count] for i in range(count)],
        out,
        name=name,
        samples=schedule.step_samples,
        batch=32,
        console=bar,
    )
    console().print(
        f"  solved {percent(solve_rate(results))} of {len(results)} tasks, "
        f"step similarity {number(steps.similarity)}, well-formed {percent(steps.well_formed)}",
        markup=False,
    )


def _bar(items: Sequence[T], what: str) -> Iterable[T]:
    return track(items, what, console=console(stderr=True))


def _say(text: str) -> None:
    console().rule(text, align="left")
