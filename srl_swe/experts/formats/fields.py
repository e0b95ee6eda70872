"""A value of somebody else's file that knows where it stands, so that what is wrong with it is reported by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from srl_swe.errors import TrajectoryError


@dataclass(frozen=True, slots=True)
class Field:
    """One JSON value with its place; every method that refuses it raises `TrajectoryError` naming file, row and field.

    A key whose value is ``null`` counts as absent: Parquet fills every column of every row.
    """

    value: Any
    """The JSON value."""
    where: str
    """``file:row``."""
    path: str = ""
    """Such as ``history[3].content``; empty for the row itself."""

    def __getitem__(self, key: str | int) -> Field:
        """A member of an object or list.

        Raises:
            TrajectoryError: it is not there.
        """
        found = self.get(key)
        if found is None:
            self._child(key, None).fail("missing")
        return found

    def get(self, key: str | int) -> Field | None:
        """A member of an object or list; ``None`` where it is absent or null.

        Raises:
            TrajectoryError: this is not an object (for a name) or a list (for a number).
        """
        if isinstance(key, str):
            value = self.mapping().get(key)
        else:
            members = self._list()
            value = members[key] if -len(members) <= key < len(members) else None
        return None if value is None else self._child(key, value)

    def first(self, *keys: str) -> Field | None:
        """The first of several names that is there."""
        return next((found for key in keys if (found := self.get(key)) is not None), None)

    def at(self, *keys: str) -> Field | None:
        """A member of a member, and so on; ``None`` where one is absent or no object."""
        found: Field | None = self
        for key in keys:
            if found is None or not isinstance(found.value, dict):
                return None
            found = found.get(key)
        return found

    def mapping(self) -> dict[str, Any]:
        """The object itself."""
        if not isinstance(self.value, dict):
            self.expected("an object")
        return self.value

    def members(self) -> Iterator[Field]:
        """The members of a list, in order."""
        for index, value in enumerate(self._list()):
            yield self._child(index, value)

    def text(self) -> str:
        """A string that any file and tokenizer can hold: half of a surrogate pair becomes U+FFFD."""
        if not isinstance(self.value, str):
            self.expected("a string")
        return whole(self.value)

    def name(self) -> str:
        """A string that is not blank."""
        text = self.text()
        if not text.strip():
            self.fail("must not be empty")
        return text

    def decoded(self) -> Field:
        """What a string of JSON holds; any other value as it is."""
        if not isinstance(self.value, str):
            return self
        try:
            return Field(json.loads(self.value), self.where, self.path)
        except (ValueError, RecursionError) as error:
            self.fail(f"not valid JSON: {error}")

    def flag(self) -> bool:
        """A boolean; 0 and 1 count."""
        if self.value not in (0, 1) or not isinstance(self.value, bool | int | float):
            self.expected("true or false")
        return bool(self.value)

    def number(self) -> float:
        """A finite number."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
            self.expected("a number")
        return float(value)

    def expected(self, what: str) -> NoReturn:
        """Refuse the value.

        Raises:
            TrajectoryError: always.
        """
        self.fail(f"expected {what}, found {show(self.value)}")

    def fail(self, problem: str) -> NoReturn:
        """Refuse the value for another reason.

        Raises:
            TrajectoryError: always.
        """
        raise TrajectoryError(f"{self.where}: {self.path}: {problem}" if self.path else f"{self.where}: {problem}")

    def _list(self) -> list[Any]:
        if not isinstance(self.value, list):
            self.expected("a list")
        return self.value

    def _child(self, key: str | int, value: Any) -> Field:
        path = f"{self.path}[{key}]" if isinstance(key, int) else f"{self.path}.{key}" if self.path else key
        return Field(value, self.where, path)


def whole(text: str) -> str:
    """The text with halves of surrogate pairs replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def compact(value: Any) -> str:
    """JSON text of a value that came from JSON; a string is taken as the text it is."""
    return whole(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def show(value: Any) -> str:
    """The beginning of a value, for a message."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
