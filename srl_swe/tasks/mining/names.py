"""Which names a statement of a test reads, binds and may change."""

from __future__ import annotations

import ast

_BLOCKS = ast.With | ast.AsyncWith | ast.For | ast.AsyncFor | ast.If | ast.While | ast.Try
_SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def used(node: ast.AST) -> set[str]:
    """Names that a node reads; ``self.x`` counts as one."""
    found: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and is_self(part.value):
            found.add(f"self.{part.attr}")
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and not is_self(part):
            found.add(part.id)
    return found


def free(node: ast.AST) -> set[str]:
    """Names that a node reads and does not bind itself, as ``with`` and ``for`` and parameters do."""
    own: set[str] = set()
    methods = {id(part) for kind in ast.walk(node) if isinstance(kind, ast.ClassDef) for part in kind.body}
    for part in ast.walk(node):
        if isinstance(part, ast.withitem) and part.optional_vars is not None:
            own |= stored(part.optional_vars)
        elif isinstance(part, ast.For | ast.AsyncFor | ast.comprehension):
            own |= stored(part.target)
        elif isinstance(part, ast.ExceptHandler) and part.name:
            own.add(part.name)
        elif isinstance(part, _SCOPES):
            arguments = part.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            own |= {argument.arg for argument in every if argument is not None}
            if not isinstance(part, ast.Lambda):
                own |= {name for statement in part.body for name in stored(statement)}
                own |= {part.name} if id(part) not in methods else set()
    return used(node) - own


def stored(node: ast.AST) -> set[str]:
    """Names that are written anywhere in a node."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def assigned(statement: ast.stmt) -> set[str]:
    """Names that a statement binds for those after it."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    found = stored(statement)
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            found.add(f"self.{node.attr}")
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
    return found


def changed(statement: ast.stmt) -> set[str]:
    """Names that a statement may change: what it calls methods of, hands to a call, or writes into."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return set()
    found: set[str] = set()
    if isinstance(statement, ast.Expr) and not is_text(statement):
        found |= used(statement)  # reading may change too: a cache counts it
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and isinstance(statement, _BLOCKS):
            functions = {node.func.id} if isinstance(node.func, ast.Name) else set()
            found |= used(node) - functions
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found |= {name for name in used(node.func.value) if name.islower()}
        if isinstance(node, ast.AugAssign):
            found |= stored(node.target)
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            found |= used(node.value)
    return found


def is_self(node: ast.AST) -> bool:
    """Whether a node is the test's own ``self``, or its class."""
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def is_assertion(statement: ast.stmt) -> bool:
    """Whether a statement only checks, or says, something."""
    if isinstance(statement, ast.Assert):
        return True
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        return is_self(call.func.value) and call.func.attr.startswith(("assert", "fail"))
    return is_text(statement)


def is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring, or a constant that stands alone."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
