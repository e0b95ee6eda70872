"""How a test fails, told by its own statements: what was called, what came of it, and what was expected.

The probe says at which line a test failed and with what values; here the test's source says what stands at that line,
and which earlier statements it needs.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from srl_swe.tasks.mining.failing_statement import Place, find_place, plain_literal
from srl_swe.tasks.mining.names import assigned, is_assertion, is_text
from srl_swe.tasks.mining.setting import setting

Kind = Literal["equal", "truth", "compare", "raises", "crash", "warns", "check"]

_UNITTEST_PAIRS = {
    "assertEqual": "==", "assertEquals": "==", "assertListEqual": "==", "assertDictEqual": "==",
    "assertTupleEqual": "==", "assertSetEqual": "==", "assertMultiLineEqual": "==",
    "assertSequenceEqual": "==", "assertCountEqual": "==",
    "assertIs": "is", "assertIsNot": "is not", "assertNotEqual": "!=", "assertIn": "in", "assertNotIn": "not in",
    "assertGreater": ">", "assertLess": "<", "assertGreaterEqual": ">=", "assertLessEqual": "<=",
}  # fmt: skip
_LONGEST_BLOCK = 12
_RAISES = {"raises", "assertRaises", "assertRaisesRegex", "assertRaisesRegexp"}
_WARNS = {"warns", "assertWarns", "assertWarnsRegex", "deprecated_call"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """How one test fails before the fix."""

    kind: Kind
    """What was expected of the subject: a value, to be true, another relation, an exception, no exception …"""
    subject: str = ""
    """The expression or statement that does not do what it should."""
    operator: str = ""
    """Of a comparison."""
    expected: str = ""
    """Source of what was expected: a value, an exception …; empty where nothing says."""
    actual: str = ""
    """What came instead, as `repr` shows it."""
    exception: str = ""
    """The exception's class, where one was raised that should not have been."""
    message: str = ""
    """Its message, or the assertion's."""
    steps: tuple[str, ...] = ()
    """Statements that the subject needs, in order; each may have several lines."""
    rest: tuple[str, ...] = ()
    """Assertions of the test that come after, and that nobody has seen fail or pass."""


def describe(seen: Mapping[str, Any], sources: Mapping[str, str]) -> Failure | None:
    """Say how a test fails.

    Args:
        seen: What the probe saw (see `failure_probe`).
        sources: The test files' texts.

    Returns:
        ``None`` where nothing certain can be said.
    """
    place = find_place(seen, sources)
    if place is None:
        return None
    failure = _classify(place, seen)
    if failure is None:
        return None
    kind, nodes, fields = failure
    # A name alone, of something that was there before: what was done to it may stand anywhere.
    wanted = {name for node in nodes for name in place.needs(node)}
    made = [part for part in place.before if assigned(part) & wanted]
    whole = not any(isinstance(n, ast.Call) for node in [*nodes, *made] for n in ast.walk(node))
    return Failure(kind=kind, steps=setting(place, nodes, whole=whole), rest=_rest(place), **fields)


_Found = tuple[Kind, list[ast.AST], dict[str, str]]


def _classify(place: Place, seen: Mapping[str, Any]) -> _Found | None:
    exception, message = str(seen["exception"]), str(seen["message"])
    statement = place.statement
    if isinstance(statement, ast.With):
        return _in_context(place, statement, exception, message)
    context = next((block for block in reversed(place.blocks) if isinstance(block, ast.With)), None)
    if context is not None and _context_of(context) is not None:
        found = _in_context(place, context, exception, message)
        if found is not None:
            return found
    if exception not in ("AssertionError", "Failed"):
        return _crash(place, statement, exception, message)
    if isinstance(statement, ast.Assert):
        return _judge(place, statement.test, seen, message)
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        found = _unittest(place, statement.value, seen, message)
        if found is not None:
            return found
    # The condition of what failed is in the block around it.
    blocks = [block for block in place.blocks if isinstance(block, ast.If | ast.Try)]
    whole = next((block for block in blocks if place.text(block).count("\n") < _LONGEST_BLOCK), statement)
    sides = [str(seen.get(side, "")) for side in ("left", "right")]
    if exception == "AssertionError" and all(sides) and not any(" at 0x" in side for side in sides):
        # Said by unittest within a helper, and shortened there.
        message = " != ".join(sides)
    return "check", [whole], {"subject": place.text(whole), "message": message}


def _judge(place: Place, test: ast.expr, seen: Mapping[str, Any], message: str) -> _Found:
    """An ``assert`` whose condition did not hold."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and "left" in seen:
        operator = _OPERATORS[type(test.ops[0])]
        return _pair(place, test.left, operator, test.comparators[0], seen)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return "truth", [test.operand], {"subject": place.text(test.operand), "expected": "False"}
    if isinstance(test, ast.Call | ast.Name | ast.Attribute | ast.Subscript):
        return "truth", [test], {"subject": place.text(test), "expected": "True"}
    return "check", [test], {"subject": f"assert {place.text(test)}", "message": _own_words(message)}


def _unittest(place: Place, call: ast.Call, seen: Mapping[str, Any], message: str) -> _Found | None:
    name = _called(call)
    arguments = call.args
    if name in _UNITTEST_PAIRS and len(arguments) >= 2:
        return _pair(place, arguments[0], _UNITTEST_PAIRS[name], arguments[1], seen)
    if name in ("assertTrue", "assert_", "assertFalse") and arguments:
        expected = "False" if name == "assertFalse" else "True"
        return "truth", [arguments[0]], {"subject": place.text(arguments[0]), "expected": expected}
    if name in ("assertIsNone", "assertIsNotNone") and arguments:
        operator = "is" if name == "assertIsNone" else "is not"
        fields = {"subject": place.text(arguments[0]), "operator": operator, "expected": "None"}
        fields["actual"] = message.rpartition(" is not None")[0] if operator == "is" else "None"
        return ("equal" if operator == "is" else "compare"), [arguments[0]], fields
    if name in _RAISES | _WARNS and len(arguments) >= 2:
        body = ast.Call(func=arguments[1], args=arguments[2:], keywords=call.keywords)
        kind: Kind = "raises" if name in _RAISES else "warns"
        return kind, [body], {"subject": place.text(body), "expected": place.text(arguments[0])}
    return None


def _pair(place: Place, left: ast.expr, operator: str, right: ast.expr, seen: Mapping[str, Any]) -> _Found:
    """A comparison that did not hold: which side is what the code did, and which what was expected?"""
    sides = {"actual": str(seen.get("left", "")), "other": str(seen.get("right", ""))}
    if operator in ("in", "not in") or (operator in ("==", "is", "!=") and _is_swapped(place, left, right)):
        left, right = right, left
        sides = {"actual": sides["other"], "other": sides["actual"]}
    expected = place.text(right)
    known = sides["other"]
    # What the value is says more than what it is called.
    if not plain_literal(right) and known and len(known) < 1500 and " at 0x" not in known and "…" not in known:
        expected = known
    kind: Kind = "equal" if operator in ("==", "is") else "compare"
    fields = {"subject": place.text(left), "operator": operator, "expected": expected, "actual": sides["actual"]}
    return kind, [left, *([] if expected == known else [right])], fields


def _in_context(place: Place, block: ast.With, exception: str, message: str) -> _Found | None:
    """A ``with`` that expects an exception or a warning."""
    context = _context_of(block)
    if context is None:
        return _crash(place, block, exception, message)
    kind, expected = context
    body = block.body[-1] if block.body else block
    text = "\n".join(place.text(part) for part in block.body)
    fields = {"subject": text, "expected": place.text(expected) if expected is not None else ""}
    missed = exception in ("AssertionError", "Failed") and (
        "DID NOT" in message or "not raised" in message or "not triggered" in message
    )
    if not missed:
        if kind == "warns" and exception in ("AssertionError", "Failed"):
            return None
        if exception == "AssertionError" and "match" not in message and "Regex" not in message:
            return None
        fields |= {"exception": exception, "message": message}
    del body
    return kind, list(block.body), fields


def _crash(place: Place, statement: ast.stmt, exception: str, message: str) -> _Found:
    """An exception that nobody expected."""
    expected, subject = "", place.text(statement)
    node: ast.AST = statement
    pair: tuple[ast.expr, str, ast.expr] | None = None
    if isinstance(statement, ast.Assert) and isinstance(statement.test, ast.Compare) and len(statement.test.ops) == 1:
        pair = (statement.test.left, _OPERATORS[type(statement.test.ops[0])], statement.test.comparators[0])
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        name = _called(statement.value)
        if name in _UNITTEST_PAIRS and len(statement.value.args) >= 2:
            pair = (statement.value.args[0], _UNITTEST_PAIRS[name], statement.value.args[1])
        elif name in ("assertTrue", "assertFalse") and statement.value.args:
            node, expected = statement.value.args[0], "True" if name == "assertTrue" else "False"
            subject = place.text(node)
    elif isinstance(statement, ast.With):
        subject = place.text(statement).partition("\n")[0] + "\n    …"
        node = ast.Tuple(elts=[item.context_expr for item in statement.items], ctx=ast.Load())
    nodes: list[ast.AST] = [node]
    if pair is not None and pair[1] in ("==", "is"):
        left, _, right = pair
        if _is_swapped(place, left, right):
            left, right = right, left
        right = _meaning(place, right)
        subject, expected, nodes = place.text(left), place.text(right), [left, right]
    elif isinstance(statement, ast.Assert):
        subject, nodes = place.text(statement.test), [statement.test]
    fields = {"subject": subject, "expected": expected, "exception": exception, "message": message}
    return "crash", nodes, fields


def _context_of(block: ast.With) -> tuple[Kind, ast.expr | None] | None:
    for item in block.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and _called(call) in _RAISES | _WARNS:
            return ("raises" if _called(call) in _RAISES else "warns"), call.args[0] if call.args else None
    return None


def _rest(place: Place) -> tuple[str, ...]:
    """What the test asserts right after the failure, before it does anything else."""
    return tuple(place.text(part) for part in itertools.takewhile(is_assertion, place.following) if not is_text(part))


def _called(call: ast.Call) -> str:
    """The last name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_swapped(place: Place, left: ast.expr, right: ast.expr) -> bool:
    """Whether the left side is what was expected."""
    return _is_expectation(place, left) and not _is_expectation(place, right)


def _is_expectation(place: Place, node: ast.expr) -> bool:
    """Whether a side of a comparison calls nothing of the code under test: a value, or a name that stands for one."""
    if isinstance(node, ast.Name):
        values = [part.value for part in place.before if isinstance(part, ast.Assign) and node.id in assigned(part)]
        is_named_so = node.id.lower().startswith(("expect", "correct", "want", "answer"))
        return is_named_so or node.id in place.values or (bool(values) and all(map(plain_literal, values)))
    return not any(isinstance(part, ast.Call | ast.Attribute | ast.Subscript) for part in ast.walk(node))


def _meaning(place: Place, node: ast.expr) -> ast.expr:
    """What a name was assigned, where that was once."""
    if not isinstance(node, ast.Name):
        return node
    made = [part for part in place.before if node.id in assigned(part)]
    return made[0].value if len(made) == 1 and isinstance(made[0], ast.Assign) else node


def _own_words(message: str) -> str:
    """An assertion's message without pytest's explanation of the condition."""
    return "" if message.startswith("assert ") else message.partition("\nassert ")[0].strip()


_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Is: "is",
    ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
