"""From a declaration to what grading needs: base state, gold patch, hidden tests, image."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from srl_swe.errors import TaskError
from srl_swe.grading.paths import refusal
from srl_swe.records import PreparedTask, Task
from srl_swe.sandbox.adopted import adopt_image
from srl_swe.sandbox.calls import shared_client
from srl_swe.sandbox.images import ImageSpec, base_commit, build_image
from srl_swe.tasks import host_git
from srl_swe.tasks.fields import read_text
from srl_swe.tasks.releases import fetch_sdist, unpack
from srl_swe.tasks.synthesis.operators import MutationError, apply

if TYPE_CHECKING:
    import docker

_NOT_SOURCE_FOLDERS = {
    ".github", "benchmark", "benchmarks", "ci", "debian", "dist", "doc", "docs", "example", "examples", "requirements",
    "scripts",
}  # fmt: skip
_NOT_COPIED = shutil.ignore_patterns(".git", "__pycache__", "*.pyc", ".pytest_cache", "*.egg-info")


def prepare(task: Task, *, client: docker.DockerClient | None = None, backend: str = "docker") -> PreparedTask:
    """Make the task's base state and its image, and find its gold patch and hidden tests.

    What is there already (image, clone, source distribution) is used again. A maths problem needs nothing.

    Args:
        task: The declaration.
        client: Of the engine that builds; ``None``: the process's own.
        backend: What the image is for. ``podman`` builds on Podman, all others on Docker's API.

    Raises:
        TaskError: naming the task's file: the source cannot be had, the gold patch does not apply, a test is missing.
        EngineUnavailableError: no container engine answers.
        ImageBuildError: the image cannot be built.
    """
    if task.domain == "mathematics":
        return PreparedTask(task=task, image="", gold_patch="", test_files=())
    if task.source.kind == "image":
        return _adopt(task, client or _client(backend))
    with tempfile.TemporaryDirectory(prefix="srl-swe-") as name:
        # "testbed": the folder's name is the first thing in messages of tools that are run in it.
        base = Path(name).resolve() / "testbed"
        gold, tests = materialise(task, base)
        spec = ImageSpec(repository=base, requirements=task.requirements, install=task.install)
        client = client or _client(backend)
        image = build_image(client, spec, name=task.task_id.replace("/", "-"))
    commit = base_commit(client, image)
    return PreparedTask(task=task, image=image, gold_patch=gold, test_files=tests, base_commit=commit)


def gold_patch(task: Task) -> str:
    """Return a task's gold patch, with no image built.

    Raises:
        TaskError: naming the task's file.
    """
    if task.source.kind != "pypi":
        return read_text(task.folder / "gold.patch")
    with tempfile.TemporaryDirectory(prefix="srl-swe-") as name:
        return materialise(task, Path(name).resolve() / "testbed")[0]


def _client(backend: str) -> docker.DockerClient:
    return shared_client("podman" if backend.partition(":")[0] == "podman" else "docker")


def _adopt(task: Task, client: docker.DockerClient) -> PreparedTask:
    """A task whose world is an image that somebody else built."""
    gold = read_text(task.folder / "gold.patch")
    source = task.source
    name = task.task_id.replace("/", "-")
    image = adopt_image(client, source.location, root=source.root, gold=gold, fixed=source.fixed, name=name)
    tests = tuple((path, read_text(task.folder / path)) for path in task.test_paths)
    return PreparedTask(
        task=task, image=image, gold_patch=gold, test_files=tests, base_commit=base_commit(client, image)
    )


def materialise(task: Task, base: Path) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Write the base state to ``base``; return the gold patch and the hidden tests. Not for kind ``image``.

    Raises:
        TaskError: as `prepare`.
    """
    declaration = str(task.folder / "task.toml")
    if task.source.kind == "pypi":
        try:
            return _from_mutations(task, base) if task.source.mutations else _from_releases(task, base)
        except TaskError as error:
            # The parts below do not know which task they work for.
            raise (
                error if str(error).startswith(declaration) else TaskError(f"{declaration}: source: {error}")
            ) from None
    if task.source.kind == "git":
        host_git.checkout(task.source.location, task.source.version, base, where=declaration)
    else:
        source = Path(task.source.location)
        if not source.is_dir():
            raise TaskError(f"{declaration}: source.path: expected a folder, {source} is none")
        shutil.copytree(source, base, symlinks=True, ignore=_NOT_COPIED)
    patch = task.folder / "gold.patch"
    gold = read_text(patch)
    if task.source.fixed:
        problem = host_git.apply(base, gold.encode(), reverse=True)
        if problem is not None:
            raise TaskError(f"{patch}: cannot be taken back from {task.source.location}: {problem}")
    problem = host_git.apply(base, gold.encode(), check=True)
    if problem is not None:
        raise TaskError(f"{patch}: does not apply to the base state: {problem}")
    return gold, tuple((path, read_text(task.folder / path)) for path in task.test_paths)


def _from_releases(task: Task, base: Path) -> tuple[str, tuple[tuple[str, str], ...]]:
    declaration = task.folder / "task.toml"
    source = task.source
    fixed = base.with_name("fixed")
    unpack(fetch_sdist(source.location, source.version), base)
    unpack(fetch_sdist(source.location, source.fixed_version), fixed)
    tests = []
    for path in task.test_paths:
        if not (fixed / path).is_file():
            raise TaskError(
                f"{declaration}: tests.paths: expected a file of the source distribution of {source.location} "
                f"{source.fixed_version}, it has no {path}"
            )
        tests.append((path, read_text(fixed / path)))
    changes = source_changes(base, fixed, source.source_paths)
    if not changes:
        where = f"{declaration}: source.{'source_paths' if source.source_paths else 'fixed_version'}"
        raise TaskError(f"{where}: {source.version} and {source.fixed_version} have the same source files there")
    gold = host_git.difference(base, changes, base.with_name("scratch")).decode()
    problem = host_git.apply(base, gold.encode(), check=True)
    if problem is not None:
        raise TaskError(f"{declaration}: source: the difference of the releases does not apply: {problem}")
    return gold, tuple(tests)


def _from_mutations(task: Task, base: Path) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The release with its mutations, and without the hidden tests, which are of the same release."""
    declaration = task.folder / "task.toml"
    source = task.source
    unpack(fetch_sdist(source.location, source.version), base)
    release = f"the source distribution of {source.location} {source.version}"
    tests = []
    for path in task.test_paths:
        if not (base / path).is_file():
            raise TaskError(f"{declaration}: tests.paths: expected a file of {release}, it has no {path}")
        tests.append((path, read_text(base / path)))
        (base / path).unlink()
    originals: dict[str, bytes | None] = {}
    for path in dict.fromkeys(mutation.path for mutation in source.mutations):
        numbers = [number for number, mutation in enumerate(source.mutations) if mutation.path == path]
        field = f"{declaration}: source.mutations[{numbers[0]}].path"
        if refusal(path, hidden=task.test_paths) is not None:
            raise TaskError(f"{field}: expected a source file, {path} is none that a patch may change")
        if not (base / path).is_file() or (base / path).is_symlink():
            raise TaskError(f"{field}: expected a file of {release}, it has no {path}")
        originals[path] = (base / path).read_bytes()
        text = read_text(base / path)
        try:
            mutated = apply(text, [source.mutations[number] for number in numbers])
        except MutationError as error:
            wrong = numbers[error.index]
            raise TaskError(f"{declaration}: source.mutations[{wrong}].{error.field}: {error.problem}") from None
        (base / path).write_bytes(mutated.encode())
    return host_git.difference(base, originals, base.with_name("scratch")).decode(), tuple(tests)


def source_changes(base: Path, fixed: Path, chosen: tuple[str, ...]) -> dict[str, bytes | None]:
    """The source files that differ: path to the fixed content, ``None`` where the fix removes the file.

    Args:
        base: The folder with the base state.
        fixed: The folder with the fixed state.
        chosen: Only these files and folders; empty: what looks like the package's sources.
    """
    paths = {
        str(p.relative_to(root))
        for root in (base, fixed)
        for p in root.rglob("*")
        if p.is_file() and not p.is_symlink()
    }
    changes: dict[str, bytes | None] = {}
    for path in sorted(paths):
        before, after = (_content(root / path) for root in (base, fixed))
        if before != after and _is_source(path, base, fixed, chosen) and _is_text(before) and _is_text(after):
            changes[path] = after
    return changes


def _is_source(path: str, base: Path, fixed: Path, chosen: tuple[str, ...]) -> bool:
    # What grading would leave out of a student's patch has no place in the gold patch.
    if refusal(path) is not None:
        return False
    if chosen:
        return any(path == part or path.startswith(part + "/") for part in chosen)
    parts = path.split("/")
    if len(parts) == 1:
        return path.endswith(".py")
    if parts[0] in _NOT_SOURCE_FOLDERS:
        return False
    # A package, under whatever folder, or a folder named src or lib.
    return parts[0] in ("src", "lib") or any((root / parts[0] / "__init__.py").is_file() for root in (base, fixed))


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def _is_text(content: bytes | None) -> bool:
    if content is None:
        return True
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False
