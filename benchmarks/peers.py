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
_FOLDER = Path(__file__).parents[1] / ".venv-peers"


def peers_python() -> Path:
    """Return the peers' Python; installed on first use."""
    python = _FOLDER / "bin" / "python"
    stamp = _FOLDER / f".{MINI}"
    if not stamp.exists():
        print(f"installing {MINI} into {_FOLDER} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", _FOLDER], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", MINI], check=True)
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
    environment = os.environ | {"DOCKER_HOST": docker_host, "MSWEA_SILENT_STARTUP": "1"}
    worker = Path(__file__).with_name("peer_worker.py")
    command = [peers_python(), worker, "mini", image]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        peer = Peer(process)
        try:
            yield peer
        finally:
            peer.ask(close=True)
