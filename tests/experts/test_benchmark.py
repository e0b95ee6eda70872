"""The benchmark of expert trajectories runs, on a few real-looking rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from srl_swe.experts.formats.writing import write_file
from srl_swe.experts.trajectories import read_trajectories

ROOT = Path(__file__).parents[2]


def test_the_benchmark_counts_what_it_read(tmp_path: Path) -> None:
    folder, out = tmp_path / "real", tmp_path / "figures.json"
    folder.mkdir()
    write_file(folder / "rows.jsonl", read_trajectories(ROOT / "trajectories/starter.heldout.jsonl")[:4], format="atif")
    (folder / "report.json").write_text('{"resolved": true}')
    parts = ["rows", "reading", "instances", "similarity"]
    command = [sys.executable, "-m", "benchmarks.experts", str(folder), "--parts", *parts, "--megabytes", "0.1"]
    subprocess.run(
        [*command, "--instances", "100", "--json", str(out)], check=True, cwd=ROOT, capture_output=True, timeout=120
    )
    figures = json.loads(out.read_text())["figures"]
    assert figures["rows_read_fraction"] == 1.0
    assert (figures["rows"], figures["rows_without_trajectory"]) == (4, 1)
    assert figures["similarity_mismatches"] == 0
    assert 100 <= figures["instances"] < 200
    positive = ("reading_mb_per_second", "instances_per_second", "peak_mb", "similarity_vs_difflib", "slowest_pair_ms")
    assert all(figures[name] > 0 for name in positive)
