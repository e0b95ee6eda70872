"""Which tasks a command works on, and the images they stand on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.progress import track

from srl_swe.commands.output import console
from srl_swe.errors import ConfigError
from srl_swe.records import Domain, PreparedTask, Split, Task

Suites = tyro.conf.Positional[tuple[Path, ...]]
"""Suite folders, anywhere among the options."""
TaskIds = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
"""``--task A --task B``: a list would swallow the suites after it."""

DEFAULT_FOLDER = Path("envs")


def read_tasks(
    suites: Sequence[Path],
    *,
    split: Split | None = None,
    ids: Sequence[str] = (),
    domain: Domain | None = "repository",
) -> list[Task]:
    """The tasks of the suites named, or of every suite in ``envs``.

    Args:
        suites: Their folders.
        split: Only tasks of this split.
        ids: Only these.
        domain: What the command works on; ``None``: both. In ``envs`` suites of another domain are passed over.

    Raises:
        ConfigError: none is named and there is no ``envs``, or one is of another domain.
        TaskError: a suite is wrong.
    """
    from srl_swe.tasks.folder import read_suites, suite_domain

    chosen = list(suites)
    if not chosen:
        found = sorted(path.parent for path in DEFAULT_FOLDER.glob("*/suite.toml"))
        chosen = [path for path in found if domain is None or suite_domain(path) == domain]
    if not chosen:
        raise ConfigError(f"name at least one suite folder (there is none in {DEFAULT_FOLDER}/ here)")
    tasks = read_suites(chosen, split=split, ids=ids)
    if other := [task for task in tasks if domain is not None and task.domain != domain]:
        kinds = {"repository": "repositories", "mathematics": "maths problems"}
        raise ConfigError(f"{other[0].task_id}: this command is for {kinds[domain or 'repository']}")
    return tasks


def sweep_first(backend: str = "docker") -> None:
    """Remove what killed processes left behind; every command that opens sandboxes begins with it.

    Raises:
        ConfigError: there is no such backend.
        EngineUnavailableError: no container engine answers.
    """
    from srl_swe.sandbox import sweep

    if removed := sweep(backend):
        console(stderr=True).print(f"removed {removed} left over from processes that were killed")


def prepare_each(tasks: Sequence[Task], backend: str = "docker") -> Iterator[PreparedTask]:
    """Build, or find, each task's image, where the backend's images are built.

    Raises:
        EngineUnavailableError: no container engine answers.
        ImageBuildError: an image cannot be built.
    """
    from srl_swe.tasks.prepare import prepare

    for task in tasks:
        yield prepare(task, backend=backend)


def prepare_all(tasks: Sequence[Task], backend: str = "docker") -> list[PreparedTask]:
    """Like `prepare_each`, with a progress bar."""
    return list(track(prepare_each(tasks, backend), "images", total=len(tasks), console=console(stderr=True)))
