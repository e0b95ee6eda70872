"""What grading predictions found, in numbers and as JSON with the keys of SWE-bench's report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_swe.files import write_atomically
from srl_swe.records import Task, Verdict
from srl_swe.tasks.formats.predictions import Prediction


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line; failures of the infrastructure are counted apart."""
    failed = sum(verdict.solved is None for verdict in verdicts)
    solved = sum(verdict.solved is True for verdict in verdicts)
    return f"{solved} of {len(verdicts) - failed} graded patches solve their task; {failed} could not be graded"


def write_grades(path: Path, pairs: Sequence[tuple[Task, Prediction]], verdicts: Sequence[Verdict]) -> None:
    """Write the verdicts.

    Raises:
        StorageError: the file cannot be written.
    """
    by_state: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    instances: dict[str, dict[str, Any]] = {}
    for (task, prediction), verdict in zip(pairs, verdicts, strict=True):
        by_state[verdict.solved].append(prediction.instance_id)
        instances[prediction.instance_id] = {
            "task_id": task.task_id,
            "content_hash": task.content_hash,
            "model_name_or_path": prediction.model,
            "resolved": verdict.solved,
            "outcomes": {name: str(outcome) for name, outcome in verdict.outcomes.items()},
            "tampering": list(verdict.tampering),
            "refused_paths": list(verdict.refused_paths),
            "infrastructure": verdict.infrastructure,
        }
    report = {
        "total_instances": len(pairs),
        "completed_instances": len(by_state[True]) + len(by_state[False]),
        "resolved_instances": len(by_state[True]),
        "unresolved_instances": len(by_state[False]),
        "error_instances": len(by_state[None]),
        "empty_patch_instances": sum(not prediction.patch.strip() for _, prediction in pairs),
        "resolved_ids": sorted(by_state[True]),
        "unresolved_ids": sorted(by_state[False]),
        "error_ids": sorted(by_state[None]),
        "instances": instances,
    }
    write_atomically(path, json.dumps(report, indent=1) + "\n")
