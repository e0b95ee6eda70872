"""What a format's rows need of a repository: files, and patches applied and made, all in git, with no working tree."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from srl_swe.errors import TaskError
from srl_swe.tasks import host_git

_DIFF = (
    "diff",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--full-index",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clone:
    """A bare clone. Trees are named by commits, or by what `patched` returns."""

    path: Path
    """The clone."""
    where: str
    """Names the row in errors."""

    def full(self, commit: str) -> str:
        """The whole id of a commit."""
        return self._git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").stdout.decode().strip()

    def patched(self, tree: str, patch: str, *, field: str, reverse: bool = False) -> str:
        """Return the tree with a patch applied.

        Raises:
            TaskError: it does not apply; ``field`` is named.
        """
        with tempfile.TemporaryDirectory(prefix="srl-swe-") as name:
            file = Path(name) / "patch"
            file.write_text(patch if patch.endswith("\n") else patch + "\n", encoding="utf-8", newline="")
            index = {"GIT_INDEX_FILE": str(Path(name) / "index")}
            self._git("read-tree", tree, environment=index)
            options = ["--cached", "--whitespace=nowarn", *(["--reverse"] if reverse else [])]
            applied = host_git.run_git("apply", *options, str(file), cwd=self.path, environment=index)
            if applied.returncode != 0:
                words = host_git.words(applied)
                raise TaskError(f"{self.where}: {field}: expected a patch that applies to the base state: {words}")
            return self._git("write-tree", environment=index).stdout.decode().strip()

    def difference(self, before: str, after: str, paths: Iterable[str] = ()) -> str:
        """Return the patch from one tree to another, of some paths only where any are named.

        Raises:
            TaskError: it is not UTF-8 text.
        """
        patch = self._git("--literal-pathspecs", *_DIFF, before, after, "--", *paths).stdout
        try:
            return patch.decode()
        except UnicodeDecodeError:
            raise TaskError(f"{self.where}: patch: the change is not UTF-8 text") from None

    def changed(self, before: str, after: str) -> list[str]:
        """Return the files that the second tree has, and the first has not or not so."""
        listed = self._git("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=d", before, after)
        return [os.fsdecode(path) for path in listed.stdout.split(b"\0") if path]

    def files(self, tree: str, paths: Iterable[str], *, field: str) -> dict[str, str]:
        """Return the texts of files.

        Raises:
            TaskError: one is not there, or is not UTF-8 text; ``field`` is named.
        """
        texts = {}
        for path in paths:
            shown = host_git.run_git("cat-file", "blob", f"{tree}:{path}", cwd=self.path)
            if shown.returncode != 0:
                raise TaskError(f"{self.where}: {field}: expected tests in files that are there, {path!r} is not")
            try:
                texts[path] = shown.stdout.decode()
            except UnicodeDecodeError:
                raise TaskError(f"{self.where}: {field}: {path!r} is not UTF-8 text") from None
        return texts

    def _git(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        done = host_git.run_git(*arguments, cwd=self.path, environment=environment)
        if done.returncode != 0:
            raise TaskError(f"{self.where}: git {arguments[0]}: {host_git.words(done)}")
        return done


def clone(url: str, commit: str, *, where: str, mirror: Path | None, field: str = "base_commit") -> Clone:
    """Return a clone that has a commit, which the row has in a field.

    Raises:
        TaskError: the repository or the commit cannot be had.
    """
    return Clone(path=host_git.fetch(url, commit, where=where, mirror=mirror, fields=("repo", field)), where=where)
