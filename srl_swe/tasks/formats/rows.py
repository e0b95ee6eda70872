"""Rows of data files (JSON, JSON Lines, Parquet) and of data sets of the Hugging Face hub, one at a time."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from srl_swe.errors import MissingDependencyError, TaskError

OnBad = Callable[[TaskError], None]
"""What to do about a row that cannot be read: raise the error, or count it and return."""

_LONGEST_LINE = 256_000_000
_LARGEST_DOCUMENT = 1_000_000_000
_SHOWN = 80
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(:[\w.-]+)?")
_EXTRA = "install the extra: pip install 'srl-swe[datasets]'"


class RefusedRowError(TaskError):
    """A row that is right in itself, but no task of ours can be made of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row, with typed access to its fields. Data sets hold many fields that nobody needs: those are passed over."""

    where: str
    """``FILE:ROW``, counted from 1."""
    fields: Mapping[str, Any]
    """What was read."""
    folder: Path
    """What relative paths in the row are relative to."""

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise a `TaskError` about one field."""
        raise TaskError(f"{self.where}: {key}: {problem}")

    def refuse(self, key: str, reason: str) -> NoReturn:
        """Raise a `RefusedRowError`: the row is right, but of no use here."""
        raise RefusedRowError(f"{self.where}: {key}: {reason}")

    def text(self, key: str, default: str | None = None) -> str:
        """Take a string that is not empty (unless the default is); ``null`` is a missing field."""
        value = self.fields.get(key)
        if value is None:
            if default is None:
                self.fail(key, "missing; expected a non-empty string")
            return default
        if not isinstance(value, str) or (not value.strip() and default != ""):
            self.fail(key, f"expected a non-empty string, got {_short(value)}")
        return self.sound(key, value)

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Take a list of strings, or the JSON text of one. What is listed twice is taken once."""
        value = self._structure(key, (list, tuple), "a list of strings, or its JSON text", default)
        for item in value:
            if not isinstance(item, str) or not item.strip():
                self.fail(key, f"expected a list of non-empty strings, got the item {_short(item)}")
            self.sound(key, item)
        return tuple(dict.fromkeys(value))

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> Row:
        """Take an object, or the JSON text of one. Errors in it name ``key.field``."""
        value = self._structure(key, (dict,), "an object, or its JSON text", default)
        return Row(where=f"{self.where}: {key}", fields=value, folder=self.folder)

    def tables(self, key: str, default: tuple[Mapping[str, Any], ...] | None = None) -> list[Row]:
        """Take a list of objects, or the JSON text of one."""
        found = []
        for number, item in enumerate(self._structure(key, (list, tuple), "a list of objects", default)):
            if not isinstance(item, Mapping):
                self.fail(key, f"expected a list of objects, got the item {_short(item)}")
            found.append(Row(where=f"{self.where}: {key}[{number}]", fields=item, folder=self.folder))
        return found

    def sound(self, key: str, value: str) -> str:
        """Refuse text that no file can hold: NUL, and halves of surrogate pairs."""
        if "\0" in value:
            self.fail(key, "expected text without NUL")
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail(key, "expected text that UTF-8 can hold, it has half of a surrogate pair")
        return value

    def _structure(self, key: str, kinds: tuple[type, ...], expected: str, default: Any) -> Any:
        value = self.fields.get(key)
        if value is None:
            if default is None:
                self.fail(key, f"missing; expected {expected}")
            return default
        if isinstance(value, str):
            try:
                value = parse_json(value)
            except ValueError as error:
                self.fail(key, f"expected {expected}, got text that is not JSON: {error}")
        if not isinstance(value, kinds):
            self.fail(key, f"expected {expected}, got {_short(value)}")
        return value


def parse_json(text: str) -> Any:
    """Parse JSON strictly: no key twice, nothing that only some parsers take.

    Raises:
        ValueError: on one line, what is wrong and where.
    """
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_hub_name(source: str) -> bool:
    """Whether a source is a data set of the Hugging Face hub (``owner/name`` or ``owner/name:split``), not a file."""
    return not Path(source).exists() and _HUB_NAME.fullmatch(source) is not None


def read_rows(source: str, on_bad: OnBad) -> Iterator[Row]:
    """Read the rows of a file, or of a data set of the hub.

    Args:
        source: A file, or ``owner/name`` or ``owner/name:split`` of the hub.
        on_bad: Called with what is wrong with a single row; the file's own troubles are raised.

    Raises:
        TaskError: the file or data set cannot be read.
        MissingDependencyError: it needs an extra that is not installed.
    """
    if is_hub_name(source):
        yield from _hub_rows(source)
        return
    path = Path(source)
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1" or path.suffix == ".parquet":
            yield from _parquet_rows(path)
            return
        with gzip.open(path) if start[:2] == b"\x1f\x8b" else path.open("rb") as file:
            yield from _json_rows(path, cast("IO[bytes]", file), on_bad)
    except FileNotFoundError:
        raise TaskError(f"{path}: file not found") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TaskError(f"{path}: not a whole gzip file: {error}") from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror or error}") from None


def _json_rows(path: Path, file: IO[bytes], on_bad: OnBad) -> Iterator[Row]:
    if path.name.removesuffix(".gz").endswith(".json"):
        content = file.read(_LARGEST_DOCUMENT + 1)
        if len(content) > _LARGEST_DOCUMENT:
            raise TaskError(f"{path}: more than {_LARGEST_DOCUMENT:,} bytes; write one object a line (.jsonl)")
        if (values := _document(path, content)) is not None:
            for number, value in enumerate(values, 1):
                try:
                    yield _row(f"{path}:{number}", value, path.parent)
                except TaskError as error:
                    on_bad(error)
            return
        lines = iter(content.splitlines(keepends=True))
    else:
        lines = iter(lambda: file.readline(_LONGEST_LINE + 1), b"")
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if len(line) > _LONGEST_LINE:
            raise TaskError(f"{where}: a line of more than {_LONGEST_LINE:,} bytes")
        if not line.strip():
            continue
        try:
            yield _row(where, parse_json(line.decode("utf-8-sig")), path.parent)
        except TaskError as error:
            on_bad(error)
        except UnicodeDecodeError as error:
            on_bad(TaskError(f"{where}: not UTF-8 text (byte {error.start})"))
        except ValueError as error:
            on_bad(TaskError(f"{where}: not valid JSON: {error}"))


def _document(path: Path, content: bytes) -> list[Any] | None:
    """What a file holds that is one JSON value; ``None``: it holds one a line, whatever it is called."""
    try:
        value = parse_json(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TaskError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except ValueError as error:
        if "Extra data" in str(error):
            return None
        raise TaskError(f"{path}: not valid JSON: {error}") from None
    return value if isinstance(value, list) else [value]


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingDependencyError(f"{path}: Parquet needs pyarrow; {_EXTRA}") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            # Few at a time: a row of some data sets holds megabytes.
            for batch in file.iter_batches(batch_size=32):
                for fields in batch.to_pylist():
                    number += 1
                    yield _row(f"{path}:{number}", fields, path.parent)
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, TaskError):
            raise
        raise TaskError(f"{path}: not a Parquet file that can be read: {_line(error)}") from None


def _hub_rows(source: str) -> Iterator[Row]:
    name, _, split = source.partition(":")
    try:
        import datasets  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise MissingDependencyError(f"{source}: no such file; as a data set of the hub it needs {_EXTRA}") from None
    try:
        loaded = datasets.load_dataset(name, split=split or None, streaming=True)
        parts = {split: loaded} if split else dict(loaded)
        if len(parts) != 1:
            raise TaskError(
                f"{source}: expected one split, as in {name}:{next(iter(parts))}; it has {', '.join(parts)}"
            )
        for number, fields in enumerate(next(iter(parts.values())), 1):
            yield _row(f"{source}:{number}", dict(fields), Path())
    except TaskError:
        raise
    except Exception as error:  # the hub's client has no common root of its errors
        raise TaskError(
            f"{source}: no such file, and it cannot be had from the Hugging Face hub: {_line(error)}"
        ) from None


def _row(where: str, fields: Any, folder: Path) -> Row:
    if not isinstance(fields, dict):
        raise TaskError(f"{where}: expected an object, got {_short(fields)}")
    return Row(where=where, fields=fields, folder=folder)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key in found if sum(key == other for other, _ in pairs) > 1)
        raise ValueError(f"the key {_short(twice)} twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _short(value: object) -> str:
    try:
        text = ascii(value)
    except (RecursionError, ValueError):  # nested too deeply; an integer of more digits than Python prints
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
