"""The similarity reward against difflib: equal values on every pair, and how much faster.

    python -m benchmarks.similarity --json benchmarks/results/similarity.json

Pairs: all pairs of actions within each trajectory of the files given (by default the committed ones).
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from srl_swe.experts.trajectories import read_trajectories
from srl_swe.rewards.similarity import similarity

ROUNDS = 5


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, default=sorted(Path("trajectories").glob("*.jsonl")))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pairs = [
        (a.action, b.action)
        for file in options.files
        for trajectory in read_trajectories(file)
        for a, b in itertools.combinations(trajectory.steps, 2)
    ]
    figures: dict[str, float] = {"pairs": len(pairs)}
    table = Table("autojunk", "pairs", "mismatches", "times difflib's speed (median)", "least", "most")
    for autojunk in (False, True):
        mismatches, ratios = compare(pairs, autojunk=autojunk)
        name = "autojunk" if autojunk else "plain"
        figures[f"similarity_mismatches_{name}"] = mismatches
        figures[f"similarity_vs_difflib_{name}"] = statistics.median(ratios)
        figures[f"similarity_vs_difflib_{name}_least"] = min(ratios)
        figures[f"similarity_vs_difflib_{name}_most"] = max(ratios)
        row = (statistics.median(ratios), min(ratios), max(ratios))
        table.add_row(str(autojunk), str(len(pairs)), str(mismatches), *(f"{value:.1f}" for value in row))
    Console().print(table)
    if options.json:
        versions = {name: version(name) for name in ("srl-swe", "cydifflib")} | {"python": platform.python_version()}
        record = {"figures": figures, "machine": platform.platform(), "versions": versions}
        options.json.write_text(json.dumps(record, indent=2) + "\n")


def compare(pairs: list[tuple[str, str]], *, autojunk: bool) -> tuple[int, list[float]]:
    """Values that differ, and the ratio of the two times in each of some rounds, taken in turn."""

    def reference(a: str, b: str) -> float:
        return difflib.SequenceMatcher(None, a, b, autojunk=autojunk).ratio()

    mismatches = sum(similarity(a, b, autojunk=autojunk) != reference(a, b) for a, b in pairs)
    ratios = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for a, b in pairs:
            reference(a, b)
        middle = time.perf_counter()
        for a, b in pairs:
            similarity(a, b, autojunk=autojunk)
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return mismatches, ratios


if __name__ == "__main__":
    main()
