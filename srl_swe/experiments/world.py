"""Suites, images and expert trajectories of an experiment, made once for all arms."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, track

from srl_swe.errors import ConfigError, InfrastructureError
from srl_swe.machine import cores
from srl_swe.records import Split
from srl_swe.tasks.folder import SUITE_FILE

if TYPE_CHECKING:
    from srl_swe.records import PreparedTask, Task, Trajectory


class World:
    """What arms work on.

    Args:
        console: Where progress bars go; ``None``: nowhere.
        backend: Where sandboxes run.
    """

    def __init__(self, *, console: Console | None = None, backend: str = "docker") -> None:
        self.console = console
        self.backend = backend
        self._tasks: dict[tuple[tuple[Path, ...], Split | None], list[PreparedTask]] = {}
        self._files: dict[tuple[Path, Split], Path] = {}

    def tasks(self, suites: Sequence[Path], split: Split | None) -> list[PreparedTask]:
        """The tasks of suites, with their images.

        Raises:
            TaskError: a suite is wrong.
            EngineUnavailableError, ImageBuildError: the world failed.
        """
        from srl_swe.tasks.folder import has_outcome, read_suites
        from srl_swe.tasks.prepare import prepare

        key = (tuple(suites), split)
        if key not in self._tasks:
            found = [task for task in read_suites(list(suites), split=split) if has_outcome(task)]
            bar = track(
                found, f"tasks of {', '.join(s.name for s in suites)}", console=self.console, disable=not self.console
            )
            self._tasks[key] = [prepare(task, backend=self.backend) for task in bar]
        return self._tasks[key]

    def trajectories(self, places: Sequence[str], split: Split) -> tuple[Path, ...]:
        """Trajectory files: those named, and for a suite's folder its expert's, recorded where they are not yet.

        Raises:
            ConfigError: there is no such file or suite.
        """
        return tuple(self._trajectories(Path(place), split) for place in places)

    def problems(self, file: Path) -> Path:
        """The suite of a file of maths problems, all of them held out; it is made in the cache.

        Raises:
            TaskError: a row is bad, or the file cannot be read.
            ConfigError: there is no problem in it.
        """
        from srl_swe.sandbox.cache import cache_dir
        from srl_swe.tasks.mathematics.importing import import_problems

        if not file.is_file():
            raise ConfigError(f"{file}: no such file of maths problems")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        folder = cache_dir() / "problems" / f"{file.stem}-{digest}"
        if not (folder / SUITE_FILE).is_file():
            import_problems([str(file)], folder, split="heldout")
        if not (folder / SUITE_FILE).is_file():
            raise ConfigError(f"{file}: no maths problem could be read from it")
        return folder

    def _trajectories(self, place: Path, split: Split) -> Path:
        if place.is_file():
            return place
        if not (place / SUITE_FILE).is_file():
            raise ConfigError(f"{place}: expected a trajectory file or a suite's folder")
        if (place, split) not in self._files:
            self._files[place, split] = self._record(place, split)
        return self._files[place, split]

    def _record(self, suite: Path, split: Split) -> Path:
        from srl_swe.sandbox.cache import cache_dir
        from srl_swe.tasks.folder import read_suites

        committed = Path("trajectories") / f"{suite.name}.{split}.jsonl"
        if committed.is_file():
            return committed
        tasks = read_suites([suite], split=split)
        file = cache_dir() / "trajectories" / f"{suite.name}.{split}.jsonl"
        if all(task.domain == "mathematics" for task in tasks):
            # Made anew each time, in no time: two suites of one name must not get each other's.
            digest = hashlib.sha256("\n".join(task.content_hash for task in tasks).encode()).hexdigest()[:12]
            return _cut_solutions(suite, tasks, file.with_name(f"{suite.name}.{split}.{digest}.jsonl"))
        self._record_in_sandboxes(suite, tasks, file)
        return file

    def _record_in_sandboxes(self, suite: Path, tasks: Sequence[Task], file: Path) -> None:
        from srl_swe.experts.recording import record_suite

        with Progress(console=self.console, disable=self.console is None) as progress:
            bar = progress.add_task(f"experts {suite.name}", total=len(tasks))
            found = record_suite(
                tasks, file, backend=self.backend, jobs=2 * cores(), on_progress=lambda _: progress.advance(bar)
            )
        if lost := [recorded for recorded in found if recorded.trajectory is None]:
            first = f"{lost[0].task_id}: {lost[0].error}"
            raise InfrastructureError(f"{suite}: {len(lost)} of {len(found)} experts could not be recorded ({first})")


def _cut_solutions(suite: Path, tasks: Sequence[Task], file: Path) -> Path:
    """The experts of maths problems are their worked solutions, cut into steps, and judged by the verifier.

    Those whose final answer is not the problem's are left out; of a proof nobody knows.
    """
    from srl_swe.experts.solutions import solution_trajectories
    from srl_swe.experts.trajectories import write_trajectories
    from srl_swe.rewards.mathematics import shared_checker

    by_id = {task.task_id: task for task in tasks}
    found, dropped = solution_trajectories(tasks)
    kept: list[Trajectory] = []
    for trajectory in found:
        task = by_id[trajectory.task_id]
        if task.answer is None:
            kept.append(dataclasses.replace(trajectory, resolved=None))
            continue
        value = shared_checker().score(task.solution, task.answer).value
        if value is None:
            raise InfrastructureError(f"{task.task_id}: the verifier's process failed on its solution; run it again")
        if value < 1:
            dropped["with another answer than the problem's"] += 1
            continue
        kept.append(dataclasses.replace(trajectory, resolved=True))
    if not kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.most_common()) or "none is there"
        raise ConfigError(f"{suite}: no solution could be cut into steps ({reasons})")
    write_trajectories(file, kept)
    return file
