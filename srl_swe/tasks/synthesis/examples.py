"""A failing test's statement as something that a user could have typed: code, what it gives, what was expected."""

from __future__ import annotations

import ast
import re
from typing import Any

from srl_swe.tasks.synthesis.failing_test import Example, FailingTest, method, unittest_call

_LONGEST_VALUE = 700
_EQUALITIES = {"assertEqual", "assertEquals", "assertIs", "assertListEqual", "assertDictEqual", "assertTupleEqual"}
_WORDS = {
    "assertIn": "in",
    "assertNotIn": "not in",
    "assertNotEqual": "!=",
    "assertIsNot": "is not",
    "assertLess": "<",
    "assertLessEqual": "<=",
    "assertGreater": ">",
    "assertGreaterEqual": ">=",
}
_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")


def example(evidence: dict[str, Any], text: str) -> Example | None:
    """Make an example of what `mutant_runs.evidence` found in a test file of this text; ``None`` where it cannot be."""
    test = FailingTest(text, evidence)
    if test.statement is None or test.function is None:
        return None
    error, message = evidence["error"], evidence["message"]
    if error == "Failed" and "DID NOT RAISE" in message:
        if not isinstance(test.statement, ast.With):
            return None
        named = re.findall(r"DID NOT RAISE <class '([\w.]+)'>", message)
        return test.made("no_error", test.statement.body, expected=named[0].rpartition(".")[2] if named else "")
    if error == "AssertionError" and evidence["in_test"]:
        return _of_assertion(test, evidence)
    if error in ("Failed", "AssertionError"):
        return None
    got = f"{error}: {message.strip().splitlines()[0]}" if message.strip() else error
    call = unittest_call(test.statement)
    if call is not None and method(call) == "assertRaises" and len(call.args) > 1:
        made = ast.fix_missing_locations(ast.Call(call.args[1], call.args[2:], call.keywords))
        awaited = test.source(call.args[0])
        return test.made("error", [made], code=ast.unparse(made), got=got[:300], expected=awaited)
    if awaited := test.awaited():
        return test.made("error", [test.statement], got=got[:300], expected=awaited)
    shown, _, expected = _actual(test, evidence)
    return test.made("error", [shown], got=got[:300], expected=expected)


def _of_assertion(test: FailingTest, evidence: dict[str, Any]) -> Example | None:
    statement, message = test.statement, evidence["message"]
    if isinstance(statement, ast.With) and "not raised" in message:
        return test.made("no_error", statement.body, expected=message.partition(" not raised")[0])
    call = unittest_call(statement)
    if call is not None and method(call) == "assertRaises" and len(call.args) > 1:
        made = ast.fix_missing_locations(ast.Call(call.args[1], call.args[2:], call.keywords))
        return test.made("no_error", [made], code=ast.unparse(made), expected=test.source(call.args[0]))
    shown, got, expected = _actual(test, evidence)
    if isinstance(shown, ast.stmt):
        return None
    if expected:
        # Evaluated a second time: what has a state may be worth something else by now.
        stale = got == expected or got.strip("'\"[({")[:15] not in message
        return test.made("value", [shown], got="" if stale else got, expected=expected)
    wanted = "false" if call is not None and method(call) == "assertFalse" else "true"
    if isinstance(shown, ast.UnaryOp) and isinstance(shown.op, ast.Not):
        shown, wanted = shown.operand, "false"
    return test.made("truth", [shown], expected=wanted)


def _actual(test: FailingTest, evidence: dict[str, Any]) -> tuple[ast.AST, str, str]:
    """The node whose value is tested, its value, and the value that it should have (each empty where not known)."""
    statement, values = test.statement, evidence["values"]
    assert statement is not None
    pair: list[ast.expr] = []
    call = unittest_call(statement)
    if isinstance(statement, ast.Assert):
        compare = statement.test
        if (
            not isinstance(compare, ast.Compare)
            or len(compare.ops) > 1
            or not isinstance(compare.ops[0], ast.Eq | ast.Is)
        ):
            return compare, "", ""
        pair = [compare.left, compare.comparators[0]]
    elif call is not None and call.args:
        if method(call) in _EQUALITIES:
            pair = call.args[:2]
        elif method(call) in ("assertTrue", "assertFalse"):
            return call.args[0], "", ""
        elif method(call) in _WORDS and len(call.args) > 1:
            return test.composed(call.args[0], _WORDS[method(call)], call.args[1]), "", ""
        elif method(call) in ("assertIsNone", "assertIsNotNone"):
            word = "is" if method(call) == "assertIsNone" else "is not"
            return test.composed(call.args[0], word, ast.Constant(None)), "", ""
    if len(pair) != 2 or len(values) != 2:
        return statement.value if isinstance(statement, ast.Expr) else statement, "", ""
    # What was typed in is what is expected; what is computed may be what is wrong.
    typed = [test.is_typed(side) for side in pair]
    if not any(typed):
        if isinstance(statement, ast.Assert):
            return statement.test, "", ""
        return (
            test.composed(pair[0], "is" if call is not None and method(call) == "assertIs" else "==", pair[1]),
            "",
            "",
        )
    index = 0 if typed[1] else 1
    expected = values[1 - index] or ""
    if not expected or len(expected) > _LONGEST_VALUE or _ADDRESS.search(expected):
        expected = test.source(pair[1 - index])
    return pair[index], values[index] or "", expected
