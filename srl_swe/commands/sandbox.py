"""``srl-swe sandbox``: which backends there are, whether one keeps its promises, and what was left behind."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tyro.conf import Positional

from srl_swe.commands.output import console, print_table, verdict
from srl_swe.errors import ConfigError, EngineUnavailableError, InfrastructureError

if TYPE_CHECKING:
    from srl_swe.sandbox.contract import Check, CheckResult
    from srl_swe.sandbox.protocol import Backend


def check(
    name: Positional[str],
    *,
    image: str | None = None,
    only: str | None = None,
    slow: bool = False,
    json: Path | None = None,
) -> int:
    """Check that a backend keeps what every sandbox promises. Exits with 1 if a check fails.

    Args:
        name: The backend: docker, podman, bubblewrap, or one of another package; docker:crun asks for a runtime.
        image: What its sandboxes are opened on; the package's base image by default, for our own backends.
        only: Only checks with this in their name, GROUP-NAME[CASE]; or a pattern such as 'files-*'.
        slow: Also those that take longer than a few seconds.
        json: Write the results there.
    """
    from srl_swe.sandbox import get_backend
    from srl_swe.sandbox.contract import all_checks, select

    backend = get_backend(name)
    checks = select(all_checks(), only=only, slow=slow)
    results = _with_progress(backend, image or _base_image(name), checks)
    print_table(["checks", "passed", "failed", "skipped", "seconds"], _by_group(results), title=f"sandbox {name}")
    for result in results:
        if result.status != "passed":  # not in a table, which would fold the message
            console().print(verdict(None if result.status == "skipped" else False, unknown="skipped"), end=" ")
            console().print(f"{result.group}-{result.name}: {result.message}", markup=False, soft_wrap=True)
    passed, failed, skipped = (sum(r.status == status for r in results) for status in ("passed", "failed", "skipped"))
    console().print(f"{passed} of {len(results)} checks passed, {failed} failed, {skipped} skipped")
    if json is not None:
        _write(json, name, results)
    return 1 if failed else 0


def list_backends(*, image: str | None = None) -> int:
    """List the backends, and whether they can be used here.

    Args:
        image: Open a sandbox on it; without, it is only asked whether what runs the sandboxes answers.
    """
    from srl_swe.sandbox.backends import backend_names

    rows = []
    for name in backend_names():
        reason = _obstacle(name, image)
        rows.append((name, verdict(not reason, no="no"), reason or ("opens" if image else "answers")))
    print_table(["backend", "here", "detail"], rows)
    return 0


def sweep(*, backend: str | None = None, snapshots: bool = False) -> int:
    """Remove what processes that were killed left behind: sandboxes, snapshots, volumes and networks.

    Args:
        backend: Only this one's; those of every backend that is here by default.
        snapshots: Also all snapshots that srl-swe replay --snapshots has kept.
    """
    from srl_swe.environments.lasting_states import LastingStates
    from srl_swe.sandbox import get_backend
    from srl_swe.sandbox.backends import backend_names

    names = [backend] if backend else [name for name in backend_names() if not _obstacle(name, None)]
    if not names:
        raise EngineUnavailableError("no backend can be used here; srl-swe sandbox list says why")
    for name in names:
        kept = f", {LastingStates(name).clear()} snapshots that were kept" if snapshots else ""
        console().print(f"{name}: removed {get_backend(name).sweep()} left over{kept}", markup=False)
    return 0


def _with_progress(backend: Backend, image: str, checks: Sequence[Check]) -> list[CheckResult]:
    from srl_swe.sandbox.contract import run_checks

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        bar = progress.add_task("opening", total=len(checks))

        def show(result: CheckResult) -> None:
            progress.update(bar, advance=1, description=f"{result.group} {result.name}"[:60])
            if result.status == "failed":
                progress.console.print(verdict(False), f"{result.group}-{result.name}", markup=False)

        return run_checks(backend, image, checks, on_result=show)


def _by_group(results: Sequence[CheckResult]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for group in dict.fromkeys(result.group for result in results):
        of_group = [result for result in results if result.group == group]
        counts = [sum(r.status == status for r in of_group) for status in ("passed", "failed", "skipped")]
        rows.append((group, *counts, f"{sum(r.seconds for r in of_group):.1f}"))
    return rows


def _write(path: Path, name: str, results: Sequence[CheckResult]) -> None:
    from srl_swe.files import write_atomically

    record = {"backend": name, "checks": [dataclasses.asdict(result) for result in results]}
    write_atomically(path, json.dumps(record, indent=2) + "\n")


def _base_image(name: str) -> str:
    """The image that checks are made on where none is named."""
    from contextlib import closing

    from srl_swe.sandbox.engine import connect
    from srl_swe.sandbox.images import base_image

    kind = name.partition(":")[0]
    if kind not in ("docker", "podman", "bubblewrap"):
        raise ConfigError(f"image: name one that {name} can open, with --image; it needs bash and a user agent")
    with closing(connect("podman" if kind == "podman" else "docker")) as client:
        return base_image(client)


def _obstacle(name: str, image: str | None) -> str:
    """Why a backend cannot be used here; empty where it can."""
    from srl_swe.sandbox import SandboxSpec, get_backend

    try:
        get_backend(name).open(SandboxSpec(image=image or "srl-swe/no-such-image:none")).close()
    except EngineUnavailableError as error:
        return str(error)
    except InfrastructureError as error:
        # Without an image, that it is missed says that somebody was there to miss it.
        return str(error) if image else ""
    except Exception as error:  # another package's
        return f"{type(error).__name__}: {error}"
    return ""
