"""``srl-swe tasks``: list, show, validate and build tasks."""

from __future__ import annotations

from typing import Annotated

import tyro
from tyro.conf import Positional

from srl_swe.commands.output import console, print_table, verdict
from srl_swe.commands.suites import Suites, TaskIds, prepare_each, read_tasks, sweep_first
from srl_swe.records import Split, Task


def list_tasks(suites: Suites = (), *, split: Split | None = None) -> int:
    """List the tasks of suites.

    Args:
        suites: Suite folders; every one in envs/ by default.
        split: Only this split.
    """
    tasks = read_tasks(suites, split=split, domain=None)
    print_table(
        ["task", "repository", "split", "source", "tests", "issue"],
        [
            (
                task.task_id,
                task.repository,
                task.split,
                task.source.kind,
                f"{len(task.fail_to_pass)} + {len(task.pass_to_pass)}",
                task.problem_statement.strip().splitlines()[0].lstrip("# ")[:70],
            )
            for task in tasks
        ],
    )
    console().print(f"{len(tasks)} tasks (tests: those that the fix must repair + those that it must not break)")
    return 0


def show(task: Positional[str], suites: Suites = ()) -> int:
    """Show one task: its declaration and its issue.

    Args:
        task: The task's id, or the part after the slash.
        suites: Suite folders; every one in envs/ by default.
    """
    found = read_tasks(suites, ids=[task], domain=None)[0]
    if found.domain == "mathematics":
        _show_problem(found)
        return 0
    source = found.source
    rows = [
        ("id", found.task_id),
        ("repository", found.repository),
        ("split", found.split),
        ("source", f"{source.kind} {source.location} {source.version} {source.fixed_version}".strip()),
        ("requirements", ", ".join(found.requirements) or "none"),
        ("installed", "yes" if found.install else "no"),
        ("hidden tests", ", ".join(found.test_paths)),
        ("FAIL_TO_PASS", "\n".join(found.fail_to_pass)),
        ("PASS_TO_PASS", "\n".join(found.pass_to_pass) or "none"),
        ("time limit", f"{found.timeout_s:g} s"),
        ("content hash", found.content_hash),
    ]
    print_table(["field", "value"], rows)
    console().print(found.problem_statement, markup=False)
    return 0


def _show_problem(problem: Task) -> None:
    key = problem.answer
    rows = [
        ("id", problem.task_id),
        ("group", problem.repository),
        ("split", problem.split),
        ("answer", "not known" if key is None else key.answer),
        ("scorer", "none" if key is None else key.scorer),
        ("content hash", problem.content_hash),
    ]
    print_table(["field", "value"], rows)
    console().print(problem.problem_statement, markup=False)
    if problem.solution:
        console().print(f"\nSolution:\n{problem.solution}", markup=False)


def validate(
    suites: Suites = (),
    *,
    split: Split | None = None,
    task: TaskIds = (),
    repeats: int = 2,
    workers: Annotated[int, tyro.conf.arg(aliases=["-j"])] = 2,
    backend: str = "docker",
) -> int:
    """Check tasks without a model: the gold patch solves each, doing nothing does not. Exits with 1 if one fails.

    Args:
        suites: Suite folders; every one in envs/ by default.
        split: Only this split.
        task: Only this task; may be given several times.
        repeats: How often each is graded.
        workers: Tasks at a time.
        backend: Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds.
    """
    from srl_swe.tasks.validate import ValidationResult, validate_suite

    tasks = read_tasks(suites, split=split, ids=task)
    sweep_first(backend)
    progress = console(stderr=True)

    def report(result: ValidationResult) -> None:
        progress.print(verdict(result.ok), result.task_id, f"{result.seconds:.1f} s")

    results = validate_suite(tasks, repeats=repeats, workers=workers, backend=backend, on_result=report)
    failed = [result for result in results if not result.ok]
    if failed:
        print_table(["task", "problem"], [(r.task_id, "\n".join(r.problems)) for r in failed], title="failed")
    console().print(f"{len(results) - len(failed)} of {len(results)} tasks are valid")
    return 1 if failed else 0


def build(suites: Suites = (), *, split: Split | None = None, task: TaskIds = (), backend: str = "docker") -> int:
    """Build the images of tasks; those that are there already are left alone.

    Args:
        suites: Suite folders; every one in envs/ by default.
        split: Only this split.
        task: Only this task; may be given several times.
        backend: Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds.
    """
    tasks = read_tasks(suites, split=split, ids=task)
    sweep_first(backend)
    for prepared in prepare_each(tasks, backend):
        console().print(f"{prepared.task.task_id}  {prepared.image}", markup=False)
    return 0
