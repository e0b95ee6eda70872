"""Run an experiment: every stage of every arm and seed once, then every measure. What is done is not done again.

Several processes may work on one folder: each takes what no other has taken, and waits for what it needs.

::

    OUT/
      experiment.toml            the file, as it was run
      base/measures/NAME/        the untrained model
      warmup/shared/             a stage that all seeds share: a run folder of `srl-swe train`
      warmup/shared/measures/
      warmup+srl/seed-1/         the second stage of an arm, from the first one's last checkpoint
      table.json, table.md, curves.svg, arms.svg

Two arms that begin with the same stages share their runs: a stage is run once for each chain that leads to it.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srl_swe.errors import ConfigError, NoSignalError
from srl_swe.evaluation.lines import read_meta
from srl_swe.experiments.measures import Measured, make_gauge
from srl_swe.experiments.plan import Experiment, Stage
from srl_swe.experiments.sharing import share
from srl_swe.experiments.world import World
from srl_swe.files import write_atomically
from srl_swe.records import Sampling
from srl_swe.training.config import TrainConfig

if TYPE_CHECKING:
    from srl_swe.policies.model_policy import ModelPolicy

COPY = "experiment.toml"
BASE = "base"
DONE = "done.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One training run of a chain of stages."""

    chain: tuple[Stage, ...]
    """The stages that lead here, this one last."""
    seed: int
    """Its seed."""
    folder: Path
    """A run folder of `srl_swe.training.loop.train`."""

    @property
    def stage(self) -> Stage:
        """What is run."""
        return self.chain[-1]


def run_experiment(experiment: Experiment, out: Path, world: World) -> None:
    """Do what is missing.

    Raises:
        ConfigError: ``out`` holds another experiment, or a stage or a measure is wrong.
        InfrastructureError: the world failed; the same call goes on.
    """
    keep_plan(experiment, out)
    gauges = {measure.name: make_gauge(experiment, measure, world) for measure in experiment.measures}
    if is_complete(experiment, out):
        return
    check_stages(experiment, out, world)
    # What a stage on an arm's way comes to is measured where it is another arm's end.
    ends = _ends(experiment, out)

    def work(run: Run) -> bool:
        if not (run.folder / DONE).is_file():
            before = _before(experiment, run, out)
            if before and not (before.folder / DONE).is_file():
                return False
            _train(train_config(experiment, run, out, world), world)
        if run.folder in ends and not is_measured(experiment, run.folder):
            _measure(trained_model(run.folder), run.folder, gauges, world)
        return True

    def work_on_base() -> bool:
        _measure(experiment.model, out / BASE, gauges, world)
        return True

    pieces: dict[Path, Callable[[], bool]] = {run.folder: functools.partial(work, run) for run in runs(experiment, out)}
    if any(not chain for chain in experiment.arms.values()):
        pieces[out / BASE] = work_on_base
    share(pieces)


def is_complete(experiment: Experiment, out: Path) -> bool:
    """Whether every run is made and measured: then neither models nor sandboxes are needed to write the table again."""
    trained = all((run.folder / DONE).is_file() for run in runs(experiment, out))
    return trained and all(is_measured(experiment, folder) for folder in _ends(experiment, out))


def is_measured(experiment: Experiment, folder: Path) -> bool:
    """Whether every measure of one model is done."""
    return all((folder / "measures" / measure.name / DONE).is_file() for measure in experiment.measures)


def _ends(experiment: Experiment, out: Path) -> set[Path]:
    return {folder for arm in experiment.arms for folder in arm_folders(experiment, arm, out)}


def runs(experiment: Experiment, out: Path) -> Iterator[Run]:
    """Every training run, earlier stages before later ones, seed by seed, so that a half-done experiment says most."""
    seen: set[Path] = set()
    for seed in experiment.seeds:
        for names in experiment.arms.values():
            for length in range(1, len(names) + 1):
                run = _run_of(experiment, names[:length], seed, out)
                if run.folder not in seen:
                    seen.add(run.folder)
                    yield run


def arm_folders(experiment: Experiment, arm: str, out: Path) -> list[Path]:
    """Where an arm's models were measured: one a seed, or one for all."""
    names = experiment.arms[arm]
    if not names:
        return [out / BASE]
    return list(dict.fromkeys(_run_of(experiment, names, seed, out).folder for seed in experiment.seeds))


def chain_folders(experiment: Experiment, arm: str, seed: int, out: Path) -> list[Path]:
    """The run folders that lead to an arm's model, in order."""
    names = experiment.arms[arm]
    return [_run_of(experiment, names[: i + 1], seed, out).folder for i in range(len(names))]


def read_measured(experiment: Experiment, folder: Path, world: World) -> Measured:
    """All values of one model; of measures that are done."""
    measured: Measured = {}
    for measure in experiment.measures:
        place = folder / "measures" / measure.name
        if (place / DONE).is_file():
            values = make_gauge(experiment, measure, world).read(place)
            measured |= {f"{measure.name}.{quantity}": units for quantity, units in values.items()}
    return measured


def train_config(experiment: Experiment, run: Run, out: Path, world: World) -> TrainConfig:
    """The training configuration of one run.

    Raises:
        ConfigError: a field is wrong; the stage is named.
    """
    fields: dict[str, Any] = dict(run.stage.fields)
    if before := _before(experiment, run, out):
        fields["model"] = trained_model(before.folder)
    places = fields.get("trajectories", [])
    fields["trajectories"] = world.trajectories([str(place) for place in places], "train") if places else ()
    if run.stage.budget is not None:
        assert experiment.budget is not None
        name = {"trained_tokens": "max_trained_tokens", "seconds": "max_seconds"}[experiment.budget.unit]
        fields[name] = experiment.budget.amount * run.stage.budget
    try:
        return TrainConfig(out=run.folder, seed=run.seed, **_typed(fields))
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{experiment.path}: stages.{run.stage.name}: {error}") from error


def check_stages(experiment: Experiment, out: Path, world: World) -> None:
    """Make every stage's configuration once, so that a mistake in the last stage is not found after hours.

    Raises:
        ConfigError: a field is wrong; the stage is named.
    """
    for stage in experiment.stages.values():
        train_config(experiment, Run(chain=(stage,), seed=experiment.seeds[0], folder=out / stage.name), out, world)


def keep_plan(experiment: Experiment, out: Path) -> None:
    """Keep the file beside the results; refuse a folder of another one.

    Seeds, arms, measures and claims may be added later; what stages do may not change.
    """
    from srl_swe.experiments.plan import read_experiment

    copy = out / COPY
    if copy.is_file():
        earlier = read_experiment(copy)
        for name, stage in earlier.stages.items():
            if name in experiment.stages and experiment.stages[name] != stage:
                raise ConfigError(f"{out}: holds results of another stage {name!r}; choose another --out")
        if earlier.budget != experiment.budget:
            raise ConfigError(f"{out}: holds results of another budget; choose another --out")
    write_atomically(copy, experiment.path.read_text(encoding="utf-8"))


def _run_of(experiment: Experiment, names: tuple[str, ...], seed: int, out: Path) -> Run:
    chain = tuple(experiment.stages[name] for name in names)
    shared = all(stage.shared for stage in chain)
    folder = out / "+".join(names) / ("shared" if shared else f"seed-{seed}")
    return Run(chain=chain, seed=experiment.seeds[0] if shared else seed, folder=folder)


def _before(experiment: Experiment, run: Run, out: Path) -> Run | None:
    """The run whose model this one begins with; ``None``: the experiment's own model."""
    names = tuple(stage.name for stage in run.chain[:-1])
    return _run_of(experiment, names, run.seed, out) if names else None


def _typed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has lists and strings where the configuration has tuples and paths."""
    kinds = {field.name: str(field.type) for field in dataclasses.fields(TrainConfig)}
    typed: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, list | tuple):
            value = tuple(Path(item) if "Path" in kinds[name] else item for item in value)
        elif isinstance(value, str) and "Path" in kinds[name]:
            value = Path(value)
        elif isinstance(value, int) and not isinstance(value, bool) and kinds[name].startswith("float"):
            value = float(value)
        typed[name] = value
    return typed


def _train(config: TrainConfig, world: World) -> None:
    """Train one run; its optimiser's state, most of a checkpoint's size, is not needed any more afterwards.

    Where no group of rollouts varies there is nothing to learn from: that is a result of the arm, not a failure, and
    its model is the one that was trained until then.
    """
    from srl_swe.training.checkpoint import checkpoints
    from srl_swe.training.loop import train

    if world.console is not None:
        world.console.rule(str(config.out), align="left")
    note = ""
    try:
        model = str(train(config, console=world.console))
    except NoSignalError as error:
        note = str(error)
        found = checkpoints(config.out)
        model = str(found[-1]) if found else config.model
    # Relative within the experiment's folder, so that it can be moved.
    within = Path(model).resolve().is_relative_to(config.out.parent.parent.resolve())
    place = f"./{os.path.relpath(model, config.out)}" if within else str(Path(model))  # Path drops a "./" of its own
    write_atomically(config.out / DONE, json.dumps({"model": place, "note": note}) + "\n")
    for state in config.out.glob("checkpoints/*/learner"):
        shutil.rmtree(state)


def trained_model(folder: Path) -> str:
    """The model that a finished run came to.

    Raises:
        ConfigError: the run is not finished, or its model is gone.
    """
    model = read_meta(folder / DONE).get("model")
    if not isinstance(model, str):
        raise ConfigError(f"{folder}: this run is not finished")
    if not model.startswith("./"):
        return model
    place = Path(os.path.normpath(folder / model))
    if not place.is_dir():
        raise ConfigError(f"{place}: this model is gone; delete {folder / DONE} to train it again")
    return str(place)


def _measure(model: str, folder: Path, gauges: Mapping[str, Any], world: World) -> None:
    """Measure one model; it is loaded only where something is missing."""
    maker: _Maker | None = None
    for name, gauge in gauges.items():
        out = folder / "measures" / name
        if (out / DONE).is_file():
            continue
        if world.console is not None:
            world.console.rule(str(out), align="left")
        maker = maker or _Maker(model, name=folder.parent.name if folder.name != BASE else BASE)
        gauge.run(maker, out)
        write_atomically(out / DONE, "{}\n")


class _Maker:
    """Policies of one model that draw in several ways; see `srl_swe.experiments.measures.PolicyMaker`."""

    def __init__(self, model: str, *, name: str) -> None:
        from srl_swe.policies.models import load_model
        from srl_swe.policies.transformers_engine import TransformersEngine

        self.loaded = load_model(model)
        self.engine = TransformersEngine(self.loaded, seed=0)
        self.name = name

    def __call__(self, sampling: Sampling) -> ModelPolicy:
        from srl_swe.policies.model_policy import ModelPolicy

        return ModelPolicy(self.name, self.engine, self.loaded.tokenizer, sampling)
