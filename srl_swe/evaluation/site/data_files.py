"""Data files of a page: scripts, since a page opened from the disk may load scripts and nothing else.

``data/NAME.js`` holds the list: filters, orders, rows. The entries behind it are in ``data/NAME-1.js`` …, each of about
`CHUNK_CHARS`, and are loaded when a row is chosen. All is ASCII: whatever was in the texts, the script can be read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_swe.evaluation.site.entries import Entry, Row
from srl_swe.evaluation.site.text import clean
from srl_swe.files import write_atomically

CHUNK_CHARS = 400_000
DATA = "data"


class Collection:
    """Collects the entries of one page; a chunk is on the disk as soon as it is full.

    Args:
        out: The site's folder.
        name: The page's name.
        filters: What rows can be filtered by.
        orders: The first: as they come; the others: by a number, greatest first.
        most: Entries that one page can hold; how many are left out, the page says.
    """

    def __init__(
        self, out: Path, name: str, *, filters: Sequence[str], orders: Sequence[str], most: int | None = None
    ) -> None:
        self.out, self.name, self.filters, self.orders = out / DATA, name, filters, orders
        self.most = most
        self.left_out = 0
        """Entries that there was no room for."""
        self.files: list[str] = []
        self._values: list[dict[str, int]] = [{} for _ in filters]
        self._rows: list[list[Any]] = []
        self._chunk: list[str] = []
        self._size = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return self.most is not None and len(self) >= self.most

    def add(self, row: Row, entry: Entry) -> None:
        """Append one.

        Raises:
            StorageError: a file cannot be written.
        """
        facets = [values.setdefault(clean(v), len(values)) for values, v in zip(self._values, row.facets, strict=True)]
        place = [len(self.files) + 1, len(self._chunk)]
        title, detail, badge = clean(row.title), clean(row.detail), clean(row.badge)
        self._rows.append([*place, title, detail, badge, row.tone, facets, [round(n, 4) for n in row.sorts]])
        text = _as_script(entry.record())
        self._chunk.append(text)
        self._size += len(text)
        if self._size >= CHUNK_CHARS:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the list; nothing where nothing was added.

        Raises:
            StorageError: a file cannot be written.
        """
        self._flush()
        if not self._rows:
            return
        index = {
            "name": self.name,
            "filters": [[name, list(values)] for name, values in zip(self.filters, self._values, strict=True)],
            "orders": list(self.orders),
            "rows": self._rows,
        }
        self._write(f"{self.name}.js", f"srlSite.list({_as_script(index)});\n")

    def _flush(self) -> None:
        if self._chunk:
            name = f"{self.name}-{len(self.files) + 1}"
            self._write(f"{name}.js", f'srlSite.entries("{name}",[{",".join(self._chunk)}]);\n')
            self._chunk, self._size = [], 0

    def _write(self, name: str, text: str) -> None:
        write_atomically(self.out / name, text)
        self.files.append(name)


def _as_script(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
