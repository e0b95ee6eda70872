"""The path policy."""

from __future__ import annotations

import pytest

from srl_swe.grading.paths import refusal

HIDDEN = ("checks/test_x.py",)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("ledger/money.py", None),
        ("setup/money.py", None),
        ("ledger/setup.cfg", None),
        ("ledger/contest.py", None),
        ("src/ledger/decimal.py", None),
        ("README.md", None),
        ("checks/test_x.py", "hidden test"),
        ("checks/test_x.py/a", "hidden test"),
        ("checks", "hidden test"),
        ("tests/data/a.json", "test"),
        ("ledger/test/a.py", "test"),
        ("test_y.py", "test"),
        ("ledger/money_test.py", "test"),
        ("conftest.py", "test configuration"),
        ("ledger/conftest.py", "test configuration"),
        ("pytest.ini", "test configuration"),
        ("tox.ini", "test configuration"),
        ("setup.cfg", "build configuration"),
        ("setup.py", "build configuration"),
        ("pyproject.toml", "build configuration"),
        ("sitecustomize.py", "interpreter start-up file"),
        ("src/usercustomize.py", "interpreter start-up file"),
        ("sitecustomize/__init__.py", "interpreter start-up file"),
        ("evil.pth", "interpreter start-up file"),
        ("ledger/__pycache__/money.cpython-311.pyc", "compiled file"),
        ("evil.egg-info/entry_points.txt", "package metadata"),
        ("src/evil-1.0.dist-info/entry_points.txt", "package metadata"),
        (".gitattributes", "git's own file"),
        ("decimal.py", "shadows the standard library"),
        ("unittest/__init__.py", "shadows the standard library"),
        ("src/unittest/mock.py", "shadows the standard library"),
        ("_pytest/runner.py", "shadows the test runner"),
    ],
)
def test_refusal(path: str, reason: str | None) -> None:
    assert refusal(path, hidden=HIDDEN, added=True) == reason


def test_modes() -> None:
    assert refusal("ledger/money.py", "120000") == "symbolic link"
    assert refusal("vendor", "160000") == "nested repository"
    assert refusal("ledger/money.py", "000000") is None
    # A repository may itself have a module by such a name.
    assert refusal("decimal.py") is None
