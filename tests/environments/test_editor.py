"""The edit program, run as the container runs it: by its own file, in a process of its own."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EDITOR = Path(__file__).parents[2] / "docker" / "tools" / "str_replace_editor"


class Editor:
    """Runs the program in a folder with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.home = folder / "home"
        self.folder.mkdir()
        self.home.mkdir()

    def __call__(self, *arguments: str, ok: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "-I", str(EDITOR), *arguments],
            cwd=self.folder,
            env={"HOME": str(self.home)},
            capture_output=True,
            timeout=30,
        )
        assert done.returncode == (0 if ok else 1), done
        assert b"Traceback" not in done.stderr
        if not ok:
            assert done.stderr.startswith(b"error: ")
        return (done.stdout if ok else done.stderr).decode("utf-8", "surrogateescape")

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


@pytest.fixture
def editor(tmp_path: Path) -> Editor:
    return Editor(tmp_path)


def test_runs_by_its_own_file(editor: Editor) -> None:
    editor.write("a.txt", b"one\n")
    done = subprocess.run([str(EDITOR), "view", "a.txt"], cwd=editor.folder, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "     1\tone\n")


def test_view_numbers_lines_as_cat_does(editor: Editor) -> None:
    path = editor.write("a.py", b"one\n\ttwo\n\nfour")
    cat = subprocess.run(["cat", "-n", str(path)], capture_output=True, text=True, check=True).stdout
    assert editor("view", "a.py").rstrip("\n") == cat.rstrip("\n")
    for view_range in (("2", "3"), ("[2, 3]",), ("[2,", "3]"), ("2,3",)):
        assert editor("view", "a.py", "--view_range", *view_range) == "     2\t\ttwo\n     3\t\n"
    assert editor("view", "--view_range", "4", "-1", "a.py") == "     4\tfour\n"
    assert editor("view", "a.py", "--view_range", "4", "99") == "     4\tfour\n"
    editor.write("empty", b"")
    assert editor("view", "empty") == "(empty is empty)\n"


def test_view_lists_a_directory_two_levels_deep(editor: Editor) -> None:
    for name in ("src/pkg/deep.py", "src/a.py", ".git/config", "src/__pycache__/a.pyc", "README"):
        editor.write(name, b"")
    assert editor("view", ".").split() == ["./", "./README", "./src/", "./src/a.py", "./src/pkg/"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no command"),
        (("open", "a.py"), "unknown command 'open'"),
        (("view",), "view needs a path"),
        (("view", "nothing"), "nothing does not exist"),
        (("view", "a.py", "--view_range", "3"), "two whole numbers"),
        (("view", "a.py", "--view_range", "x", "y"), "two whole numbers"),
        (("view", "a.py", "--view_range", "9", "10"), "starts at 9, but a.py has 3 lines"),
        (("view", "a.py", "--view_range", "0", "2"), "starts at 0"),
        (("view", "a.py", "--view_range", "3", "2"), "ends before it starts"),
        (("view", "a.py", "--lines", "2"), "view does not take --lines"),
        (("view", "bin"), "binary file"),
        (("view", "a.py", "b.py"), "unexpected argument 'b.py'"),
        (("create", "a.py", "--file_text", "x"), "exists already"),
        (("create", "b.py"), "--file_text is missing"),
        (("create", "b.py", "--file_text"), "--file_text needs a value"),
        (("create", "a.py/b.py", "--file_text", "x"), "a.py"),
        (("str_replace", "a.py", "--new_str", "x"), "--old_str is missing"),
        (("str_replace", "a.py", "--old_str", "x", "--new_str", "x"), "the same"),
        (("str_replace", "a.py", "--old_str", "seven", "--new_str", "x"), "does not occur in a.py"),
        (("str_replace", "a.py", "--old_str", "  one", "--new_str", "x"), "line 1 is the same apart from spaces"),
        (("str_replace", "a.py", "--old_str", "o", "--new_str", "x"), "occurs 2 times in a.py (lines 1, 2)"),
        (("str_replace", "a.py", "--old_str", "zz", "--new_str", "x"), "occurs 2 times in a.py (lines 3, 3)"),
        (("str_replace", ".", "--old_str", "o", "--new_str", "x"), ". is a directory"),
        (("insert", "a.py", "--new_str", "x"), "--insert_line is missing"),
        (("insert", "a.py", "--insert_line", "two", "--new_str", "x"), "whole number"),
        (("insert", "a.py", "--insert_line", "4", "--new_str", "x"), "from 0 to 3"),
        (("insert", "a.py", "--insert_line", "1"), "--new_str is missing"),
        (("undo_edit", "a.py"), "no edit of a.py to undo"),
    ],
)
def test_errors_are_plain_and_change_nothing(editor: Editor, arguments: tuple[str, ...], message: str) -> None:
    path = editor.write("a.py", b"one\ntwo\nzzz\n")
    editor.write("bin", b"\0\1")
    assert message in editor(*arguments, ok=False)
    assert path.read_bytes() == b"one\ntwo\nzzz\n"
    assert sorted(p.name for p in editor.folder.iterdir()) == ["a.py", "bin"]


def test_edits_and_undoes_in_order(editor: Editor) -> None:
    assert editor("create", "src/new.py", "--file_text", "a\nb\nc\n") == "created src/new.py\n"
    path = editor.folder / "src" / "new.py"
    printed = editor("str_replace", "src/new.py", "--old_str", "b", "--new_str", "B1\nB2")
    assert printed == "edited src/new.py\n     1\ta\n     2\tB1\n     3\tB2\n     4\tc\n"
    editor("insert", "src/new.py", "--insert_line", "0", "--new_str", "top")
    editor("insert", "src/new.py", "--insert_line", "5", "--new_str", "-end")
    editor("str_replace", "src/new.py", "--old_str", "a\n")
    assert path.read_text() == "top\nB1\nB2\nc\n-end\n"
    for expected in ("top\na\nB1\nB2\nc\n-end\n", "top\na\nB1\nB2\nc\n", "a\nB1\nB2\nc\n", "a\nb\nc\n"):
        editor("undo_edit", str(path))
        assert path.read_text() == expected
    assert editor("undo", "src/new.py") == "removed src/new.py: it did not exist before\n"
    assert not path.exists()
    assert list((editor.folder / "src").iterdir()) == []


def test_values_may_begin_with_dashes(editor: Editor) -> None:
    path = editor.write("a", b"--old\n-x\n")
    editor("str_replace", "a", "--old_str", "--old", "--new_str", "-new")
    editor("str_replace", "a", "--old_str=-x", "--new_str=a=b")
    assert path.read_text() == "-new\na=b\n"


def test_mode_newlines_links_and_bytes_are_kept(editor: Editor) -> None:
    path = editor.write("run.sh", b"\xef\xbb\xbfone\r\ntwo\xff\r\nthree")
    path.chmod(0o751)
    (editor.folder / "link").symlink_to("run.sh")
    editor("str_replace", "link", "--old_str", "one\ntwo", "--new_str", "1\n2")
    editor("insert", "run.sh", "--insert_line", "3", "--new_str", "four\nfive")
    assert path.read_bytes() == b"\xef\xbb\xbf1\r\n2\xff\r\nthree\r\nfour\r\nfive"
    assert stat.S_IMODE(path.stat().st_mode) == 0o751
    assert (editor.folder / "link").is_symlink()
    mixed = editor.write("mixed", b"a\r\nb\nc\r\n")
    editor("str_replace", "mixed", "--old_str", "b\nc", "--new_str", "B\nC")
    assert mixed.read_bytes() == b"a\r\nB\nC\r\n"


def test_history_is_outside_the_repository(editor: Editor) -> None:
    editor("create", "a", "--file_text", "x")
    assert [p.name for p in editor.folder.iterdir()] == ["a"]
    assert [p.name for p in editor.home.iterdir()] == [".str_replace_editor"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.text("ab\n é", max_size=12),
    old=st.text("xy\n", min_size=1, max_size=5),
    new=st.text("ab'\"\\\n", max_size=9),
)
def test_replace_is_exact_and_undo_is_its_inverse(editor: Editor, before: str, old: str, new: str) -> None:
    old = f"<{old}>"
    data = f"{before}{old}{before}".encode()
    path = editor.write("p", data)
    editor("str_replace", "p", "--old_str", old, "--new_str", new)
    assert path.read_bytes() == f"{before}{new}{before}".encode()
    editor("undo", "p")
    assert path.read_bytes() == data
