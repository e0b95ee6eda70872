"""A mirror with one repository, rows of every format about it, and a cache of clones for these tests alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import public_rows
import pytest


@dataclass(frozen=True)
class World:
    mirror: Path
    rows: dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    mirror = tmp_path_factory.mktemp("mirror")
    tmp = tmp_path_factory.mktemp("rows")
    (tmp / "bug").mkdir()
    return World(mirror=mirror, rows=public_rows.rows(mirror, tmp))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRL_SWE_CACHE", str(cache))
