"""Tasks as SWE-bench instances, with the fields of SWE-bench 5, and the repositories that they name.

A task that stands on no public repository gets one: a bare clone in ``FILE.repositories/``, where an import of the file
finds it. An image field is written where the task's world is somebody's image; SWE-bench's own harness needs one.
"""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from srl_swe.errors import StorageError, TaskError
from srl_swe.files import replacing
from srl_swe.records import Task
from srl_swe.tasks import host_git
from srl_swe.tasks.prepare import materialise

_GITHUB = re.compile(r"https://github\.com/(?P<name>[\w.-]+/[\w.-]+?)(?:\.git)?/?")
OWNER = "srl-swe"
"""The owner of repositories that an export makes."""
_AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "srl-swe"), ("EMAIL", "srl-swe@localhost"), ("DATE", "2020-01-01T00:00:00Z"))
}


def export_tasks(tasks: Sequence[Task], path: Path, *, on_task: Callable[[Task], None] | None = None) -> list[str]:
    """Write tasks as SWE-bench JSON Lines.

    Returns:
        Why tasks were left out, one line each.

    Raises:
        TaskError: a task's source cannot be had.
        StorageError: a file cannot be written.
    """
    left_out = []
    with replacing(path) as out:
        for task in tasks:
            if task.source.kind == "image":
                left_out.append(f"{task.task_id}: stands on an image alone: there is no commit to name")
                continue
            out.write(json.dumps(instance(task, path.with_name(f"{path.name}.repositories"))).encode() + b"\n")
            if on_task is not None:
                on_task(task)
    return left_out


def instance(task: Task, repositories: Path) -> dict[str, Any]:
    """One task as an instance. Where no public repository holds its base state, one is written to ``repositories``."""
    with tempfile.TemporaryDirectory(prefix="srl-swe-") as name:
        base = Path(name).resolve() / "testbed"
        gold, tests = materialise(task, base)
        changes: dict[str, bytes | None] = {file: text.encode() for file, text in tests}
        test_patch = host_git.difference(base, changes, Path(name) / "tests").decode()
        public = (
            _GITHUB.fullmatch(task.source.location) if task.source.kind == "git" and not task.source.fixed else None
        )
        if public is not None:
            repository, commit = public["name"], task.source.version
        else:
            repository = f"{OWNER}/{re.sub(r'[^A-Za-z0-9.-]+', '-', task.repository)}"
            commit = _commit(base, repositories / f"{repository.replace('/', '__')}.git", task.folder.name)
    command = f"pytest -rA {shlex.join(dict.fromkeys(test.partition('::')[0] for test in task.fail_to_pass))}"
    return {
        "repo": repository,
        "instance_id": task.folder.name,
        "base_commit": commit,
        "patch": gold,
        "test_patch": test_patch,
        "problem_statement": task.problem_statement,
        "hints_text": "",
        "created_at": f"{task.created_at}T00:00:00Z" if task.created_at else "",
        "version": "",
        "environment_setup_commit": commit,
        "split": task.split,
        "FAIL_TO_PASS": json.dumps(task.fail_to_pass),
        "PASS_TO_PASS": json.dumps(task.pass_to_pass),
        "eval_script": f"#!/bin/bash\ncd /testbed\n{command}\n",
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
        "install_config": {
            "python": "3.11",
            "pip_packages": list(task.requirements),
            "install": "pip install -e . --no-deps" if task.install else "",
            "test_cmd": command,
            "log_parser": "parse_log_pytest",
        },
    }


def _commit(base: Path, repository: Path, branch: str) -> str:
    """Put a folder into a bare repository as one commit, whose id depends on the files alone."""
    try:
        repository.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{repository}: cannot be written: {error.strerror or error}") from None
    index = {"GIT_INDEX_FILE": str(base.with_name("export.index"))}

    def git(*arguments: str) -> str:
        done = host_git.run_git(*arguments, cwd=repository, environment=index | _AUTHOR)
        if done.returncode != 0:
            raise TaskError(f"{repository}: git {arguments[0]}: {host_git.words(done)}")
        return done.stdout.decode().strip()

    if not (repository / "HEAD").is_file():
        git("init", "-q", "--bare", ".")
    git("--work-tree", str(base), "add", "-A", "-f", ".")
    commit = git("commit-tree", git("write-tree"), "-m", "Base state")
    git("update-ref", f"refs/heads/{re.sub(r'[^A-Za-z0-9-]+', '-', branch)}", commit)
    return commit
