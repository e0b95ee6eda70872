"""Whether a task was solved, as SWE-bench's harness and those made after it report it beside the trajectories.

| a row or file | says |
|---|---|
| ``{"instance_id": …, "resolved": true}`` | one task (mini-swe-agent's ``reports.jsonl``, data sets) |
| ``{"<instance id>": {"resolved": true, …}}`` | SWE-bench's ``report.json`` of one task, or of several |
| ``{"resolved": true, "tests_status": …}`` | SWE-smith's ``<instance id>/report.json``: its folder names the task |
| ``{"resolved_ids": […], "unresolved_ids": […]}`` | SWE-bench's summary; SWE-smith's has ``ids_resolved`` |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from srl_swe.data_files import read_rows
from srl_swe.errors import TrajectoryError
from srl_swe.experts.formats.fields import Field

_LISTS = {"resolved_ids": True, "unresolved_ids": False, "ids_resolved": True, "ids_unresolved": False}


def read_outcomes(files: Iterable[Path]) -> dict[str, bool]:
    """By task, whether it was solved.

    Raises:
        TrajectoryError: a file is no such report, or two of them contradict each other.
    """
    outcomes: dict[str, bool] = {}
    for path in files:
        for row in read_rows(path, TrajectoryError, one_row=lambda reports: not reports):
            if isinstance(row.value, TrajectoryError):
                raise row.value
            report = Field(row.value, row.where)
            for task, resolved in _outcomes(report, path):
                if outcomes.setdefault(task, resolved) != resolved:
                    report.fail(f"contradicts an earlier report about {task}")
    return outcomes


def _outcomes(report: Field, path: Path) -> Iterator[tuple[str, bool]]:
    keys = report.mapping()
    if _LISTS.keys() & keys.keys():
        for key in _LISTS.keys() & keys.keys():
            for one in report[key].members():
                yield one.name(), _LISTS[key]
    elif "resolved" in keys:
        named = report.get("instance_id")
        yield (named.name() if named is not None else path.resolve().parent.name), report["resolved"].flag()
    else:
        found = [(task, flag) for task in keys if (flag := report.at(task, "resolved")) is not None]
        if not found:
            report.fail("tells of no task whether it was resolved")
        for task, flag in found:
            yield task, flag.flag()
