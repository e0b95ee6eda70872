"""``srl-swe report``."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from srl_swe.commands.output import console
from srl_swe.errors import ConfigError

if TYPE_CHECKING:
    from srl_swe.evaluation.site.build import Sources


def report(
    runs: Positional[tuple[Path, ...]] = (),
    *,
    trajectories: tuple[Path, ...] = (),
    instances: tuple[Path, ...] = (),
    out: Path | None = None,
    title: str | None = None,
    serve: bool = False,
    port: int = 8642,
) -> int:
    """Write a site of static pages about runs, evaluations, trajectories and step instances.

    It is read by opening its index.html: no network and no server are needed. With --serve it is served on this
    machine alone, and follows runs that go on, until Ctrl-C.

    Args:
        runs: Folders of training runs and evaluations; those in folders below them are found too.
        trajectories: Trajectory files of any format that can be imported. Those that runs were trained on are looked at
            anyhow, for the expert's actions.
        instances: Files of step instances.
        out: The site's folder, which is replaced; RUN/report by default where one run is named.
        title: The site's name; the runs' names by default.
        serve: Serve it, and write it again whenever there is news.
        port: With --serve: the port on 127.0.0.1; 0 takes a free one.
    """
    from srl_swe.evaluation.site.build import Sources, write_site

    sources = Sources(runs=runs, trajectories=trajectories, instances=instances)
    if serve:
        return _serve(sources, out, title, port)
    if out is None and len(runs) != 1:
        raise ConfigError("--out: name the folder to write to; only a single run has a place of its own, RUN/report")
    page = write_site(sources, out or runs[0] / "report", title=title)
    console().print(f"written: {page}", markup=False)
    return 0


def _serve(sources: Sources, out: Path | None, title: str | None, port: int) -> int:
    from srl_swe.evaluation.site.serve import LiveSite, make_server

    errors = console(stderr=True)
    with _folder(out) as folder:
        site = LiveSite(
            sources, folder, title=title, on_error=lambda text: errors.print(f"waiting: {text}", markup=False)
        )
        server = make_server(site, port)
        console().print(f"http://{server.server_address[0]!s}:{server.server_port}/ (Ctrl-C ends)", markup=False)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            console().print("ended", markup=False)
        finally:
            server.server_close()
    return 0


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder named, or one that goes at the end."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="srl-swe-report-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
