"""Peers that benchmarks compare with, each in a virtual environment of its own: their dependencies are not ours."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MINI = "mini-swe-agent==2.4.6"
SWEBENCH = "swebench==5.0.2"
_FOLDER = Path(__file__).parents[1] / ".venv-peers"


def peers_python(package: str) -> Path:
    """Return the Python of the peers' environment, with ``package`` in it; installed on first use."""
    python = _FOLDER / "bin" / "python"
    stamp = _FOLDER / f".{package}"
    if not stamp.exists():
        print(f"installing {package} into {_FOLDER} (once)", file=sys.stderr)
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", _FOLDER], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", package], check=True)
        stamp.touch()
    return python


class Peer:
    """A peer's process, asked line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **request: Any) -> Any:
        """Send a request of `benchmarks.peer_worker` and return the answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the peer's process has ended; see its errors above")
        return json.loads(line)


@contextlib.contextmanager
def mini_swe_agent(image: str, docker_host: str) -> Iterator[Peer]:
    """mini-swe-agent's DockerEnvironment on an image. Needs the ``docker`` client, as it does."""
    worker = Path(__file__).with_name("peer_worker.py")
    with _process([peers_python(MINI), worker, "mini", image], docker_host, MSWEA_SILENT_STARTUP="1") as peer:
        try:
            yield peer
        finally:
            peer.ask(close=True)


@contextlib.contextmanager
def swebench_harness(docker_host: str) -> Iterator[Peer]:
    """SWE-bench's harness, asked as `benchmarks.swebench_worker` says. Needs the ``docker`` client, as it does."""
    worker = Path(__file__).with_name("swebench_worker.py")
    with _process([peers_python(SWEBENCH), worker], docker_host) as peer:
        yield peer


@contextlib.contextmanager
def _process(command: list[str | Path], docker_host: str, **variables: str) -> Iterator[Peer]:
    environment = os.environ | {"DOCKER_HOST": docker_host} | variables
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Peer(process)
