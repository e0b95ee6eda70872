"""The source of a parametrised test's arguments, where their values have none."""

from __future__ import annotations

import ast
from collections.abc import Mapping


def argument_sources(
    function: ast.FunctionDef | ast.AsyncFunctionDef, owner: ast.ClassDef | None, indices: Mapping[str, int]
) -> dict[str, ast.expr]:
    """What stands in ``pytest.mark.parametrize`` for one case.

    Args:
        function: The test.
        owner: Its class, which may be parametrised too.
        indices: Of each parameter: which of the values that are listed the case has.
    """
    found: dict[str, ast.expr] = {}
    for decorator in [*function.decorator_list, *(owner.decorator_list if owner is not None else [])]:
        if not isinstance(decorator, ast.Call) or not ast.unparse(decorator.func).endswith("mark.parametrize"):
            continue
        if len(decorator.args) < 2 or not isinstance(decorator.args[1], ast.List | ast.Tuple):
            continue
        names = _names(decorator.args[0])
        cases = decorator.args[1].elts
        index = next((indices[name] for name in names if name in indices), -1)
        if not 0 <= index < len(cases):
            continue
        found |= dict(zip(names, _values(cases[index], len(names)), strict=False))
    return found


def _names(node: ast.expr) -> list[str]:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return []
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else list(value)


def _values(case: ast.expr, count: int) -> list[ast.expr]:
    if isinstance(case, ast.Call) and ast.unparse(case.func).endswith("param"):
        return case.args
    if count == 1:
        return [case]
    return case.elts if isinstance(case, ast.Tuple | ast.List) else []
