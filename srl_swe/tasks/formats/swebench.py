"""SWE-bench instances and what descends from them: SWE-bench 1 to 5, SWE-Gym, SWE-rebench.

SWE-bench (github.com/SWE-bench/SWE-bench, ``swebench/types.py``): ``repo``, ``instance_id``, ``base_commit``,
``patch``, ``test_patch``, ``problem_statement``, ``FAIL_TO_PASS`` and ``PASS_TO_PASS`` (lists, or their JSON text),
``created_at``, ``version``, ``environment_setup_commit``, ``hints_text``; since 5.0 also ``image``, ``eval_script``,
``log_parser``, ``eval_type``. SWE-Gym has the first ones, with plain lists. SWE-rebench adds ``install_config``,
``requirements`` and ``docker_image``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from srl_swe.records import RepositorySource
from srl_swe.tasks.formats.clones import Clone, clone
from srl_swe.tasks.formats.node_ids import Inventory, map_tests
from srl_swe.tasks.formats.reading import Reading, day, task_name
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.writing import TaskDraft

_NEEDED = ("repo", "instance_id", "base_commit", "patch", "test_patch", "problem_statement", "FAIL_TO_PASS")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """In what the descendants differ."""

    name: str
    marks: tuple[str, ...]
    """Fields that only this one has."""
    image: str = ""
    """The field that names a prebuilt image, if there is one."""


DIALECTS = (
    Dialect(name="swe-rebench", marks=("install_config",), image="docker_image"),
    Dialect(name="swebench-5", marks=("eval_script",), image="image"),
    Dialect(name="swebench", marks=(), image=""),
)


def recognise(row: Row) -> bool:
    """Whether a row has the fields of an instance."""
    return all(key in row.fields for key in _NEEDED)


def dialect(row: Row) -> Dialect:
    """Which descendant a row is of."""
    return next(found for found in DIALECTS if all(row.fields.get(mark) is not None for mark in found.marks))


def draft(row: Row, reading: Reading) -> TaskDraft:
    """Make a draft of an instance: hidden tests are the files of the base commit with the test patch applied.

    Raises:
        TaskError: a field is wrong, a patch does not apply, or the repository cannot be had.
        RefusedRowError: its tests are not pytest's.
    """
    instance_id = row.text("instance_id")
    repository = repository_name(row, "repo")
    commit = commit_id(row, "base_commit")
    gold, test_patch = row.text("patch"), row.text("test_patch")
    problem = row.text("problem_statement")
    created_at = day(row, "created_at")
    ids = row.texts("FAIL_TO_PASS"), row.texts("PASS_TO_PASS", ())
    if not ids[0]:
        row.refuse("FAIL_TO_PASS", "no test shows the bug")
    kind = dialect(row)
    image = row.text(kind.image, "") if kind.image and not reading.build else ""
    requirements, install = environment(row)
    url = reading.url_of(row, repository)
    there = clone(url, commit, where=row.where, mirror=reading.mirror)
    commit = there.full(commit)
    there.patched(commit, gold, field="patch")
    inventory, files = hidden_tests(row, there, commit, test_patch, *ids)
    if image:
        source = RepositorySource(kind="image", location=image)
        requirements, install = (), False
    else:
        source = RepositorySource(kind="git", location=url, version=commit)
    return TaskDraft(
        name=task_name(row, "instance_id", instance_id),
        repository=repository,
        split="heldout" if row.fields.get("split") == "heldout" else "train",
        problem_statement=problem,
        source=source,
        requirements=requirements,
        install=install,
        created_at=created_at,
        gold_patch=gold if gold.endswith("\n") else gold + "\n",
        test_files=files,
        fail_to_pass=inventory.fail_to_pass,
        pass_to_pass=inventory.pass_to_pass,
        partial=True,
        timeout_s=reading.timeout_s,
    )


def hidden_tests(
    row: Row, there: Clone, base: str, test_patch: str, fail_to_pass: tuple[str, ...], pass_to_pass: tuple[str, ...]
) -> tuple[Inventory, dict[str, str]]:
    """Return the tests by pytest's names, and the texts of their files and of all that the test patch writes."""
    after = there.patched(base, test_patch, field="test_patch")
    touched = [path for path in there.changed(base, after) if "\\" not in path]
    texts = there.files(after, touched, field="test_patch")
    inventory = map_tests(row, fail_to_pass, pass_to_pass, texts)
    more = [path for path in inventory.files if path not in texts]
    texts |= there.files(after, more, field="FAIL_TO_PASS")
    return inventory, {
        path: texts[path] for path in (*inventory.files, *(p for p in texts if p not in inventory.files))
    }


def environment(row: Row) -> tuple[tuple[str, ...], bool]:
    """What SWE-rebench's ``requirements`` or ``install_config`` says: pip requirements, and whether to install."""
    config = row.table("install_config", {})
    listed = row.text("requirements", "").split("\n") if row.fields.get("requirements") else []
    pinned = [part for line in listed for part in ([line] if "@" in line or ";" in line else line.split())]
    wanted = pinned or list(config.texts("pip_packages", ()))
    # A checkout of the repository itself, and options, are no requirements.
    wanted = [item.strip() for item in wanted if item.strip() and not item.lstrip().startswith(("-", "#", "."))]
    return tuple(dict.fromkeys(wanted)), "-e ." in config.text("install", "")


def repository_name(row: Row, key: str) -> str:
    """Take ``owner/name``."""
    name = row.text(key)
    if not _REPOSITORY.fullmatch(name) or name.startswith("-"):
        row.fail(key, f"expected owner/name, got {name!r}")
    return name


def commit_id(row: Row, key: str) -> str:
    """Take the id of a commit."""
    commit = row.text(key)
    if not COMMIT.fullmatch(commit):
        row.fail(key, f"expected the id of a commit, got {commit!r}")
    return commit
