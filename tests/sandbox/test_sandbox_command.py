"""``srl-swe sandbox``, run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(*args: str, code: int = 0, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "srl_swe.cli", "sandbox", *args],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | (environment or {}),
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def third_party(tmp_path: Path) -> dict[str, str]:
    """An installed package that brings backends: one that is here, one that is not, one that is broken."""
    (tmp_path / "theirs.py").write_text(
        "from srl_swe.errors import EngineUnavailableError\n"
        "from srl_swe.sandbox import get_backend\n"
        "def good(variant): return get_backend('docker')\n"
        "class Absent:\n"
        "    def open(self, spec): raise EngineUnavailableError('their server is down')\n"
        "def absent(variant): return Absent()\n"
        "def broken(variant): raise KeyError('oops')\n"
    )
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    names = "".join(f"their-{name} = theirs:{name}\n" for name in ("good", "absent", "broken"))
    (about / "entry_points.txt").write_text(f"[srl_swe.sandboxes]\n{names}")
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("args", [[], ["check"], ["list"], ["sweep"]], ids=" ".join)
def test_help(args: list[str]) -> None:
    assert "usage: srl-swe sandbox" in run(*args, "--help").stdout


def test_wrong_input_is_named(third_party: dict[str, str]) -> None:
    assert "expected one of docker, podman, bubblewrap" in run("check", "nope", code=2).stderr
    assert "'nope'" in run("check", "docker", "--only", "nope", code=2).stderr
    error = run("check", "their-good", code=2, environment=third_party).stderr
    assert error.startswith("error: image: name one that their-good can open")
    assert (
        "their server is down" in run("check", "their-absent", "--image", "x", code=2, environment=third_party).stderr
    )
    assert "expected one of" in run("sweep", "--backend", "nope", code=2).stderr


def test_backends_are_listed_with_what_is_in_their_way(third_party: dict[str, str]) -> None:
    shown = run("list", environment=third_party).stdout
    rows = {line.split()[1]: line for line in shown.splitlines() if line.startswith("│ ") and line[2] != " "}
    assert set(rows) == {"docker", "podman", "bubblewrap", "their-good", "their-absent", "their-broken"}
    assert "their server is down" in rows["their-absent"]
    assert "oops" in rows["their-broken"]


@pytest.mark.docker
def test_a_check(base_image: str, tmp_path: Path, third_party: dict[str, str]) -> None:
    file = tmp_path / "results.json"
    shown = run("check", "docker", "--only", "commands-state_is_kept*", "--json", str(file)).stdout
    assert "9 of 9 checks passed, 0 failed, 0 skipped" in shown
    record = json.loads(file.read_text())
    assert record["backend"] == "docker"
    assert {result["status"] for result in record["checks"]} == {"passed"}
    theirs = run("check", "their-good", "--image", base_image, "--only", "files-links*", environment=third_party)
    assert "1 of 1 checks passed" in theirs.stdout


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_an_image_that_is_missing() -> None:
    assert "srl-swe/none:none" in run("check", "docker", "--image", "srl-swe/none:none", code=2).stderr


@pytest.mark.docker
def test_a_failure_is_shown_and_exits_with_1(base_image: str, tmp_path: Path) -> None:
    (tmp_path / "liar.py").write_text(
        "import dataclasses\n"
        "from srl_swe.sandbox import get_backend\n"
        "class Box:\n"
        "    def __init__(self, real): self.real = real\n"
        "    def __getattr__(self, name): return getattr(self.real, name)\n"
        "    def run(self, *a, **k): return dataclasses.replace(self.real.run(*a, **k), exit_code=0)\n"
        "class Backend:\n"
        "    def __init__(self, variant): self.real = get_backend('docker')\n"
        "    def __getattr__(self, name): return getattr(self.real, name)\n"
        "    def open(self, spec): return Box(self.real.open(spec))\n"
    )
    about = tmp_path / "liar-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: liar\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[srl_swe.sandboxes]\nliar = liar:Backend\n")
    arguments = ("check", "liar", "--image", base_image, "--only", "commands-output*")
    shown = run(*arguments, code=1, environment={"PYTHONPATH": str(tmp_path)}).stdout
    assert "output_and_exit_code_are_exact[exit 255]" in shown
    assert "expected (255, False, False), got (0, False, False)" in shown


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_sweep() -> None:
    assert "docker: removed" in run("sweep", "--backend", "docker").stdout
    assert "docker: removed" in run("sweep").stdout
