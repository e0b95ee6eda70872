"""The rows of a file: JSON, JSON Lines (plain, gzip, zstandard), Parquet, YAML; told apart by their first bytes.

JSON Lines and Parquet are streamed: memory grows with the longest row, not with the file.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from srl_swe.errors import MissingDependencyError, UserError

_GZIP, _ZSTANDARD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_LINES = (".jsonl", ".ndjson")
_PARQUET_ROWS = 16
"""Rows decoded at a time: one may hold megabytes."""
_LONGEST_LINE = 256_000_000
_LARGEST_DOCUMENT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row."""

    where: str
    """``file:row``, or ``file:line`` of JSON Lines, from 1; for messages."""
    value: Any
    """The JSON value, or the error that stands in its place."""
    lost: bool = False
    """The rest of the file is lost with this row, as in a torn archive."""


def parse_json(text: str) -> Any:
    """Parse JSON strictly: no key twice, nothing that only some parsers take.

    Raises:
        ValueError: on one line, what is wrong and where.
    """
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_rows(
    path: Path,
    error: type[UserError],
    *,
    one_row: Callable[[Any], bool] = lambda _: False,
    parse: Callable[[str], Any] = json.loads,
) -> Iterator[Row]:
    """Every row of a file, in order. What cannot be decoded is a row too, with an ``error`` as its value.

    Args:
        path: The file.
        error: The class of what is raised, and of what stands in the place of a row.
        one_row: Whether a JSON list is one row, such as a list of messages, rather than a list of rows.
        parse: Parses JSON; raises a ``ValueError``.

    Raises:
        UserError: of the class ``error``: the file cannot be read or is empty.
        MissingDependencyError: the package for this kind of file is not installed.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
        if not start:
            raise error(f"{path}: is empty")
        reader = _Reader(path, error, one_row, parse)
        if start == _PARQUET:
            yield from reader.parquet()
        elif _suffix(path) in (".yaml", ".yml"):
            yield from reader.yaml()
        else:
            yield from reader.json(start)
    except OSError as failure:
        raise error(f"{path}: cannot be read: {failure.strerror or failure}") from failure


@dataclass(frozen=True, slots=True)
class _Broken:
    """In the place of the lines that are lost."""

    why: str


@dataclass(frozen=True, slots=True)
class _Reader:
    """One file's rows; see `read_rows`."""

    path: Path
    error: type[UserError]
    one_row: Callable[[Any], bool]
    parse: Callable[[str], Any]

    def json(self, start: bytes) -> Iterator[Row]:
        with _open(self.path, start) as stream:
            # A document may be all on one line.
            lines = _lines(stream, _LARGEST_DOCUMENT if _suffix(self.path) == ".json" else _LONGEST_LINE)
            head: list[tuple[int, bytes | _Broken]] = []
            if _suffix(self.path) not in _LINES:
                head = [line for _, line in zip(range(2), lines, strict=False)]
                if not self._are_rows([line for _, line in head]):
                    yield from self._document(line for _, line in chain(head, lines))
                    return
            number = 0
            for number, line in chain(head, lines):
                yield self._row(number, line)
            if not number:
                raise self.error(f"{self.path}: is empty")

    def parquet(self) -> Iterator[Row]:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingDependencyError(f"{self.path}: is a Parquet file: pip install 'srl-swe[datasets]'") from error
        number = 0
        try:
            with pyarrow.parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                    for value in batch.to_pylist():
                        number += 1
                        yield Row(f"{self.path}:{number}", value)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            why = " ".join(str(error).split())
            yield self._row(number + 1, _Broken(f"the rest of the Parquet file cannot be read: {why}"))

    def yaml(self) -> Iterator[Row]:
        import yaml

        where = f"{self.path}:1"
        try:
            yield Row(where, yaml.safe_load(self.path.read_bytes()))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            yield Row(where, self.error(f"{where}: not valid YAML: {str(error).splitlines()[0]}"))

    def _row(self, number: int, line: bytes | _Broken) -> Row:
        where = f"{self.path}:{number}"
        if isinstance(line, _Broken):
            return Row(where, self.error(f"{where}: {line.why}"), lost=True)
        try:
            return Row(where, self.parse(line.decode("utf-8-sig")))
        except UnicodeDecodeError as error:
            return Row(where, self.error(f"{where}: not UTF-8 text (byte {error.start})"))
        except (ValueError, RecursionError) as error:
            return Row(where, self.error(f"{where}: not valid JSON: {error}"))

    def _are_rows(self, head: list[bytes | _Broken]) -> bool:
        """Whether a file's first two lines are rows of JSON Lines, of which one may be broken, not one document's."""
        if len(head) < 2 or not isinstance(head[0], bytes) or head[0].strip() == b"[":
            return False
        return any(isinstance(self._row(0, line).value, dict | list) for line in head)

    def _document(self, lines: Iterator[bytes | _Broken]) -> Iterator[Row]:
        whole = bytearray()
        broken: _Broken | None = None
        for line in lines:
            if isinstance(line, _Broken):
                broken = line
                break
            whole += line
            if len(whole) > _LARGEST_DOCUMENT:  # before the rest of it is in memory too
                most = f"{_LARGEST_DOCUMENT:,} bytes"
                raise self.error(f"{self.path}: more than {most}; write one object a line (.jsonl)")
        if not whole and not broken:
            raise self.error(f"{self.path}: is empty")
        row = self._row(1, broken or bytes(whole))
        if isinstance(row.value, list) and not self.one_row(row.value):
            for number, member in enumerate(row.value, start=1):
                yield Row(f"{self.path}:{number}", member)
        else:
            yield row


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

    reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
    return cast("IO[bytes]", io.BufferedReader(cast("Any", reader)))


def _lines(stream: IO[bytes], longest: int) -> Iterator[tuple[int, bytes | _Broken]]:
    """The lines that are not blank, with their numbers; where the stream breaks off, the last one is broken."""
    number = 0
    try:
        while line := stream.readline(longest + 1):
            number += 1
            if len(line) > longest:
                yield number, _Broken(f"a line of more than {longest:,} bytes")
                return
            if line.strip():
                yield number, line
    except (OSError, EOFError, zlib.error) as error:
        yield number + 1, _Broken(f"the rest of the file cannot be unpacked: {error}")
    except Exception as error:  # zstandard's own error, whose class cannot be named where it is not installed
        if type(error).__module__.partition(".")[0] not in ("zstandard", "zstd", "backend_c"):
            raise
        yield number + 1, _Broken(f"the rest of the file cannot be unpacked: {error}")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} occurs twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
