"""Reading other agents' trajectories: how fast, in how much memory, and how many of the rows.

    python -m benchmarks.trajectory_reading FOLDER --json benchmarks/results/trajectory_reading.json

The rows of all files in a folder that a reader recognises are written, again and again, into one file of JSON Lines,
which a process of its own then reads; one more process only decodes the JSON, for comparison.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.record import parse, report
from srl_swe.experts.formats.containers import read_rows
from srl_swe.experts.formats.reading import recognise

PEAK = """
import json, sys, time
def peak():  # of this program alone: what getrusage tells counts its parent's memory too
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
"""
READ = f"""{PEAK}
from pathlib import Path
from srl_swe.experts.formats.reading import Tally, read_file
path, tally, start = Path(sys.argv[1]), Tally(), time.perf_counter()
for _ in read_file(path, skip_bad=True, tally=tally):
    pass
counts = [tally.rows, tally.trajectories, tally.steps, tally.runnable]
print(json.dumps([time.perf_counter() - start, peak(), counts]))
"""
DECODE = f"""{PEAK}
start, rows = time.perf_counter(), 0
with open(sys.argv[1], "rb") as lines:
    for line in lines:
        json.loads(line)
        rows += 1
print(json.dumps([time.perf_counter() - start, peak(), [rows]]))
"""


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="real trajectories")
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the file that is read")
    options = parse(__doc__, parser)
    lines = real_rows(options.folder)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        size = write_repeated(path, lines, options.megabytes * 1_000_000) / 1e6
        decode_seconds, decode_memory, _ = run(DECODE, path)
        seconds, memory, (rows, trajectories, steps, runnable) = run(READ, path)
    figures = {
        "experts_rows_read_fraction": trajectories / rows,
        "experts_runnable_fraction": runnable / steps,
        "experts_megabytes": size,
        "experts_megabytes_per_second": size / seconds,
        "experts_seconds_vs_json": seconds / decode_seconds,
        "experts_peak_memory_mb": memory,
        "experts_peak_memory_vs_json": memory / decode_memory,
    }
    table = [
        ("", "seconds", "MB/s", "peak memory, MB", "rows", "trajectories", "steps", "runnable"),
        ("json.loads alone", decode_seconds, size / decode_seconds, decode_memory, rows, "", "", ""),
        ("read_file", seconds, size / seconds, memory, rows, trajectories, steps, runnable),
    ]
    report(f"{size:.0f} MB of {len(lines)} real rows, repeated", table, figures, {}, options.json)


def real_rows(folder: Path) -> list[bytes]:
    """The rows of a folder's files that are trajectories of a known format, as lines of JSON."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        for row in read_rows(path, one_row=lambda value: recognise(value) is not None):
            if recognise(row.value) is not None and not is_only_a_task(row.value):
                found.append(json.dumps(row.value).encode() + b"\n")
    return found


def is_only_a_task(row: object) -> bool:
    """Whether a row of NeMo-Gym's is asked but not answered."""
    return (
        isinstance(row, dict) and "responses_create_params" in row and not {"response", "expected_action"} & row.keys()
    )


def write_repeated(path: Path, lines: list[bytes], size: int) -> int:
    """Write the lines over and over until the file has this size."""
    written = 0
    with path.open("wb") as out:
        while written < size:
            for line in lines:
                written += out.write(line)
    return written


def run(code: str, path: Path) -> tuple[float, float, list[int]]:
    """Seconds, peak memory in MB and counts, from a process of its own."""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    seconds, memory, counts = json.loads(done.stdout)
    return seconds, memory, counts


if __name__ == "__main__":
    main()
