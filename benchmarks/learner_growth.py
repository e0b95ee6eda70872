"""How the learner's time and memory grow with steps, with completions a step, and with the context."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.record import report

BASE = {"steps": 4, "group": 4, "context": 512}
"""What is not varied. Completions have 64 tokens; the trunk is of random ones and grows evenly over the steps."""
VARIED = {"steps": (2, 4, 8, 16), "group": (2, 4, 8, 16), "context": (256, 512, 1024, 2048)}
SAYS = {"steps": "steps", "group": "completions a step", "context": "tokens of context"}
MOST_PADDED = 16_000
"""Raw tokens beyond which the padded learner is not measured: it takes minutes there."""

Measure = Callable[..., dict[str, Any]]
Row = tuple[str, str, int, dict[str, Any]]


def growth(options: argparse.Namespace, measure: Measure) -> None:
    """Measure, print a table, write JSON and the plot."""
    known: dict[str, dict[str, Any]] = {}
    rows: list[Row] = []
    for axis, values in VARIED.items():
        for value in values:
            shape = BASE | {axis: value}
            for packing in ("tree", "padded"):
                key = f"{packing} {shape}"
                if packing == "padded" and shape["steps"] * shape["group"] * (shape["context"] // 2 + 64) > MOST_PADDED:
                    continue
                if key not in known:
                    known[key] = measure(packing, shape, options)
                rows.append((axis, packing, value, known[key]))
    figures = {
        f"{packing}_{what}_{axis}_{value}": found[what]
        for axis, packing, value, found in rows
        for what in ("seconds", "peak_gb", "tokens")
    }
    head = ("varied", "learner", "", "seconds", "peak GB", "tokens computed")
    table = [(SAYS[a], p, v, f["seconds"], f["peak_gb"], f["tokens"]) for a, p, v, f in rows]
    versions = {"dtype": options.dtype, "threads": str(options.threads or "all")}
    versions |= {package: version(package) for package in ("torch", "transformers")}
    report(f"One update; else {BASE}", [head, *table], figures, versions, options.json)
    if options.plot:
        draw(rows, options.plot)


def draw(rows: Sequence[Row], to: Path) -> None:
    """Six panels: seconds above, peak memory below, one column each for what is varied."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "srl_swe"  # the same picture is the same file
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, len(VARIED), figsize=(9, 5), sharey="row", layout="constrained")
    for row, (what, label) in enumerate((("seconds", "seconds an update"), ("peak_gb", "peak memory, GB"))):
        for column, axis in enumerate(VARIED):
            panel = panels[row][column]
            for packing, marker in (("padded", "s--"), ("tree", "o-")):
                points = [(v, found[what]) for a, p, v, found in rows if (a, p) == (axis, packing)]
                panel.plot(*zip(*points, strict=True), marker, label=packing, markersize=4)
            panel.set_xscale("log", base=2)
            panel.set_xticks(VARIED[axis], [str(v) for v in VARIED[axis]])
            panel.minorticks_off()
            panel.grid(alpha=0.3)
            panel.set_ylabel(label if column == 0 else "")
            panel.set_xlabel(SAYS[axis] if row == 1 else "")
        panels[row][0].set_ylim(bottom=0)  # after all three are drawn: it fixes the top of the row too
    panels[0][0].legend(frameon=False)
    to.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(to, metadata={"Date": None})
