"""The issue's own example as a command, where it can be run: what a careful engineer tries before a change."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from srl_swe.sandbox.protocol import Sandbox

_BLOCK = re.compile(r"^```(?:python|py|pycon)?[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_UNFIT = re.compile(r"\b(NameError|SyntaxError|IndentationError|ImportError|ModuleNotFoundError|FileNotFoundError)\b")
_MOST_LINES = 12
_TIMEOUT_S = 20.0


def reproduction(problem: str, texts: Mapping[str, str], sandbox: Sandbox) -> str | None:
    """A command that runs an example of the problem statement; ``None`` where there is none that runs by itself.

    Args:
        problem: The problem statement.
        texts: Sources in which names of the example may be defined.
        sandbox: To try it in; examples change nothing but what they make themselves.
    """
    for match in _BLOCK.finditer(problem):
        script = example_script(match[1], texts)
        if script is None:
            continue
        command = f"python - <<'EOF'\n{script}\nEOF"
        tried = sandbox.run(command, timeout_s=_TIMEOUT_S)
        clean = not sandbox.run("git status --short").output.strip()
        if clean and tried.output.strip() and not tried.timed_out and not _UNFIT.search(tried.output):
            return command
    return None


def example_script(block: str, texts: Mapping[str, str]) -> str | None:
    """An example as a script that imports what it uses and prints what it shows; ``None``: it is no Python."""
    code = "\n".join(line[4:] for line in block.splitlines() if line.startswith((">>> ", "... "))) or block
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return None
    lines = [_printed(statement) for statement in tree.body]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {alias.asname or alias.name for node in tree.body for alias in getattr(node, "names", [])}
    homes = {name: module for path, text in texts.items() for name, module in _defined(path, text)}
    imports: dict[str, list[str]] = {}
    for name in sorted(used - bound - set(dir(builtins))):
        if name not in homes:
            return None
        imports.setdefault(homes[name], []).append(name)
    head = [f"from {module} import {', '.join(names)}" for module, names in imports.items()]
    script = "\n".join([*head, *lines])
    return script if lines and "print(" in script and len(script.splitlines()) <= _MOST_LINES else None


def _printed(statement: ast.stmt) -> str:
    source = ast.unparse(statement)
    if isinstance(statement, ast.Expr) and not source.startswith("print("):
        return f"print(repr({source}))"
    return source


def _defined(path: str, text: str) -> list[tuple[str, str]]:
    """(name, module) of what a source file defines at its top."""
    file = PurePosixPath(path)
    if file.suffix != ".py" or "test" in file.stem:
        return []
    parts = [part for part in file.with_suffix("").parts if part not in ("src", "__init__")]
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [(node.name, ".".join(parts)) for node in tree.body if isinstance(node, kinds)]
