"""A Python file as text and as syntax tree at once: where a node stands, what stands between two, edits of spans.

Positions are bytes of the file's UTF-8 form, as `ast` counts columns; an edit leaves all other bytes as they were.
"""

from __future__ import annotations

import ast
import re
import threading
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BETWEEN = re.compile(rb"(?:[\s()\\]|#[^\r\n]*)*")
_compiling = threading.Lock()

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Bytes ``start`` to ``end`` become ``text``."""

    start: int
    end: int
    text: bytes


class SourceText:
    """One file.

    Raises:
        SyntaxError: it is not Python of this interpreter, or nested too deeply.
    """

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        try:
            with _compiling, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.tree = ast.parse(text)
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error)) from None
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(self.data))]

    def start(self, node: ast.AST) -> int:
        """Where a node begins; decorators are not a part of it."""
        return self._starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined, no-any-return]

    def end(self, node: ast.AST) -> int:
        """Where it ends."""
        return self._starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined, no-any-return]

    def code(self, node: ast.AST) -> bytes:
        """Its own text."""
        return self.data[self.start(node) : self.end(node)]

    def place(self, position: int) -> tuple[int, int]:
        """Line, counted from 1, and column, counted from 0, of a position."""
        line = bisect_right(self._starts, position)
        return line, position - self._starts[line - 1]

    def line(self, number: int) -> bytes | None:
        """A line without its end; ``None`` beyond the last."""
        if not 1 <= number <= len(self._starts):
            return None
        following = self._starts[number] if number < len(self._starts) else len(self.data)
        return self.data[self._starts[number - 1] : following].rstrip(b"\r\n")

    def line_start(self, position: int) -> int:
        """Where the position's line begins."""
        return self._starts[bisect_right(self._starts, position) - 1]

    def next_line(self, position: int) -> int:
        """Where the line after the position's begins."""
        line = bisect_right(self._starts, position)
        return self._starts[line] if line < len(self._starts) else len(self.data)

    def between(self, left: ast.AST, right: ast.AST, token: bytes) -> Edit | None:
        """The place of an operator (a regular expression) between its operands, as an edit that changes nothing."""
        begin = self.end(left)
        skipped = _BETWEEN.match(self.data, begin, self.start(right))
        found = re.compile(token).match(self.data, skipped.end() if skipped else begin, self.start(right))
        return Edit(found.start(), found.end(), found.group()) if found else None

    def outer(self, node: ast.AST, low: int, high: int) -> tuple[int, int]:
        """The node's span with the parentheses around it, inside of ``low`` and ``high``."""
        start, end = self.start(node), self.end(node)
        while True:
            before, after = start, end
            while before > low and self.data[before - 1 : before].isspace():
                before -= 1
            while after < high and self.data[after : after + 1].isspace():
                after += 1
            if before <= low or after >= high:
                return start, end
            if self.data[before - 1 : before] != b"(" or self.data[after : after + 1] != b")":
                return start, end
            start, end = before - 1, after + 1

    def whole_lines(self, first: ast.AST, last: ast.AST) -> Edit | None:
        """Remove the lines of statements that share them with no others; ``None`` where they do."""
        start, end = self.line_start(self.start(first)), self.next_line(self.end(last))
        before = self.data[start : self.start(first)]
        after = self.data[self.end(last) : end].strip()
        return Edit(start, end, b"") if not before.strip() and (not after or after.startswith(b"#")) else None

    def edited(self, edits: Sequence[Edit]) -> str:
        """The text with edits that do not overlap."""
        data = self.data
        for edit in sorted(edits, reverse=True):
            data = data[: edit.start] + edit.text + data[edit.end :]
        return data.decode()

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Every function and method with its dotted name, but for those inside of functions."""
        waiting: list[tuple[str, ast.stmt]] = [("", node) for node in self.tree.body]
        while waiting:
            prefix, node = waiting.pop(0)
            if isinstance(node, Function):
                yield prefix + node.name, node
            elif isinstance(node, ast.ClassDef):
                waiting += [(f"{prefix}{node.name}.", child) for child in node.body]
            elif isinstance(node, (ast.If, ast.Try)):
                waiting += [(prefix, child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]

    def still_compiles(self, function: Function, edits: Sequence[Edit]) -> bool:
        """Whether an edited function compiles, taken alone: a whole file costs too much for each of its places."""
        start = self.line_start(min(self.start(node) for node in (function, *function.decorator_list)))
        end = self.next_line(self.end(function))
        inside = [Edit(edit.start - start, edit.end - start, edit.text) for edit in edits]
        data = self.data[start:end]
        for edit in sorted(inside, reverse=True):
            data = data[: edit.start] + edit.text + data[edit.end :]
        depth = data[:1].isspace()
        return compiles((b"class _:\n" if depth else b"") + data)


def compiles(code: str | bytes) -> bool:
    """Whether Python takes it; its warnings are nobody's here."""
    try:
        # The lock, because what is done to warnings is done to all threads.
        with _compiling, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "<mutant>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
