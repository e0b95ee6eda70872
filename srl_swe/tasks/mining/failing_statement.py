"""Finds the statement at which a test failed, and the earlier statements that it needs."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_LONGEST_HELPER = 15
"""Lines; a longer function of the test file says more than it explains."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_BLOCKS = ast.With | ast.AsyncWith | ast.For | ast.AsyncFor | ast.If | ast.While | ast.Try


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a test failed."""

    tree: ast.Module
    function: _Function
    owner: ast.ClassDef | None
    blocks: tuple[ast.stmt, ...]
    """The blocks around the statement, outermost first."""
    statement: ast.stmt
    before: tuple[ast.stmt, ...]
    """What came before it, in its own block and in those around it."""
    following: tuple[ast.stmt, ...]
    """What comes after it in its own block."""
    values: Mapping[str, ast.expr] = field(default_factory=dict)
    """Names whose value the test did not choose itself (parameters, loop variables), as source."""

    def text(self, node: ast.AST) -> str:
        """A node's source, with the values in place of the names."""
        return ast.unparse(substitute(node, self.values))

    def needs(self, node: ast.AST) -> set[str]:
        """Names that its source reads."""
        return set(used(substitute(node, self.values)))


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
            return _place_in(tree, function, owner, line, values)
    return None


def _place_in(
    tree: ast.Module, function: _Function, owner: ast.ClassDef | None, line: int, values: Mapping[str, str]
) -> Place | None:
    blocks: list[ast.stmt] = []
    before: list[ast.stmt] = []
    body = function.body
    while True:
        at = next((n for n, part in enumerate(body) if part.lineno <= line <= (part.end_lineno or 0)), None)
        if at is None:
            return None
        before += body[:at]
        statement = body[at]
        inner = _inner(statement, line)
        if inner is None:
            break
        blocks.append(statement)
        body = inner
    free = {a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
    for block in blocks:
        if isinstance(block, ast.For):
            free |= {node.id for node in ast.walk(block.target) if isinstance(node, ast.Name)}
    assigned = {name for part in before for name in _assigned(part)}
    known = {name: ast.parse(text, mode="eval").body for name, text in values.items() if name in free - assigned}
    return Place(
        tree=tree,
        function=function,
        owner=owner,
        blocks=tuple(blocks),
        statement=statement,
        before=tuple(before),
        following=tuple(body[at + 1 :]),
        values=known,
    )


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


def setting(place: Place, nodes: Iterable[ast.AST]) -> tuple[str, ...]:
    """The statements that some nodes need: imports and helpers of the file, ``setUp``, what the test did before."""
    wanted = {name for node in nodes for name in place.needs(node)}
    steps: list[str] = []
    for part in reversed(place.before):
        if _is_assertion(part) or not (_assigned(part) | _changed(part)) & wanted:
            continue
        steps.insert(0, place.text(part))
        wanted |= place.needs(part)
    for block in reversed(place.blocks):
        header = _header(place, block, wanted)
        if header:
            steps.insert(0, header)
            wanted |= (
                {name for item in block.items for name in place.needs(item)} if isinstance(block, ast.With) else set()
            )
    above = [*_set_up(place, wanted), *steps]
    local = {name for part in place.before for name in _assigned(part)}
    return (*_module_level(place.tree, wanted - local), *above)


def used(node: ast.AST) -> list[str]:
    """Names that a node reads; ``self.x`` counts as one."""
    found: list[str] = []
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id in ("self", "cls"):
            found.append(f"self.{part.attr}")
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and part.id not in ("self", "cls"):
            found.append(part.id)
    return found


def _assigned(statement: ast.stmt) -> set[str]:
    """Names that a statement binds."""
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
            found.add(f"self.{node.attr}")
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
    if isinstance(statement, _Function | ast.ClassDef):
        return {statement.name}
    return found


def _changed(statement: ast.stmt) -> set[str]:
    """Names that a statement may change: what it calls methods of, hands to a call, or writes into."""
    if isinstance(statement, _Function | ast.ClassDef | ast.Import | ast.ImportFrom):
        return set()
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and isinstance(statement, ast.Expr | _BLOCKS):
            functions = {node.func.id} if isinstance(node.func, ast.Name) else set()
            found |= set(used(node)) - functions
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            found |= set(used(node.value))
    return found


def _header(place: Place, block: ast.stmt, wanted: set[str]) -> str:
    """The ``with`` of a block whose names are needed."""
    if isinstance(block, ast.With) and any(
        item.optional_vars is not None and _assigned_names(item.optional_vars) & wanted for item in block.items
    ):
        return place.text(block).partition("\n")[0] + "\n    …"
    return ""


def _assigned_names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _set_up(place: Place, wanted: set[str]) -> list[str]:
    """What ``setUp`` does for the names that are wanted, and methods that are called."""
    if place.owner is None:
        return []
    found: list[str] = []
    helpers: list[str] = []
    for part in place.owner.body:
        if isinstance(part, _Function) and part.name in ("setUp", "setup_method", "setUpClass", "setup_class"):
            for statement in reversed(part.body):
                if _assigned(statement) & wanted:
                    found.insert(0, ast.unparse(statement).replace("cls.", "self."))
                    wanted |= set(used(statement))
        elif isinstance(part, _Function) and f"self.{part.name}" in wanted and _is_short(part):
            helpers.append(ast.unparse(part))
            wanted |= set(used(part))
        elif isinstance(part, ast.Assign) and {f"self.{name}" for name in _assigned(part)} & wanted:
            found.insert(0, "self." + ast.unparse(part))
            wanted |= set(used(part))
    return [*helpers, *found]


def _module_level(tree: ast.Module, wanted: set[str]) -> list[str]:
    """Imports, short assignments and short helpers of the file that are needed, in its order."""
    kept: list[tuple[int, str]] = []
    seen: set[int] = set()
    while True:
        more = False
        for number, part in enumerate(tree.body):
            if number in seen or not _assigned(part) & wanted:
                continue
            seen.add(number)
            if isinstance(part, ast.Import | ast.ImportFrom):
                names = [a for a in part.names if (a.asname or a.name).partition(".")[0] in wanted]
                kept += [(number, text)] if (text := _import(part, names)) else []
            elif isinstance(part, ast.Assign | ast.AnnAssign) and len(ast.unparse(part)) < 300:
                kept.append((number, ast.unparse(part)))
            elif isinstance(part, _Function | ast.ClassDef) and _is_short(part):
                kept.append((number, _without_fixture(part)))
            else:
                continue
            wanted |= set(used(part))
            more = True
        if not more:
            return [text for _, text in sorted(kept)]


def _import(part: ast.Import | ast.ImportFrom, names: list[ast.alias]) -> str:
    module = getattr(part, "module", None) or ""
    if not names or module == "__future__" or module.partition(".")[0] in ("pytest", "unittest"):
        return ""
    if isinstance(part, ast.Import):
        names = [name for name in names if name.name not in ("pytest", "unittest")]
        return ast.unparse(ast.Import(names=names)) if names else ""
    return ast.unparse(ast.ImportFrom(module=part.module, names=names, level=part.level))


def _without_fixture(part: _Function | ast.ClassDef) -> str:
    copied = copy.deepcopy(part)
    copied.decorator_list = [d for d in copied.decorator_list if "fixture" not in ast.unparse(d)]
    return ast.unparse(copied)


def _is_short(part: ast.stmt) -> bool:
    return len(ast.unparse(part).splitlines()) <= _LONGEST_HELPER


def _is_assertion(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assert):
        return True
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        return _is_self(call.func.value) and call.func.attr.startswith(("assert", "fail"))
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


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
