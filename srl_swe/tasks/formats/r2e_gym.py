"""R2E-Gym (github.com/R2E-Gym/R2E-Gym): commits with generated tests, in prebuilt images.

Fields: ``repo_name``, ``docker_image``, ``commit_hash``, ``problem_statement`` (between ``[ISSUE]`` and ``[/ISSUE]``),
``parsed_commit_content`` (JSON: ``file_diffs``, each with ``header.file.path``, ``old_file_content`` and
``new_file_content``; ``commit_date``), ``execution_result_content`` (JSON: ``test_file_names``, ``test_file_codes``,
``old_commit_res_stdout``) and ``expected_output_json`` (JSON: ``TestClass.test_name`` to its outcome after the fix).
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from srl_swe.grading.paths import is_test, refusal
from srl_swe.records import RepositorySource
from srl_swe.tasks import host_git
from srl_swe.tasks.formats.node_ids import functions_of
from srl_swe.tasks.formats.reading import Reading, task_name
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.writing import TaskDraft

_NEEDED = ("repo_name", "docker_image", "commit_hash", "parsed_commit_content", "expected_output_json")
_FOLDER = "r2e_tests"
_COLOUR = re.compile(r"(?:\x1b|\\u001b)\[\d*(?:;\d+)*m")
_OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\s+(\S+?::.*)$", re.MULTILINE)
_ISSUE = re.compile(r"^\s*\[ISSUE\]\s*(.*?)\s*\[/ISSUE\]\s*$", re.DOTALL)


def recognise(row: Row) -> bool:
    """Whether a row is one of R2E-Gym's."""
    return all(key in row.fields for key in _NEEDED)


def draft(row: Row, reading: Reading) -> TaskDraft:
    """Make a draft of a row. FAIL_TO_PASS are the tests that did not pass in the recorded run before the fix.

    Raises:
        TaskError: a field is wrong.
        RefusedRowError: no test shows the bug, or what a test is called says not which one it is.
    """
    repository, commit = row.text("repo_name"), row.text("commit_hash")
    name = task_name(row, "commit_hash", f"{repository}-{commit[:12]}")
    image = row.text("docker_image")
    problem = row.text("problem_statement")
    if found := _ISSUE.match(problem):
        problem = found[1] or row.fail("problem_statement", "expected an issue between [ISSUE] and [/ISSUE]")
    tests = _test_files(row.table("execution_result_content"))
    fail_to_pass, pass_to_pass = _inventory(row, tests)
    return TaskDraft(
        name=name,
        repository=repository,
        split="train",
        problem_statement=problem,
        source=RepositorySource(kind="image", location=image),
        gold_patch=_gold(row.table("parsed_commit_content")),
        test_files=tests,
        fail_to_pass=fail_to_pass,
        pass_to_pass=pass_to_pass,
        partial=True,
        timeout_s=reading.timeout_s,
    )


def _test_files(run: Row) -> dict[str, str]:
    names, codes = run.texts("test_file_names"), run.fields.get("test_file_codes")
    if not isinstance(codes, list) or len(codes) != len(names) or not all(isinstance(code, str) for code in codes):
        run.fail("test_file_codes", f"expected a list of {len(names)} texts, one for each of test_file_names")
    for name in names:
        if not re.fullmatch(r"[\w.-]+\.py", name):
            run.fail("test_file_names", f"expected names of Python files, got {name!r}")
    return {f"{_FOLDER}/{name}": run.sound("test_file_codes", code) for name, code in zip(names, codes, strict=True)}


def _inventory(row: Row, tests: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(FAIL_TO_PASS, PASS_TO_PASS) from the expected outcomes and the run before the fix."""
    expected = row.table("expected_output_json").fields
    log = _COLOUR.sub("", row.table("execution_result_content").text("old_commit_res_stdout", ""))
    before = {_key(test): outcome for outcome, test in _OUTCOME.findall(log)}
    if not before:
        row.refuse("execution_result_content", "no record of how the tests ended before the fix")
    places: dict[str, list[str]] = {}
    for path, text in tests.items():
        for function in functions_of(text):
            places.setdefault(function.replace("::", "."), []).append(f"{path}::{function}")
    fail_to_pass: dict[str, None] = {}
    pass_to_pass: dict[str, None] = {}
    for key, outcome in expected.items():
        if not isinstance(outcome, str):
            row.fail("expected_output_json", f"expected outcomes such as PASSED, got {outcome!r} for {key!r}"[:300])
        plain = row.sound("expected_output_json", _COLOUR.sub("", key)).split(" - ")[0]
        function, bracket, parameters = plain.partition("[")
        if outcome != "PASSED" or not plain:
            continue
        repairs = before.get(plain) != "PASSED"
        found = places.get(function, [])
        if len(found) == 1 and (not bracket or parameters.endswith("]")):
            (fail_to_pass if repairs else pass_to_pass)[f"{found[0]}{bracket}{parameters}"] = None
        elif repairs:
            row.refuse("expected_output_json", f"no single test of this name in the test files: {plain!r}")
    if not fail_to_pass:
        row.refuse("expected_output_json", "no test shows the bug")
    return tuple(fail_to_pass), tuple(pass_to_pass)


def _key(test: str) -> str:
    return ".".join(test.split("::")[1:]).split(" - ")[0].strip()


def _gold(commit: Row) -> str:
    """The patch of what the commit changes, tests left out."""
    before: dict[str, str | None] = {}
    after: dict[str, bytes | None] = {}
    for change in commit.tables("file_diffs"):
        path = change.table("header").table("file").text("path")
        parts = path.split("/")
        if path.startswith("/") or "\\" in path or {"", ".", "..", ".git"} & set(parts):
            change.fail("header.file.path", f"expected a path in the repository, got {path!r}")
        old, new = (change.text(key, "") for key in ("old_file_content", "new_file_content"))
        if change.fields.get("is_binary_file") is True or is_test(path) or refusal(path) or old == new:
            continue
        before[path] = old or None
        after[path] = new.encode() if new else None
    if not after:
        commit.refuse("file_diffs", "the commit changes nothing but tests")
    with tempfile.TemporaryDirectory(prefix="srl-swe-") as name:
        base = Path(name) / "base"
        base.mkdir()
        for path, text in before.items():
            if text is not None:
                try:
                    (base / path).parent.mkdir(parents=True, exist_ok=True)
                    (base / path).write_text(text, encoding="utf-8", newline="")
                except OSError as error:
                    commit.fail("file_diffs", f"expected paths of files that can stand beside each other: {error}")
        patch = host_git.difference(base, after, Path(name) / "scratch").decode()
    return patch or commit.fail("file_diffs", "expected a change")
