"""The statements that a failing statement needs, so that the reader can run what fails."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable

from srl_swe.tasks.mining.failing_statement import Place
from srl_swe.tasks.mining.names import assigned, changed, free, is_assertion, is_text, stored

_LONGEST_HELPER = 15
"""Lines; a longer function of the test file says more than it explains."""
_LONGEST_TEST = 25
"""Lines of a test that may be shown whole."""
_SET_UP = ("setUp", "setup_method", "setUpClass", "setup_class", "setup")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def setting(place: Place, nodes: Iterable[ast.AST], *, whole: bool = False) -> tuple[str, ...]:
    """Imports and helpers of the file, ``setUp``, and what the test did before, as far as some nodes need them.

    Args:
        place: Where the test failed.
        nodes: What the reader is shown.
        whole: All that the test did before, where that is not too long: what is shown does not say what it needs.
    """
    wanted = {name for node in nodes for name in place.needs(node)}
    lines = sum(place.text(part).count("\n") + 1 for part in place.before)
    whole = whole and lines <= _LONGEST_TEST
    steps: list[str] = []
    for part, is_around in reversed(place.trail):
        text = _header(place, part, wanted) if is_around else ""
        if not is_around and not is_assertion(part) and (whole or (assigned(part) | changed(part)) & wanted):
            text = place.text(part)
        if text:
            steps.insert(0, text)
            if isinstance(part, ast.Assign) and all(isinstance(target, ast.Name) for target in part.targets):
                wanted -= assigned(part)  # what the name was before does not matter
            wanted |= place.needs(part)
    above = [*_set_up(place, wanted), *steps]
    local = {name for part in place.before for name in assigned(part)}
    return (*_module_level(place, wanted - local), *above)


def _header(place: Place, block: ast.stmt, wanted: set[str]) -> str:
    """What a block binds for those inside it: a ``with``'s object, or the exception that a ``try`` caught."""
    if isinstance(block, ast.With):
        names = {name for item in block.items if item.optional_vars for name in stored(item.optional_vars)}
        return place.text(block).partition("\n")[0] + "\n    …" if names & wanted else ""
    if isinstance(block, ast.Try) and {handler.name for handler in block.handlers} & wanted:
        text = place.text(ast.Module(body=block.body, type_ignores=[])).replace("\n", "\n    ")
        caught = next(handler for handler in block.handlers if handler.name in wanted)
        kind = place.text(caught.type) if caught.type is not None else "Exception"
        return f"try:\n    {text}\nexcept {kind} as {caught.name}:\n    …"
    return ""


def _set_up(place: Place, wanted: set[str]) -> list[str]:
    """What ``setUp`` does for the names that are wanted, and methods that are called."""
    if place.owner is None:
        return []
    found: list[str] = []
    helpers: list[str] = []
    for part in place.owner.body:
        if isinstance(part, _Function) and part.name in _SET_UP:
            for statement in reversed(part.body):
                if assigned(statement) & wanted:
                    found.insert(0, ast.unparse(statement).replace("cls.", "self."))
                    wanted |= free(statement)
        elif isinstance(part, _Function) and f"self.{part.name}" in wanted and _is_short(part):
            helpers.append(ast.unparse(_without_docstring(part)))
            wanted |= free(part)
        elif isinstance(part, ast.Assign) and {f"self.{name}" for name in assigned(part)} & wanted:
            found.insert(0, "self." + ast.unparse(part))
            wanted |= free(part)
    return [*helpers, *found]


def _module_level(place: Place, wanted: set[str]) -> list[str]:
    """Imports, short assignments and short helpers of the file that are needed, in its order."""
    kept: dict[int, ast.stmt] = {}
    while True:
        more = {
            number: part
            for number, part in enumerate(place.tree.body)
            if number not in kept and assigned(part) & wanted and _is_shown(part)
        }
        if not more:
            break
        kept |= more
        wanted |= {name for part in more.values() for name in free(part)}
    texts = [_top_level(place.file, kept[number], wanted) for number in sorted(kept)]
    return [text for text in texts if text]


def _is_shown(part: ast.stmt) -> bool:
    if isinstance(part, ast.Assign | ast.AnnAssign):
        return len(ast.unparse(part)) < 300
    return isinstance(part, ast.Import | ast.ImportFrom) or (
        isinstance(part, _Function | ast.ClassDef) and _is_short(part)
    )


def _top_level(file: str, part: ast.stmt, wanted: set[str]) -> str:
    if isinstance(part, ast.Import | ast.ImportFrom):
        return _import(file, part, [a for a in part.names if (a.asname or a.name).partition(".")[0] in wanted])
    if isinstance(part, _Function) and any("fixture" in ast.unparse(decorator) for decorator in part.decorator_list):
        return _fixture(_without_docstring(part))
    return ast.unparse(_without_docstring(part))


def _import(file: str, part: ast.Import | ast.ImportFrom, names: list[ast.alias]) -> str:
    module = getattr(part, "module", None) or ""
    if not names or module == "__future__" or module.partition(".")[0] in ("pytest", "unittest"):
        return ""
    if isinstance(part, ast.Import):
        names = [name for name in names if name.name not in ("pytest", "unittest")]
        return ast.unparse(ast.Import(names=names)) if names else ""
    if part.level:
        # Relative to the test's own package, which the reader's code is not in.
        folders = file.removeprefix("src/").split("/")[: -part.level]
        module = ".".join([*folders, *([module] if module else [])])
    return ast.unparse(ast.ImportFrom(module=module, names=names, level=0)) if module else ""


def _fixture(part: ast.stmt) -> str:
    """A fixture as the statements that make its value."""
    assert isinstance(part, _Function)
    last = part.body[-1]
    value = last.value if isinstance(last, ast.Return | ast.Expr) else None
    value = value.value if isinstance(value, ast.Yield) else value
    if value is None:
        return ast.unparse(part)
    return "\n".join([*(ast.unparse(step) for step in part.body[:-1]), f"{part.name} = {ast.unparse(value)}"])


def _without_docstring(part: ast.stmt) -> ast.stmt:
    copied = copy.deepcopy(part)
    if isinstance(copied, _Function | ast.ClassDef) and len(copied.body) > 1 and is_text(copied.body[0]):
        del copied.body[0]
    return copied


def _is_short(part: ast.stmt) -> bool:
    return len(ast.unparse(part).splitlines()) <= _LONGEST_HELPER
