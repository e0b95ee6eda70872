"""Harbor's task folders (harborframework.com) and Terminal-Bench's, which came before: a row's fields are its files.

Harbor: ``task.toml`` (``[environment] docker_image``, ``[verifier] timeout_sec``), ``instruction.md``,
``environment/Dockerfile``, ``tests/test.sh`` and what it runs, ``solution/solve.sh``. Terminal-Bench: ``task.yaml``
(with ``instruction``), ``Dockerfile``, ``run-tests.sh``, ``tests/test_outputs.py``, ``solution.sh``.

A verifier there is a shell script that may look at anything. Two kinds can be graded here: SWE-bench's instances in
Harbor's form (``tests/config.json`` is the instance), and folders whose tests are pytest's, whose solution is a patch,
and whose world is an image that is there already. All others are refused, and counted.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import PurePosixPath
from typing import Any

from srl_swe.data_files import parse_json
from srl_swe.records import RepositorySource
from srl_swe.tasks.formats import swebench
from srl_swe.tasks.formats.node_ids import functions_of
from srl_swe.tasks.formats.reading import Reading, task_name
from srl_swe.tasks.formats.rows import Row
from srl_swe.tasks.writing import TaskDraft

_DECLARATIONS = ("task.toml", "task.yaml")
_BUILDS = re.compile(r"^\s*(RUN|COPY|ADD)\s", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)?(\S+)(?:\s+AS\s+\S+)?\s*$", re.IGNORECASE | re.MULTILINE)
_WORKDIR = re.compile(r"^\s*WORKDIR\s+(\S+)\s*$", re.IGNORECASE | re.MULTILINE)
# A here-document that holds a patch: how adapters write a solution that is one.
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1[^\n]*\n(.*?\n)\2\s*$", re.DOTALL | re.MULTILINE)


def recognise(row: Row) -> bool:
    """Whether a folder is a task of Harbor's or Terminal-Bench's."""
    return ("task.toml" in row.fields and "instruction.md" in row.fields) or "task.yaml" in row.fields


def draft(row: Row, reading: Reading) -> TaskDraft:
    """Make a draft of a task folder.

    Raises:
        TaskError: a file is missing or wrong.
        RefusedRowError: its verifier, its solution or its world is none that can be graded here.
    """
    declared = _declaration(row)
    if "tests/config.json" in row.fields:
        instance = _instance(row)
        if swebench.recognise(instance):
            return swebench.draft(instance, reading)
    problem = row.text("instruction.md") if "instruction.md" in row.fields else declared.text("instruction")
    image, root = _world(row, declared)
    tests, node_ids = _tests(row)
    return TaskDraft(
        name=task_name(row, "task.toml", PurePosixPath(row.where).name),
        repository=PurePosixPath(row.where).name,
        split="train",
        problem_statement=problem,
        source=RepositorySource(kind="image", location=image, root=root),
        gold_patch=_patch(row),
        test_files=tests,
        fail_to_pass=node_ids,
        partial=True,
        timeout_s=_timeout(declared, reading.timeout_s),
    )


def _declaration(row: Row) -> Row:
    """What ``task.toml`` or ``task.yaml`` says."""
    name = next((name for name in _DECLARATIONS if name in row.fields), _DECLARATIONS[0])
    text = row.text(name)
    try:
        value: Any = tomllib.loads(text) if name == "task.toml" else _yaml(text)
    except (ValueError, RecursionError) as error:
        row.fail(name, f"not valid {name.rpartition('.')[2].upper()}: {' '.join(str(error).split())[:200]}")
    if not isinstance(value, dict):
        row.fail(name, f"expected a table, got a {type(value).__name__}")
    return Row(where=f"{row.where}: {name}", fields=value, folder=row.folder)


def _yaml(text: str) -> Any:
    import yaml  # type: ignore[import-untyped, unused-ignore]

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _instance(row: Row) -> Row:
    try:
        value = parse_json(row.text("tests/config.json"))
    except ValueError as error:
        row.fail("tests/config.json", f"not valid JSON: {error}")
    fields = value if isinstance(value, dict) else {}
    return Row(where=f"{row.where}: tests/config.json", fields=fields, folder=row.folder)


def _world(row: Row, declared: Row) -> tuple[str, str]:
    """(image, where in it the repository is)."""
    dockerfile = next((row.text(name) for name in ("environment/Dockerfile", "Dockerfile") if name in row.fields), "")
    places = _WORKDIR.findall(dockerfile)
    root = places[-1].strip("\"'").rstrip("/") if places else "/app"
    if not re.fullmatch(r"(/[\w.-]+)+", root):
        row.refuse("environment/Dockerfile", f"a working folder that is not plain: {root!r}")
    if image := declared.table("environment", {}).text("docker_image", ""):
        return image, root
    bases = _FROM.findall(dockerfile)
    if len(bases) != 1 or _BUILDS.search(dockerfile) or "$" in bases[0]:
        row.refuse("environment/Dockerfile", "its image has yet to be built; build it, and name it as docker_image")
    return bases[0], root


def _tests(row: Row) -> tuple[dict[str, str], tuple[str, ...]]:
    files = {
        name: row.text(name, "")
        for name in row.fields
        if name.startswith("tests/") and name.endswith(".py") and "\\" not in name
    }
    node_ids = []
    for path, text in files.items():
        if not PurePosixPath(path).name.startswith("test_"):
            continue
        if re.search(r"\bparametrize\b|/logs/verifier|['\"]/tests/", text):
            row.refuse(path, "tests with parameters, or that look at the verifier's own folders")
        node_ids += [f"{path}::{name}" for name in sorted(functions_of(text)) if _is_pytest(name)]
    if not node_ids:
        row.refuse("tests", "a verifier that is a shell script: it has no tests that pytest can be asked for")
    return files, tuple(node_ids)


def _is_pytest(name: str) -> bool:
    function = name.rpartition("::")[2]
    return function.startswith("test") and ("::" not in name or name.startswith("Test"))


def _patch(row: Row) -> str:
    """The solution, if it is a patch: a file, or in a here-document of the script."""
    patches = [name for name in row.fields if name.startswith("solution/") and name.endswith((".patch", ".diff"))]
    texts = [row.text(name) for name in patches]
    for name in ("solution/solve.sh", "solution.sh"):
        if name in row.fields and not texts:
            texts = [body for _, _, body in _HEREDOC.findall(row.text(name)) if re.search(r"^@@ -", body, re.MULTILINE)]
    if len(texts) != 1:
        row.refuse("solution", "a solution that is not one patch")
    return texts[0]


def _timeout(declared: Row, default: float) -> float:
    value = declared.table("verifier", {}).fields.get("timeout_sec", declared.fields.get("max_test_timeout_sec"))
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        declared.fail("verifier.timeout_sec", f"expected a number of seconds above 0, got {value!r}"[:200])
    return float(value)
