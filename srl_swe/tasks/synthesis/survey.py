"""What a package's tests are like before anything is changed: which pass, how long they take, which lines they run."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import docker

from srl_swe.errors import ImageBuildError, TaskError
from srl_swe.sandbox.images import ImageSpec, build_image
from srl_swe.tasks.synthesis.subjects import Subject, missing_libraries, pinned, requirements
from srl_swe.tasks.synthesis.trials import Trial, TrialResult, open_warm, try_all

_LIMIT_S = 150.0
_TRACED_LIMIT_S = 400.0
_SLOWEST_FILE_S = 15.0
_TRIES = 4


class UnfitError(TaskError):
    """A package that no task can be made of, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What was found."""

    image: str
    """The unchanged package's."""
    requirements: tuple[str, ...]
    install: bool
    files: dict[str, list[str]]
    """Test files that may be hidden tests: path to the node ids in it that pass."""
    excluded: dict[str, list[str]]
    """Path to the node ids that do not, or that draw their inputs."""
    seconds: dict[str, float]
    """Node id to the time that it takes."""
    covered: dict[str, dict[int, list[str]]]
    """Source file to line to the tests that run it."""

    def takes(self, tests: Iterable[str]) -> float:
        """Seconds of some tests."""
        return sum(self.seconds.get(test, 0.0) for test in tests)

    def to_json(self) -> str:
        """As text, to be kept."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Survey:
        """What `to_json` wrote."""
        fields = json.loads(text)
        fields["requirements"] = tuple(fields["requirements"])
        fields["covered"] = {
            path: {int(line): tests for line, tests in lines.items()} for path, lines in fields["covered"].items()
        }
        return cls(**fields)


def survey(
    subject: Subject, client: docker.DockerClient, *, extra: Sequence[str] = (), backend: str = "docker"
) -> Survey:
    """Build the package's image, with what its tests turn out to need, and run all of them twice.

    Raises:
        UnfitError: its tests cannot be run, or none of them passes.
        InfrastructureError: the engine failed.
    """
    tests = tuple(subject.tests())
    if not tests:
        raise UnfitError(f"{subject.label}: has no test files")
    image, needed, install, plain = _build(subject, client, tests, list(extra), backend)
    with open_warm(image, backend=backend) as sandbox:
        passing_files = tuple(path for path in tests if any(name.startswith(f"{path}::") for name in _passed(plain)))
        if not passing_files:
            raise UnfitError(f"{subject.label}: no test passes: {' '.join(plain.errors)[-600:]}")
        traced = try_all(sandbox, [Trial(run=passing_files, limit_s=_TRACED_LIMIT_S, trace=True)])[0]
    if traced.status != "ended":
        raise UnfitError(f"{subject.label}: tests take more than {_TRACED_LIMIT_S:g} s when they are traced")
    return _evaluate(subject, plain, traced, image=image, requirements=needed, install=install)


def _build(
    subject: Subject, client: docker.DockerClient, tests: tuple[str, ...], extra: list[str], backend: str
) -> tuple[str, tuple[str, ...], bool, TrialResult]:
    """Try without and with the package installed, and add the test libraries that are missed."""
    wanted, install, built = [*requirements(subject), *extra], False, ""
    for _ in range(_TRIES):
        try:
            needed = pinned(wanted, client)
            spec = ImageSpec(repository=subject.folder, requirements=needed, install=install)
            image = build_image(client, spec, name=f"synthesis-{subject.label}")
        except ImageBuildError as error:
            raise UnfitError(f"{subject.label}: cannot be installed: {' '.join(str(error).split())[-400:]}") from None
        with open_warm(image, backend=backend) as sandbox:
            plain = try_all(sandbox, [Trial(run=tests, limit_s=_LIMIT_S, keep=True)])[0]
        if plain.status != "ended":
            raise UnfitError(f"{subject.label}: its tests take more than {_LIMIT_S:g} s, or end the interpreter")
        missed = [name for name in missing_libraries(plain.errors, subject) if name not in wanted]
        if missed:
            wanted += missed
        elif not install and (plain.errors or not _passed(plain)):
            built, install = image, True
        else:
            return image, needed, install, plain
    raise UnfitError(f"{subject.label}: its tests want what cannot be found: {' '.join(plain.errors)[-400:]} {built}")


def _evaluate(subject: Subject, plain: TrialResult, traced: TrialResult, **image: object) -> Survey:
    files: dict[str, list[str]] = {}
    excluded: dict[str, list[str]] = {}
    seconds: dict[str, float] = {}
    unstable = {name.partition("::")[0] for name in set(plain.outcomes) ^ set(traced.outcomes)}
    broken = {error.partition(":")[0].partition("::")[0] for error in plain.errors}
    for name, outcome in plain.outcomes.items():
        path = name.partition("::")[0]
        seconds[path] = seconds.get(path, 0.0) + plain.seconds.get(name, 0.0)
        (files if outcome == "passed" else excluded).setdefault(path, []).append(name)
    files = {
        path: names
        for path, names in files.items()
        if path not in unstable | broken and seconds[path] <= _SLOWEST_FILE_S
    }
    if not files:
        raise UnfitError(f"{subject.label}: no test file is fit: names that change, or too slow")
    usable = {name for names in files.values() for name in names}
    covered: dict[str, dict[int, list[str]]] = {}
    for name, paths in traced.covered.items():
        if name in usable:
            for path, lines in paths.items():
                for line in lines:
                    covered.setdefault(path, {}).setdefault(line, []).append(name)
    sources = subject.sources()
    covered = {path: whole_statements(sources[path], lines) for path, lines in covered.items() if path in sources}
    return Survey(files=files, excluded=excluded, seconds=dict(plain.seconds), covered=covered, **image)  # type: ignore[arg-type]


def whole_statements(source: str, covered: dict[int, list[str]]) -> dict[int, list[str]]:
    """Give each line of a statement, or of a compound one's head, the tests that run any of it."""
    found = {line: list(tests) for line, tests in covered.items()}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.stmt):
            continue
        body = getattr(node, "body", None)
        # A function's head is run at import; it belongs to those that run the function.
        last = node.end_lineno if not body or isinstance(node, ast.FunctionDef) else body[0].lineno - 1
        lines = range(node.lineno, max(node.lineno, last or 0) + 1)
        tests = sorted({test for line in lines for test in covered.get(line, ())})
        head = range(node.lineno, body[0].lineno) if body else lines
        for line in head if tests else ():
            found[line] = tests
    return found


def _passed(result: TrialResult) -> list[str]:
    return [name for name, outcome in result.outcomes.items() if outcome == "passed"]
