"""Steps from the release of a package to the next."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from srl_swe.errors import ConfigError, TaskError
from srl_swe.records import RepositorySource
from srl_swe.tasks.mining.candidates import (
    Candidate,
    Limits,
    RefusedError,
    Step,
    changed_tests,
    code_changes,
    difference,
)
from srl_swe.tasks.mining.notes import changelog_notes
from srl_swe.tasks.prepare import source_changes
from srl_swe.tasks.releases import fetch_sdist, list_releases, unpack


def parse_step(text: str) -> Step:
    """A step as it is written: ``pypi:package:old:new`` or ``package==old:new``.

    Raises:
        ConfigError: it is not.
    """
    package, old, new = "", "", ""
    if text.startswith("pypi:") and text.count(":") == 3:
        _, package, old, new = text.split(":")
    elif "==" in text and text.count(":") == 1:
        package, _, versions = text.partition("==")
        old, new = versions.split(":")
    try:
        if not package or Version(old) == Version(new):
            raise InvalidVersion
    except InvalidVersion:
        raise ConfigError(f"{text}: expected pypi:PACKAGE:OLD:NEW or PACKAGE==OLD:NEW") from None
    return step_of(str(canonicalize_name(package)), old, new)


def step_of(package: str, old: str, new: str) -> Step:
    """The step between two releases."""

    def make(folder: Path, limits: Limits) -> Candidate:
        return candidate(package, old, new, folder, limits)

    return Step(key=f"pypi:{package}:{old}:{new}", group=package, make=make)


def release_steps(package: str) -> Iterator[Step]:
    """Every step of a package, newest first.

    Raises:
        TaskError: there is no such package, or the index cannot be reached.
    """
    name = str(canonicalize_name(package))
    for old, new in reversed(list(itertools.pairwise(list_releases(name)))):
        yield step_of(name, old.version, new.version)


def candidate(package: str, old: str, new: str, folder: Path, limits: Limits) -> Candidate:
    """Unpack both releases and see what changes between them.

    Raises:
        RefusedError: it cannot be a task.
        TaskError: a release cannot be had.
    """
    base, fixed = folder / "testbed", folder / "fixed"
    unpack(fetch_sdist(package, old), base)
    unpack(fetch_sdist(package, new), fixed)
    tests = changed_tests(base, fixed)
    changes = code_changes(base, source_changes(base, fixed, ()))
    if not changes:
        raise RefusedError("no source of the package is changed")
    patch = difference(base, changes, limits)
    source = RepositorySource(
        kind="pypi", location=package, version=old, fixed_version=new, source_paths=tuple(sorted(changes))
    )
    return Candidate(
        repository=package,
        source=source,
        base=base,
        gold_patch=patch,
        test_files=tests,
        notes=changelog_notes(base, fixed, new),
        created_at=_day(package, new),
        suffix=new,
    )


def _day(package: str, version: str) -> str:
    try:
        return next((r.day for r in list_releases(package) if Version(r.version) == Version(version)), "")
    except TaskError:
        # Both releases are in the cache, and nothing but the day is missing.
        return ""
