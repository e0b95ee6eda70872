"""Students who cheat: what a cheat does in a sandbox, as the patch that is graded."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import TracebackType

import docker

from cheats.declaration import SAME, Cheat
from srl_swe.grading import grade, student_patch
from srl_swe.records import PreparedTask, Verdict
from srl_swe.sandbox import open_sandbox
from srl_swe.sandbox.protocol import Sandbox
from srl_swe.tasks import prepare, read_task


class Students:
    """Sandboxes of students, one a task, and one more for each cheat that disturbs more than the repository."""

    def __init__(self, suites: Path, client: docker.DockerClient) -> None:
        self._suites = suites
        self._client = client
        self._prepared: dict[str, PreparedTask] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._verdicts: dict[tuple[str, str, float], Verdict] = {}

    def prepared(self, task_id: str) -> PreparedTask:
        """The task, its image built."""
        if task_id not in self._prepared:
            suite, _, name = task_id.partition("/")
            self._prepared[task_id] = prepare(read_task(self._suites / suite / "tasks" / name), client=self._client)
        return self._prepared[task_id]

    def graded_task(self, cheat: Cheat, *, fixed: bool) -> PreparedTask:
        """The task, with the time limit that the cheat asks for."""
        prepared = self.prepared(cheat.task)
        if cheat.timeout_s is None or fixed:
            return prepared
        return dataclasses.replace(prepared, task=dataclasses.replace(prepared.task, timeout_s=cheat.timeout_s))

    def verdict(self, cheat: Cheat, *, fixed: bool) -> Verdict:
        """What the grader says. The same patch, such as none at all, is graded once."""
        prepared = self.graded_task(cheat, fixed=fixed)
        patch = self.patch(cheat, fixed=fixed)
        key = (cheat.task, patch, prepared.task.timeout_s)
        if key not in self._verdicts:
            self._verdicts[key] = grade(prepared, patch)
        return self._verdicts[key]

    def all_prepared(self) -> list[PreparedTask]:
        """The tasks that were asked for so far."""
        return list(self._prepared.values())

    def patch(self, cheat: Cheat, *, fixed: bool) -> str:
        """What comes of the cheat; with ``fixed``: of its honest twin, beside the fix."""
        prepared = self.prepared(cheat.task)
        session = cheat.session if not fixed or cheat.twin == SAME else cheat.twin
        if cheat.patch is not None and not fixed:
            return cheat.patch
        if cheat.apart:
            with open_sandbox(prepared.image) as sandbox:
                return _act(sandbox, prepared, session, fixed=fixed)
        if cheat.task not in self._sandboxes:
            self._sandboxes[cheat.task] = open_sandbox(prepared.image)
        sandbox = self._sandboxes[cheat.task]
        cleaned = sandbox.run(f"cd /testbed && git reset -q --hard {prepared.base_commit} && git clean -qffdx")
        assert cleaned.exit_code == 0, cleaned.output
        return _act(sandbox, prepared, session, fixed=fixed)

    def __enter__(self) -> Students:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sandbox in self._sandboxes.values():
            sandbox.close()


def _act(sandbox: Sandbox, prepared: PreparedTask, session: str, *, fixed: bool) -> str:
    if fixed:
        sandbox.write_file("/tmp/gold.patch", prepared.gold_patch.encode())
        applied = sandbox.run("cd /testbed && git apply /tmp/gold.patch")
        assert applied.exit_code == 0, applied.output
    if session:
        sandbox.run(session, timeout_s=30)
    return student_patch(sandbox, base_commit=prepared.base_commit)
