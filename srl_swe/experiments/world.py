"""Suites, images and expert trajectories of an experiment, made once for all arms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track

from srl_swe.errors import ConfigError
from srl_swe.records import Split

if TYPE_CHECKING:
    from srl_swe.records import PreparedTask

SUITE_FILE = "suite.toml"


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
                found, f"images {', '.join(s.name for s in suites)}", console=self.console, disable=not self.console
            )
            self._tasks[key] = [prepare(task, backend=self.backend) for task in bar]
        return self._tasks[key]

    def trajectories(self, places: Sequence[str], split: Split) -> tuple[Path, ...]:
        """Trajectory files: those named, and for a suite's folder its expert's, recorded where they are not yet.

        Raises:
            ConfigError: there is no such file or suite.
        """
        return tuple(self._trajectories(Path(place), split) for place in places)

    def _trajectories(self, place: Path, split: Split) -> Path:
        if place.is_file():
            return place
        if not (place / SUITE_FILE).is_file():
            raise ConfigError(f"{place}: expected a trajectory file or a suite's folder")
        if (place, split) not in self._files:
            self._files[place, split] = self._record(place, split)
        return self._files[place, split]

    def _record(self, suite: Path, split: Split) -> Path:
        from srl_swe.experts.recording import record_suite
        from srl_swe.sandbox.cache import cache_dir

        prepared = self.tasks([suite], split)
        if not prepared:
            raise ConfigError(f"{suite}: no task of the split {split}")
        committed = Path("trajectories") / f"{suite.name}.{split}.jsonl"
        if committed.is_file():
            return committed
        file = cache_dir() / "trajectories" / f"{suite.name}.{split}.jsonl"
        bar = track(prepared, f"experts {suite.name}", console=self.console, disable=not self.console)
        record_suite(bar, file, backend=self.backend)
        return file
