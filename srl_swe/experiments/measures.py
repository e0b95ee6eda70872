"""What arms are measured on. Each measure leaves its results in a folder, goes on there, and reads values from it.

===========  ===============================================  ====================================================
kind         what is done                                     fields
===========  ===============================================  ====================================================
steps        single steps of expert trajectories are          ``trajectories`` (files, or suites: their held-out
             answered at temperature 1                        ones), ``samples``, ``most`` (steps, at even
                                                              distances), ``max_new_tokens``
episodes     whole episodes in containers, graded by hidden   ``suites``, ``split``, ``most`` (tasks),
             tests, at temperature 1                          ``max_steps``, ``max_new_tokens``, ``concurrency``,
                                                              ``left`` (start where so many of an expert's last steps
                                                              are left to do; 0: at the beginning) and
                                                              ``trajectories`` (of those experts)
mathematics  maths problems are solved in one answer, judged  ``suites`` (folders), or ``files`` (rows that ``srl-swe
             by the verifier, at temperature 1                math import`` reads, all of them held out), ``split``,
                                                              ``samples``, ``most`` (problems), ``max_new_tokens``
===========  ===============================================  ====================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from srl_swe.errors import ConfigError, InfrastructureError, TaskError
from srl_swe.experiments.plan import Experiment, Measure
from srl_swe.experiments.world import World
from srl_swe.records import EpisodeResult, PreparedTask, Sampling
from srl_swe.tasks.fields import Fields

if TYPE_CHECKING:
    from srl_swe.policies.model_policy import ModelPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """One value of one thing that was measured."""

    value: float
    """In the quantity's unit."""
    cluster: str
    """What is resampled as a whole: the task of a step, the repository of a task (the task, of few repositories)."""


Measured = dict[str, dict[str, Observation]]
"""Of one model: ``MEASURE.QUANTITY`` to unit (a step, a task) to its observation."""

T = TypeVar("T")
_FEW_REPOSITORIES = 5
"""Fewer cannot be resampled: an interval over two of them is the two of them. Then tasks are, and what is told is told
of these repositories' tasks."""

PolicyMaker = Callable[[Sampling], "ModelPolicy"]
"""The arm's model as a policy that draws its answers in a certain way."""


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
        known = [t for file in files for t in read_trajectories(file) if t.split == "heldout"]
        # A proof's worked solution is not verified, and the expert's all the same.
        heldout = [t for t in known if t.resolved or (t.domain == "mathematics" and t.resolved is None)]
        instances = all_step_instances(heldout)
        # A seed of its own makes the draws the same however often the measuring is cut off.
        actor = policy(Sampling(max_new_tokens=self.max_new_tokens, seed=0))
        evaluate_steps(
            actor.answer,
            _spread(instances, self.most),
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
        self.most = fields.whole("most", 0)
        self.max_steps = fields.whole("max_steps", 10, least=1)
        self.max_new_tokens = fields.whole("max_new_tokens", 96, least=1)
        self.concurrency = fields.whole("concurrency", 8, least=1)
        self.left = fields.whole("left", 0)
        self.places = fields.texts("trajectories", ())
        if bool(self.left) != bool(self.places):
            fields.fail("left", "goes with trajectories, the experts' ways whose last steps are left to do")

    def run(self, policy: PolicyMaker, out: Path) -> None:
        """See `Gauge.run`."""
        tasks = self.world.tasks(self.suites, self.split)  # type: ignore[arg-type]
        starts = self._starts(tasks)
        if self.left:
            tasks = [prepared for prepared in tasks if starts.get(prepared.task.task_id)]
        _evaluate(
            policy,
            Sampling(max_new_tokens=self.max_new_tokens),
            _spread(tasks, self.most),
            out,
            world=self.world,
            max_steps=self.max_steps,
            concurrency=self.concurrency,
            split=self.split,
            starts=starts,
        )

    def read(self, out: Path) -> Measured:
        """See `Gauge.read`."""
        from srl_swe.evaluation.runner import read_results

        results = [result for result in read_results(out) if result.solved is not None]
        few = len({result.repository for result in results}) < _FEW_REPOSITORIES

        def over(value: Callable[[EpisodeResult], float]) -> dict[str, Observation]:
            return {r.task_id: Observation(value=value(r), cluster=r.task_id if few else r.repository) for r in results}

        return {"solved": over(lambda r: float(bool(r.solved))), "actions": over(lambda r: float(r.steps))}

    def _starts(self, tasks: Sequence[PreparedTask]) -> dict[str, dict[str, Any]]:
        """Options of the reset by task; of none where episodes start at the beginning.

        Raises:
            ConfigError: no task has an expert who can be followed so far.
        """
        from srl_swe.experts.trajectories import read_trajectories
        from srl_swe.training.reverse_curriculum import ReverseCurriculum

        if not self.left:
            return {}
        files = self.world.trajectories(self.places, self.split)  # type: ignore[arg-type]
        known = {prepared.task.task_id for prepared in tasks}
        ways = [t for file in files for t in read_trajectories(file) if t.task_id in known and len(t.steps) > self.left]
        curriculum = ReverseCurriculum(ways, left=self.left)
        return {task: start for task in sorted(known) if (start := curriculum.start(task))}


class MathematicsGauge:
    """Right answers to maths problems."""

    def __init__(self, fields: Fields, world: World) -> None:
        self.world = world
        self.suites = [Path(suite) for suite in fields.texts("suites", ())]
        self.files = [Path(file) for file in fields.texts("files", ())]
        if bool(self.suites) == bool(self.files):
            fields.fail("suites", "expected suites or files of maths problems, one of the two")
        self.split = fields.text("split", "heldout", choices=("train", "heldout")) if self.suites else "heldout"
        self.samples = fields.whole("samples", 1, least=1)
        self.most = fields.whole("most", 0)
        self.max_new_tokens = fields.whole("max_new_tokens", 256, least=1)

    def run(self, policy: PolicyMaker, out: Path) -> None:
        """See `Gauge.run`."""
        suites = self.suites or [self.world.problems(file) for file in self.files]
        tasks = self.world.tasks(suites, self.split)  # type: ignore[arg-type]
        problems = [prepared for prepared in tasks if prepared.task.domain == "mathematics"]
        if not problems:
            raise ConfigError(f"{', '.join(map(str, suites))}: no maths problem whose answer is known")
        _evaluate(
            policy,
            Sampling(max_new_tokens=self.max_new_tokens),
            _spread(problems, self.most),
            out,
            world=self.world,
            max_steps=1,
            concurrency=32,
            split=self.split,
            samples=self.samples,
        )

    def read(self, out: Path) -> Measured:
        """See `Gauge.read`."""
        from srl_swe.evaluation.runner import read_results
        from srl_swe.evaluation.summary import judged_by_task

        found = judged_by_task(read_results(out))

        def over(value: Callable[[EpisodeResult], float]) -> dict[str, Observation]:
            return {
                task: Observation(value=sum(map(value, results)) / len(results), cluster=task)
                for task, results in found.items()
            }

        return {
            "accuracy": over(lambda r: float(bool(r.solved))),
            "answered": over(lambda r: float(r.answer is not None)),
            "answer length": over(lambda r: float(r.completion_tokens or 0)),
        }


def _evaluate(
    policy: PolicyMaker, sampling: Sampling, tasks: Sequence[PreparedTask], out: Path, *, world: World, **options: Any
) -> None:
    """Run episodes.

    Raises:
        InfrastructureError: some could not be judged; the same call tries them again.
    """
    from srl_swe.evaluation.runner import evaluate

    settings = {"temperature": sampling.temperature, "max_new_tokens": sampling.max_new_tokens}
    results = evaluate(policy(sampling), tasks, out, settings=settings, console=world.console, **options)
    lost = [result.task_id for result in results if result.solved is None]
    if lost:
        raise InfrastructureError(f"{out}: {len(lost)} episodes could not be judged ({lost[0]} …); run it again")


def _spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many, at even distances; 0: all of them."""
    count = min(most or len(items), len(items))
    return [items[i * len(items) // count] for i in range(count)]


_KINDS: dict[str, Callable[[Fields, World], Gauge]] = {
    "steps": StepsGauge,
    "episodes": EpisodesGauge,
    "mathematics": MathematicsGauge,
}
