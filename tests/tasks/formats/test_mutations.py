"""Spoilt rows and files, thousands of them: each is read, refused, or named in one sentence; nothing else is raised."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import public_rows
import pytest

from srl_swe.errors import TaskError
from srl_swe.tasks.formats.importing import import_tasks
from srl_swe.tasks.formats.predictions import read_predictions
from srl_swe.tasks.formats.reading import Reading

MODULES = {
    "swebench": "swebench",
    "swe-rebench": "swebench",
    "swesmith": "swesmith",
    "r2e-gym": "r2e-gym",
    "bugfix": "bugfix",
    "humanevalfix": "humanevalfix",
}
GARBAGE: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, "", " ", "\0", "\ud800", "x" * 5000, "../..", "/etc/passwd", "-rf", "{}", "[]",
    "[[]]", '{"a": {"a": []}}', "[" * 5000, "é\u2028", [], {}, [None], [[["x"]]], ["a", 1], ["\0"], ["a"] * 50,
    {"a": {"b": [1, {}]}}, "FAIL", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "a/b", "::", "x::",
    "diff --git a/../x b/../x\nnew file mode 100644\n",
)  # fmt: skip
ESCAPES = ("\\ud800", "\\u0000", "NaN", "1e999", "9" * 5000, '"a":1,"a":2', "]", "{", ",", '"')


def spoil(value: Any, chance: random.Random) -> Any:
    """One change somewhere in a structure; text that is JSON is changed inside as often as not."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        match chance.randrange(4):
            case 0:
                del value[key]
            case 1:
                value[key] = copy.deepcopy(chance.choice(GARBAGE))
            case _:
                value[key] = spoil(value[key], chance)
        return value
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        value[at] = spoil(value[at], chance)
        return value
    if isinstance(value, str) and value:
        if value[0] in "[{" and chance.random() < 0.4:
            with contextlib.suppress(ValueError, RecursionError):  # spoilt once already
                return json.dumps(spoil(json.loads(value), chance))
        return spoil_text(value, chance) if chance.random() < 0.6 else copy.deepcopy(chance.choice(GARBAGE))
    return copy.deepcopy(chance.choice(GARBAGE))


def spoil_text(text: str, chance: random.Random) -> str:
    start, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    match chance.randrange(5):
        case 0:
            return text[:start]
        case 1:
            return text[:start] + text[end:]
        case 2:
            return text[:end] + text[start:]
        case 3:
            codes = [0, 10, 34, 92, 0x2028, 0xDC80, chance.randrange(0x3000)]
            return text[:start] + chr(chance.choice(codes)) + text[start + 1 :]
        case _:
            return text[:start] + chance.choice(["\n", "::", "..", "/", "[", "@@", "é"]) + text[start:]


def spoil_bytes(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    match chance.randrange(4):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 2:
            return data[:at] + chance.choice(ESCAPES).encode() + data[at:]
        case _:
            return data[:at] + data[at + chance.randrange(40) :]


def survive(read, file: Path, fields: set[str], *, whole: bool = False) -> bool:
    """Whether it was read; a refusal must name the file and, where the row is JSON, the row and the field."""
    try:
        read()
    except TaskError as error:
        text = str(error)
        assert text.isprintable() or "\n" in text
        found = re.match(rf"{re.escape(str(file))}(?::1)?: (.*)", text, re.DOTALL)
        assert found, text
        if whole:
            field = re.match(r"[\w./-]+", found[1])
            assert field and (field[0].partition(".")[0] in fields or field[0] in fields), text
        return False
    return True


def mutate_rows(world, tmp_path, name: str, count: int) -> None:
    chance = random.Random(name)
    (tmp_path / "requirements.lock").write_text("attrs==23.1.0\n")
    fields = {*world.rows[name], "task"}
    read = 0
    for number in range(count):
        file = tmp_path / f"{number}.jsonl"
        suite = tmp_path / "suite"
        reading = Reading(suite=suite, mirror=world.mirror, build=chance.random() < 0.5)
        by_structure = chance.random() < 0.8
        if by_structure:
            row = copy.deepcopy(world.rows[name])
            for _ in range(chance.choice([1, 1, 2, 4])):
                row = spoil(row, chance)
            content = json.dumps(row).encode()
            by_structure = isinstance(row, dict)
        else:
            content = spoil_bytes(json.dumps(world.rows[name]).encode(), chance)
        file.write_bytes(content)

        def attempt(file=file, reading=reading):
            import_tasks(str(file), reading, format_name=MODULES[name])

        read += survive(attempt, file, fields, whole=by_structure)
        file.unlink()
        shutil.rmtree(suite, ignore_errors=True)
    assert 0 < read < count


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repositories that a spoilt row names are refused at once."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


@pytest.mark.parametrize("name", MODULES)
def test_spoilt_rows(world, tmp_path, name):
    mutate_rows(world, tmp_path, name, 60)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_two_thousand_spoilt_rows(world, tmp_path, name):
    mutate_rows(world, tmp_path, name, 2000)


def mutate_folders(world, tmp_path, count: int) -> None:
    chance = random.Random("harbor")
    whole = public_rows.harbor(tmp_path / "whole", patch=world.rows["swebench"]["patch"])
    (whole / "tests/config.json").write_text(json.dumps({"x": 1}))
    names = [path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()]
    read = 0
    for number in range(count):
        folder = tmp_path / f"task-{number}"
        shutil.copytree(whole, folder)
        file = folder / chance.choice(names)
        match chance.randrange(8):
            case 0:
                file.unlink()
            case 1:
                file.write_text(spoil_text(file.read_text(), chance), encoding="utf-8", errors="surrogatepass")
            case _:
                file.write_bytes(spoil_bytes(file.read_bytes(), chance))
        suite = tmp_path / "suite"

        def attempt(folder=folder, suite=suite):
            import_tasks(str(folder), Reading(suite=suite), format_name="harbor")

        fields = {*names, "task", "task.yaml", "tests", "solution"}
        read += survive(attempt, folder, fields, whole=(folder / "task.toml").exists())
        shutil.rmtree(folder)
        shutil.rmtree(suite, ignore_errors=True)
    assert 0 < read < count


def test_spoilt_task_folders(world, tmp_path):
    mutate_folders(world, tmp_path, 200)


@pytest.mark.slow
def test_two_thousand_spoilt_task_folders(world, tmp_path):
    mutate_folders(world, tmp_path, 2000)


def test_spoilt_predictions(tmp_path):
    chance = random.Random(1)
    lines = [{"instance_id": "psf__adder-1", "model_name_or_path": "m", "model_patch": "diff --git a/x b/x\n"}]
    read = 0
    for number in range(2000):
        file = tmp_path / f"{number}.jsonl"
        row = spoil(copy.deepcopy(lines[0]), chance)
        by_structure = isinstance(row, dict) and chance.random() < 0.7
        content = json.dumps(row).encode()
        file.write_bytes(content if by_structure else spoil_bytes(content, chance))
        read += survive(lambda file=file: read_predictions(file), file, set(lines[0]), whole=by_structure)
        file.unlink()
    assert 0 < read < 2000
