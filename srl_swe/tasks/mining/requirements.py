"""What a repository and its tests need: found in what it declares, pinned to what pip chose."""

from __future__ import annotations

import ast
import configparser
import contextlib
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from email.parser import HeaderParser
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from srl_swe.sandbox import wheels
from srl_swe.tasks.mining.candidates import is_test_module

_DISTRIBUTIONS = {
    "attr": "attrs", "bs4": "beautifulsoup4", "dateutil": "python-dateutil", "freezegun": "freezegun",
    "hypothesis": "hypothesis", "lxml": "lxml", "mock": "mock", "numpy": "numpy", "parameterized": "parameterized",
    "pkg_resources": "setuptools<81", "pytz": "pytz", "setuptools": "setuptools<81", "simplejson": "simplejson",
    "six": "six", "sortedcontainers": "sortedcontainers", "testfixtures": "testfixtures",
    "typing_extensions": "typing-extensions", "yaml": "pyyaml",
}  # fmt: skip
"""What a module that nobody declares is imported from: well-known ones alone, since a guessed name may be anybody's."""
_FIXTURES = {
    r"\bmocker\b": "pytest-mock",
    r"\bmark\.asyncio\b": "pytest-asyncio",
    r"\bsubtests\b": "pytest-subtests",
    r"\bbenchmark\b": "pytest-benchmark",
}
_NOT_OF_THE_PACKAGE = re.compile(r"(ez_)?setup\.py|conf\.py|.*(test|bench).*\.py|tasks\.py|noxfile\.py")
_HAVE = {"pytest", "pluggy", "iniconfig", "packaging", "pygments", "pip", "unittest2"}
"""What the base image has, and what no Python of today can have."""


def find_requirements(base: Path, tests: Mapping[str, str], package: str) -> tuple[str, ...]:
    """What to install: all that the package declares for itself, and of the rest what the tests import.

    Args:
        base: The repository.
        tests: The hidden test files.
        package: Its own name, never installed.
    """
    own, other = _declared(base)
    own_name = canonicalize_name(package)
    imported = _imports(tests.values()) | _imports(p.read_text("utf-8", "replace") for p in _test_support(base, tests))
    wanted = dict(own)
    sources = _imports(p.read_text("utf-8", "replace") for p in base.rglob("*.py") if _is_package_file(p, base))
    for module in sorted(imported | (sources if not own else set())):
        if module in sys.stdlib_module_names or _is_local(base, tests, module):
            continue
        known = _DISTRIBUTIONS.get(module, "")
        name = canonicalize_name(re.split(r"[<>=!~]", known)[0] or module)
        if name in other:
            wanted[name] = other[name]
        elif known and name not in wanted:
            wanted[name] = known
    text = "\n".join(tests.values())
    for pattern, plugin in _FIXTURES.items():
        if re.search(pattern, text) and (plugin in other or plugin != "pytest-benchmark"):
            wanted.setdefault(canonicalize_name(plugin), plugin)
    return tuple(sorted(text for name, text in wanted.items() if name not in _HAVE and name != own_name))


def pin(requirements: Iterable[str], machine: str, package: str) -> tuple[str, ...]:
    """Those, and all that they need, at the versions that pip takes today.

    Raises:
        ImageBuildError: pip cannot get them.
    """
    wanted = sorted(set(requirements))
    if not wanted:
        return ()
    pinned = set()
    for path in wheels.fetch(wanted, machine=machine):
        name, version, _, _ = parse_wheel_filename(path.name)
        if name not in _HAVE and name != canonicalize_name(package):
            pinned.add(f"{name}=={version}")
    return tuple(sorted(pinned))


def _declared(base: Path) -> tuple[dict[str, str], dict[str, str]]:
    """(what the package needs, what it names for its tests and its development); by name."""
    own: dict[str, str] = {}
    other: dict[str, str] = {}
    for text, extra in [*_from_metadata(base), *_from_egg_info(base), *_from_project(base), *_from_files(base)]:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        name = canonicalize_name(requirement.name)
        in_extra = extra or (requirement.marker is not None and "extra" in str(requirement.marker))
        if requirement.url or (requirement.marker is not None and not _applies(requirement)):
            continue
        short = requirement.name + (f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else "")
        # What is there for tests is taken without its bounds: they are those of its day, and Python is today's.
        (other if in_extra else own).setdefault(name, short + ("" if in_extra else str(requirement.specifier)))
    return own, other


def _applies(requirement: Requirement) -> bool:
    version = wheels.PYTHON_VERSION
    environment = {str(key): str(value) for key, value in default_environment().items()}
    environment |= {"python_version": version, "python_full_version": f"{version}.0"}
    extras = re.findall(r"extra\s*==\s*[\"']([^\"']+)", str(requirement.marker)) or [""]
    assert requirement.marker is not None
    return any(requirement.marker.evaluate({**environment, "extra": extra}) for extra in extras)


def _from_metadata(base: Path) -> list[tuple[str, bool]]:
    file = base / "PKG-INFO"
    if not file.is_file():
        return []
    headers = HeaderParser().parsestr(file.read_text("utf-8", "replace"))
    return [(line, False) for line in headers.get_all("Requires-Dist") or []]


def _from_egg_info(base: Path) -> list[tuple[str, bool]]:
    found = []
    for file in base.glob("**/*.egg-info/requires.txt"):
        section = ""
        for line in file.read_text("utf-8", "replace").splitlines():
            if line.startswith("["):
                section = line.strip("[] ")
            elif line.strip():
                extra, _, marker = section.partition(":")
                found.append((f"{line.strip()}; {marker}" if marker else line.strip(), bool(extra)))
    return found


def _from_project(base: Path) -> list[tuple[str, bool]]:
    """What pyproject.toml and setup.cfg declare."""
    found: list[tuple[str, bool]] = []
    try:
        read = tomllib.loads((base / "pyproject.toml").read_text("utf-8"))
        project = read.get("project", {})
        found += [(text, False) for text in project.get("dependencies", [])]
        groups = [*project.get("optional-dependencies", {}).values(), *read.get("dependency-groups", {}).values()]
        found += [(text, True) for group in groups for text in group if isinstance(text, str)]
    except (OSError, ValueError, AttributeError, TypeError):
        # None is there, or it is a test's broken example.
        pass
    parser = configparser.RawConfigParser()
    with contextlib.suppress(configparser.Error, UnicodeDecodeError):
        parser.read(base / "setup.cfg", encoding="utf-8")
        needed = parser.get("options", "install_requires", fallback="")
        found += [(line.strip(), False) for line in needed.splitlines() if line.strip()]
    return found


def _from_files(base: Path) -> list[tuple[str, bool]]:
    """Names in requirement files, tox.ini, setup.py and pyproject.toml: what the project uses for its tests."""
    found = []
    files = [*base.glob("*requirements*.txt"), *base.glob("requirements/*.txt"), *base.glob("tests/requirements*.txt")]
    for file in files:
        found += [(line.partition(" #")[0].strip(), True) for line in file.read_text("utf-8", "replace").splitlines()]
    for name in ("tox.ini", "setup.py", "setup.cfg", "pyproject.toml"):
        if (base / name).is_file():
            text = (base / name).read_text("utf-8", "replace")
            found += [
                (word, True)
                for word in re.findall(r"(?m)(?:^\s+|[\"'])([A-Za-z][\w.-]{1,40})(?=[\s<>=!~;\[\"']|$)", text)
            ]
    return found


def _imports(texts: Iterable[str]) -> set[str]:
    """Top-level modules that are needed: imported, but not only for a type checker, and not on trial."""
    found: set[str] = set()
    for text in texts:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        for node in _unconditional(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def _unconditional(node: ast.AST) -> Iterator[ast.AST]:
    """Every node, but for those in ``try`` and ``if`` statements at any depth."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Try | ast.If):
            yield child
            yield from _unconditional(child)


def _test_support(base: Path, tests: Mapping[str, str]) -> list[Path]:
    """What lies beside the tests and is none, conftest files of theirs among it."""
    folders = {folder for path in tests for folder in (base / path).parents if folder.is_relative_to(base)} - {base}
    beside = [p for folder in folders for p in folder.glob("*.py") if not is_test_module(p.name)]
    return [*beside, *base.glob("conftest.py")]


def _is_package_file(path: Path, base: Path) -> bool:
    parts = path.relative_to(base).parts
    return not {"tests", "test", "docs", "doc", "examples", "benchmarks", "scripts", "tools"} & set(
        parts
    ) and not _NOT_OF_THE_PACKAGE.match(parts[-1])


def _is_local(base: Path, tests: Mapping[str, str], module: str) -> bool:
    places = [base, base / "src", base / "lib", *{(base / path).parent for path in tests}]
    if any((place / module).is_dir() or (place / f"{module}.py").is_file() for place in places):
        return True
    return any(path.endswith(f"/{module}.py") or f"{module}/" in path for path in tests)
