"""Typed access to a TOML table, with errors that name the file, the field and what was expected."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from srl_swe.errors import TaskError


def read_text(path: Path) -> str:
    """Read a UTF-8 text file of a suite.

    Raises:
        TaskError: it is not there, cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise TaskError(f"{path}: file not found") from None
    except UnicodeDecodeError as error:
        raise TaskError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror or error}") from None


class Fields:
    """One table of a TOML file. Every field is taken once; `finish` refuses those that nobody took."""

    def __init__(self, path: Path, table: dict[str, Any], prefix: str = "") -> None:
        self._path = path
        self._table = table
        self._prefix = prefix
        self._taken: set[str] = set()

    @classmethod
    def read(cls, path: Path) -> Fields:
        """Parse a TOML file."""
        text = read_text(path)
        try:
            # Windows line ends are fine in TOML, a byte order mark is not.
            return cls(path, tomllib.loads(text.removeprefix("\ufeff")))
        except tomllib.TOMLDecodeError as error:
            raise TaskError(f"{path}: not valid TOML: {error}") from None
        except RecursionError:
            raise TaskError(f"{path}: not valid TOML: nested too deeply") from None

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise a `TaskError` about one field."""
        raise TaskError(f"{self._path}: {self._prefix}{key}: {problem}")

    def has(self, key: str) -> bool:
        """Whether the field is there."""
        return key in self._table

    def mark(self, key: str) -> None:
        """Count a field as known that the caller reads himself."""
        self._taken.add(key)

    def table(self, key: str, *, optional: bool = False) -> Fields:
        """Take a table; an optional one that is missing is an empty one."""
        return Fields(self._path, self._take(key, dict, "a table", {} if optional else None), f"{self._prefix}{key}.")

    def tables(self, key: str) -> list[Fields]:
        """Take a list of tables (``[[key]]``), none where it is missing."""
        values = self._take(key, list, "a list of tables", [])
        for value in values:
            if not isinstance(value, dict):
                self.fail(key, f"expected a list of tables, got the item {value!r}")
        return [Fields(self._path, value, f"{self._prefix}{key}[{index}].") for index, value in enumerate(values)]

    def text(self, key: str, default: str | None = None, *, choices: Sequence[str] = ()) -> str:
        """Take a string that is not empty (unless the default is)."""
        expected = f"one of {', '.join(choices)}" if choices else "a non-empty string"
        value: str = self._take(key, str, expected, default)
        if (choices and value not in choices) or (not value.strip() and value != default):
            self.fail(key, f"expected {expected}, got {value!r}")
        if "\0" in value:
            self.fail(key, f"expected {expected} without NUL, got {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Take a boolean."""
        value: bool = self._take(key, bool, "true or false", default)
        return value

    def positive(self, key: str, default: float) -> float:
        """Take a finite number above zero."""
        value = self._take(key, (int, float), "a number above 0", default)
        if isinstance(value, bool) or not 0 < value < float("inf"):
            self.fail(key, f"expected a number above 0, got {value!r}")
        return float(value)

    def whole(self, key: str, default: int | None = None, *, least: int = 0) -> int:
        """Take a whole number."""
        value = self._take(key, int, f"a whole number from {least} on", default)
        if isinstance(value, bool) or value < least:
            self.fail(key, f"expected a whole number from {least} on, got {value!r}")
        return int(value)

    def exactly(self, key: str, expected: int) -> None:
        """Take a number that may have one value only."""
        value = self._take(key, int, str(expected), None)
        if isinstance(value, bool) or value != expected:
            self.fail(key, f"expected {expected}, got {value!r}")

    def texts(self, key: str, default: tuple[str, ...] | None = None, *, allow_empty: bool = True) -> tuple[str, ...]:
        """Take a list of distinct non-empty strings."""
        value = self._take(key, (list, tuple), "a list of strings", default)
        for item in value:
            if not isinstance(item, str) or not item.strip() or "\0" in item:
                self.fail(key, f"expected a list of non-empty strings, got the item {item!r}")
        twice = sorted({item for item in value if value.count(item) > 1})
        if twice:
            self.fail(key, f"listed twice: {', '.join(twice)}")
        if not value and not allow_empty:
            self.fail(key, "expected at least one item, got an empty list")
        return tuple(value)

    def path(self, key: str) -> str:
        """Take one path below the repository root."""
        self._table = self._table | {key: [self.text(key)]}
        return self.paths(key)[0]

    def paths(self, key: str, default: tuple[str, ...] | None = None, *, allow_empty: bool = True) -> tuple[str, ...]:
        """Take a list of paths below the repository root, in their plain form."""
        values = self.texts(key, default, allow_empty=allow_empty)
        for value in values:
            if value.startswith("/") or "\\" in value:
                self.fail(key, f"expected a path relative to the repository root, with '/' inside, got {value!r}")
            if any(part in ("", ".", "..") for part in value.split("/")):
                self.fail(key, f"expected a path without empty parts, '.' and '..', got {value!r}")
            if value.split("/")[0] == ".git":
                self.fail(key, f"expected a path outside .git, got {value!r}")
        return values

    def finish(self) -> None:
        """Refuse fields that are not known: they are usually spelling mistakes."""
        unknown = sorted(set(self._table) - self._taken)
        if unknown:
            known = ", ".join(sorted(self._taken))
            self.fail(unknown[0], f"unknown field; expected only {known}")

    def _take(self, key: str, kinds: type | tuple[type, ...], expected: str, default: Any) -> Any:
        self._taken.add(key)
        if key not in self._table:
            if default is None:
                self.fail(key, f"missing; expected {expected}")
            return default
        value = self._table[key]
        if not isinstance(value, kinds):
            self.fail(key, f"expected {expected}, got {value!r}")
        return value
