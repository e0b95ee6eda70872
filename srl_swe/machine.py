"""What a measurement was made with: it is written beside every table of results."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from srl_swe import __version__

_PACKAGES = ("torch", "transformers", "gymnasium", "cydifflib")


def machine() -> dict[str, str | int]:
    """Processor, cores that this process may use, operating system."""
    return {"processor": _processor(), "cores": cores(), "system": platform.platform()}


def versions() -> dict[str, str]:
    """Of this package, Python, and the packages that results depend on."""
    return {"srl_swe": __version__, "python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text(encoding="utf-8").splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
