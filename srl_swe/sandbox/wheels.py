"""Downloads wheels on the host, for containers that have no network."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from srl_swe.errors import ImageBuildError
from srl_swe.sandbox.cache import cache_dir

PYTHON_VERSION = "3.11"
"""The images' Python: Debian bookworm's."""
GLIBC_MINORS = (36, 35, 34, 31, 28, 27, 24, 17)
"""Which ``manylinux_2_<minor>`` wheels run there (glibc 2.36)."""
TAIL_LINES = 20


def fetch(requirements: Sequence[str], *, machine: str) -> list[Path]:
    """Return wheels for the requirements and all that they need, downloaded where the cache does not hold them.

    What has no wheel is built from its source distribution by the host's Python.

    Args:
        requirements: pip requirements, one a string.
        machine: the engine's architecture, such as ``x86_64`` or ``aarch64``.

    Raises:
        ImageBuildError: pip failed; the message ends with its output.
    """
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    digest = hashlib.sha256("\n".join([PYTHON_VERSION, machine, *sorted(requirements)]).encode()).hexdigest()[:16]
    store = cache_dir() / "wheels"
    folder = store / digest
    if not folder.is_dir():
        store.mkdir(exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{digest}-", dir=store))
        try:
            _download(requirements, partial, machine)
            try:
                partial.rename(folder)
            except OSError:
                # Another process was faster; any other failure is one.
                if not folder.is_dir():
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return sorted(folder.glob("*.whl"))


def _download(requirements: Sequence[str], folder: Path, machine: str) -> None:
    """Fill a folder with wheels: ready ones if all have them, else with those that pip builds."""
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS]
    platforms += [f"--platform=manylinux2014_{machine}", f"--platform=linux_{machine}"]
    ready = ["download", "--only-binary=:all:", f"--python-version={PYTHON_VERSION}", "--implementation=cp", *platforms]
    if _pip([*ready, "--dest", str(folder), *requirements]).returncode == 0:
        return
    built = _pip(["wheel", "--wheel-dir", str(folder), *requirements])
    if built.returncode != 0:
        raise ImageBuildError(f"pip could not get {', '.join(requirements)}:\n{_tail(built)}")


def _pip(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the host's pip, quietly."""
    command = [sys.executable, "-m", "pip", *arguments[:1], "--quiet", "--disable-pip-version-check", *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def _tail(process: subprocess.CompletedProcess[str]) -> str:
    """Return the last lines of what a process said."""
    return "\n".join((process.stdout + process.stderr).splitlines()[-TAIL_LINES:])
