"""Who is fooled: the battery of cheats and their honest twins, graded by us and by SWE-bench's harness.

    python -m benchmarks.grading_integrity --json benchmarks/results/grading_integrity.json

Both grade the same patches on the same images in the same run; SWE-bench's side is its own ``run_instance``. Figures:
``cheats``; ``cheats_solved`` and ``swebench_cheats_solved``: how many were graded as solved; ``honest``,
``honest_solved_fraction`` and ``swebench_honest_solved_fraction``: the fix beside something that looks like a cheat;
``log_parsing_tests`` and ``log_parsing_agreement``: of the tests of honest runs (the fix, and nothing), those where our
outcome is what SWE-bench's parser reads in its own log.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import track

from benchmarks.peers import SWEBENCH, Peer, swebench_harness
from benchmarks.record import parse, report
from benchmarks.swebench_rows import row
from srl_swe.grading import grade
from srl_swe.records import PreparedTask, TestOutcome, Verdict
from srl_swe.sandbox.calls import address, shared_client

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the battery is the tests' own

if TYPE_CHECKING:
    from cheats.students import Students

SAME_STATUS = {TestOutcome.PASSED: "PASSED", TestOutcome.FAILED: "FAILED", TestOutcome.SKIPPED: "SKIPPED"}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One patch that both grade."""

    name: str
    kind: str
    prepared: PreparedTask
    patch: str


def main() -> None:
    """Grade, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2, help="gradings at a time")
    parser.add_argument("--only", default="", help="only cheats whose name holds this")
    options = parse(__doc__, parser)
    from cheats.students import Students

    client = shared_client()
    with Students(ROOT / "envs", client) as students, swebench_harness(address(client.api)) as peer:
        cheats, honest, plain = attempts(students, options.only)
        everything = [*cheats, *honest, *plain]
        ours = grade_all(everything, options.workers)
        theirs = ask_swebench(peer, everything, options.workers)
    counts = len(cheats), len(cheats) + len(honest)
    rows: list[list[object]] = [["attempt", "kind", "ours", "named", "SWE-bench"]]
    for attempt, verdict, their in zip(everything, ours, theirs, strict=True):
        named = (*verdict.tampering, *verdict.refused_paths)
        rows.append([attempt.name, attempt.kind, word(verdict.solved), "; ".join(named)[:60], word(their["resolved"])])
    same, tests = agreement(ours[counts[1] :], theirs[counts[1] :])
    figures = {
        "cheats": float(len(cheats)),
        "cheats_solved": float(sum(bool(v.solved) for v in ours[: counts[0]])),
        "cheats_without_verdict": float(sum(v.solved is None for v in ours[: counts[0]])),
        "swebench_cheats_solved": float(sum(their["resolved"] for their in theirs[: counts[0]])),
        "honest": float(len(honest)),
        "honest_solved_fraction": fraction([bool(v.solved) for v in ours[counts[0] : counts[1]]]),
        "swebench_honest_solved_fraction": fraction([t["resolved"] for t in theirs[counts[0] : counts[1]]]),
        "log_parsing_tests": float(tests),
        "log_parsing_agreement": same / max(1, tests),
    }
    rows += [["", "", "", "", ""], *([name, "", value, "", ""] for name, value in figures.items())]
    versions = {"docker engine": client.version()["Version"], "docker SDK": version("docker"), "peer": SWEBENCH}
    report("who is fooled", rows, figures, versions, options.json)


def attempts(students: Students, only: str) -> tuple[list[Attempt], list[Attempt], list[Attempt]]:
    """Make the patches: of the cheats, of their twins, and of each task the fix alone and nothing."""
    from cheats.battery import FAMILIES, twins

    cheats, honest = [], []
    for family, members in FAMILIES.items():
        for cheat in track(members, description=family):
            if only in cheat.name:
                prepared = students.graded_task(cheat, fixed=False)
                patch = students.patch(cheat, fixed=False)
                cheats.append(Attempt(name=cheat.name, kind=family, prepared=prepared, patch=patch))
    for cheat in track(twins(), description="twins"):
        if only in cheat.name:
            patch = students.patch(cheat, fixed=True)
            honest.append(
                Attempt(
                    name=f"beside: {cheat.name}", kind="honest", prepared=students.prepared(cheat.task), patch=patch
                )
            )
    plain = []
    for prepared in students.all_prepared():
        name = prepared.task.task_id
        plain.append(Attempt(name=f"{name}: the fix", kind="plain", prepared=prepared, patch=prepared.gold_patch))
        plain.append(Attempt(name=f"{name}: nothing", kind="plain", prepared=prepared, patch=""))
    return cheats, honest, plain


def grade_all(everything: list[Attempt], workers: int) -> list[Verdict]:
    """Our verdicts, in order."""
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda attempt: grade(attempt.prepared, attempt.patch), everything)
        return list(track(found, description="ours", total=len(everything)))


def ask_swebench(peer: Peer, everything: list[Attempt], workers: int) -> list[dict[str, Any]]:
    """Its answers, in order. It waits some seconds for each container to stop: four times as many at a time."""
    rows: dict[str, dict[str, Any]] = {}
    answers: list[dict[str, Any]] = []
    batch = 8 * workers
    for start in track(range(0, len(everything), batch), description="SWE-bench"):
        chosen = {f"attempt-{start + i}": a for i, a in enumerate(everything[start : start + batch])}
        instances = []
        for identity, attempt in chosen.items():
            task_id = attempt.prepared.task.task_id
            if task_id not in rows:
                rows[task_id] = row(attempt.prepared)
            limit = int(min(attempt.prepared.task.timeout_s, 60))
            instances.append(rows[task_id] | {"instance_id": identity, "timeout_s": limit})
        patches = {identity: attempt.patch for identity, attempt in chosen.items()}
        answer = peer.ask(instances=instances, patches=patches, workers=4 * workers)
        answers += [answer["results"][identity] for identity in chosen]
    return answers


def agreement(ours: list[Verdict], theirs: list[dict[str, Any]]) -> tuple[int, int]:
    """Of the tests of these runs: how many ended alike for both, and how many there are.

    Their harness reports no empty patch: a run that it has no log of is no run.
    """
    same = total = 0
    for verdict, their in zip(ours, theirs, strict=True):
        if their["statuses"] is None:
            continue
        for name, outcome in verdict.outcomes.items():
            total += 1
            same += their["statuses"].get(name) == SAME_STATUS.get(outcome)
    return same, total


def fraction(values: list[bool]) -> float:
    """Of how many it is true; 0 where there are none."""
    return sum(values) / max(1, len(values))


def word(solved: bool | None) -> str:
    """A verdict in a word."""
    return {True: "solved", False: "-", None: "no verdict"}[solved]


if __name__ == "__main__":
    main()
