"""The pages: numbers, curves and thoughts as they stand, and what can be browsed as a frame for the script."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from srl_swe.evaluation.site import charts
from srl_swe.evaluation.site.text import clean
from srl_swe.evaluation.statistics import Interval
from srl_swe.files import write_atomically

ENDING_COLOURS = {
    "submitted": 0, "step_limit": 1, "token_limit": 6, "context_limit": 4, "time_limit": 7, "malformed": 3,
    "agent_failed": 2, "infrastructure": 5,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Browsed:
    """A page that browses entries."""

    name: str
    """The page's and its data's name."""
    title: str
    """Its heading."""
    about: str
    """What is shown, in a sentence or two."""
    noun: str
    """What an entry is, in the plural."""


BROWSED = (
    Browsed(
        name="steps",
        title="Steps",
        about="Held-out steps of expert trajectories: what each model answered beside what the expert did. Marked"
        " are the matching blocks, whose characters are what the similarity counts. The first and the last"
        " evaluation are compared.",
        noun="steps",
    ),
    Browsed(
        name="episodes",
        title="Episodes",
        about="Whole episodes in their containers: what was thought, what was done, and what came back.",
        noun="episodes",
    ),
    Browsed(
        name="rollouts",
        title="Rollouts",
        about="What the model answered while it was trained, by update. The answers of a group share a prompt; a group"
        " whose rewards are all the same teaches nothing.",
        noun="groups",
    ),
    Browsed(
        name="trajectories",
        title="Trajectories",
        about="What the experts did, step by step, with what is known of each step: rewards, drift in a replay, and how"
        " close the students of the runs here come to it.",
        noun="trajectories",
    ),
    Browsed(
        name="instances",
        title="Instances",
        about="Step instances: what a student is shown at a step, and what the expert did there.",
        noun="instances",
    ),
)


class Site:
    """Renders pages into a folder.

    Args:
        out: The folder.
        title: The site's name.
        made: When and by what, in words.
        browsed: Names of the pages that browse.
        trained: Whether there is a page of curves.
        live: Whether pages look for news by themselves.
    """

    def __init__(
        self, out: Path, *, title: str, made: str, browsed: Sequence[str], numbers: bool, trained: bool, live: bool
    ) -> None:
        self.out = out
        self.pages = [("index", "Overview")]
        self.pages += [("training", "Training")] if trained else []
        self.pages += [("reasoning", "Reasoning")] if numbers or trained else []
        self.pages += [(page.name, page.title) for page in BROWSED if page.name in browsed]
        self.written: list[str] = []
        self.environment = Environment(
            loader=PackageLoader("srl_swe.evaluation.site"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self.environment.filters |= {"rate": rate_cell, "number": number_cell, "said": charts.spoken}
        self.environment.globals |= {
            "site_title": title, "made": made, "pages": self.pages, "live": live, "whisker": charts.whisker,
        }  # fmt: skip

    def write(self, name: str, **context: Any) -> None:
        """Render ``NAME.html`` from its template; pages that browse share one.

        Raises:
            StorageError: it cannot be written.
        """
        template = "browse.html" if "browsed" in context else f"{name}.html"
        text = self.environment.get_template(template).render(page=name, **context)
        write_atomically(self.out / f"{name}.html", clean(text))
        self.written.append(f"{name}.html")


def rate_cell(interval: Interval) -> Markup:
    """A rate, and its interval in a line below it."""
    return _cell(interval, ".1%")


def number_cell(interval: Interval, form: str = ".3f") -> Markup:
    """A mean, and its interval in a line below it."""
    return _cell(interval, form)


def _cell(interval: Interval, form: str) -> Markup:
    if not interval:
        return Markup('<span class="none">–</span>')
    value, low, high = (charts.minus(format(end, form)) for end in interval)
    ends = f"{low} to {high}" if math.isfinite(interval.low) else "one task"
    return Markup('{}<span class="ends">{}</span>').format(value, ends)


def endings_chart(rows: Sequence[tuple[str, Mapping[str, int]]]) -> list[dict[str, Any]]:
    """For each arm the share of every ending, as the template draws it."""
    return [
        {
            "name": name,
            "total": sum(counts.values()),
            "parts": [
                {
                    "ending": ending,
                    "count": count,
                    "share": 100 * count / sum(counts.values()),
                    "colour": ENDING_COLOURS.get(ending, 5),
                }
                for ending, count in sorted(counts.items(), key=lambda item: -item[1])
            ],
        }
        for name, counts in rows
        if counts
    ]


def table_of(value: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A JSON object as rows; nested keys joined by dots."""

    def rows(inner: Any, name: str) -> list[tuple[str, str]]:
        if isinstance(inner, Mapping) and inner:
            return [row for key, v in inner.items() for row in rows(v, f"{name}.{key}" if name else str(key))]
        if isinstance(inner, list) and all(isinstance(item, str) for item in inner):
            return [(name, "\n".join(inner))]
        return [(name, inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False))]

    return rows(value, "") if value else []
