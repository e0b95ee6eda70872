"""The mutations that a source has room for, and how one is made again from its operator and place.

A mutation is stored without the code around it: operator, line, column and which of the operator's ways; short hashes
of what the lines read before and after make sure that another release, or another form of the operator, is noticed.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise

from srl_swe.records import Mutation
from srl_swe.tasks.synthesis import expressions, statements
from srl_swe.tasks.synthesis.source_text import Edit, Function, SourceText

Operator = Callable[[SourceText, Function, ast.AST], Iterator[list[Edit]]]

OPERATORS: dict[str, Operator] = {
    "arithmetic": expressions.arithmetic,
    "boundary": expressions.boundary,
    "caught_exception": statements.caught_exception,
    "chosen_value": expressions.chosen_value,
    "comparison": expressions.comparison,
    "condition": expressions.condition,
    "connective": expressions.connective,
    "constant": expressions.constant,
    "default_value": statements.default_value,
    "dropped_argument": expressions.dropped_argument,
    "dropped_call": expressions.dropped_call,
    "dropped_condition": expressions.dropped_condition,
    "loop_exit": statements.loop_exit,
    "removed_branch": statements.removed_branch,
    "removed_statement": statements.removed_statement,
    "returned_value": expressions.returned_value,
    "slice_bound": expressions.slice_bound,
    "swapped_arguments": expressions.swapped_arguments,
    "truth": expressions.truth,
    "twin_call": expressions.twin_call,
    "wrong_name": expressions.wrong_name,
    "wrong_target": statements.wrong_target,
}
"""By name, as tasks declare them. A name keeps its meaning for ever: tasks are re-made by it."""

_LARGEST_REMOVED = 1500
_HASH_CHARS = 12


class MutationError(ValueError):
    """A mutation cannot be made in a source: ``field`` says which part of its declaration is wrong."""

    def __init__(self, field: str, problem: str, index: int = 0) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem, self.index = field, problem, index


def sites(source: str, *, path: str = "", lines: Collection[int] | None = None) -> dict[str, list[Mutation]]:
    """Every mutation that a source has room for, by the function it is in (dotted name); only code that compiles.

    Args:
        source: Text of a Python file; one that this Python cannot read has none.
        path: The file's path, for the mutations.
        lines: Only mutations whose first changed line is one of these; ``None``: all.
    """
    try:
        text = SourceText(source)
    except SyntaxError:
        return {}
    found: dict[str, list[Mutation]] = {}
    seen: set[tuple[str, int, str]] = set()
    for name, function in text.functions():
        for operator, edits, variant in _candidates(text, function):
            line, column = text.place(edits[0].start)
            wanted = lines is None or line in lines
            if not wanted or not _changes(text, edits) or not text.still_compiles(function, edits):
                continue
            before, after = _hashes(text, edits)
            # Two ways to the same code are one mutant.
            if (name, line, after) not in seen:
                seen.add((name, line, after))
                found.setdefault(name, []).append(
                    Mutation(
                        path=path,
                        operator=operator,
                        line=line,
                        column=column,
                        variant=variant,
                        before=before,
                        after=after,
                    )
                )
    return found


def apply(source: str, mutations: Mutation | Sequence[Mutation]) -> str:
    """Make mutations of one file in its original text; everything outside of them stays as it was.

    Raises:
        MutationError: one cannot be made there, or two of them touch.
    """
    chosen = [mutations] if isinstance(mutations, Mutation) else list(mutations)
    try:
        text = SourceText(source)
    except SyntaxError as error:
        raise MutationError("path", f"expected a Python file, this one cannot be read: {error}") from None
    edits: list[Edit] = []
    for index, mutation in enumerate(chosen):
        edits += _find(text, mutation, index)
    ordered = sorted(edits)
    for one, other in pairwise(ordered):
        if other.start < one.end or (other.start == one.start and len(chosen) > 1):
            raise MutationError("line", "expected mutations that do not touch each other", len(chosen) - 1)
    return text.edited(edits)


def _find(text: SourceText, mutation: Mutation, index: int) -> list[Edit]:
    """The edits of a declared mutation."""
    if mutation.operator not in OPERATORS:
        raise MutationError("operator", f"expected one of {', '.join(OPERATORS)}, got {mutation.operator!r}", index)
    line = text.line(mutation.line)
    if line is None:
        raise MutationError("line", f"expected a line of {mutation.path}, it has no line {mutation.line}", index)
    found = _hash(line)
    if mutation.before != found:
        problem = (
            f"expected line {mutation.line} of {mutation.path} to have the hash {mutation.before!r}, got {found!r}"
        )
        raise MutationError("before", f"{problem} (is it another release?)", index)
    place = (mutation.line, mutation.column)
    for _, function in text.functions():
        for operator, edits, variant in _candidates(text, function, only=mutation.operator):
            if (operator, *text.place(edits[0].start), variant) == (mutation.operator, *place, mutation.variant):
                result = _hashes(text, edits)[1]
                if result != mutation.after:
                    problem = f"expected the mutated lines to have the hash {mutation.after!r}, got {result!r}"
                    raise MutationError("after", problem, index)
                return edits
    where = f"line {mutation.line}, column {mutation.column} of {mutation.path}"
    raise MutationError("variant", f"{mutation.operator!r} has no variant {mutation.variant} at {where}", index)


def _candidates(text: SourceText, function: Function, *, only: str = "") -> Iterator[tuple[str, list[Edit], int]]:
    """(operator, edits, variant): the variants at one place are counted in the order in which they come."""
    seen: dict[tuple[str, int], int] = {}
    chosen = {only: OPERATORS[only]} if only else OPERATORS
    for node in _nodes(function):
        for name, operator in chosen.items():
            for edits in operator(text, function, node):
                ordered = sorted(edits)
                key = (name, ordered[0].start)
                seen[key] = seen.get(key, -1) + 1
                yield name, ordered, seen[key]


def _nodes(function: Function) -> Iterator[ast.AST]:
    """The function's nodes, but for annotations, decorators, assertions and the insides of f-strings.

    Inside of f-strings, Python before 3.12 does not know where a node is.
    """
    waiting: list[ast.AST] = [function]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, (ast.JoinedStr, ast.Assert)):
            continue
        yield node
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "type_comment", "type_params"):
                continue
            children = value if isinstance(value, list) else [value]
            waiting += [child for child in children if isinstance(child, ast.AST)]


def _changes(text: SourceText, edits: Sequence[Edit]) -> bool:
    removed = sum(edit.end - edit.start for edit in edits)
    return removed < _LARGEST_REMOVED and any(text.data[edit.start : edit.end] != edit.text for edit in edits)


def _hashes(text: SourceText, edits: Sequence[Edit]) -> tuple[str, str]:
    """Of the first changed line before, and of all that the changed lines have become."""
    start = text.line_start(edits[0].start)
    end = text.next_line(edits[-1].end)
    data = text.data[start:end]
    for edit in sorted(edits, reverse=True):
        data = data[: edit.start - start] + edit.text + data[edit.end - start :]
    return _hash(text.line(text.place(start)[0]) or b""), _hash(data.rstrip(b"\r\n"))


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_HASH_CHARS]
