"""The student's change: taken out of its sandbox as a patch, and put into a grading sandbox under the path policy."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.grading.paths import refusal
from srl_swe.sandbox.protocol import MAIN_SESSION, Sandbox

ROOT = "/testbed"
_ATTEMPTS = 3
_LARGEST = 10_000_000
"""Bytes; beyond it a patch holds something else than a fix (a virtual environment, a data set)."""

# Whatever the student made of its shell, its git configuration and its index, this is the git that the image came with.
_CLEAN = (
    "/usr/bin/env -i PATH=/usr/bin:/bin HOME=/nonexistent LANG=C.UTF-8 GIT_CONFIG_GLOBAL=/dev/null GIT_OPTIONAL_LOCKS=0"
)
_SETTINGS = {
    "advice.addEmbeddedRepo": "false",
    "core.autocrlf": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/etc/gitignore",
    "core.fileMode": "true",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.ignoreCase": "false",
    "core.pager": "cat",
    "core.quotePath": "true",
    "core.safecrlf": "false",
    "core.sparseCheckout": "false",
    "core.symlinks": "true",
    "core.untrackedCache": "false",
    "diff.algorithm": "myers",
    "diff.mnemonicPrefix": "false",
    "diff.noprefix": "false",
    "diff.orderFile": "/dev/null",
    "diff.suppressBlankEmpty": "false",
}
_DIFF = (
    "diff --cached --binary --full-index --no-color --no-ext-diff --no-textconv --no-renames --no-relative "
    "--ignore-submodules=none --submodule=short --src-prefix=a/ --dst-prefix=b/ --unified=3 --inter-hunk-context=0"
)


def student_patch(sandbox: Sandbox, *, base_commit: str = "") -> str:
    """Return everything that changed in the repository since the base commit, as one patch that `git apply` takes.

    Commits, branches, the index and git's configuration as the student left them do not matter; files that the
    repository ignores are left out. A repository whose history was destroyed gives the empty patch, and so does a
    sandbox that undoes the work of taking the patch, whenever it is tried: that is the student's doing.

    Args:
        sandbox: The student's. What still runs in its main session is ended: nothing changes under our hands.
        base_commit: What the image's label says; empty: the oldest root commit that is found.
    """
    if base_commit and not set(base_commit) <= set("0123456789abcdef"):
        raise ValueError(f"not a commit id: {base_commit!r}")
    sandbox.end_session(MAIN_SESSION)
    for _ in range(_ATTEMPTS):
        nonce = secrets.token_hex(8)
        # Of its own: without the functions, the options and the read-only variables of the student's shell.
        session = f"patch-{nonce}"
        try:
            return _taken(sandbox, session, f"/tmp/patch-{nonce}", base_commit)
        except SandboxLostError:
            raise
        except SandboxError:
            if sandbox.run("true", session=f"look-{nonce}", timeout_s=30).exit_code != 0:
                raise
        finally:
            sandbox.end_session(session)
    return ""


def _taken(sandbox: Sandbox, session: str, folder: str, base_commit: str) -> str:
    try:
        for add, attributes in (("-A", "/dev/null"), ("-A", f"{folder}/binary"), ("-u", f"{folder}/binary")):
            result = sandbox.run(_diff_script(folder, add, attributes, base_commit), timeout_s=120, session=session)
            size = result.output.strip().rpartition("\n")[2]
            if result.exit_code != 0 or not size.isdigit():
                return ""
            if int(size) > _LARGEST:
                continue
            try:
                return sandbox.read_file(f"{folder}/patch").decode()
            except UnicodeDecodeError:
                # Text in another encoding: once more, with every file as a base-85 blob.
                continue
        return ""
    finally:
        sandbox.run(f"/bin/rm -rf {folder}", timeout_s=30, session=session)


def _diff_script(folder: str, add: str, attributes: str, base_commit: str) -> str:
    settings = " ".join(f"-c {key}={value}" for key, value in (_SETTINGS | {"core.attributesFile": attributes}).items())
    git = (
        f"{_CLEAN} GIT_INDEX_FILE={folder}/index GIT_OBJECT_DIRECTORY={folder}/objects "
        f"GIT_ALTERNATE_OBJECT_DIRECTORIES={ROOT}/.git/objects "
        f"/usr/bin/git --git-dir={ROOT}/.git --work-tree={ROOT} {settings}"
    )
    # The one commit that the image came with; a student's own commits, merges and orphans stand on or beside it.
    oldest = f"$({git} rev-list --max-parents=0 --all HEAD --reflog | /usr/bin/tail -n 1)"
    return (
        f"( cd {ROOT} && /bin/rm -rf {folder} && /bin/mkdir -p {folder}/objects"
        f" && echo '* -text -diff' >{folder}/binary"
        f" && base={base_commit or oldest}"
        f' && {git} read-tree "$base" && {git} add {add} --ignore-errors . >/dev/null 2>&1; '
        f'{git} {_DIFF} "$base" >{folder}/patch && /usr/bin/stat -c %s {folder}/patch ) 2>/dev/null'
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """What became of a patch."""

    problem: str | None
    """git's words where it does not apply."""
    refused: tuple[str, ...] = ()
    """``path (reason)`` of each change that was left out."""


def apply_patch(sandbox: Sandbox, patch: str, folder: str, *, hidden: Collection[str]) -> Applied:
    """Apply a patch in a fresh sandbox, and take back what the path policy refuses.

    The policy looks at what git says has changed, not at the patch's text, which can be written in many ways.

    Args:
        sandbox: Fresh: nothing of the student's has run in it.
        patch: The student's.
        folder: A folder outside of the repository, for this grading alone.
        hidden: The task's hidden test files.
    """
    if not patch.strip():
        return Applied(problem=None)
    text = patch if patch.endswith("\n") else patch + "\n"
    sandbox.write_file(f"{folder}/student.patch", text.encode("utf-8", "surrogateescape"))
    result = sandbox.run(
        f"cd {ROOT} && git update-index -q --refresh; "
        f"git apply --index --whitespace=nowarn {folder}/student.patch"
        f" && git diff --cached --raw -z --no-renames --no-abbrev HEAD >{folder}/changed; status=$?; "
        f"rm {folder}/student.patch; (exit $status)",
        timeout_s=60,
    )
    if result.timed_out:  # git takes no such time over a patch of the size that is let in: the machine does
        raise SandboxError("applying the patch took more than 60 s")
    if result.exit_code != 0:
        return Applied(problem=result.output.strip() or f"git apply ended with {result.exit_code}")
    refused = {}
    for path, mode, added in _changes(sandbox.read_file(f"{folder}/changed")):
        reason = refusal(path, mode, hidden=hidden, added=added)
        if reason is not None:
            refused[path] = reason
    if refused:
        _take_back(sandbox, list(refused), folder)
    return Applied(problem=None, refused=tuple(f"{_printable(path)} ({why})" for path, why in refused.items()))


def _changes(raw: bytes) -> list[tuple[str, str, bool]]:
    """(path, mode after, whether it is new) from ``git diff --raw -z``."""
    pieces = raw.decode("utf-8", "surrogateescape").split("\0")
    changes = []
    for header, path in zip(pieces[0::2], pieces[1::2], strict=False):
        _, mode, _, _, status = header.removeprefix(":").split(" ")
        changes.append((path, mode, status == "A"))
    return changes


def _take_back(sandbox: Sandbox, paths: list[str], folder: str) -> None:
    sandbox.write_file(f"{folder}/refused", "\0".join(paths).encode("utf-8", "surrogateescape"))
    # In two goes, because a file may stand where a folder has to be, or the other way round.
    result = sandbox.run(
        f"cd {ROOT} && xargs -0 rm -rf -- <{folder}/refused"
        f" && git --literal-pathspecs reset -q HEAD --pathspec-from-file={folder}/refused --pathspec-file-nul"
        f" && git ls-files -z --deleted | git checkout-index -f -z --stdin"
        f" && git diff --quiet && rm {folder}/refused {folder}/changed",
        timeout_s=60,
    )
    if result.exit_code != 0:
        raise RestoreError(result.output.strip() or f"git ended with {result.exit_code}")


class RestoreError(Exception):
    """Refused changes could not be taken back: the patch cannot be graded as it is."""


def _printable(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
