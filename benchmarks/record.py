"""What every benchmark ends with: a table, and a JSON file that says on what it was measured."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table


def parse(documentation: str | None, parser: argparse.ArgumentParser | None = None) -> argparse.Namespace:
    """Return the command line's options; ``--json`` is one of all benchmarks."""
    parser = parser or argparse.ArgumentParser()
    parser.description, parser.formatter_class = documentation, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--json", type=Path, help="where the figures go")
    return parser.parse_args()


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high


def report(
    title: str,
    rows: Sequence[Sequence[object]],
    figures: Mapping[str, float],
    versions: Mapping[str, str],
    to: Path | None,
) -> None:
    """Print a table, its first row the head; write the figures."""
    table = Table(*map(str, rows[0]), title=title)
    for row in rows[1:]:
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    Console().print(table)
    if to is None:
        return
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    record = {
        "figures": dict(figures),
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, {memory_gb:.0f} GB",
        "versions": {"srl-swe": version("srl-swe"), "python": platform.python_version(), **versions},
    }
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = to.with_name(f"{to.name}.partial")
    partial.write_text(json.dumps(record, indent=2) + "\n")
    partial.replace(to)
