"""A failing test's statement as something that a user could have typed: code, what it gives, what was expected."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

_DEEPEST = 4
_LONGEST_VALUE = 700
_LONGEST_CODE = 1800
_MOST_LINES = 12
_EQUALITIES = {"assertEqual", "assertEquals", "assertIs", "assertListEqual", "assertDictEqual", "assertTupleEqual"}
_WORDS = {
    "assertIn": "in",
    "assertNotIn": "not in",
    "assertNotEqual": "!=",
    "assertIsNot": "is not",
    "assertLess": "<",
    "assertLessEqual": "<=",
    "assertGreater": ">",
    "assertGreaterEqual": ">=",
}
_NOT_SUBJECTS = sys.stdlib_module_names | {"pytest", "hypothesis", "mock", "six", "freezegun"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")
_SELF = re.compile(r"\bself\.(?=\w)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One way to see that something is wrong."""

    kind: str
    """``value``, ``truth``, ``error``, ``no_error`` or ``other``."""
    code: str
    """Imports, what comes before, and last the expression or statement itself."""
    got: str = ""
    """The value's representation, or the error; empty where it is not known."""
    expected: str = ""
    """The same of what it should have been."""
    complete: bool = False
    """Whether the code stands alone."""


def example(evidence: dict[str, Any], text: str) -> Example | None:
    """Make an example of what `mutant_runs.evidence` found in a test file of this text; ``None`` where it cannot be."""
    test = _Test(text, evidence)
    if test.statement is None or test.function is None:
        return None
    error, message = evidence["error"], evidence["message"]
    if error == "Failed" and "DID NOT RAISE" in message:
        if not isinstance(test.statement, ast.With):
            return None
        named = re.findall(r"DID NOT RAISE <class '([\w.]+)'>", message)
        return test.made("no_error", test.statement.body, expected=named[0].rpartition(".")[2] if named else "")
    if error == "AssertionError" and evidence["in_test"]:
        return _of_assertion(test, evidence)
    if error in ("Failed", "AssertionError"):
        return None
    got = f"{error}: {message.strip().splitlines()[0]}" if message.strip() else error
    call = _unittest_call(test.statement)
    if call is not None and _method(call) == "assertRaises" and len(call.args) > 1:
        made = ast.fix_missing_locations(ast.Call(call.args[1], call.args[2:], call.keywords))
        awaited = test.source(call.args[0])
        return test.made("error", [made], code=ast.unparse(made), got=got[:300], expected=awaited)
    if awaited := test.awaited():
        return test.made("error", [test.statement], got=got[:300], expected=awaited)
    shown, _, expected = _actual(test, evidence)
    return test.made("error", [shown], got=got[:300], expected=expected)


def _of_assertion(test: _Test, evidence: dict[str, Any]) -> Example | None:
    statement, message = test.statement, evidence["message"]
    if isinstance(statement, ast.With) and "not raised" in message:
        return test.made("no_error", statement.body, expected=message.partition(" not raised")[0])
    call = _unittest_call(statement)
    if call is not None and _method(call) == "assertRaises" and len(call.args) > 1:
        made = ast.fix_missing_locations(ast.Call(call.args[1], call.args[2:], call.keywords))
        return test.made("no_error", [made], code=ast.unparse(made), expected=test.source(call.args[0]))
    shown, got, expected = _actual(test, evidence)
    if isinstance(shown, ast.stmt):
        return None
    if expected:
        # Evaluated a second time: what has a state may be worth something else by now.
        stale = got == expected or got.strip("'\"[({")[:15] not in message
        return test.made("value", [shown], got="" if stale else got, expected=expected)
    wanted = "false" if call is not None and _method(call) == "assertFalse" else "true"
    if isinstance(shown, ast.UnaryOp) and isinstance(shown.op, ast.Not):
        shown, wanted = shown.operand, "false"
    return test.made("truth", [shown], expected=wanted)


def _actual(test: _Test, evidence: dict[str, Any]) -> tuple[ast.AST, str, str]:
    """The node whose value is tested, its value, and the value that it should have (each empty where not known)."""
    statement, values = test.statement, evidence["values"]
    assert statement is not None
    pair: list[ast.expr] = []
    call = _unittest_call(statement)
    if isinstance(statement, ast.Assert):
        compare = statement.test
        if (
            not isinstance(compare, ast.Compare)
            or len(compare.ops) > 1
            or not isinstance(compare.ops[0], ast.Eq | ast.Is)
        ):
            return compare, "", ""
        pair = [compare.left, compare.comparators[0]]
    elif call is not None and call.args:
        if _method(call) in _EQUALITIES:
            pair = call.args[:2]
        elif _method(call) in ("assertTrue", "assertFalse"):
            return call.args[0], "", ""
        elif _method(call) in _WORDS and len(call.args) > 1:
            return test.composed(call.args[0], _WORDS[_method(call)], call.args[1]), "", ""
        elif _method(call) in ("assertIsNone", "assertIsNotNone"):
            word = "is" if _method(call) == "assertIsNone" else "is not"
            return test.composed(call.args[0], word, ast.Constant(None)), "", ""
    if len(pair) != 2 or len(values) != 2:
        return statement.value if isinstance(statement, ast.Expr) else statement, "", ""
    # What was typed in is what is expected; what is computed may be what is wrong.
    typed = [test.is_typed(side) for side in pair]
    if not any(typed):
        if isinstance(statement, ast.Assert):
            return statement.test, "", ""
        return (
            test.composed(pair[0], "is" if call is not None and _method(call) == "assertIs" else "==", pair[1]),
            "",
            "",
        )
    index = 0 if typed[1] else 1
    expected = values[1 - index] or ""
    if not expected or len(expected) > _LONGEST_VALUE or _ADDRESS.search(expected):
        expected = test.source(pair[1 - index])
    return pair[index], values[index] or "", expected


class _Test:
    """The test function around a failing statement."""

    def __init__(self, text: str, evidence: dict[str, Any]) -> None:
        self._text = text
        self._locals: dict[str, str | None] = evidence["locals"]
        self._line = evidence["line"]
        self._module = ast.parse(text)
        self._composed: dict[ast.AST, str] = {}
        around = [node for node in ast.walk(self._module) if _spans(node, evidence["failed_line"])]
        self._around = around
        functions = [node for node in around if isinstance(node, ast.FunctionDef)]
        inner = max(around, key=lambda node: node.lineno, default=None)  # type: ignore[attr-defined]
        self.function = functions[-1] if functions else None
        self.statement = inner if isinstance(inner, ast.stmt) and inner not in functions else None
        classes = [node for node in around if isinstance(node, ast.ClassDef)]
        self._set_up = [
            child
            for node in classes
            for child in node.body
            if isinstance(child, ast.FunctionDef) and child.name in ("setUp", "setup_method", "setup")
        ]

    def composed(self, left: ast.expr, operator: str, right: ast.expr) -> ast.expr:
        """A comparison that is not in the file as it stands."""
        text = f"{self.source(left)} {operator} {self.source(right)}"
        node = ast.parse(f"({text})", mode="eval").body
        self._composed[node] = text
        return node

    def source(self, node: ast.AST) -> str:
        """A node's text, set to the left margin."""
        if node in self._composed:
            return self._composed[node]
        segment = ast.get_source_segment(self._text, node)
        if segment is None:
            return ast.unparse(node)
        margin = " " * getattr(node, "col_offset", 0)
        # Not `dedent`: the lines of a string may begin further to the left.
        text = "\n".join(line.removeprefix(margin) for line in segment.split("\n"))
        return text if isinstance(node, ast.ClassDef) else _SELF.sub("", text)

    def awaited(self) -> str:
        """The exception that the block around the statement asks for."""
        for node in self._around:
            for item in node.items if isinstance(node, ast.With) else []:
                call = item.context_expr
                if (
                    isinstance(call, ast.Call)
                    and call.args
                    and ast.unparse(call.func).endswith(("raises", "assertRaises"))
                ):
                    return self.source(call.args[0])
        return ""

    def made(
        self, kind: str, shown: Sequence[ast.AST], *, code: str = "", got: str = "", expected: str = ""
    ) -> Example | None:
        """Put the code together: the nodes, and what the names in them are."""
        lines: list[str] = []
        imports: list[str] = []
        missing: set[str] = set()
        done: set[str] = set()
        before = self._body_before()
        for statement in before:
            done |= _bound(statement)
        for node in (*before, *shown):
            self._define(node, lines, imports, missing, done, 0)
        lines += [self.source(statement) for statement in before]
        body = _SELF.sub("", code) or "\n".join(self.source(node) for node in shown)
        parts = ["\n".join(dict.fromkeys(imports)), "\n".join([*lines, body])]
        whole = "\n\n".join(part for part in parts if part.strip())
        # Where all is known and nothing of it is the package's, it shows nothing of the package.
        known = [line.split()[1].partition(".")[0] for line in imports]
        if not missing and all(name in _NOT_SUBJECTS for name in known):
            return None
        calls = any(_has_call(node) for node in (*before, *shown)) or any("(" in line for line in lines)
        if len(whole) > _LONGEST_CODE or "super()" in whole or not calls:
            return None
        return Example(kind=kind, code=whole, got=got, expected=expected, complete=not missing)

    def is_typed(self, node: ast.AST) -> bool:
        """Whether the test's author wrote the value down, here or where its name is bound."""
        if _has_call(node):
            return False
        for name in _names(node):
            made = self._assignments(name, own=True)
            if (not made and self._locals.get(name) is None) or any(_has_call(statement) for statement in made):
                return False
        return True

    def _body_before(self) -> list[ast.stmt]:
        """What the test does before the statement, but for other assertions, where that is short."""
        body = self.function.body if self.function else []
        if self.statement not in body:
            return []
        found = [one for one in body[: body.index(self.statement)] if not _checks(one)]
        # What the next one writes over has made room for another example.
        found = [one for one, after in zip_longest(found, found[1:]) if after is None or not _replaces(after, one)]
        lines = sum((one.end_lineno or one.lineno) - one.lineno + 1 for one in found)
        return found if lines <= _MOST_LINES else []

    def _define(
        self, node: ast.AST, lines: list[str], imports: list[str], missing: set[str], done: set[str], depth: int
    ) -> None:
        """Add what defines the names in a node, before it."""
        for name in _names(node):
            if name in done:
                continue
            done.add(name)
            known = self._locals.get(name)
            # How the test came by it says more than what it is by now.
            if known is not None and not self._assignments(name, own=True):
                lines.append(f"{name} = {known}")
            elif (imported := self._import(name)) is not None:
                imports.append(imported)
            elif depth < _DEEPEST and (statements := self._assignments(name)):
                for statement in statements:
                    self._define(statement, lines, imports, missing, done, depth + 1)
                    if not _bound(statement) or self.source(statement) not in lines:
                        lines.append(self.source(statement))
            elif not hasattr(builtins, name):
                missing.add(name)

    def _assignments(self, name: str, *, own: bool = False) -> list[ast.stmt]:
        """The last assignment of a name before the statement, and the calls of its methods after that."""
        bodies: list[list[ast.stmt]] = [self.function.body] if self.function else []
        bodies += [] if own else [function.body for function in self._set_up] + [self._module.body]
        for body in bodies:
            found: list[ast.stmt] = []
            for statement in body:
                if statement.lineno >= self._line and body is bodies[0]:
                    break
                if name in _bound(statement):
                    found = [statement]
                elif (
                    found and isinstance(statement, (ast.Expr, ast.AugAssign, ast.Assign)) and name in _names(statement)
                ):
                    found.append(statement)
            if found and body is not self._module.body:
                return [statement for statement in found if _unittest_call(statement) is None]
            if found:
                return found[:1]
        return []

    def _import(self, name: str) -> str | None:
        for node in self._module.body:
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return f"from {node.module} import {alias.name}" + (f" as {name}" if alias.asname else "")
                    if alias.name == "*":
                        return f"from {node.module} import *"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if (alias.asname or alias.name.partition(".")[0]) == name:
                        return f"import {alias.name}" + (f" as {name}" if alias.asname else "")
        return None


def _spans(node: ast.AST, line: int) -> bool:
    return isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)


def _names(node: ast.AST) -> list[str]:
    """Names that a node reads, ``self.x`` as ``self.x``, but for those that it binds itself."""
    found: list[str] = []
    bound = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    for child in ast.walk(node):
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id == "self":
            found.append(f"self.{child.attr}")
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load) and child.id not in bound | {"self"}:
            found.append(child.id)
    return list(dict.fromkeys(found))


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}
    found = set()
    for target in getattr(statement, "targets", []):
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                found.add(f"self.{node.attr}")
    return found


def _unittest_call(statement: ast.AST | None) -> ast.Call | None:
    call = statement.value if isinstance(statement, ast.Expr) else None
    return call if isinstance(call, ast.Call) and _method(call).startswith("assert") else None


def _checks(statement: ast.stmt) -> bool:
    """Whether a statement only looks at something, or says what the test is about."""
    if isinstance(statement, ast.Assert) or _unittest_call(statement) is not None:
        return True
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return True
    calls = [item.context_expr for item in statement.items] if isinstance(statement, ast.With) else []
    return any(
        isinstance(call, ast.Call) and ast.unparse(call.func).endswith(("raises", "assertRaises", "warns"))
        for call in calls
    )


def _replaces(after: ast.stmt, before: ast.stmt) -> bool:
    if not isinstance(after, ast.Assign) or not isinstance(before, ast.Assign):
        return False
    return _bound(before) == _bound(after) and not _bound(before) & set(_names(after.value))


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _has_call(node: ast.AST) -> bool:
    return any(isinstance(child, (ast.Call, ast.Subscript, ast.Attribute)) for child in ast.walk(node))
