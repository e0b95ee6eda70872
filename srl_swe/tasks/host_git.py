"""git on this machine: clones, and patches applied to and taken from plain folders."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from srl_swe.errors import ConfigError, TaskError
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.locks import file_lock

_PLAIN = (
    "-c",
    "core.autocrlf=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=true",
)
_TIMEOUT_S = 900


def run_git(
    *arguments: str, cwd: Path, own_configuration: bool = False, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder, which is never taken for a part of a repository around it.

    Args:
        arguments: git's.
        cwd: Where.
        own_configuration: Let the user's configuration speak (proxies and credentials of a clone).
        environment: More variables.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or (own_configuration and "SSH" in k)}
    ours = {"GIT_TERMINAL_PROMPT": "0", "GIT_CEILING_DIRECTORIES": str(cwd.resolve().parent), "LC_ALL": "C"}
    if not own_configuration:
        ours |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        return subprocess.run(
            ["git", *_PLAIN, *arguments],
            cwd=cwd,
            env={**inherited, **ours, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise ConfigError("git is not installed on this machine; tasks need it to make their base state") from None
    except subprocess.TimeoutExpired:
        raise TaskError(f"git {arguments[0]} took more than {_TIMEOUT_S} s") from None


def apply(folder: Path, patch: bytes, *, reverse: bool = False, check: bool = False) -> str | None:
    """Apply a patch to a plain folder. Returns git's words where it does not apply; nothing is changed then."""
    file = folder.parent / f"{folder.name}.patch"
    file.write_bytes(patch)
    options = [*(["--reverse"] if reverse else []), *(["--check"] if check else [])]
    result = run_git("apply", "--whitespace=nowarn", *options, str(file.resolve()), cwd=folder)
    file.unlink()
    return None if result.returncode == 0 else words(result)


def difference(base: Path, changes: dict[str, bytes | None], scratch: Path) -> bytes:
    """Return the patch that makes the changes (path to new content, ``None``: removed) to the files in ``base``."""
    scratch.mkdir()
    run_git("init", "-q", cwd=scratch)
    for path in changes:
        if (base / path).is_file():
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
            (scratch / path).write_bytes((base / path).read_bytes())
    run_git("add", "-A", "-f", cwd=scratch)
    tree = run_git("write-tree", cwd=scratch).stdout.decode().strip()
    for path, content in changes.items():
        if content is None:
            (scratch / path).unlink()
        else:
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
            (scratch / path).write_bytes(content)
    run_git("add", "-A", "-f", cwd=scratch)
    return run_git(
        "diff", "--cached", "--no-renames", "--no-color", "--no-ext-diff", "--full-index", tree, cwd=scratch
    ).stdout


def checkout(url: str, commit: str, target: Path, *, where: str) -> None:
    """Write the files of one commit of a repository into a new folder. Clones are kept in the cache.

    Raises:
        TaskError: the repository or the commit cannot be had; ``where`` names the task's file.
    """
    clones = cache_dir() / "git"
    clones.mkdir(exist_ok=True)
    mirror = clones / hashlib.sha256(url.encode()).hexdigest()[:24]
    with file_lock(clones / f"{mirror.name}.lock"):
        if not (mirror / "HEAD").is_file():
            run_git("init", "-q", "--bare", str(mirror), cwd=clones)
        if not _has(mirror, commit):
            refs = ("+refs/*:refs/*",)
            fetched = run_git("fetch", "-q", "--no-tags", "--", url, *refs, cwd=mirror, own_configuration=True)
            if fetched.returncode != 0:
                raise TaskError(f"{where}: source.url: cannot fetch {url}: {words(fetched)}")
        if not _has(mirror, commit):
            raise TaskError(f"{where}: source.base_commit: expected a commit of {url}, it has no {commit}")
        target.mkdir()
        index = {"GIT_INDEX_FILE": str(target.resolve().parent / f"{target.name}.index")}
        read = run_git("read-tree", f"{commit}^{{commit}}", cwd=mirror, environment=index)
        written = run_git(
            "--work-tree", str(target.resolve()), "checkout-index", "-a", "-f", cwd=mirror, environment=index
        )
    if read.returncode != 0 or written.returncode != 0:
        raise TaskError(f"{where}: source: cannot check out {commit} of {url}: {words(read)}{words(written)}")


def _has(mirror: Path, commit: str) -> bool:
    return run_git("cat-file", "-e", f"{commit}^{{commit}}", cwd=mirror).returncode == 0


def words(result: subprocess.CompletedProcess[bytes]) -> str:
    """What git said, on one line."""
    return "; ".join(line.strip() for line in result.stderr.decode(errors="replace").splitlines() if line.strip())
