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
    clone = fetch(url, commit, where=where)
    with file_lock(clone.with_name(f"{clone.name}.lock")):
        target.mkdir()
        index = {"GIT_INDEX_FILE": str(target.resolve().parent / f"{target.name}.index")}
        read = run_git("read-tree", f"{commit}^{{commit}}", cwd=clone, environment=index)
        written = run_git(
            "--work-tree", str(target.resolve()), "checkout-index", "-a", "-f", cwd=clone, environment=index
        )
    if read.returncode != 0 or written.returncode != 0:
        raise TaskError(f"{where}: source: cannot check out {commit} of {url}: {words(read)}{words(written)}")


def fetch(
    url: str,
    commit: str,
    *,
    where: str,
    mirror: Path | None = None,
    fields: tuple[str, str] = ("source.url", "source.base_commit"),
) -> Path:
    """Return a bare clone that has the commit, from the cache, a mirror or the URL.

    Args:
        url: The repository.
        commit: What it must have.
        where: Names the task's file, or the row, in errors.
        mirror: A folder of clones that stand in for URLs; ``None``: what ``SRL_SWE_MIRROR`` says.
        fields: What the URL and the commit are called there.

    Raises:
        TaskError: the repository or the commit cannot be had.
    """
    clones = cache_dir() / "git"
    clones.mkdir(exist_ok=True)
    clone = clones / hashlib.sha256(url.encode()).hexdigest()[:24]
    with file_lock(clones / f"{clone.name}.lock"):
        if not (clone / "HEAD").is_file():
            run_git("init", "-q", "--bare", str(clone), cwd=clones)
        if not _has(clone, commit):
            refs = ("+refs/*:refs/*",)
            place = _stand_in(url, mirror)
            fetched = run_git("fetch", "-q", "--no-tags", "--", place, *refs, cwd=clone, own_configuration=True)
            if fetched.returncode != 0:
                raise TaskError(f"{where}: {fields[0]}: cannot fetch {place}: {words(fetched)}")
        if not _has(clone, commit):
            raise TaskError(f"{where}: {fields[1]}: expected a commit of {url}, it has no {commit}")
    return clone


def _stand_in(url: str, mirror: Path | None) -> str:
    """Where a repository is fetched from: its clone in the mirror, or the URL itself."""
    configured = os.environ.get("SRL_SWE_MIRROR", "")
    root = mirror or (Path(configured) if configured else None)
    if root is None or "://" not in url:
        return url
    owner, _, name = url.removesuffix("/").removesuffix(".git").rpartition("/")
    owner = owner.rpartition("/")[2]
    for separator in ("__", "/", "+"):
        for place in (root / f"{owner}{separator}{name}", root / f"{owner}{separator}{name}.git"):
            for clone in (place, place / "repo", place / ".git"):
                if (clone / "HEAD").is_file() and (clone / "objects").is_dir():
                    return str(clone.resolve())
    return url


def _has(clone: Path, commit: str) -> bool:
    return run_git("cat-file", "-e", f"{commit}^{{commit}}", cwd=clone).returncode == 0


def words(result: subprocess.CompletedProcess[bytes]) -> str:
    """What git said, on one line."""
    return "; ".join(line.strip() for line in result.stderr.decode(errors="replace").splitlines() if line.strip())
