"""Fixes by commit: like SWE-bench, but a row names the commit of the fix and its files in place of holding patches.

Fields: ``instance_id``, ``repo``, ``base_commit``, ``fix_commit``, ``source_files`` (the patch is what the fix changes
in them), ``test_paths_patched`` (the test patch likewise), ``FAIL_TO_PASS``, ``PASS_TO_PASS``, ``problem_statement``,
``created_at``, ``env_failing_tests``, and ``env``: ``requirements`` (a lock file beside the manifest), ``pre_setup``.
"""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from srl_swe.errors import TaskError
from srl_swe.records import RepositorySource
from srl_swe.tasks.fields import read_text
from srl_swe.tasks.formats.clones import clone
from srl_swe.tasks.formats.node_ids import map_tests
from srl_swe.tasks.formats.reading import Reading, day, task_name
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.formats.swebench import commit_id, repository_name
from srl_swe.tasks.writing import TaskDraft

_NEEDED = ("repo", "instance_id", "base_commit", "fix_commit", "source_files", "FAIL_TO_PASS")
# The fenced run writes its own report. pytest itself stays as it was: what tests are called depends on its version.
_REPORTERS = {"pytest-json-report", "pytest-metadata"}
_PRINTED = re.compile(r"printf '(?P<text>[^']*)' > (?P<path>[\w./-]+)( \([^)]*\))?")


def recognise(row: Row) -> bool:
    """Whether a row names a fix by its commit."""
    return all(key in row.fields for key in _NEEDED)


def draft(row: Row, reading: Reading) -> TaskDraft:
    """Make a draft of a fix, from a clone.

    Raises:
        TaskError: a field is wrong, or the repository or a commit cannot be had.
        RefusedRowError: its tests are not pytest's.
    """
    name = task_name(row, "instance_id", row.text("instance_id"))
    repository = repository_name(row, "repo")
    base, fix = commit_id(row, "base_commit"), commit_id(row, "fix_commit")
    sources, patched = row.texts("source_files"), row.texts("test_paths_patched", ())
    ids = row.texts("FAIL_TO_PASS"), row.texts("PASS_TO_PASS", ())
    broken = set(row.texts("env_failing_tests", ()))
    problem, created_at = row.text("problem_statement"), day(row, "created_at")
    requirements, needed = _environment(row, repository.partition("/")[2])
    url = reading.url_of(row, repository)
    clone(url, base, where=row.where, mirror=reading.mirror)
    there = clone(url, fix, where=row.where, mirror=reading.mirror, field="fix_commit")
    base = there.full(base)
    texts = there.files(fix, patched, field="test_paths_patched")
    inventory = map_tests(row, ids[0], [test for test in ids[1] if test not in broken], texts)
    texts |= there.files(fix, [path for path in inventory.files if path not in texts], field="FAIL_TO_PASS")
    ordered = (*inventory.files, *(path for path in texts if path not in inventory.files))
    gold = there.difference(base, fix, sources)
    if not gold:
        row.fail("source_files", f"expected files that {fix} changes, got {', '.join(sources)}")
    return TaskDraft(
        name=name,
        repository=repository,
        split="train",
        problem_statement=problem,
        source=RepositorySource(kind="git", location=url, version=base),
        requirements=requirements,
        created_at=created_at,
        gold_patch=gold,
        test_files={path: texts[path] for path in ordered} | needed,
        fail_to_pass=inventory.fail_to_pass,
        pass_to_pass=inventory.pass_to_pass,
        partial=True,
        timeout_s=reading.timeout_s,
    )


def _environment(row: Row, project: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """(pip requirements, files that the tests need and no commit holds)."""
    environment = row.table("env", {})
    setup = environment.text("pre_setup", "").strip()
    needed = {}
    if setup:
        printed = _PRINTED.fullmatch(setup)
        if printed is None:
            row.refuse("env.pre_setup", f"a command that is not understood: {setup!r}")
        needed[printed["path"]] = printed["text"].replace("\\n", "\n")
    name = environment.text("requirements", "")
    if not name:
        return (), needed
    if "/" in name or name.startswith("."):
        row.fail("env.requirements", f"expected the name of a file beside this one, got {name!r}")
    try:
        lines = read_text(row.folder / name).splitlines()
    except TaskError as error:
        row.fail("env.requirements", f"expected a file with pip requirements: {error}")
    wanted: list[str] = []
    release = _release(row)
    for line in lines:
        if not (text := line.partition("#")[0].strip()):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            row.fail("env.requirements", f"{row.folder / name}: expected pip requirements, got {text!r}")
        package = canonicalize_name(requirement.name)
        if package == canonicalize_name(project):
            # Some projects ask for their own metadata. A later release would hold the fix for all to read.
            wanted += [f"{package}=={release}"] if release else []
        elif package not in _REPORTERS:
            wanted.append(text)
    return tuple(dict.fromkeys(wanted)), needed


def _release(row: Row) -> str:
    """The release that the base commit follows, where ``version`` is one."""
    try:
        return str(Version(row.text("version", "") or "none"))
    except InvalidVersion:
        return ""
