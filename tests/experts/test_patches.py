"""A gold patch becomes edits that, made one after the other, give exactly the fixed files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srl_swe.errors import TaskError
from srl_swe.experts.patches import Edit, apply_hunks, edits_of, parse_patch

MONEY = '''"""Money."""

SCALE = 2


class Ledger:
    """A ledger."""

    def total(self, entries):
        total = 0
        for entry in entries:
            total += entry
        return round(total, 2)

    def mean(self, entries):
        total = 0
        for entry in entries:
            total += entry
        return total / len(entries)
'''


def git_diff(folder: Path, before: dict[str, str], after: dict[str, str]) -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "core.autocrlf=false", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout

    for index, files in enumerate((before, after)):
        if index == 0:
            git("init", "-q")
        for old in folder.rglob("*"):
            if old.is_file() and ".git" not in old.parts:
                old.unlink()
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text.encode())
        git("add", "-A")
        if index == 0:
            git("commit", "-q", "-m", "base")
    command = ["git", "diff", "--cached", "-M", "HEAD"]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout.decode()


def make(edits: list[Edit], texts: dict[str, str]) -> dict[str, str]:
    texts = dict(texts)
    for edit in edits:
        if edit.kind == "delete":
            del texts[edit.path]
        elif edit.kind == "rename":
            texts[edit.new] = texts.pop(edit.path)
        elif edit.kind == "replace":
            text = texts[edit.path]
            windows = "\r\n" in text and text.count("\r\n") == text.count("\n")
            text = text.replace("\r\n", "\n") if windows else text
            assert text.count(edit.old) == 1
            text = text.replace(edit.old, edit.new, 1)
            texts[edit.path] = text.replace("\n", "\r\n") if windows else text
        else:
            texts[edit.path] = edit.new
    return texts


def one_edit(tmp_path: Path, old: str, new: str) -> Edit:
    after = MONEY.replace(old, new, 1)
    (edit,) = edits_of(git_diff(tmp_path, {"m.py": MONEY}, {"m.py": after}), {"m.py": MONEY})
    assert make([edit], {"m.py": MONEY}) == {"m.py": after}
    return edit


def test_a_line_that_is_unique_is_replaced_alone(tmp_path: Path) -> None:
    edit = one_edit(tmp_path, "round(total, 2)", "round(total, SCALE)")
    assert (edit.old, edit.new) == ("return round(total, 2)", "return round(total, SCALE)")
    assert (edit.line, edit.end_line, edit.scope) == (13, 13, "total")


def test_a_line_that_occurs_twice_takes_context_along(tmp_path: Path) -> None:
    edit = one_edit(tmp_path, "        total = 0\n", "        total = 0.0\n")
    assert edit.old == "def total(self, entries):\n        total = 0"
    assert edit.new == "def total(self, entries):\n        total = 0.0"


def test_an_insertion_is_anchored_and_a_deletion_leaves_no_blank_line(tmp_path: Path) -> None:
    inserted = one_edit(tmp_path, "SCALE = 2\n", "SCALE = 2\nHALF = 0.5\n")
    assert (inserted.old, inserted.new) == ("SCALE = 2", "SCALE = 2\nHALF = 0.5")
    (tmp_path / "b").mkdir()
    deleted = one_edit(tmp_path / "b", '    """A ledger."""\n\n', "")
    assert deleted.old.startswith("class Ledger:\n")


def test_near_changes_are_one_edit_and_far_ones_two(tmp_path: Path) -> None:
    near = MONEY.replace("SCALE = 2", "SCALE = 3").replace("Money.", "Cash.")
    far = MONEY.replace("SCALE = 2", "SCALE = 3").replace("round(total, 2)", "round(total)")
    for name, after, count in (("near", near, 1), ("far", far, 2)):
        folder = tmp_path / name
        folder.mkdir()
        edits = edits_of(git_diff(folder, {"m.py": MONEY}, {"m.py": after}), {"m.py": MONEY})
        assert len(edits) == count
        assert make(edits, {"m.py": MONEY}) == {"m.py": after}


def test_new_deleted_renamed_and_empty_files(tmp_path: Path) -> None:
    before = {"gone.py": "x = 1\n", "old name.py": MONEY, "empty-gone": "", "kept": "a\n"}
    after = {"pkg/new.py": "y = 2\n", "é.py": MONEY.replace("SCALE = 2", "SCALE = 3"), "empty": "", "kept": "a"}
    edits = edits_of(git_diff(tmp_path, before, after), before)
    assert make(edits, before) == after
    assert {e.kind for e in edits} >= {"create", "delete", "rename"}


def test_a_file_without_any_unique_text_is_rewritten(tmp_path: Path) -> None:
    before, after = "\n\n", "\n\n\n"
    (edit,) = edits_of(git_diff(tmp_path, {"f": before}, {"f": after}), {"f": before})
    assert (edit.kind, edit.new) == ("rewrite", after)


def test_a_plain_diff_without_git_headers() -> None:
    patch = (
        "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n--- a/y.py\t2020-01-01\n+++ b/y.py\n@@ -0,0 +1 @@\n+b\n"
    )
    assert [c.new_path for c in parse_patch(patch)] == ["x.py", "y.py"]
    assert make(edits_of(patch, {"x.py": "a = 1\n", "y.py": ""}), {"x.py": "a = 1\n", "y.py": ""}) == {
        "x.py": "a = 2\n",
        "y.py": "b\n",
    }


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ("", "holds no change"),
        ("hello\n", "holds no change"),
        ("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n", "shorter than it says"),
        ("diff --git a/x b/x\nBinary files a/x and b/x differ\n", "binary file"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-other\n+b\n", "does not apply to x at line 1"),
        ("--- a/z\n+++ b/z\n@@ -1 +1 @@\n-a\n+b\n", "changes z, which is not in the repository"),
    ],
)
def test_a_broken_patch_is_a_task_error(patch: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        edits_of(patch, {"x": "a\n"})


def test_an_import_is_added_after_the_change_that_needs_it(tmp_path: Path) -> None:
    before = "import os\n" + MONEY
    after = "import math\n" + before.replace("round(total, 2)", "math.floor(total)").replace("SCALE = 2", "SCALE = 9")
    edits = edits_of(git_diff(tmp_path, {"m.py": before}, {"m.py": after}), {"m.py": before})
    assert make(edits, {"m.py": before}) == {"m.py": after}
    assert [edit.new.split("\n")[0] for edit in edits] == ["SCALE = 9", "return math.floor(total)", "import math"]
    assert [edit.line for edit in edits] == [4, 14, 1]


def test_a_file_with_windows_line_ends(tmp_path: Path) -> None:
    before, after = (
        {"m.py": text.replace("\n", "\r\n")} for text in (MONEY, MONEY.replace("total = 0\n", "total = 1\n"))
    )
    edits = edits_of(git_diff(tmp_path, before, after), before)
    assert "\r" not in "".join(edit.old + edit.new for edit in edits)
    assert make(edits, before) == after


_lines = st.lists(st.sampled_from(["a", "b", "  c", "", "\tdef f():", "x\r", "'\"$", "é"]), max_size=12)
_texts = st.builds(lambda lines, end: "\n".join(lines) + end, _lines, st.sampled_from(["", "\n"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=_texts, after=_texts)
def test_any_change_that_git_can_describe(tmp_path_factory: pytest.TempPathFactory, before: str, after: str) -> None:
    patch = git_diff(tmp_path_factory.mktemp("repo"), {"f": before, "g": "same\n"}, {"f": after, "g": "same\n"})
    if before == after:
        assert not patch
        return
    assert make(edits_of(patch, {"f": before}), {"f": before}) == {"f": after}
    (change,) = parse_patch(patch)
    assert apply_hunks(before, change.hunks, path="f") == after
