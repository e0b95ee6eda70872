"""The benchmark of expert trajectories runs, on a small file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_benchmark_counts_what_it_read(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.experts", "trajectories/starter.heldout.jsonl", "--size-mb", "0.3"]
    subprocess.run([*command, "--json", str(out)], check=True, cwd=Path(__file__).parents[2], capture_output=True)
    figures = json.loads(out.read_text())["figures"]
    assert figures["similarity_mismatches"] == 0
    assert figures["instances"] > 0
    assert min(figures["read_mb_per_second"], figures["instances_per_second"], figures["peak_mb"]) > 0
