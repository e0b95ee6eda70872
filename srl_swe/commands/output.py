"""How commands print."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from srl_swe.evaluation.statistics import Interval

_PLAIN_WIDTH = 160
BAR = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
"""Columns of a progress bar."""


def console(*, stderr: bool = False) -> Console:
    """A console for results (stdout) or for progress and errors (stderr), wide enough where it is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _PLAIN_WIDTH, highlight=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table to stdout. Cells are shown as they are, never read as markup."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    console().print(table)


def verdict(ok: bool | None, *, yes: str = "ok", no: str = "failed", unknown: str = "unknown") -> Text:
    """A coloured word, readable without the colour."""
    if ok is None:
        return Text(unknown, style="yellow")
    return Text(yes, style="green") if ok else Text(no, style="red")


def percent(interval: Interval) -> str:
    """A rate and its 95% interval."""
    return f"{interval.value:.1%} [{interval.low:.1%}, {interval.high:.1%}]" if interval else "no data"


def number(interval: Interval) -> str:
    """A mean and its 95% interval."""
    if not interval:
        return "no data"
    if not math.isfinite(interval.low):
        return f"{interval.value:.3f} (one task: no interval)"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
