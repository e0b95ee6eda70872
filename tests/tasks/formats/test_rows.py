"""Files of rows: what every parser takes, and what must end in one clear sentence."""

from __future__ import annotations

import gzip
import json

import pytest

from srl_swe.data_files import parse_json
from srl_swe.errors import MissingDependencyError, TaskError
from srl_swe.tasks.formats.rows import read_rows


def read(path):
    bad: list[str] = []
    rows = list(read_rows(str(path), lambda error: bad.append(str(error))))
    return rows, bad


def test_json_lines(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n{"a": 2}')
    rows, bad = read(tmp_path / "a.jsonl")
    assert [(row.where, row.fields) for row in rows] == [
        (f"{tmp_path}/a.jsonl:1", {"a": 1}),
        (f"{tmp_path}/a.jsonl:3", {"a": 2}),
    ]
    assert bad == []


@pytest.mark.parametrize(
    ("text", "count"), [('[{"a": 1}, {"a": 2}]', 2), ('{"a": 1}', 1), ('{"a": 1}\n{"a": 2}\n', 2), ("[]", 0)]
)
def test_json_documents(tmp_path, text, count):
    (tmp_path / "a.json").write_text(text)
    assert len(read(tmp_path / "a.json")[0]) == count


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"instance_id": f"x-{n}", "FAIL_TO_PASS": ["a", "b"], "meta": {"lite": True}} for n in range(100)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    found, bad = read(tmp_path / "a.parquet")
    assert [dict(row.fields) for row in found] == rows
    assert found[99].where == f"{tmp_path}/a.parquet:100"
    assert found[0].texts("FAIL_TO_PASS") == ("a", "b")
    assert bad == []
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TaskError, match=r"b\.parquet:1: the rest of the Parquet file cannot be read"):
        read(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "not valid JSON"),
        (b"[1]", "expected an object, got [1]"),
        (b'{"a": 1, "a": 2}', "not valid JSON: the key 'a' occurs twice in one object"),
        (b'{"a": NaN}', "not valid JSON: NaN is not a JSON value"),
        (b'{"a": "\xff"}', "not UTF-8 text (byte 7)"),
        (b'{"a": ' + b"[" * 200_000, "not valid JSON: nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not valid JSON"),
        (b"\0", "not valid JSON"),
    ],
)
def test_bad_lines_do_not_stop_the_reading(tmp_path, line, problem):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    rows, bad = read(tmp_path / "a.jsonl")
    assert len(rows) == 2
    assert len(bad) == 1
    assert bad[0].startswith(f"{tmp_path}/a.jsonl:2: {problem}")


def test_files_that_are_not_whole(tmp_path):
    whole = gzip.compress(json.dumps({"a": "b" * 1000}).encode())
    for name, content in {"cut": whole[:-12], "flipped": whole[:20] + b"\xff\xff" + whole[22:]}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TaskError, match=f"{name}:1: the rest of the file cannot be unpacked"):
            read(tmp_path / name)
    with pytest.raises(TaskError, match=r"none\.jsonl: cannot be read: No such file"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(TaskError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_data_sets_of_the_hub_need_the_extra():
    try:
        import datasets  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependencyError, match=r"srl-swe\[datasets\]"):
            list(read_rows("SWE-bench/SWE-bench_Verified:test", lambda _: None))


def test_lists_as_json_text(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"l": '["a", "b", "a"]', "o": '{"k": "v"}', "n": None}))
    row = read(tmp_path / "a.jsonl")[0][0]
    assert row.texts("l") == ("a", "b")
    assert row.table("o").text("k") == "v"
    assert row.texts("n", ()) == ()
    with pytest.raises(TaskError, match=r"a\.jsonl:1: o: k: expected a list of strings, or its JSON text, got text"):
        row.table("o").texts("k")


def test_strict_json_is_json():
    assert parse_json('{"a": [1.5, null, true, "\\u00fc"]}') == {"a": [1.5, None, True, "ü"]}
