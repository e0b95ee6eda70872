"""Patches of plain folders, and clones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from srl_swe.errors import TaskError
from srl_swe.tasks import host_git


def test_difference_applies_both_ways(tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "pkg").mkdir(parents=True)
    (base / "pkg" / "a.py").write_text("one\ntwo")
    (base / "pkg" / "gone.py").write_text("x\n")
    changes: dict[str, bytes | None] = {"pkg/a.py": b"one\ntwo\r\nthree\n", "pkg/gone.py": None, "new/b c.py": b"n\n"}
    patch = host_git.difference(base, changes, tmp_path / "scratch")
    assert host_git.apply(base, patch, check=True) is None
    assert (base / "pkg" / "gone.py").exists()
    assert host_git.apply(base, patch) is None
    assert (base / "pkg" / "a.py").read_bytes() == b"one\ntwo\r\nthree\n"
    assert (base / "new" / "b c.py").is_file()
    assert not (base / "pkg" / "gone.py").exists()
    assert host_git.apply(base, patch) is not None
    assert host_git.apply(base, patch, reverse=True) is None
    assert (base / "pkg" / "a.py").read_text() == "one\ntwo"


def test_applies_inside_of_another_repository(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    base = tmp_path / "base"
    base.mkdir()
    (base / "a.py").write_text("one\n")
    patch = host_git.difference(base, {"a.py": b"two\n"}, tmp_path / "scratch")
    assert host_git.apply(base, patch) is None
    assert (base / "a.py").read_text() == "two\n"


def test_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRL_SWE_CACHE", str(tmp_path / "cache"))
    origin = tmp_path / "origin"
    origin.mkdir()

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(["git", *identity, *arguments], cwd=origin, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    commits = []
    for text in ("one\n", "two\n"):
        (origin / "a.py").write_text(text)
        (origin / ".gitattributes").write_text("a.py export-ignore\n")
        git("add", "-A")
        git("commit", "-q", "-m", text)
        commits.append(git("rev-parse", "HEAD"))
    host_git.checkout(str(origin), commits[0], tmp_path / "first", where="task.toml")
    assert (tmp_path / "first" / "a.py").read_text() == "one\n"
    assert not (tmp_path / "first" / ".git").exists()
    with pytest.raises(TaskError, match=r"task\.toml: source\.base_commit: .* has no 0000"):
        host_git.checkout(str(origin), "0" * 40, tmp_path / "none", where="task.toml")
    with pytest.raises(TaskError, match=r"task\.toml: source\.url: cannot fetch"):
        host_git.checkout(str(tmp_path / "nowhere"), commits[0], tmp_path / "none", where="task.toml")
    (origin / "a.py").unlink()
    # From the clone in the cache.
    (origin / ".git").rename(tmp_path / "away")
    host_git.checkout(str(origin), commits[1], tmp_path / "second", where="task.toml")
    assert (tmp_path / "second" / "a.py").read_text() == "two\n"
