"""What arms are measured on. Each measure leaves its results in a folder, goes on there, and reads values from it.

========  ==================================================  ====================================================
kind      what is done                                        fields
========  ==================================================  ====================================================
steps     single steps of expert trajectories are answered    ``trajectories`` (files, or suites: their held-out
          at temperature 1                                    ones), ``samples``, ``most`` (steps, at even
                                                              distances), ``max_new_tokens``
episodes  whole episodes in containers, graded by hidden      ``suites``, ``split``, ``max_steps``,
          tests, at temperature 1                             ``max_new_tokens``, ``concurrency``
maths     problems of ``srl-swe math``, answered once at      the same
          temperature 1 (kind ``mathematics``)
========  ==================================================  ====================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from srl_swe.errors import ConfigError, InfrastructureError, TaskError
from srl_swe.experiments.plan import Experiment, Measure
from srl_swe.experiments.world import World
from srl_swe.tasks.fields import Fields

if TYPE_CHECKING:
    from srl_swe.policies.model_policy import ModelPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """One value of one thing that was measured."""

    value: float
    """In the quantity's unit."""
    cluster: str
    """What is resampled as a whole: the task of a step, the repository of a task."""


Measured = dict[str, dict[str, Observation]]
"""Of one model: ``MEASURE.QUANTITY`` to unit (a step, a task) to its observation."""

PolicyMaker = Callable[[float, int], "ModelPolicy"]
"""``(temperature, max_new_tokens)`` to the arm's model as a policy."""


class Gauge(Protocol):
    """A measure with its fields read."""

    def run(self, policy: PolicyMaker, out: Path) -> None:
        """Measure, or go on measuring, into ``out``."""
        ...

    def read(self, out: Path) -> Measured:
        """The values in ``out``, by quantity alone."""
        ...


def make_gauge(experiment: Experiment, measure: Measure, world: World) -> Gauge:
    """Read a measure's fields.

    Raises:
        ConfigError: a field is unknown, missing or wrong.
    """
    fields = Fields(experiment.path, measure.fields, f"measures.{measure.name}.")
    try:
        gauge = _KINDS[measure.kind](fields, world)
        fields.finish()
    except TaskError as error:
        raise ConfigError(str(error)) from None
    return gauge


class StepsGauge:
    """Similarity of single steps to the expert's."""

    def __init__(self, fields: Fields, world: World) -> None:
        self.world = world
        self.places = fields.texts("trajectories", allow_empty=False)
        self.samples = fields.whole("samples", 2, least=1)
        self.most = fields.whole("most", 0)
        self.max_new_tokens = fields.whole("max_new_tokens", 96, least=1)

    def run(self, policy: PolicyMaker, out: Path) -> None:
        """See `Gauge.run`."""
        from srl_swe.evaluation.steps import evaluate_steps
        from srl_swe.experts.instances import all_step_instances
        from srl_swe.experts.trajectories import read_trajectories

        files = self.world.trajectories(self.places, "heldout")
        heldout = [t for file in files for t in read_trajectories(file) if t.split == "heldout" and t.resolved]
        instances = all_step_instances(heldout)
        count = min(self.most or len(instances), len(instances))
        actor = policy(1.0, self.max_new_tokens)
        evaluate_steps(
            actor.answer,
            [instances[i * len(instances) // count] for i in range(count)],
            out,
            name=actor.name,
            samples=self.samples,
            batch=32,
            console=self.world.console,
        )

    def read(self, out: Path) -> Measured:
        """See `Gauge.read`."""
        from srl_swe.evaluation.steps import read_steps

        records = read_steps(out)

        def over(value: Callable[[dict[str, Any]], float]) -> dict[str, Observation]:
            return {
                r["instance_id"]: Observation(
                    value=sum(map(value, r["samples"])) / len(r["samples"]), cluster=str(r["task_id"])
                )
                for r in records
            }

        return {
            "similarity": over(lambda s: float(s["similarity"])),
            "well-formed": over(lambda s: float(s["well_formed"])),
            "answer length": over(lambda s: float(len(s["text"]))),
        }


class EpisodesGauge:
    """Solve rate of whole episodes."""

    def __init__(self, fields: Fields, world: World) -> None:
        self.world = world
        self.suites = [Path(suite) for suite in fields.texts("suites", allow_empty=False)]
        self.split = fields.text("split", "heldout", choices=("train", "heldout"))
        self.max_steps = fields.whole("max_steps", 10, least=1)
        self.max_new_tokens = fields.whole("max_new_tokens", 96, least=1)
        self.concurrency = fields.whole("concurrency", 8, least=1)

    def run(self, policy: PolicyMaker, out: Path) -> None:
        """See `Gauge.run`."""
        from srl_swe.evaluation.runner import evaluate

        results = evaluate(
            policy(1.0, self.max_new_tokens),
            self.world.tasks(self.suites, self.split),  # type: ignore[arg-type]
            out,
            max_steps=self.max_steps,
            concurrency=self.concurrency,
            split=self.split,
            settings={"temperature": 1.0, "max_new_tokens": self.max_new_tokens},
            console=self.world.console,
        )
        lost = [result.task_id for result in results if result.solved is None]
        if lost:
            raise InfrastructureError(f"{out}: {len(lost)} episodes could not be judged ({lost[0]} …); run it again")

    def read(self, out: Path) -> Measured:
        """See `Gauge.read`."""
        from srl_swe.evaluation.runner import read_results

        results = [result for result in read_results(out) if result.solved is not None]
        return {
            "solved": {r.task_id: Observation(value=float(bool(r.solved)), cluster=r.repository) for r in results},
            "actions": {r.task_id: Observation(value=float(r.steps), cluster=r.repository) for r in results},
        }


class MathematicsGauge(EpisodesGauge):
    """Accuracy on maths problems. Unlike tasks of one repository, they have nothing in common: each is resampled."""

    def read(self, out: Path) -> Measured:
        """See `Gauge.read`."""
        measured = super().read(out)
        return {"solved": {unit: replace(o, cluster=unit) for unit, o in measured["solved"].items()}}


_KINDS: dict[str, Callable[[Fields, World], Gauge]] = {
    "steps": StepsGauge,
    "episodes": EpisodesGauge,
    "mathematics": MathematicsGauge,
}
