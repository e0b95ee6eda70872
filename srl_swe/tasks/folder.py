"""Our own task format: a suite is a folder, a task is a folder in its ``tasks/``.

::

    <suite>/suite.toml                  name, description; [split], optional: see `srl_swe.tasks.splits`
    <suite>/repositories/<name>/        code that tasks of kind "folder" stand on (any place will do)
    <suite>/tasks/<task>/task.toml      the declaration, below
    <suite>/tasks/<task>/problem.md     the issue, as the student sees it
    <suite>/tasks/<task>/gold.patch     the fix, from the base state; not for kind "pypi"
    <suite>/tasks/<task>/tests/…        the hidden test files, at their path in the repository; not for kind "pypi"

``task.toml``::

    schema = 1
    repository = "ledger"               # name; splits are by repository
    split = "train"                     # or "heldout"
    requirements = ["attrs>=23"]        # optional: pip requirements of the repository and its tests
    install = false                     # optional: pip-install the repository itself
    timeout_s = 120                     # optional: of the test run
    created_at = "2023-10-06"           # optional: when the fix was made, for splits by time

    [source]                            # one of four
    kind = "folder"                     # a folder on this machine
    path = "../../repositories/ledger"  #   relative to the task's folder
    fixed = true                        #   it holds the fixed code: the base state is gold.patch applied in reverse

    kind = "git"                        # a clone
    url = "https://…"                   #   or a folder, relative to the task's folder
    base_commit = "…"
    fixed = true                        #   optional, as above

    kind = "image"                      # a container image that somebody else built
    image = "namanjain12/orange3_final:2d9617bd"
    root = "/testbed"                   #   optional: where in it the repository is
    fixed = true                        #   optional, as above

    kind = "pypi"                       # source distributions; the gold patch is the difference of the two
    package = "sqlparse"
    version = "0.4.0"                   #   the release with the bug
    fixed_version = "0.4.1"             #   the release with the fix, and with the tests
    source_paths = ["sqlparse"]         #   optional: what of the difference is the gold patch
                                        # or, in place of fixed_version and source_paths (version is right then):
    [[source.mutations]]                #   what makes it wrong; the gold patch takes it back
    path = "sqlparse/lexer.py"          #   the file
    operator = "comparison"             #   what kind of change: see srl_swe.tasks.synthesis.operators
    line = 83                           #   where it is, line from 1, column (in UTF-8 bytes) and variant from 0
    column = 11
    variant = 0
    before = "9f86d081884c"             #   hash of that line, and of what the changed lines become
    after = "60303ae22b99"

    [tests]
    paths = ["tests/test_x.py"]         # hidden test files, and files they need
    FAIL_TO_PASS = ["tests/test_x.py::test_a"]
    PASS_TO_PASS = []                   # with FAIL_TO_PASS: every test in these files …
    EXCLUDED = []                       # … except these, which are not run (flaky, or in need of a network)
    partial = true                      # optional: there are other tests in these files, and none of them is run

    [sandbox]                           # optional
    memory_mb = 1024
    network = ["pypi.org:443"]          # what the student may reach, by HTTP and HTTPS; nothing is the default
    read_only = false                   # whether the system is mounted read-only
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from srl_swe.errors import ConfigError, TaskError
from srl_swe.records import Domain, Mutation, RepositorySource, Split, Task
from srl_swe.sandbox.network.allow_list import parse_allowed
from srl_swe.tasks.fields import Fields, read_text
from srl_swe.tasks.mathematics.problems import PROBLEMS, read_problems, same_problem
from srl_swe.tasks.splits import SplitRule, check_rule, read_rule
from srl_swe.tasks.synthesis.operators import OPERATORS

SUITE_FILE = "suite.toml"
SCHEMA = 1
_SPLITS = ("train", "heldout")
_KINDS = ("folder", "git", "pypi", "image")
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*")
_ROOT = re.compile(r"(/[\w.-]+)+")


def read_task(folder: Path) -> Task:
    """Read one task folder. Nothing is downloaded or built.

    Raises:
        TaskError: naming the file, the field and what was expected.
    """
    folder = Path(folder).resolve()
    if not folder.is_dir():
        raise TaskError(f"{folder}: not a task folder")
    name, rule = read_suite_file(folder.parent.parent)
    task = _read_task(folder, name)
    if rule is not None:
        check_rule(rule, [task])
    return task


def read_suite(path: Path, *, check_split: bool = True) -> list[Task]:
    """Read every task of a suite, by name.

    Args:
        path: The suite's folder.
        check_split: Whether tasks must agree with the suite's split; not where that is about to be made anew.

    Raises:
        TaskError: naming the file, the field and what was expected.
    """
    tasks, rule = _read_suite(path)
    if check_split:
        _check_suite(tasks, rule)
    return tasks


def _read_suite(path: Path) -> tuple[list[Task], SplitRule | None]:
    path = Path(path).resolve()
    if not path.is_dir():
        raise TaskError(f"{path}: not a suite: no such folder")
    name, rule = read_suite_file(path)
    if (path / PROBLEMS).is_file():
        return read_problems(path, name), rule
    folders = sorted(p for p in (path / "tasks").glob("*") if p.is_dir() and not p.name.startswith((".", "_")))
    if not folders:
        raise TaskError(f"{path / 'tasks'}: expected at least one task folder, or problems in {PROBLEMS}")
    return [_read_task(folder, name) for folder in folders], rule


def _check_suite(tasks: Sequence[Task], rule: SplitRule | None) -> None:
    if rule is not None:
        check_rule(rule, tasks)
    if rule is None or rule.by != "time":
        _check_splits(tasks)


def has_outcome(task: Task) -> bool:
    """Whether anything can tell whether it is solved: of a proof, nothing can."""
    return task.domain == "repository" or task.answer is not None


def suite_domain(path: Path) -> Domain:
    """What a suite's folder holds."""
    return "mathematics" if (path / PROBLEMS).is_file() else "repository"


def read_suites(paths: Iterable[str | Path], *, split: Split | None = None, ids: Sequence[str] = ()) -> list[Task]:
    """Read several suites, and choose from them.

    Args:
        paths: Suite folders.
        split: Only tasks of this split.
        ids: Only these tasks, by id or by the part after the slash; each must be there.

    Raises:
        TaskError: a suite is wrong, an id is not there, or nothing is left.
    """
    tasks: dict[str, Task] = {}
    by_time: set[str] = set()
    # A suite that is named twice is read once; dict keeps the order.
    for path in dict.fromkeys(Path(p).resolve() for p in paths):
        found, rule = _read_suite(path)
        _check_suite(found, rule)
        by_time |= {task.task_id for task in found if rule is not None and rule.by == "time"}
        for task in found:
            if task.task_id in tasks:
                first = tasks[task.task_id].folder
                raise TaskError(f"{task.folder}: {task.task_id} is already in {first}; suites need different names")
            tasks[task.task_id] = task
    # Split by time, a repository is on both sides, and that is what was asked for.
    _check_splits(task for task in tasks.values() if task.task_id not in by_time)
    chosen = list(tasks.values()) if not ids else list(dict.fromkeys(_find(tasks, wanted) for wanted in ids))
    if split is not None:
        outside = [task.task_id for task in chosen if task.split != split]
        if ids and outside:
            raise TaskError(f"{outside[0]}: is not in the {split} split")
        chosen = [task for task in chosen if task.split == split]
    if not chosen:
        raise TaskError(
            f"no task{f' of the {split} split' if split else ''} in {', '.join(map(str, paths)) or 'no suite'}"
        )
    return chosen


def _find(tasks: dict[str, Task], wanted: str) -> Task:
    found = [task for name, task in tasks.items() if wanted in (name, name.partition("/")[2])]
    if len(found) == 1:
        return found[0]
    if found:
        raise TaskError(f"{wanted}: several tasks have this name: {', '.join(task.task_id for task in found)}")
    close = difflib.get_close_matches(wanted, tasks, n=3)
    raise TaskError(f"{wanted}: no such task" + (f"; did you mean {' or '.join(close)}?" if close else ""))


def read_suite_file(path: Path) -> tuple[str, SplitRule | None]:
    """Read ``suite.toml``: the suite's name, and how it is split where it says so.

    Raises:
        TaskError: naming the file, the field and what was expected.
    """
    fields = Fields.read(path / SUITE_FILE)
    name = fields.text("name")
    if "/" in name or name != name.strip():
        fields.fail("name", f"expected a name without '/', got {name!r}")
    fields.text("description", "")
    rule = read_rule(fields.table("split")) if fields.has("split") else None
    fields.finish()
    return name, rule


def _read_task(folder: Path, suite: str) -> Task:
    fields = Fields.read(folder / "task.toml")
    fields.exactly("schema", SCHEMA)
    repository = fields.text("repository")
    split = cast(Split, fields.text("split", choices=_SPLITS))
    requirements = fields.texts("requirements", ())
    for requirement in requirements:
        if requirement.lstrip().startswith("-"):
            fields.fail("requirements", f"expected a pip requirement, got the option {requirement!r}")
    install = fields.flag("install", False)
    timeout_s = fields.positive("timeout_s", 120.0)
    created_at = _read_date(fields)
    source = _read_source(fields.table("source"), folder)
    tests = fields.table("tests")
    partial = tests.flag("partial", False)
    paths, fail_to_pass, pass_to_pass, excluded = _read_tests(tests, folder, source)
    sandbox = _read_sandbox(fields.table("sandbox", optional=True))
    fields.finish()
    problem = read_text(folder / "problem.md").strip()
    if not problem:
        raise TaskError(f"{folder / 'problem.md'}: expected the problem statement, the file is empty")
    if source.kind != "pypi" and not read_text(folder / "gold.patch").strip():
        raise TaskError(f"{folder / 'gold.patch'}: expected a unified diff, the file is empty")
    return Task(
        task_id=f"{suite}/{folder.name}",
        suite=suite,
        repository=repository,
        split=split,
        problem_statement=problem,
        folder=folder,
        source=source,
        requirements=requirements,
        install=install,
        test_paths=paths,
        fail_to_pass=fail_to_pass,
        pass_to_pass=pass_to_pass,
        excluded_tests=excluded,
        partial=partial,
        timeout_s=timeout_s,
        created_at=created_at,
        **sandbox,
    )


def _read_date(fields: Fields) -> str:
    created_at = fields.text("created_at", "")
    try:
        return datetime.date.fromisoformat(created_at).isoformat() if created_at else ""
    except ValueError:
        fields.fail("created_at", f"expected a date such as 2023-10-06, got {created_at!r}")


def _read_sandbox(fields: Fields) -> dict[str, Any]:
    memory_mb = fields.positive("memory_mb", 1024)
    if memory_mb != int(memory_mb):
        fields.fail("memory_mb", f"expected a whole number of MiB, got {memory_mb!r}")
    network = fields.texts("network", ())
    try:
        parse_allowed(network)
    except ConfigError as error:
        fields.fail("network", str(error))
    read = {"memory_mb": int(memory_mb), "network": network, "read_only": fields.flag("read_only", False)}
    fields.finish()
    return read


def _read_source(fields: Fields, folder: Path) -> RepositorySource:
    kind = cast(Literal["folder", "git", "pypi", "image"], fields.text("kind", choices=_KINDS))
    if kind == "folder":
        place = folder / fields.text("path")
        if not place.is_dir():
            fields.fail("path", f"expected a folder (relative to {folder}), {place} is none")
        source = RepositorySource(kind=kind, location=str(place.resolve()), fixed=fields.flag("fixed", False))
    elif kind == "git":
        url = fields.text("url")
        if url.startswith("-"):
            fields.fail("url", f"expected a URL or a folder, got {url!r}")
        local = folder / url
        location = str(local.resolve()) if "://" not in url and local.is_dir() else url
        fixed = fields.flag("fixed", False)
        source = RepositorySource(kind=kind, location=location, version=fields.text("base_commit"), fixed=fixed)
        if source.version.startswith("-"):
            fields.fail("base_commit", f"expected a commit, got {source.version!r}")
    elif kind == "image":
        root = fields.text("root", "/testbed")
        if not _ROOT.fullmatch(root) or {".", ".."} & set(root.split("/")):
            fields.fail("root", f"expected the absolute path of the repository, got {root!r}")
        image = fields.text("image")
        if not _IMAGE.fullmatch(image):
            fields.fail("image", f"expected the reference of an image, such as name:tag, got {image!r}")
        source = RepositorySource(kind=kind, location=image, root=root, fixed=fields.flag("fixed", False))
    elif mutations := _read_mutations(fields):
        location, version = fields.text("package"), fields.text("version")
        source = RepositorySource(kind=kind, location=location, version=version, mutations=mutations)
    else:
        source = RepositorySource(
            kind=kind,
            location=fields.text("package"),
            version=fields.text("version"),
            fixed_version=fields.text("fixed_version"),
            source_paths=fields.paths("source_paths", ()),
        )
        if source.version == source.fixed_version:
            fields.fail("fixed_version", f"expected another release than version, got {source.version!r} twice")
    fields.finish()
    return source


def _read_mutations(fields: Fields) -> tuple[Mutation, ...]:
    mutations = []
    for entry in fields.tables("mutations"):
        mutations.append(
            Mutation(
                path=entry.path("path"),
                operator=entry.text("operator", choices=tuple(OPERATORS)),
                line=entry.whole("line", least=1),
                column=entry.whole("column"),
                variant=entry.whole("variant", 0),
                before=entry.text("before"),
                after=entry.text("after"),
            )
        )
        entry.finish()
    return tuple(mutations)


def _read_tests(fields: Fields, folder: Path, source: RepositorySource) -> tuple[tuple[str, ...], ...]:
    paths = fields.paths("paths", allow_empty=False)
    lists = {
        "FAIL_TO_PASS": fields.texts("FAIL_TO_PASS", allow_empty=False),
        "PASS_TO_PASS": fields.texts("PASS_TO_PASS", ()),
        "EXCLUDED": fields.texts("EXCLUDED", ()),
    }
    fields.finish()
    seen: dict[str, str] = {}
    for key, node_ids in lists.items():
        for node_id in node_ids:
            file, separator, _ = node_id.partition("::")
            if not separator:
                fields.fail(key, f"expected a pytest node id such as {paths[0]}::test_name, got {node_id!r}")
            if file not in paths:
                fields.fail(key, f"expected tests in one of the files of paths ({', '.join(paths)}), got {node_id!r}")
            if node_id in seen:
                fields.fail(key, f"{node_id!r} is also in {seen[node_id]}")
            seen[node_id] = key
    if source.kind != "pypi":
        for path in paths:
            if not (folder / path).is_file():
                fields.fail("paths", f"expected a file in the task's folder, {folder / path} is not there")
            read_text(folder / path)
    return paths, lists["FAIL_TO_PASS"], lists["PASS_TO_PASS"], lists["EXCLUDED"]


def _check_splits(tasks: Iterable[Task]) -> None:
    """A repository is on one side of the split, or what is held out was trained on; and so is a maths problem."""
    first: dict[tuple[str, str], Task] = {}
    for task in tasks:
        if task.domain == "mathematics":
            other = first.setdefault((task.domain, same_problem(task.problem_statement)), task)
            if other.split != task.split:
                raise TaskError(
                    f"{task.folder / PROBLEMS}: {task.task_id}: split: expected {other.split!r}, as {other.task_id}"
                    f" has with the same problem, got {task.split!r}"
                )
            continue
        other = first.setdefault((task.domain, task.repository), task)
        if other.split != task.split:
            raise TaskError(
                f"{task.folder / 'task.toml'}: split: expected {other.split!r}, as in {other.task_id} of the same "
                f"repository {task.repository!r}, got {task.split!r}"
            )
