"""Operators that change an expression. Each yields the ways in which one node can be made wrong, in a fixed order."""

# ruff: noqa: ARG001  (operators are called alike, whether they look at the function around or not)

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from srl_swe.tasks.synthesis.source_text import Edit, Function, SourceText

Edits = list[Edit]

_COMPARISONS: dict[type[ast.cmpop], tuple[bytes, tuple[bytes, ...]]] = {
    ast.Lt: (rb"<", (b"<=", b">")),
    ast.LtE: (rb"<=", (b"<", b">=")),
    ast.Gt: (rb">", (b">=", b"<")),
    ast.GtE: (rb">=", (b">", b"<=")),
    ast.Eq: (rb"==", (b"!=",)),
    ast.NotEq: (rb"!=", (b"==",)),
    ast.Is: (rb"is", (b"is not",)),
    ast.IsNot: (rb"is\s+not", (b"is",)),
    ast.In: (rb"in", (b"not in",)),
    ast.NotIn: (rb"not\s+in", (b"in",)),
}
_ARITHMETIC: dict[type[ast.operator], tuple[bytes, bytes]] = {
    ast.Add: (rb"\+", b"-"),
    ast.Sub: (rb"-", b"+"),
    ast.Mult: (rb"\*", b"/"),
    ast.Div: (rb"/", b"*"),
    ast.FloorDiv: (rb"//", b"/"),
    ast.Mod: (rb"%", b"//"),
    ast.Pow: (rb"\*\*", b"*"),
    ast.BitAnd: (rb"&", b"|"),
    ast.BitOr: (rb"\|", b"&"),
    ast.LShift: (rb"<<", b">>"),
    ast.RShift: (rb">>", b"<<"),
}
_TWINS = (
    ("min", "max"),
    ("any", "all"),
    ("startswith", "endswith"),
    ("append", "extend"),
    ("lower", "upper"),
    ("islower", "isupper"),
    ("isdigit", "isalpha"),
    ("isalnum", "isalpha"),
    ("lstrip", "rstrip"),
    ("find", "rfind"),
    ("index", "rindex"),
    ("split", "rsplit"),
    ("partition", "rpartition"),
    ("ljust", "rjust"),
    ("floor", "ceil"),
    ("keys", "values"),
    ("add", "discard"),
    ("union", "intersection"),
    ("appendleft", "append"),
    ("popleft", "pop"),
    ("match", "search"),
    ("isinstance", "issubclass"),
    ("sorted", "list"),
    ("reversed", "list"),
    ("setdefault", "get"),
    ("capitalize", "title"),
)
_ONE_WAY = {"list", "get", "title", "isalpha"}
"""Too common, or too easily noticed, to be swapped back."""
_WRAPPERS = {"str", "list", "tuple", "set", "sorted", "reversed", "abs", "int", "bool", "dict", "iter", "frozenset"}
_PLAIN_METHODS = {"strip", "lstrip", "rstrip", "lower", "upper", "copy", "casefold", "title", "items", "sort"}


def comparison(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """``<`` for ``<=``, ``==`` for ``!=``, ``in`` for ``not in`` …"""
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            token, others = _COMPARISONS[type(operator)]
            if place := text.between(left, right, token):
                yield from ([Edit(place.start, place.end, other)] for other in others)


def arithmetic(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """``+`` for ``-``, ``//`` for ``/`` …, in ``x += 1`` too; not where a string is made."""
    sides: tuple[ast.AST, ast.AST] | None = None
    if isinstance(node, ast.BinOp):
        sides = node.left, node.right
    elif isinstance(node, ast.AugAssign):
        sides = node.target, node.value
    if sides is None or type(node.op) not in _ARITHMETIC or any(_is_text(side) for side in sides):  # type: ignore[attr-defined]
        return
    token, other = _ARITHMETIC[type(node.op)]  # type: ignore[attr-defined]
    if place := text.between(*sides, token):
        yield [Edit(place.start, place.end, other)]


def constant(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """A number one higher or one lower."""
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    inner = node.operand if negative else node  # type: ignore[attr-defined]
    if not isinstance(inner, ast.Constant) or type(inner.value) is not int or not text.code(inner).isdigit():
        return
    value = -inner.value if negative else inner.value
    if abs(value) < 1_000_000:
        yield [Edit(text.start(node), text.end(node), str(value + 1).encode())]
        if value != 0:
            yield [Edit(text.start(node), text.end(node), str(value - 1).encode())]


def truth(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """``True`` for ``False``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield [Edit(text.start(node), text.end(node), str(not node.value).encode())]


def slice_bound(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """A slice that begins or ends one off, or that has lost a bound."""
    if not isinstance(node, ast.Slice):
        return
    for bound in (node.lower, node.upper):
        if bound is not None:
            if not isinstance(bound, (ast.Constant, ast.UnaryOp)):
                # As an operand a conditional needs its own parentheses.
                code = text.code(bound) if isinstance(bound, _TIGHT) else b"(" + text.code(bound) + b")"
                yield [Edit(text.start(bound), text.end(bound), code + b" + 1")]
                yield [Edit(text.start(bound), text.end(bound), code + b" - 1")]
            yield [Edit(*text.outer(bound, text.start(node) - 1, text.end(node) + 1), b"")]


def boundary(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """``range``, ``enumerate``, ``len`` and indices one off."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args and not node.keywords:
        name, last = node.func.id, node.args[-1]
        if isinstance(last, ast.Starred) or not isinstance(last, _TIGHT):
            return
        if name == "range" and not isinstance(last, ast.Constant):
            yield [Edit(text.end(last), text.end(last), b" - 1")]
            yield [Edit(text.end(last), text.end(last), b" + 1")]
        if name == "range" and len(node.args) == 1:
            yield [Edit(text.start(last), text.start(last), b"1, ")]
        if name == "enumerate" and len(node.args) == 1:
            yield [Edit(text.end(last), text.end(last), b", 1")]
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Name):
        yield [Edit(text.end(node.slice), text.end(node.slice), b" - 1")]
        yield [Edit(text.end(node.slice), text.end(node.slice), b" + 1")]


def condition(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """A condition turned round."""
    tests: list[ast.expr] = []
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        tests = [node.test]
    elif isinstance(node, ast.comprehension):
        tests = node.ifs
    for test in tests:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            yield [Edit(text.start(test), text.start(test.operand), b"" if _spaced(text, test) else b" ")]
        elif isinstance(test, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
            yield [Edit(text.start(test), text.start(test), b"not ")]
        elif isinstance(test, ast.BoolOp):
            yield [Edit(text.start(test), text.start(test), b"not ("), Edit(text.end(test), text.end(test), b")")]


def connective(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """``and`` for ``or``."""
    if isinstance(node, ast.BoolOp):
        token, other = (b"and", b"or") if isinstance(node.op, ast.And) else (b"or", b"and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            if place := text.between(left, right, token):
                yield [Edit(place.start, place.end, other)]


def dropped_condition(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """One of several conditions left out."""
    if not isinstance(node, ast.BoolOp):
        return
    spans = [text.outer(value, text.start(node) - 1, text.end(node) + 1) for value in node.values]
    for index, (start, _) in enumerate(spans):
        if index + 1 < len(spans):
            yield [Edit(start, spans[index + 1][0], b"")]
        else:
            yield [Edit(spans[index - 1][1], spans[index][1], b"")]


def swapped_arguments(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """Two neighbouring arguments, or elements of a pair that is returned, in the wrong order."""
    items: list[ast.expr] = []
    if isinstance(node, ast.Call):
        items = node.args
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        items = node.value.elts
    for left, right in pairwise(items):
        kinds = (ast.Starred, ast.GeneratorExp, ast.NamedExpr, ast.Yield, ast.Await)
        if not isinstance(left, kinds) and not isinstance(right, kinds) and text.code(left) != text.code(right):
            yield [
                Edit(text.start(left), text.end(left), text.code(right)),
                Edit(text.start(right), text.end(right), text.code(left)),
            ]


def dropped_argument(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """A keyword argument, or the last positional one, left out."""
    if not isinstance(node, ast.Call):
        return
    values: list[ast.AST] = [*node.args, *node.keywords]
    values.sort(key=text.start)
    opening = text.between(node.func, _At(text.end(node) - 1, text), rb"\(") if values else None
    low = opening.end if opening else text.end(node.func)
    for index, value in enumerate(values):
        if isinstance(value, ast.keyword):
            if value.arg is None:
                continue
        elif value is not node.args[-1] or len(node.args) < 2 or isinstance(value, ast.Starred):
            continue
        end = text.outer(value, low, text.end(node) - 1)[1]
        if index:
            yield [Edit(text.outer(values[index - 1], low, text.end(node) - 1)[1], end, b"")]
        elif len(values) > 1:
            yield [Edit(text.start(value), text.outer(values[1], low, text.end(node) - 1)[0], b"")]
        else:
            yield [Edit(text.start(value), end, b"")]


def wrong_name(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """Another parameter of the same function for a name in an argument, a comparison or a sum."""
    operands: list[ast.expr] = []
    if isinstance(node, ast.Call):
        operands = node.args
    elif isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
    elif isinstance(node, ast.BinOp):
        operands = [node.left, node.right]
    parameters = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
    for operand in operands:
        if isinstance(operand, ast.Name) and operand.id in parameters:
            others = [name for name in parameters if name != operand.id][:2]
            yield from ([Edit(text.start(operand), text.end(operand), name.encode())] for name in others)


def twin_call(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """A function or method that is easily mistaken for the right one."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, (ast.Name, ast.Attribute)):
        return
    name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
    end = text.end(node.func)
    for one, other in _TWINS:
        if name == one or (name == other and name not in _ONE_WAY):
            yield [Edit(end - len(name.encode()), end, (other if name == one else one).encode())]


def dropped_call(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """A conversion left out: ``str(x)`` becomes ``x``, ``x.strip()`` too."""
    if not isinstance(node, ast.Call) or node.keywords:
        return
    if isinstance(node.func, ast.Name) and node.func.id in _WRAPPERS and len(node.args) == 1:
        argument = node.args[0]
        if isinstance(argument, _TIGHT):
            yield [Edit(text.start(node), text.end(node), text.code(argument))]
    elif isinstance(node.func, ast.Attribute) and node.func.attr in _PLAIN_METHODS:
        yield [Edit(text.outer(node.func.value, text.start(node) - 1, text.end(node))[1], text.end(node), b"")]


def returned_value(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """``return`` of nothing, of the opposite, or of a parameter as it came."""
    if not isinstance(node, ast.Return) or node.value is None:
        return
    value = node.value
    if isinstance(value, ast.Constant) and value.value is None:
        return
    start, end = text.start(value), text.end(value)
    if isinstance(value, (ast.Compare, ast.BoolOp)):
        start, end = text.outer(value, text.start(node), text.end(node) + 1)
        yield [Edit(start, start, b"not ("), Edit(end, end, b")")]
    elif not isinstance(value, ast.Constant):
        yield [Edit(start, end, b"None")]
        parameters = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
        if parameters and not (isinstance(value, ast.Name) and value.id == parameters[0]):
            yield [Edit(start, end, parameters[0].encode())]


def chosen_value(text: SourceText, function: Function, node: ast.AST) -> Iterator[Edits]:
    """The two values of a conditional expression in the wrong order, or one of them always."""
    if isinstance(node, ast.IfExp):
        body, other = text.code(node.body), text.code(node.orelse)
        if body != other and isinstance(node.body, _TIGHT) and isinstance(node.orelse, _TIGHT):
            yield [
                Edit(text.start(node.body), text.end(node.body), other),
                Edit(text.start(node.orelse), text.end(node.orelse), body),
            ]
            yield [Edit(text.start(node), text.end(node), body)]
            yield [Edit(text.start(node), text.end(node), other)]


_TIGHT = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant, ast.List, ast.Dict, ast.Set, ast.ListComp)
"""What needs no parentheses wherever it is put."""


class _At(ast.AST):
    """A position in place of a node."""

    def __init__(self, position: int, text: SourceText) -> None:
        super().__init__()
        self.lineno, self.col_offset = text.place(position)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)))


def _spaced(text: SourceText, node: ast.AST) -> bool:
    return text.data[text.start(node) - 1 : text.start(node)] in (b" ", b"(", b"\t")
