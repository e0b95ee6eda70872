"""The import order: a room imports only from rooms to its left, and importing the package is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import srl_swe

PACKAGE = Path(srl_swe.__file__).parent
ROOMS = (
    "errors",
    "files",
    "data_files",
    "records",
    "machine",
    "rewards",
    "sandbox",
    "grading",
    "tasks",
    "environments",
    "experts",
    "policies",
    "training",
    "evaluation",
    "experiments",
    "commands",
    "cli",
)
"""From left to right."""
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "core", "tools", "shared", "stuff"}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module's dotted parts below ``srl_swe``; empty for the package itself."""
    return parts[0] if parts else ""


def imports(path: Path) -> list[tuple[str, int]]:
    """Every ``srl_swe`` module that a file imports, at any depth and under any condition, with the line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return [(name, line) for name, line in found if name == "srl_swe" or name.startswith("srl_swe.")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_left(path):
    here = path.relative_to(PACKAGE).with_suffix("").parts
    if here == ("__init__",):
        return  # the public names come from every room, and are imported when they are first used
    room = room_of(here)
    for name, line in imports(path):
        target = name.split(".")[1:2]
        if not target or target[0] not in ROOMS:
            # Public names hide which room they come from, so the rooms use none but the version.
            assert name in ("srl_swe", "srl_swe.__version__"), f"{path}:{line}: {name} is not a room"
            continue
        assert ROOMS.index(target[0]) <= ROOMS.index(room), f"{path}:{line}: {room} imports {name}, to its right"
        assert target[0] != "cli", f"{path}:{line}: nobody imports cli"


def test_every_room_is_in_the_order():
    rooms = {room_of(path.relative_to(PACKAGE).with_suffix("").parts) for path in FILES} - {"__init__"}
    assert rooms <= set(ROOMS), f"not in the order: {rooms - set(ROOMS)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_drawers(path):
    for part in path.relative_to(PACKAGE).with_suffix("").parts:
        assert part not in DRAWERS, f"{path}: name the file for what it holds"
        assert not part.startswith("base_"), f"{path}: name the file for what it holds"


HEAVY = ("torch", "transformers", "docker", "matplotlib", "vllm", "ray", "pyarrow")


@pytest.mark.parametrize(
    "statement",
    [
        "import srl_swe",
        "import srl_swe.training.config",
        "import srl_swe.cli; srl_swe.cli.main(['--version'])",
        "import srl_swe.cli, contextlib\nwith contextlib.suppress(SystemExit): srl_swe.cli.main(['eval', '--help'])",
        "import srl_swe.experts.formats.importing, srl_swe.experts.formats.writing",
    ],
    ids=["package", "configuration", "version", "help", "formats"],
)
def test_importing_is_cheap(statement):
    code = f"{statement}\nimport sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
