"""Our tasks as rows of SWE-bench's data set, so that its own harness grades them on the same images."""

from __future__ import annotations

from typing import Any

from srl_swe.grading import student_patch
from srl_swe.records import PreparedTask
from srl_swe.sandbox import open_sandbox

_EVALUATION = """\
#!/bin/bash
set -uxo pipefail
cd /testbed
git config --global --add safe.directory /testbed
git status
git show
git -c core.fileMode=false diff {base}
{reset}
git apply -v - <<'EOF_114329324912'
{test_patch}EOF_114329324912
: '>>>>> Start Test Output'
pytest -rA {files}
: '>>>>> End Test Output'
{reset}
"""


def evaluation_script(base: str, test_patch: str, run: list[str], old: list[str], new: list[str]) -> str:
    """Write the script that the harness runs: reset the test files, apply the test patch, run the tests.

    Args:
        base: The base commit.
        test_patch: Unified diff of the hidden tests.
        run: Test files to run.
        old: Hidden test files that are there at the base commit.
        new: Those that are not.
    """
    reset = [f"git checkout {base} {' '.join(old)}"] * bool(old) + [f"rm -f {' '.join(new)}"] * bool(new)
    return _EVALUATION.format(base=base, test_patch=test_patch, files=" ".join(run), reset="\n".join(reset))


def row(prepared: PreparedTask) -> dict[str, Any]:
    """Return a task's row. Its test patch is made in a sandbox of its image, as a student's would be."""
    task = prepared.task
    with open_sandbox(prepared.image) as sandbox:
        there = sandbox.run("git ls-files").output.splitlines()
        for path, text in prepared.test_files:
            sandbox.write_file(f"/testbed/{path}", text.encode())
        test_patch = student_patch(sandbox, base_commit=prepared.base_commit)
    names = [path for path, _ in prepared.test_files]
    run = list(dict.fromkeys(n.partition("::")[0] for n in (*task.fail_to_pass, *task.pass_to_pass)))
    old = [name for name in names if name in there]
    new = [name for name in names if name not in there]
    return {
        "instance_id": task.task_id.replace("/", "__"),
        "image": prepared.image,
        "repo": task.repository,
        "version": "1",
        "FAIL_TO_PASS": list(task.fail_to_pass),
        "PASS_TO_PASS": list(task.pass_to_pass),
        "log_parser": "parse_log_pytest_v2",
        "eval_type": "pass_and_fail",
        "eval_script": evaluation_script(prepared.base_commit, test_patch, run, old, new),
        "timeout_s": int(task.timeout_s),
    }
