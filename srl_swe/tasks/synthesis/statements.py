"""Operators that change statements: branches, updates and defaults that are gone or wrong."""

# ruff: noqa: ARG001  (operators are called alike, whether they look at the function around or not)

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from srl_swe.tasks.synthesis.expressions import Edits
from srl_swe.tasks.synthesis.source_text import Edit, Function, SourceText

_ELSE = re.compile(rb"^[ \t]*(else[ \t]*:|elif\b)", re.MULTILINE)


def suites(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The lists of statements below a node, its own only."""
    for name in ("body", "orelse", "finalbody"):
        statements = getattr(node, name, None)
        if isinstance(statements, list) and statements and isinstance(statements[0], ast.stmt):
            yield statements


def removed_branch(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """An early exit, an ``else`` or an ``elif`` that is not there."""
    for statements in suites(node):
        for statement in statements:
            if isinstance(statement, ast.If) and _leaves(statement.body) and not statement.orelse:
                yield from _removed(text, statements, statement)
    if isinstance(node, (ast.If, ast.For, ast.While)) and node.orelse:
        first, last = node.orelse[0], node.orelse[-1]
        if isinstance(first, ast.If) and text.data.startswith(b"elif", text.start(first)):
            yield from _without_elif(text, first)
            return
        # The last line that begins with it: those of inner statements come before.
        found = list(_ELSE.finditer(text.data, text.end(node.body[-1]), text.start(first)))
        lines = text.whole_lines(last, last)
        if found and lines is not None:
            yield [Edit(text.line_start(found[-1].end()), lines.end, b"")]


def removed_statement(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """An update that is not made: an assignment, a call for its effect, a ``continue`` or a ``raise``."""
    for statements in suites(node):
        for index, statement in enumerate(statements):
            if _is_update(statement, function) and not (index == 0 and _is_docstring(statement)):
                yield from _removed(text, statements, statement)


def loop_exit(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """``break`` for ``continue``."""
    if isinstance(node, (ast.Break, ast.Continue)):
        other = b"continue" if isinstance(node, ast.Break) else b"break"
        yield [Edit(text.start(node), text.end(node), other)]


def default_value(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """Another default of a parameter."""
    if not isinstance(node, Function):
        return
    for default in [*node.args.defaults, *(value for value in node.args.kw_defaults if value is not None)]:
        if isinstance(default, ast.Constant) and isinstance(default.value, bool):
            yield [Edit(text.start(default), text.end(default), str(not default.value).encode())]
        elif isinstance(default, ast.Constant) and type(default.value) is int:
            yield [Edit(text.start(default), text.end(default), str(default.value + 1).encode())]
        elif isinstance(default, ast.Constant) and default.value == "":
            yield [Edit(text.start(default), text.end(default), b'" "')]
        elif isinstance(default, ast.Constant) and isinstance(default.value, str) and len(default.value) < 20:
            yield [Edit(text.start(default), text.end(default), b'""')]


def caught_exception(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """One of several exceptions that is no longer caught, or another that is raised."""
    if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Tuple) and len(node.type.elts) > 1:
        for kept in node.type.elts:
            yield [Edit(text.start(node.type), text.end(node.type), text.code(kept))]
    elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
        others = {"ValueError": b"TypeError", "TypeError": b"ValueError", "KeyError": b"IndexError"}
        if node.exc.func.id in others:
            yield [Edit(text.start(node.exc.func), text.end(node.exc.func), others[node.exc.func.id])]


def wrong_target(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """``=`` for ``+=``."""
    if isinstance(node, ast.AugAssign) and (place := text.between(node.target, node.value, rb"[^\s=]{1,3}=")):
        yield [Edit(place.start, place.end, b"=")]


def _removed(text: SourceText, statements: list[ast.stmt], statement: ast.stmt) -> Iterator[Edits]:
    lines = text.whole_lines(statement, statement)
    others = [other for other in statements if other is not statement and not _is_docstring(other)]
    if lines is not None and others:
        yield [lines]
    else:
        yield [Edit(text.start(statement), text.end(statement), b"pass")]


def _without_elif(text: SourceText, arm: ast.If) -> Iterator[Edits]:
    start = text.line_start(text.start(arm))
    lines = text.whole_lines(arm.body[-1], arm.body[-1])
    if not arm.orelse:
        if lines is not None:
            yield [Edit(start, lines.end, b"")]
        return
    found = list(_ELSE.finditer(text.data, text.end(arm.body[-1]), text.start(arm.orelse[0]) + 4))
    if found:
        yield [Edit(start, text.line_start(found[-1].end()), b"")]


def _leaves(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break))


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_update(statement: ast.stmt, function: Function) -> bool:
    if isinstance(statement, (ast.AugAssign, ast.Continue, ast.Break, ast.Raise, ast.Delete)):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call)
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return False
    target = statement.targets[0]
    if isinstance(target, (ast.Attribute, ast.Subscript)):
        return True
    # A name that has no other value is merely undefined then: nobody makes that mistake.
    return isinstance(target, ast.Name) and target.id in _known_before(function, statement.lineno)


def _known_before(function: Function, line: int) -> set[str]:
    arguments = function.args
    names = {argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    names |= {argument.arg for argument in (arguments.vararg, arguments.kwarg) if argument is not None}
    stored = (node for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return names | {node.id for node in stored if node.lineno < line}
