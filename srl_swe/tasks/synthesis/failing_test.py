"""The test function around a failing statement: what it does before, and what the names in it are."""

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
_LONGEST_CODE = 1800
_MOST_LINES = 12
_NOT_SUBJECTS = sys.stdlib_module_names | {"pytest", "hypothesis", "mock", "six", "freezegun"}
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


class FailingTest:
    """The test function around a failing statement."""

    def __init__(self, text: str, evidence: dict[str, Any]) -> None:
        self._text = text
        self._locals: dict[str, str | None] = evidence["locals"]
        self._shapes: dict[str, str | None] = evidence.get("shapes", {})
        self._path = evidence["test"].partition("::")[0]
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
        seen = {name: self._shapes.get(name) for name in sorted(missing)}
        lines[:0] = [f"# {name} is {text}" for name, text in seen.items() if text]
        lines += [self.source(statement) for statement in before]
        body = _SELF.sub("", code) or "\n".join(self.source(node) for node in shown)
        parts = ["\n".join(dict.fromkeys(imports)), "\n".join([*lines, body])]
        whole = "\n\n".join(part for part in parts if part.strip())
        # Where all is known and nothing of it is the package's, it shows nothing of the package.
        known = [line.split()[1].partition(".")[0] for line in imports]
        if not missing and all(name in _NOT_SUBJECTS for name in known):
            return None
        calls = any(has_call(node) for node in (*before, *shown)) or any("(" in line for line in lines)
        if len(whole) > _LONGEST_CODE or "super()" in whole or not calls:
            return None
        return Example(kind=kind, code=whole, got=got, expected=expected, complete=not missing)

    def is_typed(self, node: ast.AST) -> bool:
        """Whether the test's author wrote the value down, here or where its name is bound."""
        if has_call(node):
            return False
        for name in _names(node):
            made = self._assignments(name, own=True)
            if (not made and self._locals.get(name) is None) or any(has_call(statement) for statement in made):
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
                return [statement for statement in found if unittest_call(statement) is None]
            if found:
                return found[:1]
        return []

    def _import(self, name: str) -> str | None:
        for node in self._module.body:
            if isinstance(node, ast.ImportFrom) and (module := self._module_of(node)):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return f"from {module} import {alias.name}" + (f" as {name}" if alias.asname else "")
                    if alias.name == "*":
                        return f"from {module} import *"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if (alias.asname or alias.name.partition(".")[0]) == name:
                        return f"import {alias.name}" + (f" as {name}" if alias.asname else "")
        return None

    def _module_of(self, node: ast.ImportFrom) -> str:
        """The module that is imported from, for one who is not in the test's package; empty where that cannot be."""
        if not node.level:
            return node.module or ""
        parts = self._path.removeprefix("src/").split("/")[: -node.level]
        return ".".join([*parts, *([node.module] if node.module else [])]) if parts else ""


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


def unittest_call(statement: ast.AST | None) -> ast.Call | None:
    """The call, where a statement is one of unittest's assertions."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return call if isinstance(call, ast.Call) and method(call).startswith("assert") else None


def _checks(statement: ast.stmt) -> bool:
    """Whether a statement only looks at something, or says what the test is about."""
    if isinstance(statement, ast.Assert) or unittest_call(statement) is not None:
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


def method(call: ast.Call) -> str:
    """The name of the method that is called; empty where it is none."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def has_call(node: ast.AST) -> bool:
    return any(isinstance(child, (ast.Call, ast.Subscript, ast.Attribute)) for child in ast.walk(node))
