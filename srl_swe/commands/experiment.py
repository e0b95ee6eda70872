"""``srl-swe experiment``: arms, seeds and stages from one file."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from srl_swe.commands.output import console, print_table
from srl_swe.commands.suites import sweep_first


def experiment(file: Positional[Path], *, out: Path | None = None, plan: bool = False) -> int:
    """Train and measure every arm of an experiment, and write one table. The same command goes on where it stopped.

    Args:
        file: The experiment (TOML); docs/experiments.md describes it.
        out: The folder of all runs; runs/<the file's name> by default.
        plan: Only say what there is to do, what is done, and what the rest may take.
    """
    from srl_swe.experiments.plan import read_experiment
    from srl_swe.experiments.publish import publish
    from srl_swe.experiments.run import is_complete, keep_plan, run_experiment
    from srl_swe.experiments.schedule import schedule
    from srl_swe.experiments.world import World

    read = read_experiment(file)
    folder = out or Path("runs") / file.stem
    print_table(
        ["run", "updates", "done", "seconds an update", "still to do, minutes"],
        [line.cells() for line in schedule(read, folder)],
        title=read.title,
    )
    if plan:
        return 0
    keep_plan(read, folder)
    if not is_complete(read, folder):
        sweep_first()
    world = World(console=console(stderr=True))
    try:
        run_experiment(read, folder, world)
    finally:  # what there is, after an interruption too
        _, comparisons = publish(read, folder, world)
    console().print((folder / "table.md").read_text(encoding="utf-8"), markup=False)
    for comparison in comparisons:
        console().print(comparison.sentence, markup=False)
    from srl_swe.evaluation.site.build import Sources, write_site

    page = write_site(Sources(runs=(folder,)), folder / "report", title=read.title)
    files = [folder / name for name in ("table.md", "table.json", "curves.svg", "arms.svg")]
    console().print("written: " + ", ".join(str(path) for path in (*files, page) if path.exists()), markup=False)
    return 0
