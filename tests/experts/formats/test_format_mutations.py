"""Thousands of damaged rows: each is read, or refused by name; nothing else is ever raised."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import format_samples as samples
import pytest
from shared_trajectories import FOLDER

from srl_swe.errors import TrajectoryError
from srl_swe.experts.formats.reading import Tally, read_file
from srl_swe.experts.trajectories import format_trajectory

SEEDS: dict[str, list[Any]] = {
    "swe-agent": [samples.SWE_AGENT, samples.SWE_AGENT_JSON],
    "mini-swe-agent": [samples.MINI_1, samples.MINI_2],
    "openhands": [samples.OPENHANDS, samples.OPENHANDS_SDK, {"history": samples.OPENHANDS_PAIRS}],
    "nebius": [samples.NEBIUS_SWE_AGENT, samples.NEBIUS_OPENHANDS],
    "nemo-gym": [samples.NEMO_GYM],
    "atif": [samples.ATIF],
    "chat": [samples.CHAT_XML, samples.CHAT_TICKS, samples.CHAT_ANTHROPIC, samples.CHAT_SHAREGPT],
    "srl-swe": [samples.OURS],
}
REAL = {
    "swe-agent": "swe-agent/tests/test_data/trajectories/gpt4__swe-agent-test-repo__default_from_url__t-0.00__p-0.95__"
    "c-3.00__install-1/6e44b9__sweagenttestrepo-1c2844.traj",
    "mini-swe-agent": "mini-swe-agent-2/local.traj.json",
}
GARBAGE: list[Any] = [
    *(None, True, 0, -1, 1e400, float("nan"), 10**400, "", " ", "\x00", "\ud800", "x" * 3000, [], {}, [[]], [None]),
    *({"": {}}, [{"role": "assistant"}], {"role": 1, "content": [{"type": []}]}),
    *("{", '{"a": ', "<function=", "```bash\n", "<think>"),
]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a value."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        members = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        for key, member in members:
            found.append((one, key))
            waiting.append(member)
    return found


def mutate(row: Any, rng: random.Random) -> bytes:
    """A line of JSON that is damaged in its structure, its types or its bytes."""
    row = copy.deepcopy(row)
    for _ in range(rng.randint(1, 3)):
        found = places(row)
        if not found:
            break
        container, key = rng.choice(found)
        match rng.randrange(5):
            case 0:
                del container[key]
            case 1 | 2:
                container[key] = copy.deepcopy(rng.choice(GARBAGE))
            case 3:
                container[key] = [container[key]] if rng.random() < 0.5 else {"role": container[key]}
            case 4:
                other, place = rng.choice(found)
                container[key] = copy.deepcopy(other[place]) if place in other or isinstance(other, list) else None
    line = bytearray(json.dumps(row).encode())
    if rng.random() < 0.2:
        for _ in range(rng.randint(1, 5)):
            line[rng.randrange(len(line))] = rng.randrange(256)
    if rng.random() < 0.1:
        line = line[: rng.randrange(len(line) + 1)]
    return bytes(line).replace(b"\n", b" ") + b"\n"


def check(path: Path, format: str | None) -> Tally:
    """Read a file of damaged rows, each of which must be a trajectory that can be written, or a named refusal."""
    tally = Tally()
    for trajectory in read_file(path, format=format, skip_bad=True, tally=tally):
        format_trajectory(trajectory)
    assert tally.rows == tally.trajectories + tally.skipped
    assert all(reason.startswith(f"{path}:") for reason in tally.reasons)
    return tally


def write_damaged(path: Path, format: str, count: int) -> None:
    rng = random.Random(f"damage {format}")
    seeds = list(SEEDS[format])
    real = FOLDER / REAL.get(format, "none")
    if real.is_file():
        seeds.append(json.loads(real.read_text()))
    chosen = [rng.choice(seeds) for _ in range(count)]
    if format == "srl-swe":  # its ids must differ
        chosen = [row | {"trajectory_id": f"t{number}"} for number, row in enumerate(chosen)]
    lines = [mutate(row, rng) for row in chosen]
    path.write_bytes(b"".join(line for line in lines if line.strip()))


@pytest.mark.parametrize("format", SEEDS)
def test_damaged_rows(tmp_path: Path, format: str) -> None:
    write_damaged(tmp_path / "rows.jsonl", format, 200)
    tally = check(tmp_path / "rows.jsonl", format)
    assert tally.skipped and tally.trajectories


@pytest.mark.slow
@pytest.mark.parametrize("format", SEEDS)
def test_five_thousand_damaged_rows(tmp_path: Path, format: str) -> None:
    write_damaged(tmp_path / "rows.jsonl", format, 5_000)
    for forced in (format, None):
        tally = check(tmp_path / "rows.jsonl", forced)
        assert tally.rows > 4_900 and tally.skipped > 300 and tally.trajectories > 300


@pytest.mark.parametrize("format", SEEDS)
def test_each_refusal_names_file_and_row(tmp_path: Path, format: str) -> None:
    """Without leave to skip, the first bad row ends the reading."""
    rng = random.Random(format)
    path = tmp_path / "row.jsonl"
    refused = 0
    for _ in range(100):
        path.write_bytes(mutate(rng.choice(SEEDS[format]), rng))
        if not path.read_bytes().strip():
            continue
        try:
            list(read_file(path, format=format))
        except TrajectoryError as error:
            refused += 1
            assert str(error).startswith(f"{path}:1: ")
    assert refused > 10
