"""Rows of every format of maths problems into suites, and what is said of those that are wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from public_maths import ROWS, SPLITS, TITLED

from srl_swe.errors import ConfigError, TaskError
from srl_swe.records import AnswerKey, Task
from srl_swe.tasks.folder import read_suite, read_suites
from srl_swe.tasks.mathematics.columns import parse_columns
from srl_swe.tasks.mathematics.importing import import_problems

_SHARED = Path(os.environ.get("SRL_SWE_SHARED_DATA") or Path(__file__).resolve().parents[3] / "../shared/data") / "math"
_COUNTS = {
    "gsm8k_train": 7473, "gsm8k_test": 1319, "s1k_questions_solutions": 1000,
    "math500": 500, "aime24": 30, "amc23": 40, "minerva_math": 272,
}  # fmt: skip


def write(path: Path, rows: Iterable[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def one(tmp_path: Path, name: str, **changes: Any) -> Task:
    file = write(tmp_path / "rows.jsonl", [ROWS[name] | changes])
    _, tasks = import_problems([file], tmp_path / "suite", split=SPLITS.get(name))
    assert read_suite(tmp_path / "suite") == tasks
    return tasks[0]


@pytest.mark.parametrize(
    ("name", "answer", "group", "split", "task"),
    [
        ("gsm8k", "10", "gsm8k", "train", "rows-00001"),
        ("s1k-1.1", "24", "s1k", "train", "rows-00001"),
        ("s1k", None, "s1k", "train", "rows-00001"),
        ("s1k-plain", "24", "s1k", "train", "rows-00001"),
        ("math", "\\frac{1}{2}", "math/Prealgebra", "train", "rows-00001"),
        ("math-500", "\\frac32", "math/Algebra", "heldout", "test-algebra-7"),
        ("aime", "024", "aime", "heldout", "aime-2024-i-1"),
        ("aime-by-id", "33", "aime", "heldout", "aime-2024-ii-4"),
        ("amc", "27", "amc", "heldout", "amc-2023-12a-1"),
        ("minerva", "4.5e33", "minerva/Introduction to Astronomy", "heldout", "minerva-1"),
        ("olympiadbench", "2, 3", "olympiadbench/Algebra", "heldout", "olympiadbench-1606"),
        ("olympiadbench-proof", None, "olympiadbench/Number Theory", "heldout", "olympiadbench-1608"),
        ("columns", "42", "rows", "train", "rows-00001"),
    ],
)
def test_every_format_is_recognised(
    tmp_path: Path, name: str, answer: str | None, group: str, split: str, task: str
) -> None:
    found = one(tmp_path, name)
    assert (found.domain, found.task_id) == ("mathematics", f"suite/{task}")
    assert (found.answer and found.answer.answer, found.repository, found.split) == (answer, group, split)
    texts = {str(value) for value in ROWS[name].values()}
    assert any(part in text for text in texts for part in found.problem_statement.splitlines())


def test_what_formats_say_besides(tmp_path: Path) -> None:
    near = one(tmp_path, "olympiadbench-near")
    assert near.answer == AnswerKey(answer="3.14", tolerance=0.01)
    assert one(tmp_path / "a", "olympiadbench").solution == "They are 2 and 3.\n\nAnother way is to try."


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()


def test_the_expert_of_s1k_is_the_attempt_that_was_right(tmp_path: Path) -> None:
    assert one(tmp_path, "s1k-1.1").solution == TITLED
    assert one(tmp_path / "a", "s1k-1.1", deepseek_grade="No").solution == "It is 24."
    assert one(tmp_path / "b", "s1k").solution == ROWS["s1k"]["attempt"]


def test_named_columns_and_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        {"frage": f"What is {n} + 1?", "loesung": f"Add.\n\nIt is \\boxed{{{n + 1}}}.", "teil": "test"} for n in (1, 2)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    columns = parse_columns("problem=frage, solution=loesung, split=teil")
    account, tasks = import_problems([str(tmp_path / "rows.parquet")], tmp_path / "suite", columns=columns)
    assert len(account.written) == 2
    assert [(t.answer and t.answer.answer, t.split) for t in tasks] == [("2", "heldout"), ("3", "heldout")]


@pytest.mark.parametrize("text", ["answer=a", "problem", "problem=", "title=x,problem=y", "problem=a,problem=b"])
def test_wrong_columns_are_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--columns"):
        parse_columns(text)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": 3, "answer": "#### 4"}, "question: expected a non-empty string"),
        ({"question": "What?", "answer": "It is.\n####  "}, "split: the row does not say"),
        ({"nothing": 1}, "expected the fields of one of gsm8k"),
        (ROWS["minerva"] | {"solution": "no box"}, "solution: expected the answer in"),
        (ROWS["olympiadbench"] | {"error": "some"}, "error: expected a number such as 1e-1"),
        (ROWS["amc"] | {"answer": None}, "answer: missing"),
        (ROWS["amc"] | {"answer": ["a"]}, "answer: expected text or a number, got a list"),
        ([1], "expected an object"),
    ],
)
def test_bad_rows_are_named_and_counted(tmp_path: Path, row: Any, message: str) -> None:
    file = write(tmp_path / "rows.jsonl", [ROWS["math-500"], row])
    with pytest.raises(TaskError, match=f"rows.jsonl:2: .*{message}"):
        import_problems([file], tmp_path / "suite")
    assert not (tmp_path / "suite").exists()
    account, _ = import_problems([file], tmp_path / "suite", skip_bad=True)
    assert [len(part) for part in (account.written, account.kept, account.refused, account.bad)] == [1, 0, 0, 1]
    assert message in account.bad[0]


def test_pictures_and_problems_of_the_other_split_are_refused(tmp_path: Path) -> None:
    picture = ROWS["olympiadbench"] | {"image_1": "abc"}
    leaked = ROWS["s1k-plain"] | {"problem": ROWS["math-500"]["problem"].upper()}
    file = write(tmp_path / "rows.jsonl", [ROWS["math-500"], picture, leaked])
    account, tasks = import_problems([file], tmp_path / "suite")
    assert (len(account.written), len(account.refused), len(tasks)) == (1, 2, 1)
    assert "has a picture" in account.refused[0]
    assert "suite/test-algebra-7, which is in the other split (heldout)" in account.refused[1]


def test_an_import_can_be_run_again_and_added_to(tmp_path: Path) -> None:
    first = write(tmp_path / "first.jsonl", [ROWS["gsm8k"]])
    second = write(tmp_path / "second.jsonl", [ROWS["aime"], ROWS["amc"]])
    import_problems([first], tmp_path / "suite", split="train")
    before = (tmp_path / "suite" / "problems.jsonl").read_bytes()
    account, _ = import_problems([first], tmp_path / "suite", split="train")
    assert (len(account.written), len(account.kept)) == (0, 1)
    assert (tmp_path / "suite" / "problems.jsonl").read_bytes() == before
    account, tasks = import_problems([first, second], tmp_path / "suite", split="train")
    assert (len(account.written), len(account.kept), len(tasks)) == (2, 1, 3)
    own = import_problems([str(tmp_path / "suite" / "problems.jsonl")], tmp_path / "copy")[1]
    assert [t.answer for t in own] == [t.answer for t in tasks]


def test_suites_that_disagree_about_the_split_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [ROWS["gsm8k"]])
    import_problems([file], tmp_path / "one", split="train")
    import_problems([file], tmp_path / "other", split="heldout")
    with pytest.raises(TaskError, match="expected 'train', as one/rows-00001 has with the same problem, got 'heldout'"):
        read_suites([tmp_path / "one", tmp_path / "other"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema: expected 1"),
        ({"split": "test"}, "split: expected train or heldout"),
        ({"more": 1}, "more: unknown field"),
        ({"tolerance": -1}, "tolerance: expected a number from 0"),
        ({"answer": None, "tolerance": 1}, "tolerance: expected an answer beside it"),
        ({"scorer": "me"}, "scorer: expected math-verify or reasoning-gym"),
        ({"name": "a/b"}, "name: expected a name without"),
    ],
)
def test_a_suite_that_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    one(tmp_path, "gsm8k")
    path = tmp_path / "suite" / "problems.jsonl"
    write(path, [json.loads(path.read_text()) | change])
    with pytest.raises(TaskError, match=f"problems.jsonl:1: {message}"):
        read_suite(tmp_path / "suite")


def test_the_content_hash_is_the_problems_own(tmp_path: Path) -> None:
    task = one(tmp_path, "gsm8k")
    (tmp_path / "suite" / "notes.txt").write_text("not part of the problem")
    assert read_suite(tmp_path / "suite")[0].content_hash == task.content_hash
    assert one(tmp_path / "a", "gsm8k", answer="Guess.\n#### 11").content_hash != task.content_hash


@pytest.mark.skipif(not _SHARED.is_dir(), reason=f"{_SHARED} is not here")
@pytest.mark.parametrize("name", _COUNTS)
def test_real_files_are_read_whole(tmp_path: Path, name: str) -> None:
    split = {"gsm8k_train": "train", "gsm8k_test": "heldout"}.get(name)
    account, tasks = import_problems([str(_SHARED / f"{name}.jsonl")], tmp_path / "suite", split=split)  # type: ignore[arg-type]
    assert (len(account.written), account.refused, account.bad) == (_COUNTS[name], [], [])
    assert read_suite(tmp_path / "suite") == tasks
    if name != "s1k_questions_solutions":  # it has proofs
        assert all(task.answer is not None for task in tasks)
