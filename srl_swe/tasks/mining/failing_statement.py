"""Finds the statement at which a test failed, and the earlier statements that it needs."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from srl_swe.tasks.mining.names import assigned as assigned_names
from srl_swe.tasks.mining.names import changed, free, is_assertion, stored
from srl_swe.tasks.mining.parameters import argument_sources

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_BLOCKS = ast.With | ast.AsyncWith | ast.For | ast.AsyncFor | ast.If | ast.While | ast.Try


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a test failed."""

    file: str
    """The test file's path in the repository."""
    tree: ast.Module
    function: _Function
    owner: ast.ClassDef | None
    trail: tuple[tuple[ast.stmt, bool], ...]
    """The way to the statement: what came before it, and, marked, the blocks around it, outermost first."""
    statement: ast.stmt
    following: tuple[ast.stmt, ...]
    """What comes after it in its own block."""
    values: Mapping[str, ast.expr] = field(default_factory=dict)
    """Names whose value the test did not choose itself (parameters, loop variables), as source."""

    @property
    def blocks(self) -> tuple[ast.stmt, ...]:
        """The blocks around the statement, outermost first."""
        return tuple(part for part, is_around in self.trail if is_around)

    @property
    def before(self) -> tuple[ast.stmt, ...]:
        """What came before the statement, in its own block and in those around it."""
        return tuple(part for part, is_around in self.trail if not is_around)

    def text(self, node: ast.AST) -> str:
        """A node's source, with the values in place of the names."""
        return ast.unparse(substitute(node, self._values_for(node)))

    def needs(self, node: ast.AST) -> set[str]:
        """Names that its source reads."""
        return free(substitute(node, self._values_for(node)))

    def _values_for(self, node: ast.AST) -> dict[str, ast.expr]:
        """Without those that the node binds itself: an earlier loop over the same name."""
        return {name: value for name, value in self.values.items() if name not in stored(node)}


class _Substitution(ast.NodeTransformer):
    def __init__(self, values: Mapping[str, ast.expr]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._values.get(node.id, node) if isinstance(node.ctx, ast.Load) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        # A text with values known at last is a text.
        node = ast.JoinedStr(values=[self.visit(part) for part in node.values])
        parts: list[str] = []
        for part in node.values:
            value = part.value if isinstance(part, ast.FormattedValue) else part
            if not isinstance(value, ast.Constant) or (
                isinstance(part, ast.FormattedValue) and (part.conversion != -1 or part.format_spec is not None)
            ):
                return node
            parts.append(str(value.value))
        return ast.Constant("".join(parts))


def substitute(node: ast.AST, values: Mapping[str, ast.expr]) -> ast.AST:
    """A copy of a node with names replaced by literals."""
    replaced: ast.AST = _Substitution(values).visit(copy.deepcopy(node))
    return ast.fix_missing_locations(replaced)


def plain_literal(node: ast.AST) -> bool:
    """Whether a node is a value that needs no context."""
    try:
        ast.literal_eval(ast.unparse(node))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def find_place(seen: Mapping[str, Any], sources: Mapping[str, str]) -> Place | None:
    """The statement of the test function itself at which the test failed."""
    frames = [frame for frame in seen["frames"] if frame[2] == seen["function"]]
    if not frames:
        return None
    file, line, name, values = frames[0]
    try:
        tree = ast.parse(sources[file])
    except (KeyError, SyntaxError, ValueError):
        return None
    for function, owner in _functions(tree):
        if function.name == name and function.lineno <= line <= (function.end_lineno or 0):
            written = argument_sources(function, owner, seen.get("indices", {}))
            known = {n: ast.parse(text, mode="eval").body for n, text in values.items()}
            place = _place_in(file, tree, function, owner, line, known)
            return replace(place, trail=(*_arguments(function, written, known), *place.trail)) if place else None
    return None


def _arguments(
    function: _Function, written: Mapping[str, ast.expr], known: Mapping[str, ast.expr]
) -> list[tuple[ast.stmt, bool]]:
    """Assignments of the arguments that are no plain values: a test may change them."""
    names = [argument.arg for argument in function.args.args if argument.arg in written and argument.arg not in known]
    made = [ast.Assign(targets=[ast.Name(name, ast.Store())], value=written[name]) for name in names]
    return [(ast.fix_missing_locations(statement), False) for statement in made]


def _functions(tree: ast.Module) -> list[tuple[_Function, ast.ClassDef | None]]:
    found: list[tuple[_Function, ast.ClassDef | None]] = []
    for part in tree.body:
        if isinstance(part, _Function):
            found.append((part, None))
        elif isinstance(part, ast.ClassDef):
            found += [(inner, part) for inner in part.body if isinstance(inner, _Function)]
        elif isinstance(part, ast.If | ast.Try):
            found += [(inner, None) for inner in part.body if isinstance(inner, _Function)]
    return found


def _place_in(
    file: str,
    tree: ast.Module,
    function: _Function,
    owner: ast.ClassDef | None,
    line: int,
    values: Mapping[str, ast.expr],
) -> Place | None:
    trail: list[tuple[ast.stmt, bool]] = []
    body = function.body
    while True:
        at = next((n for n, part in enumerate(body) if part.lineno <= line <= (part.end_lineno or 0)), None)
        if at is None:
            return None
        trail += [(part, False) for part in body[:at]]
        statement = body[at]
        inner = _inner(statement, line)
        if inner is None or _is_stateful(statement, inner, [part for part, is_around in trail if not is_around]):
            break
        trail.append((statement, True))
        body = inner
    loops: set[str] = set()
    parameters = {a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
    for block, is_around in trail:
        if is_around and isinstance(block, ast.For):
            loops |= {node.id for node in ast.walk(block.target) if isinstance(node, ast.Name)}
    assigned = {name for part, is_around in trail if not is_around for name in assigned_names(part)}
    known = {name: value for name, value in values.items() if name in parameters - assigned | loops}
    return Place(
        file=file,
        tree=tree,
        function=function,
        owner=owner,
        trail=tuple(trail),
        statement=statement,
        following=tuple(body[at + 1 :]),
        values=known,
    )


def _is_stateful(loop: ast.stmt, body: list[ast.stmt], before: list[ast.stmt]) -> bool:
    """Whether a loop's rounds depend on each other: then one of them alone does not show the failure."""
    if not isinstance(loop, ast.For):
        return isinstance(loop, ast.While)
    outside = {name for part in before for name in assigned_names(part)}
    own = {name for part in ast.walk(loop) if isinstance(part, ast.Assign) for name in assigned_names(part)}
    own |= stored(loop.target)
    touched = {name for part in body if not is_assertion(part) for name in changed(part)}
    return bool(outside & touched - own)


def _inner(statement: ast.stmt, line: int) -> list[ast.stmt] | None:
    """The list of statements inside a block that the line is in; ``None``: the line is the statement's own."""
    if not isinstance(statement, _BLOCKS):
        return None
    for name in ("body", "orelse", "finalbody"):
        part: list[ast.stmt] = getattr(statement, name, [])
        if part and part[0].lineno <= line <= (part[-1].end_lineno or 0):
            return part
    for handler in getattr(statement, "handlers", []):
        if handler.body[0].lineno <= line <= handler.body[-1].end_lineno:
            return list(handler.body)
    return None
