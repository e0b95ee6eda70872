"""Rows of every public task format, with the fields of real ones, all about one small repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from srl_swe.tasks import host_git

REPOSITORY = "psf/adder"
BUGGY = 'def add(a, b):\n    """Add."""\n    return a - b\n\n\ndef negate(a):\n    return -a\n'
FIXED = BUGGY.replace("a - b", "a + b")
OLD_TESTS = "from adder import negate\n\n\ndef test_negate():\n    assert negate(2) == -2\n"
NEW_TESTS = (
    "import pytest\n\nfrom adder import add, negate\n\n\n"
    "def test_negate():\n    assert negate(2) == -2\n\n\n"
    "@pytest.mark.parametrize('n', [1, 2])\ndef test_add(n):\n    assert add(n, n) == 2 * n\n\n\n"
    "def test_not_listed():\n    assert False\n"
)
FAIL_TO_PASS = ["tests/test_adder.py::test_add[1]", "tests/test_adder.py::test_add[2]"]
PASS_TO_PASS = ["tests/test_adder.py::test_negate"]
_AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "x"), ("EMAIL", "x@y"), ("DATE", "2020-01-01T00:00:00Z"))
}


def make_mirror(folder: Path) -> tuple[str, str]:
    """Write a clone of `REPOSITORY` into a mirror; return its base commit and the commit of its fix."""
    clone = folder / REPOSITORY.replace("/", "__")
    (clone / "tests").mkdir(parents=True)
    git(clone, "init", "-q")
    states = ((BUGGY, OLD_TESTS), (FIXED, NEW_TESTS))
    commits = []
    for code, tests in states:
        (clone / "adder.py").write_text(code)
        (clone / "tests" / "test_adder.py").write_text(tests)
        git(clone, "add", "-A")
        git(clone, "commit", "-q", "-m", "x")
        commits.append(git(clone, "rev-parse", "HEAD").strip())
    return commits[0], commits[1]


def git(folder: Path, *arguments: str) -> str:
    done = host_git.run_git(*arguments, cwd=folder, environment=_AUTHOR)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def difference(tmp: Path, path: str, before: str, after: str) -> str:
    base = tmp / "base"
    (base / path).parent.mkdir(parents=True)
    (base / path).write_text(before)
    return host_git.difference(base, {path: after.encode()}, tmp / "scratch").decode()


def rows(mirror: Path, tmp: Path) -> dict[str, dict[str, Any]]:
    """One row of each format of rows; the mirror is made."""
    base, fix = make_mirror(mirror)
    gold = git(mirror / "psf__adder", "diff", "--no-renames", base, fix, "--", "adder.py")
    test_patch = git(mirror / "psf__adder", "diff", "--no-renames", base, fix, "--", "tests")
    swebench = {
        "repo": REPOSITORY,
        "instance_id": "psf__adder-1",
        "base_commit": base,
        "patch": gold,
        "test_patch": test_patch,
        "problem_statement": "add subtracts\n\nIt should add.",
        "hints_text": "",
        "created_at": "2021-09-29T05:51:24Z",
        "version": "1.0",
        "FAIL_TO_PASS": json.dumps(FAIL_TO_PASS),
        "PASS_TO_PASS": json.dumps(PASS_TO_PASS),
        "environment_setup_commit": base,
    }
    return {
        "swebench": swebench,
        "swebench-5": swebench
        | {
            "image": "swebench/sweb.eval.x86_64.psf_1776_adder-1:latest",
            "eval_script": "#!/bin/bash\npytest -rA tests/test_adder.py\n",
            "log_parser": "parse_log_pytest",
            "eval_type": "pass_and_fail",
            "image_assets": "",
        },
        "swe-gym": {key: value for key, value in swebench.items() if key != "environment_setup_commit"}
        | {"FAIL_TO_PASS": FAIL_TO_PASS, "PASS_TO_PASS": PASS_TO_PASS, "created_at": "2021-09-29 05:51:24"},
        "swe-rebench": swe_rebench(swebench),
        "swesmith": swesmith(fix, difference(tmp / "bug", "adder.py", FIXED, BUGGY)),
        "r2e-gym": r2e_gym(fix),
        "bugfix": bugfix(swebench, fix),
        "humanevalfix": HUMANEVALFIX,
    }


def swe_rebench(swebench: dict[str, Any]) -> dict[str, Any]:
    return swebench | {
        "FAIL_TO_PASS": FAIL_TO_PASS,
        "FAIL_TO_FAIL": ["tests/test_adder.py::test_not_listed"],
        "PASS_TO_PASS": PASS_TO_PASS,
        "PASS_TO_FAIL": [],
        "license_name": "MIT",
        "meta": {
            "commit_name": "head_commit",
            "failed_lite_validators": [],
            "has_test_patch": True,
            "is_lite": True,
            "llm_score": {"difficulty_score": 1, "issue_text_score": 2, "test_score": 0},
            "num_modified_files": 1,
        },
        "install_config": {
            "env_vars": None,
            "env_yml_path": None,
            "install": "pip install -e .[dev]",
            "log_parser": "parse_log_pytest",
            "no_use_env": None,
            "packages": "requirements.txt",
            "pip_packages": ["pytest"],
            "pre_install": None,
            "python": "3.9",
            "reqs_path": ["requirements.txt"],
            "test_cmd": "pytest --no-header -rA --tb=line",
        },
        "requirements": "attrs==23.1.0\niniconfig==2.0.0\n-e git+https://github.com/psf/adder@abc#egg=adder\n",
        "environment": "name: adder\n",
        "docker_image": "swerebench/sweb.eval.x86_64.psf_1776_adder-1",
        "image_name": None,
    }


def swesmith(fix: str, bug: str) -> dict[str, Any]:
    return {
        "instance_id": f"psf__adder.{fix[:8]}.lm_rewrite__abc12345",
        "repo": f"swesmith/psf__adder.{fix[:8]}",
        "patch": bug,
        "FAIL_TO_PASS": FAIL_TO_PASS,
        "PASS_TO_PASS": PASS_TO_PASS,
        "image_name": f"jyangballin/swesmith.x86_64.psf_1776_adder.{fix[:8]}",
        "problem_statement": "add subtracts",
    }


def r2e_gym(fix: str) -> dict[str, Any]:
    tests = NEW_TESTS + "\n\nclass TestMore:\n    def test_three(self):\n        assert add(1, 2) == 3\n"
    before = (
        "=== short test summary info ===\n\x1b[32mPASSED\x1b[0m r2e_tests/test_1.py::\x1b[1mtest_negate\x1b[0m\n"
        "\x1b[31mFAILED\x1b[0m r2e_tests/test_1.py::test_add[1] - assert 0 == 2\n"
        "FAILED r2e_tests/test_1.py::test_add[2] - assert 0 == 4\n"
        "FAILED r2e_tests/test_1.py::TestMore::test_three - x\n"
    )
    diff = {
        "header": {"file": {"path": "adder.py"}, "misc_line": None},
        "index_line": {"old_commit_hash": "1234567", "new_commit_hash": "89abcde", "mode": "100644"},
        "is_binary_file": False,
        "binary_line": None,
        "minus_file": {"path": "a/adder.py"},
        "plus_file": {"path": "b/adder.py"},
        "hunks": [
            {
                "descriptor": {
                    "old_range": {"start": 3, "length": 1},
                    "new_range": {"start": 3, "length": 1},
                    "section": "def add(a, b):",
                },
                "line_group": {"all_lines": [], "lhs_lines": [], "rhs_lines": []},
                "modified_entities": [],
                "added_entities": [],
                "deleted_entities": [],
            }
        ],
        "old_file_content": BUGGY,
        "new_file_content": FIXED,
    }
    test_diff = diff | {
        "header": {"file": {"path": "tests/test_adder.py"}},
        "old_file_content": OLD_TESTS,
        "new_file_content": NEW_TESTS,
    }
    return {
        "repo_name": "adder",
        "docker_image": f"namanjain12/adder_final:{fix}",
        "commit_hash": fix,
        "parsed_commit_content": json.dumps(
            {
                "file_diffs": [diff, test_diff],
                "old_commit_hash": "0" * 40,
                "new_commit_hash": fix,
                "commit_message": "Add",
                "commit_date": "2021-09-29T05:51:24+00:00",
                "metadata": {},
            }
        ),
        "execution_result_content": json.dumps(
            {
                "repo_name": "adder",
                "new_commit_hash": fix,
                "test_file_names": ["test_1.py"],
                "test_file_codes": [tests],
                "old_commit_res_stdout": before,
                "new_commit_res_stdout": "",
            }
        ),
        "modified_files": ["adder.py"],
        "modified_entity_summaries": [
            {
                "ast_type_str": "FunctionDef",
                "end_lineno": 3,
                "file_name": "adder.py",
                "name": "add",
                "start_lineno": 1,
                "type": "code",
            }
        ],
        "relevant_files": ["adder.py"],
        "num_non_test_files": 1,
        "num_non_test_func_methods": 1,
        "num_non_test_lines": 2,
        "prompt": "Write an issue.",
        "problem_statement": "[ISSUE]\n**Title:** add subtracts\n[/ISSUE]",
        "expected_output_json": json.dumps(
            {
                "test_negate": "PASSED",
                "test_add[1]": "PASSED",
                "test_add[2]": "PASSED",
                "TestMore.test_three": "PASSED",
                "test_not_listed": "FAILED",
            }
        ),
    }


def bugfix(swebench: dict[str, Any], fix: str) -> dict[str, Any]:
    return {
        **{key: swebench[key] for key in ("repo", "base_commit", "version", "problem_statement")},
        "instance_id": f"psf__adder-{fix[:8]}",
        "fix_commit": fix,
        "created_at": "2024-07-15T11:54:34+02:00",
        "license": "MIT",
        "FAIL_TO_PASS": FAIL_TO_PASS,
        "PASS_TO_PASS": PASS_TO_PASS,
        "test_files": ["tests/test_adder.py"],
        "test_cmd": "python -m pytest -q tests/test_adder.py",
        "env": {
            "python": "3.11",
            "pythonpath": ".",
            "vars": {"TZ": "UTC"},
            "requirements": "requirements.lock",
            "pre_setup": "",
        },
        "env_failing_tests": [],
        "source_lines_changed": 2,
        "source_files": ["adder.py"],
        "test_paths_patched": ["tests/test_adder.py"],
        "nontest_files_left_out": ["CHANGELOG"],
    }


HUMANEVALFIX = {
    "task_id": "Python/7",
    "prompt": 'import math\n\n\ndef up(x):\n    return math.ceil(x)\n\n\ndef add(a, b):\n    """Add."""\n',
    "canonical_solution": "    return a + b\n",
    "buggy_solution": "    return a - b\n",
    "test": "\n\ndef check(add):\n    assert add(1, 2) == 3\n    assert up(1.5) == math.ceil(1.5)\n\ncheck(add)",
    "text": "Add.",
    "declaration": "def add(a, b):\n",
    "example_test": "",
    "bug_type": "operator misuse",
    "failure_symptoms": "incorrect output",
    "entry_point": "add",
    "signature": "add(a, b)",
    "docstring": "Add.",
    "instruction": "Write a Python function.",
}


def harbor(folder: Path, *, patch: str) -> Path:
    """A task folder of Harbor's, of the kind that can be graded here."""
    files = {
        "task.toml": 'version = "1.0"\n\n[metadata]\nauthor_name = "A"\nauthor_email = "a@b.org"\ndifficulty = "easy"\n'
        'category = "programming"\ntags = ["x"]\n\n[verifier]\ntimeout_sec = 90.0\n\n[agent]\ntimeout_sec = 120.0\n\n'
        "[environment]\nbuild_timeout_sec = 600.0\ncpus = 1\nmemory_mb = 2048\nstorage_mb = 10240\n"
        'docker_image = "example/adder:1"\n',
        "instruction.md": "add subtracts; fix it.\n",
        "environment/Dockerfile": "FROM python:3.12-slim\nRUN pip install pytest\nWORKDIR /app\nCOPY . /app\n",
        "tests/test.sh": "#!/bin/bash\npytest /tests/test_outputs.py && echo 1 > /logs/verifier/reward.txt\n",
        "tests/test_outputs.py": "from adder import add\n\n\ndef test_add():\n    assert add(1, 1) == 2\n",
        "solution/solve.sh": f"#!/bin/bash\ncat > /tmp/fix << 'EOF'\n{patch}EOF\ncd /app && git apply /tmp/fix\n",
    }
    return write(folder, files)


def terminal_bench(folder: Path) -> Path:
    """A task folder of Terminal-Bench's, with a verifier that looks at the machine."""
    files = {
        "task.yaml": "instruction: |-\n  Make /app/hello.txt.\nauthor_name: A\nauthor_email: a@b.org\n"
        "difficulty: easy\ncategory: file-operations\ntags:\n  - x\nparser_name: pytest\nmax_agent_timeout_sec: 360.0\n"
        "max_test_timeout_sec: 60.0\n",
        "Dockerfile": "FROM ghcr.io/laude-institute/t-bench/ubuntu-24-04:20250624\nWORKDIR /app\n",
        "docker-compose.yaml": "services:\n  client:\n    build: .\n",
        "run-tests.sh": "#!/bin/bash\nuv run pytest $TEST_DIR/test_outputs.py -rA\n",
        "solution.sh": "#!/bin/bash\necho hello > /app/hello.txt\n",
        "tests/test_outputs.py": "import os\n\n\ndef test_hello():\n    assert os.path.exists('/app/hello.txt')\n",
    }
    return write(folder, files)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
