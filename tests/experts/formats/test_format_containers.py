"""Files of rows: JSON, JSON Lines, gzip, zstandard, Parquet; what is bad in them is counted, and memory stays small."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import format_samples as samples
import pytest

from srl_swe.errors import TrajectoryError
from srl_swe.experts.formats.importing import import_trajectories
from srl_swe.experts.formats.outcomes import read_outcomes
from srl_swe.experts.formats.reading import REASONS, Tally, read_file
from srl_swe.experts.trajectories import read_trajectories

ROWS = [samples.NEBIUS_OPENHANDS, samples.CHAT_XML, samples.MINI_2, samples.ATIF]


def lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def read(path: Path, **options: Any) -> tuple[list[str], Tally]:
    tally = Tally()
    return [t.task_id for t in read_file(path, tally=tally, **options)], tally


def write_parquet(path: Path, rows: list[Any]) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=64, compression="none")


def compress_zstandard(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    compressed: bytes = zstandard.ZstdCompressor().compress(data)
    return compressed


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("rows.jsonl", lines),
        ("rows", lines),
        ("rows.json", lines),
        ("rows.json", lambda rows: b"[\n" + lines(rows).replace(b"\n", b",\n").removesuffix(b",\n") + b"\n]"),
        ("rows.json", lambda rows: json.dumps(rows, indent=1).encode()),
        ("rows.json", lambda rows: json.dumps(rows).encode()),
        ("rows.jsonl.gz", lambda rows: gzip.compress(lines(rows))),
        ("rows.json.gz", lambda rows: gzip.compress(json.dumps(rows).encode())),
        ("rows.jsonl.zst", lambda rows: compress_zstandard(lines(rows))),
        ("rows.jsonl", lambda rows: b"\xef\xbb\xbf" + lines(rows).replace(b"\n", b"\r\n\r\n")),
    ],
)
def test_the_same_rows_in_every_container(tmp_path: Path, name: str, encode: Any) -> None:
    (tmp_path / name).write_bytes(encode(ROWS))
    tasks, tally = read(tmp_path / name)
    assert tasks == ["owner__repo-7", "owner__repo-9", "owner__repo-2", "owner__repo-8"]
    assert (tally.rows, tally.trajectories, tally.skipped) == (4, 4, 0)


def test_parquet(tmp_path: Path) -> None:
    rows = [samples.NEBIUS_OPENHANDS | {"instance_id": f"task-{k}"} for k in range(50)]
    write_parquet(tmp_path / "rows.parquet", rows)
    tasks, tally = read(tmp_path / "rows.parquet")
    assert tasks == [f"task-{k}" for k in range(50)] and tally.steps == 100


def test_parquet_fills_what_a_row_lacks_with_null(tmp_path: Path) -> None:
    write_parquet(tmp_path / "rows.parquet", [samples.NEBIUS_SWE_AGENT, {"instance_id": "x", "trajectory": []}])
    tasks, tally = read(tmp_path / "rows.parquet", skip_bad=True)
    assert tasks == ["owner__repo-6"] and (tally.rows, tally.skipped) == (2, 1)


def test_bad_rows_are_skipped_and_the_counts_add_up(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    bad = [b'{"messages": 3}\n', b"\xff\n", b'{"a"\n', b"[" * 5000 + b"\n", b"null\n"]
    path.write_bytes(lines(ROWS[:2]) + b"".join(bad) + lines(ROWS[2:]) + lines(ROWS[:1])[:-9])
    tasks, tally = read(path, skip_bad=True)
    assert len(tasks) == 4 and (tally.rows, tally.trajectories, tally.skipped) == (10, 4, 6)
    assert [reason.split(": ")[0] for reason in tally.reasons] == [f"{path}:{k}" for k in (3, 4, 5, 6, 7, 10)]
    with pytest.raises(TrajectoryError, match=r"rows\.jsonl:3: "):
        read(path)


def test_a_broken_first_row_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_bytes(b'{"cut": \n' + lines(ROWS))
    tasks, tally = read(tmp_path / "rows.json", skip_bad=True)
    assert len(tasks) == 4 and (tally.rows, tally.skipped) == (5, 1)


def test_reasons_are_kept_of_the_first_bad_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"{}\n" * (REASONS + 50) + lines(ROWS))
    _, tally = read(path, skip_bad=True)
    assert (tally.rows, tally.trajectories, tally.skipped, len(tally.reasons)) == (
        REASONS + 54,
        4,
        REASONS + 50,
        REASONS,
    )


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.jsonl.zst"])
def test_a_torn_archive_gives_what_is_whole(tmp_path: Path, name: str) -> None:
    rows = [samples.CHAT_XML | {"instance_id": f"task-{k}", "noise": str(hash(str(k)))} for k in range(3000)]
    data = gzip.compress(lines(rows)) if name.endswith("gz") else compress_zstandard(lines(rows))
    (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    tasks, tally = read(tmp_path / name, skip_bad=True)
    assert 0 < len(tasks) < 3000 and tally.rows == tally.trajectories + tally.skipped
    assert 1 <= tally.skipped <= 2  # a line cut in two, and the rest
    with pytest.raises(TrajectoryError, match=r":\d+: "):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", b"", "is empty"),
        ("rows.jsonl", b"\n\n", "is empty"),
        ("rows.json", b" \n", "is empty"),
        ("rows.json", b"[]", "known format"),
        ("rows.json", b'{"a": 1', "not valid JSON"),
        ("rows.parquet", b"PAR1nonsense", "Parquet file cannot be read"),
        ("rows.jsonl.gz", b"\x1f\x8bnonsense", "cannot be unpacked"),
        ("rows.yaml", b"history: [\n", "not valid YAML"),
        ("rows.yaml", b"history: !!python/object:os.system x\n", "not valid YAML"),
    ],
)
def test_a_file_that_holds_nothing_readable(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrajectoryError, match=message):
        read(tmp_path / name)
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(TrajectoryError, match="cannot be read"):
            read(path)


def test_many_files_into_one(tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/a.jsonl").write_bytes(lines([*ROWS, samples.CHAT_XML]))
    (tmp_path / "in/deep/b.json").write_bytes(json.dumps(samples.CHAT_XML).encode())
    (tmp_path / "in/c.txt").write_bytes(b"")
    out = tmp_path / "out.jsonl"
    with pytest.raises(TrajectoryError, match=r"c\.txt: is empty"):
        import_trajectories([tmp_path / "in"], out)
    assert not out.exists()
    tallies = import_trajectories([tmp_path / "in"], out, skip_bad=True)
    assert {path.name: (t.rows, t.trajectories, t.skipped) for path, t in tallies.items()} == {
        "a.jsonl": (5, 5, 0),
        "b.json": (1, 1, 0),
        "c.txt": (1, 0, 1),
    }
    ids = [t.trajectory_id for t in read_trajectories(out) if t.task_id == "owner__repo-9"]
    assert ids == [f"owner__repo-9@chat-{k}" for k in range(3)]
    assert sum(t.steps for t in tallies.values()) == sum(len(t.steps) for t in read_trajectories(out))


@pytest.mark.parametrize(
    ("report", "outcomes"),
    [
        ({"instance_id": "a", "resolved": True}, {"a": True}),
        ({"a": {"resolved": True}, "b": {"resolved": False}}, {"a": True, "b": False}),
        ({"resolved_ids": ["a"], "unresolved_ids": ["b"], "total_instances": 2}, {"a": True, "b": False}),
        ({"ids_resolved": ["a"], "ids_unresolved": []}, {"a": True}),
        ({"resolved": False}, {"task-7": False}),
    ],
)
def test_outcomes(tmp_path: Path, report: Any, outcomes: dict[str, bool]) -> None:
    path = tmp_path / "task-7/report.json"
    path.parent.mkdir()
    path.write_text(json.dumps(report))
    assert read_outcomes([path, path]) == outcomes


@pytest.mark.parametrize(
    "report", [{}, [], 3, {"a": {}}, {"resolved": "x"}, {"resolved_ids": ["a"], "unresolved_ids": ["a"]}]
)
def test_what_is_no_report(tmp_path: Path, report: Any) -> None:
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(TrajectoryError, match=r"report\.json:1: "):
        read_outcomes([tmp_path / "report.json"])


MEASURE = """
import sys
from pathlib import Path
from srl_swe.experts.formats.reading import read_file
def peak():  # of this program alone: what getrusage tells counts its parent's memory too
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
few = sum(1 for _ in read_file(Path(sys.argv[1])))
before = peak()
count = sum(1 for _ in read_file(Path(sys.argv[2])))
print(count, peak() - before)
"""


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    row = json.loads(json.dumps(samples.NEBIUS_OPENHANDS))
    row["trajectory"][3]["content"] = "x" * 100_000
    small, large = tmp_path / f"small.{kind}", tmp_path / f"large.{kind}"
    for path, count in ((small, 64), (large, 1500)):
        rows = [row | {"instance_id": f"task-{k}"} for k in range(count)]
        if kind == "parquet":
            write_parquet(path, rows)
        else:
            path.write_bytes(gzip.compress(lines(rows), 1) if kind.endswith("gz") else lines(rows))
    done = subprocess.run([sys.executable, "-c", MEASURE, small, large], capture_output=True, text=True, check=True)
    count, grown = map(int, done.stdout.split())
    assert count == 1500
    assert grown < 60_000, f"150 MB of rows took {grown} KiB more than 6 MB of them"
