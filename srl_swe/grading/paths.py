"""The path policy: which of a student's changes never reach the grading container, and why."""

from __future__ import annotations

import sys
from collections.abc import Collection

_TEST_FOLDERS = {"test", "tests"}
_TEST_CONFIGURATION = {
    "conftest.py",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "tox.ini",
    "noxfile.py",
}
_START_UP = {"sitecustomize.py", "usercustomize.py", "pyvenv.cfg"}
_BUILD = {"setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "hatch_build.py"}
_GIT = {".gitattributes", ".gitmodules", ".gitconfig"}
_COMPILED = (".pyc", ".pyo", ".so", ".pyd")
_RUNNER = {"pytest", "_pytest", "pluggy", "iniconfig"}


def refusal(path: str, mode: str = "100644", *, hidden: Collection[str] = (), added: bool = False) -> str | None:
    """Say why a change to ``path`` is left out of grading, or ``None`` where it is let in.

    Args:
        path: Relative to the repository root.
        mode: Git's file mode after the change, such as ``100644``; ``000000`` for a deletion.
        hidden: The task's hidden test files; nothing above, at or below them is let in.
        added: Whether the change makes a new file.
    """
    parts = path.split("/")
    name = parts[-1]
    if mode == "120000":
        return "symbolic link"
    if mode == "160000":
        return "nested repository"
    if any(path == test or path.startswith(test + "/") or test.startswith(path + "/") for test in hidden):
        return "hidden test"
    if ".git" in parts or name in _GIT:
        return "git's own file"
    if name in _TEST_CONFIGURATION:
        return "test configuration"
    if is_test(path):
        return "test"
    if name in _START_UP or name.endswith(".pth") or (set(parts[:-1]) & {"sitecustomize", "usercustomize"}):
        return "interpreter start-up file"
    if name.endswith(_COMPILED) or "__pycache__" in parts:
        return "compiled file"
    if any(part.endswith((".egg-info", ".dist-info", ".egg-link")) for part in parts):
        return "package metadata"
    if len(parts) == 1 and name in _BUILD:
        return "build configuration"
    return _shadowing(parts) if added else None


def is_test(path: str) -> bool:
    """Say whether a path looks like a test, or like something that only tests use."""
    *folders, name = path.split("/")
    if _TEST_FOLDERS & set(folders) or name in ("conftest.py", "tests.py"):
        return True
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


def _shadowing(parts: list[str]) -> str | None:
    """A new top-level module by the name of a standard one would be imported instead of it by the tests."""
    below = parts[1:] if parts[0] == "src" and len(parts) > 1 else parts
    module = below[0].removesuffix(".py") if len(below) == 1 else below[0]
    if len(below) == 1 and not below[0].endswith(".py"):
        return None
    if module in _RUNNER:
        return "shadows the test runner"
    return "shadows the standard library" if module in sys.stdlib_module_names else None
