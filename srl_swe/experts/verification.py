"""Replay many trajectories side by side, and filter them: what is kept really ends solved, today, in its container."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import srl_swe
from srl_swe.environments.lasting_states import LastingStates
from srl_swe.errors import ConfigError, EngineUnavailableError, InfrastructureError, MalformedActionError
from srl_swe.experts.adoption import rerecorded
from srl_swe.experts.oracle import open_environment
from srl_swe.experts.replay import ReplayReport, replay
from srl_swe.experts.secrets import secrets_of
from srl_swe.experts.side_by_side import SideBySide
from srl_swe.experts.trajectories import format_trajectory, write_trajectories
from srl_swe.files import append_line, resume_lines, write_atomically
from srl_swe.records import PreparedTask, Trajectory

_TRIES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What a replay showed of one trajectory, and what is in its text."""

    trajectory_id: str
    """The trajectory."""
    task_id: str
    """The task."""
    length: int
    """Steps recorded."""
    resolved: bool | None = None
    """Whether the end was graded as solved; ``None``: never submitted, or not judged."""
    ratios: tuple[float, ...] = ()
    """Similarity of what was recorded and what came back, of each step that was run."""
    drifted: tuple[int, ...] = ()
    """The steps, from 0, whose observations differ in more than what may vary."""
    skipped: int = 0
    """Steps after the episode had ended."""
    stale: bool = False
    """Whether the task has changed since the recording."""
    tampering: tuple[str, ...] = ()
    """What grading found."""
    secrets: tuple[str, ...] = ()
    """``step N: kind``, N from 1; never the secrets themselves."""
    unrunnable: str | None = None
    """Why an action cannot be given to a shell."""
    infrastructure: str | None = None
    """Why it could not be judged, however often it was tried."""
    observed: tuple[str, ...] = ()
    """What came back of each step that was run, where that was asked for."""

    def reasons(self, *, early: float = 0.5) -> list[str]:
        """Why the trajectory is not to be kept; empty: it is. Asked only of what was judged.

        Args:
            early: The first drift is early before this share of the steps.
        """
        if self.unrunnable is not None:
            return [f"an action cannot be run: {self.unrunnable}"]
        found = []
        if self.resolved is None:
            found.append("not submitted")
        elif not self.resolved:
            found.append("not solved")
        if self.drifted and self.drifted[0] < early * self.length:
            found.append(f"early drift: step {self.drifted[0] + 1} of {self.length}")
        found += [f"tampering: {what}" for what in self.tampering]
        found += [f"secret in {what}" for what in self.secrets]
        return found


def verify(
    trajectories: Sequence[Trajectory],
    prepared: Mapping[str, PreparedTask],
    *,
    jobs: int = 2,
    backend: str = "docker",
    journal: Path | None = None,
    on_report: Callable[[Verification, ReplayReport | None], None] | None = None,
    lasting: LastingStates | None = None,
    observations: bool = False,
) -> list[Verification]:
    """Replay each trajectory. What the world spoils is tried again, three times in all.

    Args:
        trajectories: What to replay.
        prepared: The tasks, by their ids.
        jobs: Replays at a time.
        backend: Sandbox backend.
        journal: Where results are kept as they come, so that an interrupted call goes on where it stopped.
        on_report: Called after each replay, from several threads; the report is ``None`` where the replay failed or was
            done by an earlier call.
        lasting: Where the state after each action is kept for later processes; ``None``: it is not.
        observations: Also keep what came back, in `Verification.observed`.

    Returns:
        One for each trajectory, in order.

    Raises:
        ConfigError: ``jobs`` is below 1, or the journal is none.
        EngineUnavailableError: no container engine answers.
        StorageError: the journal cannot be written.
    """
    side = SideBySide()
    known = _read_journal(journal) if journal is not None else {}
    writing = threading.Lock()

    def one(trajectory: Trajectory) -> Verification:
        task = prepared[trajectory.task_id]
        key, report = _key(trajectory, task), None
        found = known.get(key)
        if found is None or (observations and len(found.observed) < len(found.ratios)):
            found, report = verify_one(trajectory, task, backend=backend, side=side, lasting=lasting)
            if observations and report is not None:
                found = dataclasses.replace(found, observed=tuple(step.observed for step in report.steps))
            if journal is not None and found.infrastructure is None:
                with writing:
                    append_line(journal, {"key": key, "verification": dataclasses.asdict(found)})
        if on_report is not None:
            on_report(found, report)
        return found

    return side.run(one, trajectories, jobs=jobs, name="replay")


def verify_one(
    trajectory: Trajectory,
    prepared: PreparedTask,
    *,
    backend: str = "docker",
    side: SideBySide | None = None,
    lasting: LastingStates | None = None,
) -> tuple[Verification, ReplayReport | None]:
    """Replay one trajectory, three times where the world spoils it; the report is ``None`` where it went wrong.

    Raises:
        EngineUnavailableError: no container engine answers.
    """
    side, failure = side or SideBySide(), ""
    for _ in range(_TRIES):
        environment = open_environment(prepared, max_steps=len(trajectory.steps) + 1, backend=backend)
        with side.holding(environment):
            try:
                report = replay(trajectory, prepared, environment=environment, lasting=lasting)
            except EngineUnavailableError:
                raise
            except MalformedActionError as error:
                return _unjudged(trajectory, unrunnable=str(error)), None
            except InfrastructureError as error:
                failure = f"{type(error).__name__}: {error}"
                continue
        return _verification(trajectory, report), report
    return _unjudged(trajectory, infrastructure=failure), None


def verified(trajectory: Trajectory, found: Verification) -> Trajectory:
    """The trajectory, marked as resolved, with what its replay showed in its provenance."""
    replayed = {"package_version": srl_swe.__version__, "drifted": list(found.drifted), "stale": found.stale}
    return dataclasses.replace(trajectory, resolved=True, provenance=trajectory.provenance | {"replay": replayed})


def write_verified(
    trajectories: Sequence[Trajectory],
    verifications: Sequence[Verification],
    out: Path,
    rejected: Path,
    *,
    early: float = 0.5,
    rerecord: bool = False,
) -> tuple[int, int]:
    """Write the trajectories to keep, and why the others are not kept; returns how many of each.

    Those that could not be judged are in neither file. Where there is nothing to keep, ``out`` is not written.

    Args:
        trajectories: What was replayed.
        verifications: What that showed of each.
        out: The file of those to keep.
        rejected: The file of the others' reasons.
        early: See `Verification.reasons`.
        rerecord: Keep what came back in place of what was recorded; drift is then no reason against a trajectory.

    Raises:
        StorageError: a file cannot be written.
    """
    kept: list[Trajectory] = []
    lines: list[str] = []
    for trajectory, found in zip(trajectories, verifications, strict=True):
        if found.infrastructure is not None:
            continue
        if reasons := found.reasons(early=0.0 if rerecord else early):
            replayed = {key: value for key, value in dataclasses.asdict(found).items() if key != "observed"}
            record = {"trajectory_id": found.trajectory_id, "reasons": reasons, "replay": replayed}
            lines.append(json.dumps(record) + "\n")
            continue
        if rerecord:  # what came back is then what is recorded: nothing has drifted from it
            kept.append(verified(rerecorded(trajectory, found.observed), dataclasses.replace(found, drifted=())))
        else:
            kept.append(verified(trajectory, found))
    if kept:
        write_trajectories(out, kept)
    write_atomically(rejected, "".join(lines))
    return len(kept), len(lines)


def _unjudged(
    trajectory: Trajectory, *, infrastructure: str | None = None, unrunnable: str | None = None
) -> Verification:
    return Verification(
        trajectory_id=trajectory.trajectory_id,
        task_id=trajectory.task_id,
        length=len(trajectory.steps),
        unrunnable=unrunnable,
        infrastructure=infrastructure,
    )


def _verification(trajectory: Trajectory, report: ReplayReport) -> Verification:
    return Verification(
        trajectory_id=trajectory.trajectory_id,
        task_id=trajectory.task_id,
        length=len(trajectory.steps),
        resolved=report.resolved,
        ratios=tuple(round(step.ratio, 4) for step in report.steps),
        drifted=report.drifted,
        skipped=report.skipped,
        stale=report.stale,
        tampering=report.tampering,
        secrets=tuple(f"step {k + 1}: {kind}" for k, kind in secrets_of(trajectory)),
    )


def _key(trajectory: Trajectory, prepared: PreparedTask) -> str:
    content = format_trajectory(trajectory) + prepared.task.content_hash.encode() + srl_swe.__version__.encode()
    return hashlib.sha256(content).hexdigest()


def _read_journal(path: Path) -> dict[str, Verification]:
    known = {}
    try:
        for record in resume_lines(path):
            fields: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in record["verification"].items()
            }
            known[record["key"]] = Verification(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: not the journal of a replay; remove it to start again ({error})") from error
    return known
