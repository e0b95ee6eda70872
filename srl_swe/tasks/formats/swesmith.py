"""SWE-smith (github.com/SWE-bench/SWE-smith): a bug put into a repository that was well. The patch *is* the bug.

Fields: ``instance_id`` (``oauthlib__oauthlib.1fd52536.combine_file__09vlzwgc``), ``repo``
(``swesmith/oauthlib__oauthlib.1fd52536``: owner, name and commit of the original), ``patch``, ``image_name``,
``FAIL_TO_PASS``, ``PASS_TO_PASS``, ``problem_statement``; there is no test patch: the tests are the repository's own.
"""

from __future__ import annotations

import re

from srl_swe.records import RepositorySource
from srl_swe.tasks.formats.clones import clone
from srl_swe.tasks.formats.node_ids import map_tests
from srl_swe.tasks.formats.reading import Reading, task_name
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.formats.swebench import environment
from srl_swe.tasks.writing import TaskDraft

_NEEDED = ("instance_id", "repo", "patch", "FAIL_TO_PASS", "image_name")
_REPOSITORY = re.compile(r"(?:[\w.-]+/)?(?P<owner>[\w.-]+?)__(?P<name>[\w.-]+)\.(?P<commit>[0-9a-f]{7,40})")


def recognise(row: Row) -> bool:
    """Whether a row is a SWE-smith instance."""
    return all(key in row.fields for key in _NEEDED) and "base_commit" not in row.fields


def draft(row: Row, reading: Reading) -> TaskDraft:
    """Make a draft of an instance: base is the repository with the patch applied, and gold takes it back.

    Raises:
        TaskError: a field is wrong, the patch does not apply, or the repository cannot be had.
        RefusedRowError: nobody has described the problem, or its tests are not pytest's.
    """
    name = task_name(row, "instance_id", row.text("instance_id"))
    repository = _REPOSITORY.fullmatch(row.text("repo"))
    if repository is None:
        row.fail("repo", f"expected swesmith/owner__name.commit, got {row.fields['repo']!r}")
    bug, image = row.text("patch"), row.text("image_name")
    ids = row.texts("FAIL_TO_PASS"), row.texts("PASS_TO_PASS", ())
    problem = row.text("problem_statement", "")
    if not problem.strip():
        row.refuse("problem_statement", "nobody has described the problem")
    if not ids[0]:
        row.refuse("FAIL_TO_PASS", "no test shows the bug")
    url = reading.url_of(row, f"{repository['owner']}/{repository['name']}")
    there = clone(url, repository["commit"], where=row.where, mirror=reading.mirror, field="repo")
    fixed = there.full(repository["commit"])
    base = there.patched(fixed, bug, field="patch")
    inventory = map_tests(row, *ids, {})
    files = there.files(fixed, inventory.files, field="FAIL_TO_PASS")
    requirements, install = environment(row) if reading.build else ((), False)
    if reading.build:
        source = RepositorySource(kind="git", location=url, version=fixed, fixed=True)
    else:
        source = RepositorySource(kind="image", location=image, fixed=True)
    return TaskDraft(
        name=name,
        repository=f"{repository['owner']}/{repository['name']}",
        split="train",
        problem_statement=problem,
        source=source,
        requirements=requirements,
        install=install,
        gold_patch=there.difference(base, fixed),
        test_files=files,
        fail_to_pass=inventory.fail_to_pass,
        pass_to_pass=inventory.pass_to_pass,
        partial=True,
        timeout_s=reading.timeout_s,
    )
