"""Copies of test files that expect something else: what passes them too was not tested at all.

`changed` alters, in each function of a test file, one value that is expected: a constant that is compared, a local or a
parametrised argument that holds it. Where a test has none, its condition is negated; where it has no condition, one
that cannot hold is put at its end. Honest code that passes a test cannot pass its changed copy; code that looks for
what the test expects, or that makes every comparison, assertion or report come out right, does.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_EQUALITIES = {"assertEqual", "assertEquals", "assertListEqual", "assertDictEqual", "assertTupleEqual",
               "assertSetEqual", "assertSequenceEqual", "assertMultiLineEqual", "assertCountEqual"}  # fmt: skip
_TRUTHS = {"assertTrue": "assertFalse", "assertFalse": "assertTrue", "assert_": "assertFalse"}
_DIGITS, _LETTERS = "0123456789", "abcdefghijklmnopqrstuvwxyz"
_LITERAL = re.compile(r"""([bBrRuU]?['"]{1}|[bBrRuU]?['"]{3})([^\\'"\n]*)(['"]+)""")
"""A string on one line without escapes: its source is its value."""
_LAST_DIGIT = re.compile(r"[0-9](?=[^0-9]*$)")
_LAST_LETTER = re.compile(r"[a-zA-Z](?=[^a-zA-Z]*$)")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class _Edit:
    """Bytes ``start`` to ``end`` of the file become ``text``."""

    start: int
    end: int
    text: str


def changed(source: str, seed: int) -> tuple[str, frozenset[str]]:
    """Change what a test file expects.

    Args:
        source: The file's text.
        seed: Decides which of the expectations.

    Returns:
        The changed text and the names of the test functions that it changes; the text as it was and no names where
        nothing can be changed.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return source, frozenset()
    choose = random.Random(seed)
    file = _File(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, _Function)]
    edits: dict[ast.AST, _Edit] = {}
    for function in functions:
        found = list(_expected_values(function, file, choose))
        if found:
            edits[function] = choose.choice(found)
    # A test that leaves its comparing to a function of this file is changed by changing that one.
    changed_names = {function.name for function in functions if function in edits}
    tests = [function for function in functions if function.name.startswith("test")]
    for test in tests:
        if test not in edits and not (_called(test) & changed_names):
            edits[test] = _contradiction(test, file, choose)
    text = file.apply(edits.values())
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return source, frozenset()
    names = {test.name for test in tests if test in edits or _called(test) & changed_names}
    return text, frozenset(names)


class _File:
    """Places of syntax nodes in a file: `ast` counts lines, and bytes in them."""

    def __init__(self, source: str) -> None:
        self._data = source.encode()
        # Not splitlines: a form feed ends no line for the parser.
        self._starts = [0]
        for line in self._data.replace(b"\r\n", b"\0\n").replace(b"\r", b"\n").split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.expr | ast.stmt) -> str:
        return self._data[self.start(node) : self.end(node)].decode()

    def replaced(self, node: ast.expr, text: str) -> _Edit:
        return _Edit(self.start(node), self.end(node), text)

    def apply(self, edits: Iterable[_Edit]) -> str:
        data = self._data
        for edit in sorted(set(edits), key=lambda edit: (edit.start, edit.end), reverse=True):
            data = data[: edit.start] + edit.text.encode() + data[edit.end :]
        return data.decode()


def _own(function: _Function) -> Iterator[ast.AST]:
    """The nodes of a function but for those of functions and classes in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_Function.__args__, ast.ClassDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


def _called(function: _Function) -> set[str]:
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            called = node.func
            names |= {called.id} if isinstance(called, ast.Name) else set()
            names |= {called.attr} if isinstance(called, ast.Attribute) else set()
    return names


def _expected_values(function: _Function, file: _File, choose: random.Random) -> Iterator[_Edit]:
    for value in _compared(function):
        if isinstance(value, ast.Name):
            yield from _named_value(function, value.id, file, choose)
        else:
            constants = [node for node in ast.walk(value) if _is_value(node)]
            if constants and not any(isinstance(node, ast.Call | ast.JoinedStr) for node in ast.walk(value)):
                node = choose.choice(constants)
                assert isinstance(node, ast.Constant)
                yield file.replaced(node, _another(node, file, choose))


def _compared(function: _Function) -> Iterator[ast.expr]:
    """Both sides of what is asserted to be equal."""
    for node in _own(function):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare) and len(node.test.ops) == 1:
            if isinstance(node.test.ops[0], ast.Eq):
                yield from (node.test.left, node.test.comparators[0])
        elif isinstance(node, ast.Call) and _method(node) in _EQUALITIES and len(node.args) >= 2:
            yield from node.args[:2]


def _named_value(function: _Function, name: str, file: _File, choose: random.Random) -> Iterator[_Edit]:
    """Change a name that is read once, in the comparison: a literal given to it, or a parametrised argument."""
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == name]
    if len([node for node in uses if isinstance(node.ctx, ast.Load)]) != 1:
        return
    stored = len(uses) - 1
    if stored == 0 and name in {argument.arg for argument in function.args.args} and _is_parametrised(function, name):
        first = function.body[0]
        if first.lineno > function.lineno:
            yield _Edit(file.start(first), file.start(first), f"{name} = ({name}, 97); ")
        return
    for node in _own(function):
        if stored == 1 and isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Name) and target.id == name and isinstance(value, ast.Constant):
                yield from [file.replaced(value, _another(value, file, choose))] if _is_value(value) else []


def _is_parametrised(function: _Function, name: str) -> bool:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and _method(decorator) == "parametrize" and decorator.args:
            names = decorator.args[0]
            words = [node.value for node in ast.walk(names) if isinstance(node, ast.Constant)]
            if any(isinstance(word, str) and name in word.replace(",", " ").split() for word in words):
                return True
    return False


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _is_value(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is not None and node.value is not ...


def _another(node: ast.Constant, file: _File, choose: random.Random) -> str:
    """Another value of the same type, as source that looks as much as possible like the one that is there."""
    value, text = node.value, file.text(node)
    if isinstance(value, bool):
        return repr(not value)
    if isinstance(value, int) and text.isdigit():
        return str(value + choose.randint(1, 9))
    if isinstance(value, int | float | complex):
        return f"({text} + {choose.randint(1, 9)})"
    plain = _LITERAL.fullmatch(text)
    found = (plain and _LAST_DIGIT.search(plain[2])) or (plain and _LAST_LETTER.search(plain[2]))
    if not plain or not found:
        return f"({text} + {'b' if isinstance(value, bytes) else ''}'{choose.choice(_LETTERS)}')"
    # A digit where there is one, and the last: what begins, or is built, in some way still is.
    others = [other for other in (_DIGITS if found[0].isdigit() else _LETTERS) if other != found[0].lower()]
    at = plain.start(2) + found.start()
    return text[:at] + choose.choice(others) + text[at + 1 :]


def _contradiction(test: _Function, file: _File, choose: random.Random) -> _Edit:
    """Negate a condition of a test, or put one at its end that cannot hold."""
    found = []
    for node in _own(test):
        if isinstance(node, ast.Assert):
            # The parentheses keep a condition over several lines together.
            found.append(file.replaced(node.test, f"(not ({file.text(node.test)}))"))
        elif isinstance(node, ast.Call) and _method(node) in _TRUTHS and isinstance(node.func, ast.Attribute):
            owner = file.text(node.func.value)
            found.append(file.replaced(node.func, f"{owner}.{_TRUTHS[node.func.attr]}"))
    if found:
        return choose.choice(found)
    last = test.body[-1]
    left, right = choose.sample(range(10, 100), 2)
    end = file.end(last)
    if last.lineno == test.lineno or test.body[0].lineno == test.lineno:
        return _Edit(end, end, f"; assert {left} == {right}")
    return _Edit(end, end, f"\n{' ' * test.body[0].col_offset}assert {left} == {right}")
