"""JSON Lines that survive a kill: appended durably, and cut off lines dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError
from srl_swe.files import read_lines, write_atomically


def keep_lines(path: Path, keep: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Read a JSON Lines file, drop the lines that are cut off or not to be kept from the disk too, return the rest."""
    records = [record for record in read_lines(path) if keep(record)]
    text = "".join(json.dumps(record, ensure_ascii=True, allow_nan=False) + "\n" for record in records)
    if path.exists() and path.read_bytes() != text.encode():
        write_atomically(path, text)
    return records


def check_meta(path: Path, section: str, expected: dict[str, Any]) -> None:
    """Note in ``meta.json`` how a folder's results are made, or check that they are made the same way.

    Raises:
        ConfigError: the folder holds results of another kind; the first difference is named.
    """
    meta = read_meta(path)
    known = meta.get(section)
    expected = json.loads(json.dumps(expected))  # as it will read back: tuples become lists
    if known is None:
        write_atomically(path, json.dumps(meta | {section: expected}, indent=2, sort_keys=True) + "\n")
        return
    for key in sorted({*known, *expected}):
        if known.get(key) != expected.get(key):
            raise ConfigError(
                f"{path}: this folder holds results with {section}.{key} = {_short(known.get(key))}, now it is"
                f" {_short(expected.get(key))}; give another folder, or remove this one to start again"
            )


def note_meta(path: Path, section: str, content: dict[str, Any]) -> None:
    """Note in ``meta.json`` what may change from call to call."""
    meta = read_meta(path)
    if meta.get(section) != content:
        write_atomically(path, json.dumps(meta | {section: content}, indent=2, sort_keys=True) + "\n")


def read_meta(path: Path) -> dict[str, Any]:
    """The content of a ``meta.json``; empty where there is none.

    Raises:
        ConfigError: it is not a JSON object.
    """
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(meta, dict):
        raise ConfigError(f"{path}: expected a JSON object")
    return meta


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "…"
