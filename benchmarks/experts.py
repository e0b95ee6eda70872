"""Other agents' real trajectories: reading them, cutting them into step instances, comparing and replaying actions.

    python -m benchmarks.experts [FOLDER] --json benchmarks/results/experts.json

Rows: those of every file in a folder of real trajectories. Reading: a file of JSON Lines made of them, over and over.
Instances: `srl-swe experts instances` on a file of ours made of them, over and over, each time with another problem so
that nothing is a duplicate. Similarity: all pairs of actions within each of them. Replay: the recorded experts of a
suite, in containers, one at a time and 16 at a time. Time and memory of the first three are those of processes of their
own; the time of the similarity is the processor's.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from benchmarks.record import parse, report
from srl_swe.data_files import read_rows
from srl_swe.errors import TrajectoryError
from srl_swe.experts.formats.reading import read_row, recognise
from srl_swe.experts.trajectories import format_trajectory, read_trajectories
from srl_swe.records import Trajectory
from srl_swe.rewards.similarity import similarity

PARTS = ("rows", "reading", "instances", "similarity", "replay")
SLOW_S = 0.02
"""Pairs that took longer are timed again: once is too easily disturbed."""
Figures = dict[str, float]


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=Path("../shared/data/trajectories"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--megabytes", type=float, default=1000, help="size of the file that is read")
    parser.add_argument("--instances", type=int, default=134_000, help="at least how many are built")
    parser.add_argument("--suite", type=Path, default=Path("envs/starter"), help="whose experts are replayed")
    parser.add_argument("--split", default="train")
    parser.add_argument("--replays", type=int, help="most trajectories that are replayed; default: all")
    parser.add_argument("--backend", default="docker")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)  # one measurement, in a process of its own
    options = parse(__doc__, parser)
    if options.work:
        print(json.dumps(work(options.work[0], Path(options.work[1]))))
        return
    figures: Figures = {}
    lines, trajectories, of_rows = read_real(options.folder)
    if "rows" in options.parts:
        figures |= of_rows
    with tempfile.TemporaryDirectory() as folder:
        if "reading" in options.parts:
            figures |= reading(Path(folder), lines, options.megabytes)
        if "instances" in options.parts:
            figures |= instances(Path(folder), trajectories, options.instances)
    if "similarity" in options.parts:
        figures |= similarities(trajectories)
    if "replay" in options.parts:
        figures |= replays(options.suite, options.split, options.replays, options.backend)
    peaks = [figures[name] for name in ("reading_peak_mb", "instances_peak_mb") if name in figures]
    figures |= {"peak_mb": max(peaks)} if peaks else {}
    title = f"{len(lines)} real trajectories"
    versions = {"cydifflib": version("cydifflib")}
    report(title, [("figure", "value"), *figures.items()], figures, versions, options.json)


def read_real(folder: Path) -> tuple[list[bytes], list[Trajectory], Figures]:
    """The rows of a folder's files that hold a trajectory, what was read from them, and how many that are."""
    lines: list[bytes] = []
    trajectories: list[Trajectory] = []
    others = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        for row in read_rows(path, TrajectoryError, one_row=lambda value: recognise(value) is not None):
            if recognise(row.value) is None or is_only_a_task(row.value):
                others += 1  # reports, predictions
                continue
            lines.append(json.dumps(row.value).encode() + b"\n")
            try:
                trajectory = read_row(row, path)
            except TrajectoryError as error:
                print(f"not read: {error}", file=sys.stderr)
                continue
            trajectories.append(replace(trajectory, trajectory_id=f"{trajectory.trajectory_id}-{len(trajectories)}"))
    if not trajectories:
        sys.exit(f"{folder}: holds no trajectories")
    steps = [step for trajectory in trajectories for step in trajectory.steps]
    figures = {
        "rows_read_fraction": len(trajectories) / len(lines),
        "rows": len(lines),
        "rows_without_trajectory": others,
        "steps": len(steps),
        "runnable_fraction": sum(step.runnable for step in steps) / len(steps),
    }
    return lines, trajectories, figures


def is_only_a_task(row: object) -> bool:
    """Whether a row of NeMo-Gym's is asked but not answered."""
    return (
        isinstance(row, dict) and "responses_create_params" in row and not {"response", "expected_action"} & row.keys()
    )


def reading(folder: Path, lines: list[bytes], megabytes: float) -> Figures:
    """How fast other agents' rows are read, against decoding their JSON alone."""
    path = folder / "rows.jsonl"
    size_mb = write_until(path, itertools.cycle(lines), lambda size, _: size >= megabytes * 1e6)
    decoded, read = (in_process(kind, path) for kind in ("decode", "read"))
    path.unlink()
    return {
        "reading_megabytes": size_mb,
        "reading_mb_per_second": size_mb / read["seconds"],
        "reading_seconds_vs_json": read["seconds"] / decoded["seconds"],
        "reading_peak_mb": read["peak_mb"],
    }


def instances(folder: Path, trajectories: list[Trajectory], least: int) -> Figures:
    """How fast step instances are built and written, the file's reading included."""
    path = folder / "trajectories.jsonl"

    def again() -> Iterator[bytes]:
        for number in itertools.count():
            for trajectory in trajectories:
                name, problem = f"{trajectory.trajectory_id}-{number}", f"({number}) {trajectory.problem_statement}"
                yield format_trajectory(replace(trajectory, trajectory_id=name, problem_statement=problem))

    each = in_process_on(folder, [format_trajectory(trajectory) for trajectory in trajectories])["count"]
    rounds = -(-least // int(each))
    size_mb = write_until(path, again(), lambda _, count: count >= rounds * len(trajectories))
    built = in_process("instances", path)
    return {
        "instances": built["count"],
        "instances_megabytes": size_mb,
        "instances_seconds": built["seconds"],
        "instances_per_second": built["count"] / built["seconds"],
        "instances_peak_mb": built["peak_mb"],
    }


def in_process_on(folder: Path, lines: list[bytes]) -> Figures:
    """Build the instances of these lines."""
    path = folder / "once.jsonl"
    path.write_bytes(b"".join(lines))
    return in_process("instances", path)


def similarities(trajectories: list[Trajectory]) -> Figures:
    """Values that differ from difflib's, the ratio of the times, and the slowest pair."""
    pairs = [
        (a.action, b.action) for trajectory in trajectories for a, b in itertools.combinations(trajectory.steps, 2)
    ]
    figures: Figures = {"similarity_pairs": len(pairs), "similarity_mismatches": 0}
    slowest = 0.0
    for name, autojunk in (("plain", False), ("autojunk", True)):
        ours = theirs = 0.0
        for pair in pairs:
            expected, reference_s = timed(by_difflib, pair, autojunk)
            value, seconds = timed(similarity, pair, autojunk)
            figures["similarity_mismatches"] += value != expected
            ours, theirs = ours + seconds, theirs + reference_s
            if seconds > SLOW_S:
                seconds = min(timed(similarity, pair, autojunk)[1] for _ in range(5))
            slowest = max(slowest, seconds)
        figures[f"similarity_vs_difflib_{name}"] = theirs / ours
    figures["similarity_vs_difflib"] = min(figures[f"similarity_vs_difflib_{name}"] for name in ("plain", "autojunk"))
    figures["slowest_pair_ms"] = slowest * 1e3
    return figures


def by_difflib(a: str, b: str, *, autojunk: bool) -> float:
    """The value that the reward must have."""
    return difflib.SequenceMatcher(None, a, b, autojunk=autojunk).ratio()


def timed(compare: Callable[..., float], pair: tuple[str, str], autojunk: bool) -> tuple[float, float]:
    """(the value, the processor's seconds)."""
    start = time.thread_time()
    value = compare(*pair, autojunk=autojunk)
    return value, time.thread_time() - start


def replays(suite: Path, split: str, most: int | None, backend: str) -> Figures:
    """Expert steps a second, one replay at a time and 16; opening, comparing and grading included."""
    from srl_swe.experts.verification import verify
    from srl_swe.tasks.folder import read_suites
    from srl_swe.tasks.prepare import prepare

    found = read_trajectories(Path("trajectories") / f"{suite.name}.{split}.jsonl")[:most]
    tasks = {task.task_id: task for task in read_suites([suite])}
    prepared = {name: prepare(tasks[name], backend=backend) for name in dict.fromkeys(t.task_id for t in found)}
    figures: Figures = {}
    for jobs in (1, 16):
        start = time.perf_counter()
        results = verify(found, prepared, jobs=jobs, backend=backend)
        seconds = time.perf_counter() - start
        figures[f"replay_steps_per_second_{jobs}"] = sum(len(result.ratios) for result in results) / seconds
        figures["replays_not_solved"] = sum(not result.resolved for result in results)
    return figures


def write_until(path: Path, lines: Iterable[bytes], enough: Callable[[int, int], bool]) -> float:
    """Write lines until there is enough, in bytes and lines; returns the file's size in MB."""
    size = 0
    with path.open("wb") as out:
        for count, line in enumerate(lines, start=1):
            size += out.write(line)
            if enough(size, count):
                break
    return size / 1e6


def work(kind: str, path: Path) -> Figures:
    """One measurement: how many, how long, and this process's peak memory."""
    from srl_swe.cli import main as command
    from srl_swe.experts.formats.reading import Tally, read_file

    start = time.perf_counter()
    count = 0
    if kind == "decode":
        with path.open("rb") as lines:
            for line in lines:
                json.loads(line)
                count += 1
    elif kind == "read":
        tally = Tally()
        for _ in read_file(path, tally=tally):
            pass
        count = tally.trajectories
    else:
        out = path.with_name("steps.jsonl")
        sys.stdout, printed = sys.stderr, sys.stdout  # the command's own words
        if command(["experts", "instances", str(path), "--to", str(out)]):
            sys.exit(2)
        sys.stdout = printed
        count = json.loads(out.with_suffix(".card.json").read_text())["instances"]
    return {"count": count, "seconds": time.perf_counter() - start, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Of this program alone: what getrusage tells counts its parent's memory too."""
    with Path("/proc/self/status").open() as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def in_process(kind: str, path: Path) -> Figures:
    """Run `work` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.experts", "--work", kind, str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: Figures = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    main()
