"""Files that are replaced whole, never seen half-written, and JSON Lines that survive a kill."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from srl_swe.errors import ConfigError, StorageError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` that takes its place at the end; an exception leaves all as it was.

    Raises:
        StorageError: the disk is full, the folder read-only …
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:  # Ctrl-C too: nothing half-written stays behind
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_atomically(path: Path, text: str) -> None:
    """Replace a text file, in UTF-8.

    Raises:
        StorageError: the disk is full, the folder read-only …
    """
    data = text.encode()
    with replacing(path) as out:
        out.write(data)


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Append one JSON line and wait until it is on the disk.

    Raises:
        StorageError: the disk is full, the folder read-only …; a half-written line is taken back.
    """
    line = (json.dumps(record, ensure_ascii=True, allow_nan=False) + "\n").encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as out:
            start = out.tell()
            try:
                written = 0
                while written < len(line):
                    written += out.write(line[written:])
                os.fsync(out.fileno())
            except BaseException:
                with contextlib.suppress(OSError):
                    out.truncate(start)
                raise
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Every record of a JSON Lines file; none where there is no file. See `iter_lines`.

    Raises:
        ConfigError: a line is not a JSON object; file and line are named.
    """
    return list(iter_lines(path))


def iter_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON Lines file, one at a time; none where there is no file.

    A last line without its newline is one that a kill cut off, or that is being written, and is left out.

    Raises:
        ConfigError: any other line is not a JSON object; file and line are named.
    """
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip() and line.endswith(b"\n"):
                    yield _parse_line(line, path, number)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error


def _parse_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}:{number}: not valid JSON: {error}") from error
    if not isinstance(record, dict):
        raise ConfigError(f"{path}:{number}: expected a JSON object")
    return record


def resume_lines(path: Path) -> list[dict[str, Any]]:
    """`read_lines` for whoever will append: a last line that a kill cut off is dropped from the disk too.

    Raises:
        ConfigError: a line is not a JSON object.
        StorageError: the file cannot be written.
    """
    records = read_lines(path)
    if path.exists() and not (data := path.read_bytes()).endswith(b"\n"):
        with replacing(path) as out:
            out.write(data[: data.rfind(b"\n") + 1])
    return records
