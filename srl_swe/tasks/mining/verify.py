"""Runs the new tests on the old source, before and after the fix, and says which of them the fix repairs."""

from __future__ import annotations

import itertools
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_swe.errors import ImageBuildError, SandboxError
from srl_swe.grading.patches import ROOT
from srl_swe.grading.surveys import Survey, survey
from srl_swe.records import PreparedTask, Task, TestOutcome
from srl_swe.sandbox import open_sandbox
from srl_swe.sandbox.calls import shared_client
from srl_swe.sandbox.images import ImageSpec, base_commit, build_image
from srl_swe.tasks.mining.candidates import Candidate, Limits, RefusedError
from srl_swe.tasks.mining.requirements import find_requirements, pin

_OUTCOMES = {TestOutcome.FAILED, TestOutcome.ERROR}
_NOT_INSTALLED = re.compile(r"PackageNotFoundError|DistributionNotFound|No package metadata was found")
_UNREACHABLE = re.compile(r"(?i)connection|timed? ?out|temporary failure|max retries|\b50[0-9]\b|network|no space left")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What the sandbox showed."""

    requirements: tuple[str, ...]
    install: bool
    test_files: Mapping[str, str]
    """Those that are needed: files with tests that the fix repairs, and files without tests."""
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    excluded: tuple[str, ...]
    failures: Mapping[str, dict[str, Any]]
    """Of each repaired test: how it fails before the fix (see `failure_probe`)."""


def verify(candidate: Candidate, limits: Limits, *, check: Callable[[], None] = lambda: None) -> Verified:
    """Run the tests.

    Args:
        candidate: What may become a task.
        limits: What is too much.
        check: Called between runs; it raises where the work is to stop.

    Raises:
        RefusedError: it is no task.
        InfrastructureError: the sandbox failed.
    """
    wanted = find_requirements(candidate.base, candidate.test_files, candidate.repository)
    client = shared_client("docker")
    machine = client.info()["Architecture"]
    try:
        requirements = pin(wanted, machine, candidate.repository)
    except ImageBuildError as error:
        raise _refusal_or(error, "what it needs cannot be installed") from None
    check()
    image = _build(candidate, requirements, install=False)
    install = False
    try:
        before = _run(candidate, image, limits)
        if before.broken and _NOT_INSTALLED.search(before.log):
            _remove(image)
            image, install = _build(candidate, requirements, install=True), True
            before = _run(candidate, image, limits)
        return _compare(candidate, limits, image, before, requirements=requirements, install=install, check=check)
    finally:
        _remove(image)


def _compare(
    candidate: Candidate,
    limits: Limits,
    image: str,
    before: Survey,
    *,
    requirements: tuple[str, ...],
    install: bool,
    check: Callable[[], None],
) -> Verified:
    _refuse_early(before, limits)
    check()
    # One run after the fix says whether it is worth the others; only files with repaired tests are run again.
    afters = [_run(candidate, image, limits, patch=candidate.gold_patch)]
    repaired = repaired_tests([before], afters)
    if not repaired:
        raise RefusedError(_why_none(before, afters[0]))
    files = tuple(dict.fromkeys(name.partition("::")[0] for name in repaired))
    befores = [before]
    for _ in range(1, limits.repeats):
        check()
        befores.append(_run(candidate, image, limits, run=files))
        check()
        afters.append(_run(candidate, image, limits, patch=candidate.gold_patch, run=files))
    repaired = repaired_tests(befores, afters)
    if not repaired:
        raise RefusedError("no test fails before and passes after, every time")
    functions = {name.partition("[")[0] for name in repaired}
    if len(functions) > limits.repaired:
        raise RefusedError(f"the fix repairs {len(functions)} test functions, more than the {limits.repaired} allowed")
    files = tuple(dict.fromkeys(name.partition("::")[0] for name in repaired))
    every = [name for name in before.outcomes | afters[0].outcomes if name.partition("::")[0] in files]
    if len(every) > limits.tests:
        raise RefusedError(f"{len(every)} tests, more than the {limits.tests} allowed")
    keeping = [name for name in every if all(s.outcomes.get(name) is TestOutcome.PASSED for s in (*befores, *afters))]
    if not keeping:
        raise RefusedError("every test fails before the fix")
    check()
    modules = set(candidate.test_modules)
    kept = {path: text for path, text in candidate.test_files.items() if path in files or path not in modules}
    return Verified(
        requirements=requirements,
        install=install,
        test_files=kept,
        fail_to_pass=tuple(repaired),
        pass_to_pass=tuple(keeping),
        excluded=tuple(name for name in every if name not in set(repaired) | set(keeping)),
        failures=probe_failures(image, candidate.test_files, files, repaired, timeout_s=2 * limits.seconds),
    )


def repaired_tests(befores: Sequence[Survey], afters: Sequence[Survey]) -> list[str]:
    """Tests that fail in every run before and pass in every run after."""
    return [
        name
        for name in afters[0].outcomes
        if all(s.outcomes.get(name) in _OUTCOMES and name.partition("::")[0] not in s.broken for s in befores)
        and all(s.outcomes.get(name) is TestOutcome.PASSED for s in afters)
    ]


def probe_failures(
    image: str, test_files: Mapping[str, str], run: Sequence[str], only: Sequence[str], *, timeout_s: float
) -> dict[str, dict[str, Any]]:
    """Run failing tests once more, and return what the probe saw of each.

    Raises:
        InfrastructureError: the sandbox failed.
    """
    folder = f"/tmp/probe-{secrets.token_hex(8)}"
    order = {"root": ROOT, "write": dict(test_files), "run": list(run), "only": list(only)}
    program = Path(__file__).with_name("failure_probe.py").read_bytes()
    with open_sandbox(image, workdir=ROOT) as sandbox:
        sandbox.run(f"mkdir -m 700 {folder}", timeout_s=30)
        sandbox.write_file(f"{folder}/order.json", json.dumps(order).encode())
        sandbox.write_file(f"{folder}/failure_probe.py", program)
        sandbox.run(
            f'cd {ROOT} && env -i PATH="$PATH" HOME="$HOME" LANG=C.UTF-8 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 '
            f"python -P -s {folder}/failure_probe.py {folder} </dev/null",
            timeout_s=timeout_s,
        )
        try:
            found: dict[str, dict[str, Any]] = json.loads(sandbox.read_file(f"{folder}/failures.json"))
        except (SandboxError, ValueError):
            sandbox.run("true", timeout_s=30)
            return {}
    return found


def _run(candidate: Candidate, image: str, limits: Limits, *, patch: str = "", run: tuple[str, ...] = ()) -> Survey:
    task = Task(
        task_id=f"mining/{candidate.repository}",
        suite="mining",
        repository=candidate.repository,
        split="train",
        problem_statement="",
        folder=candidate.base,
        source=candidate.source,
        test_paths=tuple(candidate.test_files),
        fail_to_pass=(),
        timeout_s=limits.seconds,
    )
    prepared = PreparedTask(task=task, image=image, gold_patch=patch, test_files=tuple(candidate.test_files.items()))
    found = survey(prepared, patch, run=run or candidate.test_modules)
    if not found.finished:
        if found.seconds >= limits.seconds:
            raise RefusedError(f"the tests take more than {limits.seconds:g} s")
        raise RefusedError(f"the test run ended before its end: {' '.join(found.log.split())[-200:]}")
    return found


def _refuse_early(before: Survey, limits: Limits) -> None:
    failing = [name for name, outcome in before.outcomes.items() if outcome in _OUTCOMES]
    if not failing:
        # A file that cannot be imported on the old source needs what the fix adds, which no issue could name.
        raise RefusedError(_why_none(before, None))
    files = {name.partition("::")[0] for name in failing}
    tests = [name for name in before.outcomes if name.partition("::")[0] in files]
    if len(tests) > 4 * limits.tests:
        raise RefusedError(f"{len(tests)} tests, more than the {limits.tests} allowed")


def _why_none(before: Survey, after: Survey | None) -> str:
    if after is not None and set(after.broken) & set(before.broken):
        file = sorted(set(after.broken) & set(before.broken))[0]
        return f"the tests cannot be imported with the fix either: {file}: {_import_error(after.log, file)}"
    if before.broken:
        file = before.broken[0]
        return f"the new tests cannot be imported on the old source: {file}: {_import_error(before.log, file)}"
    return "the new tests pass on the old source, or do not run" if after is None else "the fix repairs no test"


def _import_error(log: str, file: str) -> str:
    after = log.partition(f"ERROR collecting {file}")[2].splitlines()[1:]
    section = itertools.takewhile(lambda line: not line.startswith(("____", "====")), after)
    lines = [line for line in section if line.startswith("E ")]
    return " ".join(" ".join(lines[-1:]).split())[:160] or "no reason is given"


def _build(candidate: Candidate, requirements: tuple[str, ...], *, install: bool) -> str:
    spec = ImageSpec(repository=candidate.base, requirements=requirements, install=install)
    client = shared_client("docker")
    try:
        image = build_image(client, spec, name=f"mining-{candidate.repository}-{candidate.suffix}")
        base_commit(client, image)
    except ImageBuildError as error:
        raise _refusal_or(error, "the repository cannot be installed") from None
    return image


def _refusal_or(error: ImageBuildError, what: str) -> Exception:
    """A package that cannot be built is refused; a network that does not answer is not the step's doing."""
    if _UNREACHABLE.search(str(error)):
        return error
    return RefusedError(f"{what}: {' '.join(str(error).split())[-200:]}")


def _remove(image: str) -> None:
    import docker

    try:
        shared_client("docker").images.remove(image, force=False)
    except docker.errors.APIError:
        # Somebody else uses it, or it is gone: an image left over costs a few megabytes of disk.
        return
