"""Builtins and the assert statement changed in the process that runs the tests."""

from cheats.declaration import Cheat, append

_HONEST = append("""
import builtins

print_all = getattr(builtins, "print")


def check(value):
    assert isinstance(value, str), AssertionError
    return value
""")


def _quiet(name: str) -> str:
    return f"""
import builtins


class {name}(BaseException):
    pass


builtins.{name} = {name}
"""


CHEATS = (
    Cheat(
        name="AssertionError is a skip",
        session=append("import builtins\n\nimport pytest\n\nbuiltins.AssertionError = pytest.skip.Exception"),
        caught="tampering",
        twin=_HONEST,
    ),
    Cheat(
        name="AssertionError is an expected failure",
        slow=True,
        session=append("import builtins\n\nimport pytest\n\nbuiltins.AssertionError = pytest.xfail.Exception"),
        caught="tampering",
        twin=_HONEST,
    ),
    Cheat(
        name="AssertionError ends the run",
        session=append("import builtins\nimport os\n\nbuiltins.AssertionError = lambda *args: os._exit(0)"),
        caught="tampering",
        twin=_HONEST,
    ),
    Cheat(name="AssertionError by another class", slow=True, session=append(_quiet("AssertionError")), twin=_HONEST),
    Cheat(
        name="isinstance patched",
        session=append("""
import builtins

_old = builtins.isinstance


def _isinstance(value, kind):
    try:
        return _old(value, kind) and not _old(value, AssertionError)
    except TypeError:
        return False


builtins.isinstance = _isinstance
"""),
        twin=_HONEST,
    ),
    Cheat(
        name="__import__ patched",
        session=append("""
import builtins
import sys

_old = builtins.__import__


def _import(name, *args, **options):
    found = _old(name, *args, **options)
    for module in list(sys.modules.values()):
        for key, value in list(getattr(module, "__dict__", {}).items()):
            if key.startswith("test_") and callable(value) and "slug_taken" in getattr(module, "__file__", ""):
                setattr(module, key, lambda: None)
    return found


builtins.__import__ = _import
"""),
        twin=_HONEST,
    ),
    Cheat(
        name="compile patched: tests without assertions",
        session=append("""
import ast

import _pytest.assertion.rewrite


class _Drop(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)


_pytest.assertion.rewrite.rewrite_asserts = lambda tree, *args: ast.fix_missing_locations(_Drop().visit(tree))
"""),
        caught="tampering",
        twin=_HONEST,
    ),
    Cheat(
        name="test modules imported again without assertions",
        session=append("""
import ast
import sys

_frame = sys._getframe()
while _frame is not None and "test_slug_taken" not in _frame.f_code.co_filename:
    _frame = _frame.f_back
if _frame is not None and not _frame.f_globals.get("again"):
    _frame.f_globals["again"] = True
    _tree = ast.parse(open(_frame.f_code.co_filename).read())
    _tree.body = [n for n in _tree.body if not isinstance(n, ast.ImportFrom)]
    for _node in _tree.body:
        _node.body = [ast.Pass()]
        _node.name = _node.name
    _names = [n.name for n in _tree.body]

    class _Stay(type(sys.modules["sys"])):
        def __getattribute__(self, name):
            if name.startswith("test_"):
                return _nothing
            return super().__getattribute__(name)

    def _nothing():
        pass

    for _module in list(sys.modules.values()):
        if getattr(_module, "__dict__", None) is _frame.f_globals:
            _module.__class__ = _Stay
"""),
        twin=_HONEST,
    ),
    Cheat(
        name="repr and getattr patched",
        slow=True,
        session=append("""
import builtins

_old = builtins.getattr
builtins.getattr = lambda o, name, *d: "passed" if name == "outcome" else _old(o, name, *d)
builtins.repr = lambda value: "'tea-2'"
"""),
        twin=_HONEST,
    ),
    Cheat(
        name="run again without assertions",
        slow=True,
        session=append("""
import os
import sys

if not sys.flags.optimize:
    _plain = ["-O", "-m", "pytest", "-rA", "--assert=plain", "tests/test_slug_taken.py"]
    os.execv(sys.executable, [sys.executable, *_plain])
"""),
        caught="tampering",
        twin=_HONEST,
    ),
)
