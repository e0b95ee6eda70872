"""How many tasks a minute are graded, by us and by SWE-bench's harness, on the same tasks, images and cores.

    python -m benchmarks.grading --json benchmarks/results/grading.json

Each round grades the gold patch of every chosen task, first by one and then by the other, in turns; SWE-bench's side is
its own ``run_instance``: a container, the patch, the evaluation script, the log, the report, the container removed. It
waits up to 15 s for its container to stop. Figures: ``tasks_per_minute`` and ``swebench_tasks_per_minute``;
``tasks_per_minute_vs_swebench`` (median over rounds of the ratio; ``…_spread``: the distance of its quartiles ÷ it);
``tasks_per_minute_vs_swebench_without_stop``: the same where SWE-bench's clock stops at its report. With ``--build``:
``build_s`` and ``build_again_s``, seconds for the task images of envs/releases, built anew (on dependencies that are
there) and found again.
"""

from __future__ import annotations

import argparse
import dataclasses
import secrets
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.peers import SWEBENCH, Peer, swebench_harness
from benchmarks.record import parse, quartiles, report
from benchmarks.swebench_rows import row
from srl_swe.grading import grade
from srl_swe.records import PreparedTask, Task
from srl_swe.sandbox.calls import address, shared_client
from srl_swe.tasks import prepare, read_suite

ENVS = Path(__file__).parents[1] / "envs"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Seconds of one round."""

    ours: float
    theirs: float
    theirs_to_report: float


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=12, help="how many tasks of envs/starter")
    parser.add_argument("--workers", type=int, default=2, help="gradings at a time, for both")
    parser.add_argument("--build", action="store_true", help="also build the images of envs/releases")
    options = parse(__doc__, parser)
    client = shared_client()
    every = read_suite(ENVS / "starter")
    tasks = [prepare(task, client=client) for task in every[:: max(1, len(every) // options.tasks)][: options.tasks]]
    with swebench_harness(address(client.api)) as peer:
        rows = [row(task) for task in tasks]
        rounds = [
            measure(peer, tasks, rows, options.workers) for _ in track(range(options.rounds), description="rounds")
        ]
    figures = summary(rounds, len(tasks))
    if options.build:
        figures |= build(read_suite(ENVS / "releases"))
    shown: list[list[object]] = [["figure", "value"], *([name, value] for name, value in figures.items())]
    versions = {"docker engine": client.version()["Version"], "docker SDK": version("docker"), "peer": SWEBENCH}
    report(f"grading {len(tasks)} tasks, {options.workers} at a time", shown, figures, versions, options.json)


def measure(peer: Peer, tasks: Sequence[PreparedTask], rows: list[dict[str, Any]], workers: int) -> Round:
    """One round: all tasks by us, all tasks by SWE-bench; both must find each solved."""
    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        verdicts = list(pool.map(lambda task: grade(task, task.gold_patch), tasks))
    ours = time.perf_counter() - start
    assert all(verdict.solved for verdict in verdicts), verdicts
    patches = {r["instance_id"]: task.gold_patch for r, task in zip(rows, tasks, strict=True)}
    answer = peer.ask(instances=rows, patches=patches, workers=workers)
    results = answer["results"].values()
    assert all(result["resolved"] for result in results), answer
    spent, waited = sum(result["seconds"] for result in results), sum(result["cleanup_s"] for result in results)
    return Round(ours=ours, theirs=answer["seconds"], theirs_to_report=answer["seconds"] * (1 - waited / spent))


def summary(rounds: Sequence[Round], tasks: int) -> dict[str, float]:
    """The figures of some rounds."""
    low, middle, high = quartiles([r.theirs / r.ours for r in rounds])
    return {
        "tasks_per_minute": statistics.median(60 * tasks / r.ours for r in rounds),
        "swebench_tasks_per_minute": statistics.median(60 * tasks / r.theirs for r in rounds),
        "tasks_per_minute_vs_swebench": middle,
        "tasks_per_minute_vs_swebench_spread": (high - low) / middle,
        "tasks_per_minute_vs_swebench_without_stop": statistics.median(r.theirs_to_report / r.ours for r in rounds),
    }


def build(tasks: Sequence[Task]) -> dict[str, float]:
    """Build task images under a name of their own, and again; they are removed afterwards."""
    client = shared_client()
    named = [
        dataclasses.replace(task, task_id=f"bench-{secrets.token_hex(4)}/{Path(task.folder).name}") for task in tasks
    ]
    images: list[str] = []
    seconds = []
    try:
        for _ in range(2):
            start = time.perf_counter()
            images += [prepare(task, client=client).image for task in track(named, description="images")]
            seconds.append(time.perf_counter() - start)
    finally:
        for image in dict.fromkeys(images):
            client.images.remove(image)
    return {"images": float(len(named)), "build_s": seconds[0], "build_again_s": seconds[1]}


if __name__ == "__main__":
    main()
