"""Steps from a commit's parent to the commit, in a git repository."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from srl_swe.errors import TaskError
from srl_swe.grading.paths import is_test
from srl_swe.records import RepositorySource
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.locks import file_lock
from srl_swe.tasks.host_git import checkout, run_git, words
from srl_swe.tasks.mining.candidates import (
    Candidate,
    Limits,
    RefusedError,
    Step,
    changed_tests,
    code_changes,
    difference,
    is_test_module,
)
from srl_swe.tasks.mining.notes import message_notes
from srl_swe.tasks.prepare import source_changes

_FIELDS = "%H%x00%P%x00%cs"


def commit_steps(where: str, *, max_commits: int, since: str = "") -> Iterator[Step]:
    """Commits that change both source and tests, newest first, along the first parents.

    Args:
        where: A repository's folder, or its URL.
        max_commits: Commits to look at.
        since: Only those after this commit.

    Raises:
        TaskError: it is no repository, or cannot be cloned.
    """
    repository, url = _open(where)
    name = _name(where)
    span = f"{since}..HEAD" if since else "HEAD"
    log = run_git("log", "--first-parent", f"--max-count={max_commits}", f"--format={_FIELDS}", span, cwd=repository)
    if log.returncode != 0:
        raise TaskError(f"{where}: expected a git repository with commits: {words(log)}")
    for line in log.stdout.decode().splitlines():
        commit, parents, day = line.split("\0")
        parent = parents.partition(" ")[0]
        if parent and _touches_both(repository, parent, commit):
            yield step_of(repository, url, name, (parent, commit), day)


def step_of(repository: Path, url: str, name: str, commits: tuple[str, str], day: str) -> Step:
    """The step of one commit (parent, commit)."""

    def make(folder: Path, limits: Limits) -> Candidate:
        return candidate(repository, url, name, commits, day, folder, limits)

    return Step(key=f"git:{name}:{commits[1]}", group=name, make=make)


def candidate(
    repository: Path, url: str, name: str, commits: tuple[str, str], day: str, folder: Path, limits: Limits
) -> Candidate:
    """Check out both states and see what changes between them.

    Raises:
        RefusedError: it cannot be a task.
        TaskError: a commit cannot be had.
    """
    parent, commit = commits
    base, fixed = folder / "testbed", folder / "fixed"
    checkout(str(repository), parent, base, where=url)
    checkout(str(repository), commit, fixed, where=url)
    tests = changed_tests(base, fixed)
    changes = code_changes(base, source_changes(base, fixed, ()))
    if not changes:
        raise RefusedError("no source of the package is changed")
    message = run_git("log", "-1", "--format=%B", commit, cwd=repository).stdout.decode(errors="replace")
    return Candidate(
        repository=name,
        source=RepositorySource(kind="git", location=url, version=parent),
        base=base,
        gold_patch=difference(base, changes, limits),
        test_files=tests,
        notes=message_notes(message),
        created_at=day,
        suffix=commit[:8],
    )


def _touches_both(repository: Path, parent: str, commit: str) -> bool:
    named = run_git("diff", "--name-only", "-z", "--no-renames", parent, commit, cwd=repository).stdout
    paths = [path for path in named.decode(errors="replace").split("\0") if path]
    return any(is_test_module(path) for path in paths) and any(
        path.endswith(".py") and not is_test(path) for path in paths
    )


def _open(where: str) -> tuple[Path, str]:
    """(a repository on this machine, what a task's ``url`` says). Clones are kept in the cache."""
    local = Path(where)
    if "://" not in where and local.is_dir():
        return local.resolve(), str(local.resolve())
    if where.startswith("-"):
        raise TaskError(f"{where}: expected a folder or a URL")
    clones = cache_dir() / "mined"
    clones.mkdir(exist_ok=True)
    mirror = clones / hashlib.sha256(where.encode()).hexdigest()[:24]
    with file_lock(clones / f"{mirror.name}.lock"):
        if (mirror / "HEAD").is_file():
            result = run_git("remote", "update", "--prune", cwd=mirror, own_configuration=True)
        else:
            result = run_git("clone", "-q", "--mirror", "--", where, str(mirror), cwd=clones, own_configuration=True)
    if result.returncode != 0:
        raise TaskError(f"{where}: cannot be cloned: {words(result)}")
    return mirror, where


def _name(where: str) -> str:
    return where.rstrip("/").rpartition("/")[2].removesuffix(".git").lower() or "repository"
