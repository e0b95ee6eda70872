"""Rows of data files (JSON, JSON Lines, Parquet) and of data sets of the Hugging Face hub, one at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from srl_swe import data_files
from srl_swe.errors import MissingDependencyError, TaskError

OnBad = Callable[[TaskError], None]
"""What to do about a row that cannot be read: raise the error, or count it and return."""

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
                value = data_files.parse_json(value)
            except ValueError as error:
                self.fail(key, f"expected {expected}, got text that is not JSON: {error}")
        if not isinstance(value, kinds):
            self.fail(key, f"expected {expected}, got {_short(value)}")
        return value


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
    for row in data_files.read_rows(path, TaskError, parse=data_files.parse_json):
        if row.lost:
            raise row.value
        try:
            yield _row(row.where, row.value, path.parent)
        except TaskError as error:
            on_bad(error)


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
    if isinstance(fields, TaskError):
        raise fields
    if not isinstance(fields, dict):
        raise TaskError(f"{where}: expected an object, got {_short(fields)}")
    return Row(where=where, fields=fields, folder=folder)


def _short(value: object) -> str:
    try:
        text = ascii(value)
    except (RecursionError, ValueError):  # nested too deeply; an integer of more digits than Python prints
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
