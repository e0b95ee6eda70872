"""Issues from failing tests: what they show, what they keep to themselves; which mutants make tasks."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from srl_swe.errors import TaskError
from srl_swe.records import Mutation
from srl_swe.tasks.synthesis.candidates import Candidate, candidates, combined, first_refusal, second_refusal
from srl_swe.tasks.synthesis.examples import example
from srl_swe.tasks.synthesis.journal import Entry, Journal, alone
from srl_swe.tasks.synthesis.problem import problem_statement
from srl_swe.tasks.synthesis.subjects import Subject, missing_libraries, opened, requirements
from srl_swe.tasks.synthesis.survey import Survey, whole_statements
from srl_swe.tasks.synthesis.trials import TrialResult

TEST = '''\
import pytest
from abacus import Frame, add, parse as read

WIDE = Frame(wide=True)


def test_add():
    assert add(1, 1) == 2
    assert add(a=2, b=3) == 5


def test_text(text, wanted):
    assert read(text) == wanted


def test_frame():
    """The frame."""
    frame = Frame()
    frame.push(3)
    assert frame.size() == 0
    frame.push(4)
    assert frame.sum() == 7


def test_wide():
    assert WIDE.is_wide()


def test_refuses():
    frame = Frame()
    with pytest.raises(ValueError):
        frame.push("x")


def test_both():
    assert read("1") == read("01")


class TestFrames:
    def setUp(self):
        self.frame = Frame()

    def test_sum(self):
        self.assertEqual(self.frame.sum(), 0)

    def test_raises(self):
        self.assertRaises(KeyError, self.frame.pop, "a")
'''


def found(test: str, text: str, **more: Any) -> dict[str, Any]:
    """Evidence of a failure at the line with this text."""
    line = TEST[: TEST.index(text)].count("\n") + 1
    given = {"line": line, "failed_line": line, "error": "AssertionError", "message": "", "in_test": True}
    return {"test": f"tests/test_x.py::{test}", "values": [], "locals": {}} | given | more


def test_a_value() -> None:
    shown = example(found("test_add", "add(a=2", values=["6", "5"], message="assert 6 == 5"), TEST)
    assert shown is not None and shown.complete
    assert (shown.kind, shown.got, shown.expected) == ("value", "6", "5")
    assert shown.code == "from abacus import add\n\nadd(a=2, b=3)"


def test_a_value_that_is_another_one_by_now_is_not_told() -> None:
    shown = example(found("test_add", "add(a=2", values=["9", "5"], message="assert 6 == 5"), TEST)
    assert shown is not None and (shown.got, shown.expected) == ("", "5")


def test_parameters_are_written_out() -> None:
    evidence = found("test_text[1-2]", "read(text)", values=["[1]", "[2]"], message="assert [1] == [2]")
    shown = example(evidence | {"locals": {"text": "'1'", "wanted": "[2]"}}, TEST)
    assert shown is not None and shown.expected == "[2]"
    assert shown.code == "from abacus import parse as read\n\ntext = '1'\nread(text)"


def test_relative_imports_are_told_from_outside() -> None:
    text = TEST.replace("from abacus import", "from .. import")
    evidence = found("test_add", "add(a=2", values=["6", "5"], message="assert 6 == 5")
    shown = example(evidence | {"test": "src/abacus/tests/test_x.py::test_add"}, text)
    assert shown is not None and shown.complete and shown.code.startswith("from abacus import add\n")


def test_what_cannot_be_typed_in_is_described() -> None:
    evidence = found("test_text[x]", "read(text)", values=["1", "2"], message="assert 1 == 2")
    evidence |= {"locals": {"text": None, "wanted": "2"}, "shapes": {"text": "Text(3 words)", "wanted": "2"}}
    shown = example(evidence, TEST)
    assert shown is not None and not shown.complete
    assert shown.code == "from abacus import parse as read\n\n# text is Text(3 words)\nread(text)"


def test_what_comes_before_is_there_without_the_checks() -> None:
    evidence = found("test_frame", "assert frame.sum() == 7", values=["3", "7"], message="assert 3 == 7")
    shown = example(evidence | {"locals": {"frame": None}}, TEST)
    assert shown is not None
    assert shown.code.endswith("\n\nframe = Frame()\nframe.push(3)\nframe.push(4)\nframe.sum()")


def test_globals_fixtures_and_self() -> None:
    shown = example(found("test_wide", "assert WIDE", values=["False"]), TEST)
    assert shown is not None and (shown.kind, shown.expected) == ("truth", "true")
    assert shown.code == "from abacus import Frame\n\nWIDE = Frame(wide=True)\nWIDE.is_wide()"
    shown = example(found("T::test_sum", "self.assertEqual", values=["1", "0"], message="1 != 0"), TEST)
    assert shown is not None and shown.code.endswith("frame = Frame()\nframe.sum()") and shown.got == "1"


def test_errors() -> None:
    evidence = found("test_add", "add(1, 1)", error="TypeError", message="no\nmore", values=[None, "2"], in_test=False)
    shown = example(evidence, TEST)
    assert shown is not None and (shown.kind, shown.got, shown.expected) == ("error", "TypeError: no", "2")
    evidence = found("test_refuses", "with pytest", error="Failed", message="DID NOT RAISE <class 'ValueError'>")
    shown = example(evidence, TEST)
    assert shown is not None and (shown.kind, shown.expected) == ("no_error", "ValueError")
    assert shown.code.endswith('frame = Frame()\nframe.push("x")')
    evidence = found("T::test_raises", "self.assertRaises", message="KeyError not raised by pop")
    shown = example(evidence, TEST)
    assert shown is not None and shown.code.endswith("frame.pop('a')") and shown.expected == "KeyError"
    evidence |= {"error": "IndexError", "message": "empty", "in_test": False}
    shown = example(evidence, TEST)
    assert shown is not None and shown.code.endswith("\n\nframe = Frame()\nframe.pop('a')")
    assert (shown.got, shown.expected) == ("IndexError: empty", "KeyError")
    shown = example(found("test_refuses", 'frame.push("x")', error="TypeError", message="no", in_test=False), TEST)
    assert shown is not None and (shown.got, shown.expected) == ("TypeError: no", "ValueError")


def test_what_is_computed_is_not_what_is_expected() -> None:
    shown = example(found("test_both", 'read("1") ==', values=["1", "None"], message="assert 1 == None"), TEST)
    assert shown is not None and shown.kind == "truth"
    assert 'read("1")' in shown.code and "None" not in shown.code


def test_what_shows_nothing_of_the_package_is_no_example() -> None:
    text = TEST + "\n\ndef test_set():\n    import os\n    found = set()\n    assert found == {1}\n"
    line = text.count("\n")
    evidence = found("test_set", "import pytest", values=["set()", "{1}"], message="assert set() == {1}")
    assert example(evidence | {"line": line, "failed_line": line}, text) is None


def test_the_issue() -> None:
    evidence = [
        found("test_wide", "assert WIDE", values=["False"]),
        found("test_add", "add(a=2", values=["6", "5"], message="assert 6 == 5"),
    ]
    tests = {"tests/test_x.py": TEST}
    issues = {
        problem_statement(evidence, tests, name="abacus", release="abacus 1.0", rng=random.Random(seed))
        for seed in range(20)
    }
    assert len(issues) > 15
    for issue in issues:
        assert issue is not None
        assert issue.startswith("# ") and "abacus" in issue.partition("\n")[0].lower()
        assert "    add(a=2, b=3)" in issue and "`6`" in issue and "`5`" in issue
        assert issue.index("add(a=2") < issue.index("WIDE.is_wide()"), "what can be seen at once comes first"
        assert "test_" not in issue and "assert" not in issue
    assert problem_statement([], tests, name="a", release="a", rng=random.Random(1)) is None


SOURCE = "def add(a, b):\n    if a is None:\n        return b\n    return (\n        a\n        + b\n    )\n"
SURVEY = Survey(
    image="x",
    requirements=(),
    install=False,
    files={"test_a.py": [f"test_a.py::test_{n}" for n in range(6)]},
    excluded={},
    seconds={f"test_a.py::test_{n}": 0.1 for n in range(6)},
    covered={
        "a.py": whole_statements(SOURCE, {2: ["test_a.py::test_0", "test_a.py::test_1"], 5: ["test_a.py::test_1"]})
    },
)


def test_lines_of_a_statement_are_covered_together() -> None:
    covered = SURVEY.covered["a.py"]
    assert {line: len(tests) for line, tests in covered.items()} == {1: 2, 2: 2, 4: 1, 5: 1, 6: 1, 7: 1}
    assert Survey.from_json(SURVEY.to_json()) == SURVEY


def test_only_covered_code_is_mutated() -> None:
    made = candidates({"a.py": SOURCE}, SURVEY, random.Random(1))
    assert {one.mutations[0].line for one in made} == {2, 5, 6}
    assert all(one.function == "a.py:add" for one in made)
    assert [one.mutations for one in made] == [
        m.mutations for m in candidates({"a.py": SOURCE}, SURVEY, random.Random(1))
    ]
    trial = made[0].trial({"a.py": SOURCE}, SURVEY)
    assert set(trial.write) == {"a.py"} and trial.write["a.py"] != SOURCE


def result(*broken: int, status: str = "ended", errors: tuple[str, ...] = ()) -> TrialResult:
    outcomes = {f"test_a.py::test_{n}": "failed" if n in broken else "passed" for n in range(6)}
    return TrialResult(status=status, wall=1.0, outcomes=outcomes, errors=errors)


def candidate(line: int = 4) -> Candidate:
    mutation = Mutation(path="a.py", operator="constant", line=line, column=0, before="x", after="y")
    return Candidate(function="a.py:add", mutations=(mutation,), tests=("test_a.py::test_1",))


def entry(line: int, *broken: int, outcome: str = "kept") -> Entry:
    names = tuple(f"test_a.py::test_{n}" for n in broken)
    return Entry(function="a.py:add", mutations=candidate(line).mutations, outcome=outcome, broken=names)


def test_which_mutants_make_tasks() -> None:
    def first(found: TrialResult, *earlier: Entry) -> str:
        return first_refusal(candidate(), found, SURVEY, earlier)[0]

    def second(found: TrialResult, *earlier: Entry) -> str:
        return second_refusal(found, ["test_a.py"], ["test_a.py::test_1"], SURVEY, earlier)[0]

    assert first(result(1)) == second(result(1)) == ""
    assert first(result()) == "no test notices"
    assert first(result(status="timeout")) == second(result(status="timeout")) == "takes too long"
    assert first(result(status="died")) == "ends the interpreter"
    assert first(result(1, errors=("ImportError",))) == "cannot be imported"
    assert first(result(1), entry(4, 2)) == "same line as another"
    assert first(result(1), entry(2, 2), entry(1, 3)) == "enough tasks of its function"
    assert first(result(1), entry(4, 2, outcome="breaks too much")) == ""
    assert second(result(1, 2, 3, 4)) == "breaks too much"
    assert second(result(2)) == "breaks other tests from run to run"
    assert second(result(1, 2), entry(2, 2, 1)) == "breaks the same tests as another"


def test_several_faults_at_once_each_break_something_of_their_own() -> None:
    made = {m.line: m for one in candidates({"a.py": SOURCE}, SURVEY, random.Random(1)) for m in one.mutations}

    def tried(line: int, *broken: int) -> Entry:
        names = tuple(f"test_a.py::test_{n}" for n in broken)
        return Entry(function="a.py:add", mutations=(made[line],), outcome="kept", broken=names)

    both = combined([tried(2, 0, 1), tried(6, 1, 2)], SURVEY, {"a.py": SOURCE}, random.Random(1))
    assert [[m.line for m in one.mutations] for one in both] == [[2, 6]]
    assert first_refusal(both[0], result(0, 1, 2), SURVEY, [entry(2, 0), entry(6, 2)]) == ("", "")
    assert combined([tried(2, 0, 1), tried(6, 1)], SURVEY, {"a.py": SOURCE}, random.Random(1)) == []


def test_the_journal_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a-1")
    journal.add(entry(4, 1))
    journal.add(entry(5, 2, outcome="no test notices"))
    file = tmp_path / ".mining" / "a-1.jsonl"
    file.write_bytes(file.read_bytes() + b'{"function": "a.py:ad')
    again = Journal(tmp_path, "a-1")
    assert again.entries == journal.entries and again.finished is None
    assert len(again.kept()) == 1 and again.refusals() == {"no test notices": 1}
    again.finish(seed=1)
    assert Journal(tmp_path, "a-1").finished == {"seed": 1}
    file.write_text(file.read_text() + "{}\n")
    with pytest.raises(TaskError, match=r"a-1\.jsonl: row 4: expected a line of a synthesis"):
        Journal(tmp_path, "a-1")


def test_one_synthesis_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path):
        with pytest.raises(TaskError, match="another synthesis is at work"), alone(tmp_path):
            pass
        with pytest.raises(RuntimeError, match="mine"), alone(tmp_path / "other"):
            raise RuntimeError("mine")
    with alone(tmp_path):
        pass


def test_subjects(tmp_path: Path) -> None:
    for name in (
        "abacus/__init__.py",
        "abacus/tests/test_a.py",
        "test.py",
        "setup.py",
        "docs/conf.py",
        "tests/data.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "PKG-INFO").write_text(
        "Name: abacus\nRequires-Dist: attrs>=23\nRequires-Dist: tomli; python_version < '3.11'\n"
        "Requires-Dist: rich; extra == 'test'\n"
    )
    with opened(str(tmp_path)) as subject:
        assert isinstance(subject, Subject) and subject.version == ""
        assert set(subject.sources()) == {"abacus/__init__.py"}
        assert set(subject.tests()) == {"abacus/tests/test_a.py", "test.py"}
        assert requirements(subject) == ["attrs>=23"]
        errors = ("No module named 'rich.table'", "No module named 'hypothesis'", "No module named 'evil'")
        assert missing_libraries(errors, subject) == ["hypothesis", "rich"]
    with pytest.raises(TaskError, match="expected PACKAGE==VERSION or a folder"), opened(str(tmp_path / "no")):
        pass
