"""What mutants are made of: a release of a package or a folder, with what its tests need."""

from __future__ import annotations

import email.parser
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from srl_swe.errors import TaskError
from srl_swe.grading.paths import is_test, refusal
from srl_swe.sandbox import wheels
from srl_swe.tasks.releases import fetch_sdist, unpack

_NOT_CODE = {
    "doc",
    "docs",
    "example",
    "examples",
    "benchmark",
    "benchmarks",
    "scripts",
    "setup.py",
    "noxfile.py",
    "conf.py",
}
_DISTRIBUTIONS = {"yaml": "pyyaml", "dateutil": "python-dateutil", "attr": "attrs"}
_TEST_LIBRARIES = {"hypothesis", "freezegun", "pytz", "six", "mock", "parameterized", "pytest-mock", "tzdata", "numpy"}
"""What tests often need and packages seldom say."""
_PYTHON = {"python_version": wheels.PYTHON_VERSION, "python_full_version": f"{wheels.PYTHON_VERSION}.2", "extra": ""}
_NOT_COPIED = shutil.ignore_patterns(".git", "__pycache__", "*.pyc", ".pytest_cache", "*.egg-info", ".venv")
_SECTION = re.compile(r"^\[(.*)\]$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Code that is right, unpacked in a folder."""

    name: str
    """Of the repository; splits are by it."""
    version: str
    """The release; empty for a folder."""
    origin: str
    """The package, or the folder."""
    folder: Path
    """A copy of its files."""

    @property
    def label(self) -> str:
        """What it is called in journals and tables."""
        return f"{self.name}-{self.version}" if self.version else self.name

    def sources(self) -> dict[str, str]:
        """Path to text of the files that mutants are made of."""
        found = {}
        for path in self.python_files():
            if refusal(path) is None and not _holds_tests(path) and not _NOT_CODE & set(path.split("/")):
                text = _text(self.folder / path)
                if text is not None:
                    found[path] = text
        return found

    def tests(self) -> dict[str, str]:
        """Path to text of its test files."""
        names = [path for path in self.python_files() if _holds_tests(path)]
        return {path: text for path in names if (text := _text(self.folder / path)) is not None}

    def python_files(self) -> list[str]:
        """Paths of its Python files."""
        found = (path for path in sorted(self.folder.rglob("*.py")) if path.is_file() and not path.is_symlink())
        return [path.relative_to(self.folder).as_posix() for path in found]


@contextmanager
def opened(origin: str) -> Iterator[Subject]:
    """Unpack ``PACKAGE==VERSION``, or copy a folder, for as long as it is needed.

    Raises:
        TaskError: it cannot be had, or is neither.
    """
    package, separator, version = origin.partition("==")
    with tempfile.TemporaryDirectory(prefix="srl-swe-") as name:
        folder = Path(name).resolve() / "testbed"
        if separator:
            unpack(fetch_sdist(package, version), folder)
            named = canonicalize_name(package)
            yield Subject(name=named, version=version, origin=package, folder=folder)
        elif Path(origin).is_dir():
            place = Path(origin).resolve()
            shutil.copytree(place, folder, symlinks=True, ignore=_NOT_COPIED)
            yield Subject(name=place.name, version="", origin=str(place), folder=folder)
        else:
            raise TaskError(f"{origin}: expected PACKAGE==VERSION or a folder")


def requirements(subject: Subject) -> list[str]:
    """What the package says that it needs on the images' Python."""
    found = []
    for line in _declared(subject.folder):
        try:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(_PYTHON):
                requirement.marker = None
                found.append(str(requirement))
        except (InvalidRequirement, UndefinedEnvironmentName):
            continue
    return sorted(set(found))


def pinned(wanted: list[str], client: docker.DockerClient) -> tuple[str, ...]:
    """The same requirements and all that they need, each at one version.

    Raises:
        ImageBuildError: pip could not get them.
    """
    files = wheels.fetch(sorted(set(wanted)), machine=client.info()["Architecture"]) if wanted else []
    parsed = (parse_wheel_filename(file.name) for file in files)
    return tuple(sorted(f"{name}=={version}" for name, version, _, _ in parsed))


def missing_libraries(errors: tuple[str, ...], subject: Subject) -> list[str]:
    """Test libraries that test files wanted to import and did not find."""
    modules = {name.split(".")[0] for error in errors for name in re.findall(r"No module named '([\w.]+)'", error)}
    named = {_DISTRIBUTIONS.get(module, canonicalize_name(module)) for module in modules}
    extras = set()
    for line in _declared(subject.folder):
        try:
            extras.add(canonicalize_name(Requirement(line).name))
        except InvalidRequirement:
            continue
    return sorted((named & (_TEST_LIBRARIES | extras)) - {subject.name})


def _declared(folder: Path) -> list[str]:
    """Requirements in the metadata, extras and all."""
    info = folder / "PKG-INFO"
    if info.is_file():
        headers = email.parser.HeaderParser().parsestr(info.read_text("utf-8", "replace"))
        if found := headers.get_all("Requires-Dist"):
            return [str(line) for line in found]
    lines: list[str] = []
    for path in sorted(folder.glob("**/*.egg-info/requires.txt")):
        marker = ""
        for line in path.read_text("utf-8", "replace").splitlines():
            if section := _SECTION.match(line.strip()):
                extra, _, condition = section.group(1).partition(":")
                parts = [f'extra == "{extra}"'] if extra else []
                marker = " and ".join([*parts, *([f"({condition})"] if condition else [])])
            elif line.strip():
                lines.append(f"{line.strip()} ; {marker}" if marker else line.strip())
    return lines


def _holds_tests(path: str) -> bool:
    name = path.rpartition("/")[2]
    if name != "test.py" and not is_test(path):
        return False
    return name.startswith("test") or name.endswith(("_test.py", "_tests.py"))


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        return None
