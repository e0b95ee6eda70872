"""Expert trajectories at scale: reading, and cutting into step instances; and the similarity reward on real actions.

    python -m benchmarks.experts --size-mb 1000 --json benchmarks/results/experts.json

The file is made of the trajectories given (by default the committed ones), again and again under new ids. Each figure
of memory is the peak of a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.record import parse, report
from benchmarks.similarity import compare
from srl_swe.experts.instances import iter_step_instances, without_duplicates
from srl_swe.experts.trajectories import format_trajectory, iter_trajectories, read_trajectories
from srl_swe.records import StepInstance


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path, default=sorted(Path("trajectories").glob("*.jsonl")))
    parser.add_argument("--size-mb", type=float, default=1000)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)  # one measurement, in a process of its own
    options = parse(__doc__, parser)
    if options.work:
        print(json.dumps(work(options.work[0], Path(options.work[1]))))
        return
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.jsonl"
        size_mb = make(file, options.files, options.size_mb)
        reading, cutting = (in_process(kind, file) for kind in ("read", "instances"))
    figures["read_mb_per_second"] = size_mb / reading["seconds"]
    figures["read_peak_mb"] = reading["peak_mb"]
    figures["instances"] = cutting["count"]
    figures["instances_per_second"] = cutting["count"] / cutting["seconds"]
    figures["peak_mb"] = cutting["peak_mb"]
    pairs = [
        (a.action, b.action)
        for path in options.files
        for trajectory in read_trajectories(path)
        for a, b in itertools.combinations(trajectory.steps, 2)
    ]
    mismatches, ratios = compare(pairs, autojunk=False)
    figures |= {"similarity_mismatches": mismatches, "similarity_vs_difflib": statistics.median(ratios)}
    report(f"{size_mb:.0f} MB of trajectories", [("figure", "value"), *figures.items()], figures, {}, options.json)


def make(file: Path, sources: list[Path], size_mb: float) -> float:
    """Write trajectories under new ids until the file is large enough; returns its size in MB."""
    trajectories = [trajectory for source in sources for trajectory in read_trajectories(source)]
    size = 0
    with file.open("wb") as out:
        for number in itertools.count():
            for trajectory in trajectories:
                name = f"{trajectory.trajectory_id}-{number}"
                size += out.write(format_trajectory(replace(trajectory, trajectory_id=name)))
                if size >= size_mb * 1e6:
                    return size / 1e6
    raise AssertionError("unreachable")


def work(kind: str, file: Path) -> dict[str, float]:
    """One measurement: how many, how long, and this process's peak memory."""
    start = time.perf_counter()
    if kind == "read":
        count = sum(1 for _ in iter_trajectories(file))
    else:
        # Every instance goes through the deduplication, though few of these repeated ones come out of it.
        through = 0

        def counted() -> Iterator[StepInstance]:
            nonlocal through
            for instance in iter_step_instances(file):
                through += 1
                yield instance

        for _ in without_duplicates(counted()):
            pass
        count = through
    seconds = time.perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"count": count, "seconds": seconds, "peak_mb": peak_mb}


def in_process(kind: str, file: Path) -> dict[str, float]:
    """Run `work` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.experts", "--work", kind, str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    main()
