"""The rows of a file: JSON, JSON Lines (plain, gzip, zstandard), Parquet, YAML; told apart by their first bytes.

JSON Lines and Parquet are streamed: memory grows with the longest row, not with the file.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from srl_swe.errors import MissingDependencyError, TrajectoryError

_GZIP, _ZSTANDARD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_LINES = (".jsonl", ".ndjson")
_PARQUET_ROWS = 16
"""Rows decoded at a time: one may hold megabytes."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row."""

    where: str
    """``file:row``, for messages."""
    value: Any
    """The JSON value, or the error that stands in its place."""


def read_rows(path: Path, *, one_row: Callable[[Any], bool] = lambda _: False) -> Iterator[Row]:
    """Every row of a file, in order. What cannot be decoded is a row too, with a `TrajectoryError` as its value; where
    the rest of a file is lost (a torn archive), that is the last row.

    Args:
        path: The file.
        one_row: Whether a JSON list is one row, such as a list of messages, rather than a list of rows.

    Raises:
        TrajectoryError: the file cannot be read or is empty.
        MissingDependencyError: the package for this kind of file is not installed.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
        if start == _PARQUET:
            yield from _parquet(path)
        elif not start:
            raise TrajectoryError(f"{path}: is empty")
        elif _suffix(path) in (".yaml", ".yml"):
            yield from _yaml(path)
        else:
            yield from _json(path, start, one_row)
    except OSError as error:
        raise TrajectoryError(f"{path}: cannot be read: {error.strerror or error}") from error


def _suffix(path: Path) -> str:
    """The last suffix, compression aside."""
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in (".gz", ".zst", ".zstd")]
    return suffixes[-1] if suffixes else ""


def _open(path: Path, start: bytes) -> IO[bytes]:
    if start.startswith(_GZIP):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if start != _ZSTANDARD:
        return path.open("rb")
    try:
        import zstandard
    except ImportError as error:
        raise MissingDependencyError(f"{path}: is compressed by zstandard: pip install 'srl-swe[datasets]'") from error
    import io

    reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
    return cast("IO[bytes]", io.BufferedReader(cast("Any", reader)))


def _json(path: Path, start: bytes, one_row: Callable[[Any], bool]) -> Iterator[Row]:
    with _open(path, start) as stream:
        lines = _lines(stream)
        head: list[bytes | TrajectoryError] = []
        if _suffix(path) not in _LINES:
            head = [line for _, line in zip(range(2), lines, strict=False)]
            if not _are_rows(head):
                yield from _document(path, [*head, *lines], one_row)
                return
        number = 0
        for number, line in enumerate(_chain(head, lines), start=1):
            yield Row(f"{path}:{number}", _decode(line, f"{path}:{number}"))
        if not number:
            raise TrajectoryError(f"{path}: is empty")


def _chain(
    head: list[bytes | TrajectoryError], rest: Iterator[bytes | TrajectoryError]
) -> Iterator[bytes | TrajectoryError]:
    yield from head
    yield from rest


def _lines(stream: IO[bytes]) -> Iterator[bytes | TrajectoryError]:
    """The lines that are not blank; where the stream breaks off, an error is the last one."""
    try:
        for line in stream:
            if line.strip():
                yield line
    except (OSError, EOFError, zlib.error) as error:
        yield TrajectoryError(f"the rest of the file cannot be unpacked: {error}")
    except Exception as error:  # zstandard's own error, whose class cannot be named where it is not installed
        if type(error).__module__.partition(".")[0] not in ("zstandard", "zstd", "backend_c"):
            raise
        yield TrajectoryError(f"the rest of the file cannot be unpacked: {error}")


def _are_rows(head: list[bytes | TrajectoryError]) -> bool:
    """Whether a file's first two lines are rows of JSON Lines, of which one may be broken, and not one document's."""
    if len(head) < 2 or not isinstance(head[0], bytes) or head[0].strip() == b"[":
        return False
    return any(isinstance(_decode(line, ""), dict | list) for line in head)


def _document(path: Path, lines: list[bytes | TrajectoryError], one_row: Callable[[Any], bool]) -> Iterator[Row]:
    broken = next((line for line in lines if isinstance(line, TrajectoryError)), None)
    if not lines:
        raise TrajectoryError(f"{path}: is empty")
    whole = broken or b"".join(line for line in lines if isinstance(line, bytes))
    value = _decode(whole, f"{path}:1")
    if isinstance(value, list) and value and not one_row(value):
        for number, member in enumerate(value, start=1):
            yield Row(f"{path}:{number}", member)
    else:
        yield Row(f"{path}:1", value)


def _decode(line: bytes | TrajectoryError, where: str) -> Any:
    if isinstance(line, TrajectoryError):
        return TrajectoryError(f"{where}: {line}")
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return TrajectoryError(f"{where}: not valid UTF-8 at byte {error.start + 1}")
    except json.JSONDecodeError as error:
        return TrajectoryError(f"{where}: not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})")
    except (ValueError, RecursionError) as error:
        return TrajectoryError(f"{where}: not valid JSON: {error}")


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError(f"{path}: is a Parquet file: pip install 'srl-swe[datasets]'") from error
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for value in batch.to_pylist():
                    number += 1
                    yield Row(f"{path}:{number}", value)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        where = f"{path}:{number + 1}"
        yield Row(where, TrajectoryError(f"{where}: the rest of the Parquet file cannot be read: {error}"))


def _yaml(path: Path) -> Iterator[Row]:
    import yaml

    where = f"{path}:1"
    try:
        yield Row(where, yaml.safe_load(path.read_bytes()))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        yield Row(where, TrajectoryError(f"{where}: not valid YAML: {str(error).splitlines()[0]}"))
