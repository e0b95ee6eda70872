from __future__ import annotations

import json

import pytest

from srl_swe.errors import ConfigError, StorageError
from srl_swe.evaluation.lines import check_meta, keep_lines, read_meta
from srl_swe.files import append_line, read_lines, write_atomically


def test_append_and_read(tmp_path):
    path = tmp_path / "deep" / "lines.jsonl"
    records = [{"text": "a\nb\u2028c"}, {"text": "é🙂\ud800"}, {"n": 1.5, "none": None}]
    for record in records:
        append_line(path, record)
    assert read_lines(path) == records
    assert path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("kept", range(1, 12))
def test_a_line_cut_off_by_a_kill_is_dropped(tmp_path, kept):
    path = tmp_path / "lines.jsonl"
    append_line(path, {"a": 1})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"b": "long"}\n'[:kept])
    assert read_lines(path) == [{"a": 1}]
    keep_lines(path, lambda _: True)
    assert path.read_bytes() == whole
    append_line(path, {"c": 3})
    assert read_lines(path) == [{"a": 1}, {"c": 3}]


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 1}\n{"b"\n{"c": 3}\n')
    with pytest.raises(ConfigError, match=r"lines\.jsonl:2: not valid JSON"):
        read_lines(path)
    path.write_text("[1]\n")
    with pytest.raises(ConfigError, match=r"lines\.jsonl:1: expected a JSON object"):
        read_lines(path)


def test_no_file_is_no_line(tmp_path):
    assert read_lines(tmp_path / "none") == []
    assert keep_lines(tmp_path / "none", lambda _: True) == []
    assert not (tmp_path / "none").exists()
    assert read_meta(tmp_path / "none") == {}


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        append_line(tmp_path / "file" / "lines.jsonl", {})
    with pytest.raises(StorageError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "page.html", "x")
    with pytest.raises(StorageError, match="No space left"):
        append_line_to_full_disk()


def append_line_to_full_disk():
    from pathlib import Path

    append_line(Path("/dev/full"), {"a": 1})


def test_nothing_half_written_stays(tmp_path):
    path = tmp_path / "page.html"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert path.read_text() == "old"


def test_meta_is_written_once_and_checked(tmp_path):
    path = tmp_path / "meta.json"
    check_meta(path, "episodes", {"policy": "gold", "tasks": ("a",)})
    check_meta(path, "episodes", {"policy": "gold", "tasks": ["a"]})
    check_meta(path, "steps", {"samples": 4})
    assert json.loads(path.read_text()) == {"episodes": {"policy": "gold", "tasks": ["a"]}, "steps": {"samples": 4}}
    with pytest.raises(ConfigError, match=r'episodes\.policy = "gold", now it is "expert"'):
        check_meta(path, "episodes", {"policy": "expert", "tasks": ["a"]})
    path.write_text('{"half')
    with pytest.raises(ConfigError, match=r"meta\.json: cannot be read"):
        check_meta(path, "episodes", {})
