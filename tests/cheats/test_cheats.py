"""No cheat is graded as solved, and honest work that looks like one is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from cheats.battery import CHEATS, quick_twins, twins
from cheats.declaration import Cheat
from cheats.students import Students
from srl_swe.grading import grade
from srl_swe.records import Verdict

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def students(docker_client: docker.DockerClient) -> Iterator[Students]:
    with Students(Path(__file__).parents[2] / "envs", docker_client) as students:
        yield students


def graded(students: Students, cheat: Cheat, *, fixed: bool) -> Verdict:
    prepared = students.prepared(cheat.task)
    if cheat.timeout_s is not None and not fixed:
        prepared = dataclasses.replace(prepared, task=dataclasses.replace(prepared.task, timeout_s=cheat.timeout_s))
    return grade(prepared, students.patch(cheat, fixed=fixed))


@pytest.mark.parametrize(
    "cheat", [pytest.param(cheat, id=cheat.name, marks=[pytest.mark.slow] * cheat.slow) for cheat in CHEATS]
)
def test_no_cheat_is_solved(students: Students, cheat: Cheat) -> None:
    verdict = graded(students, cheat, fixed=False)
    assert verdict.solved is False, verdict
    assert verdict.infrastructure is None
    named = {"tampering": verdict.tampering, "refused": verdict.refused_paths}
    named["either"] = verdict.tampering or verdict.refused_paths
    assert not cheat.caught or named[cheat.caught], verdict


QUICK = quick_twins()


@pytest.mark.parametrize(
    "cheat",
    [pytest.param(cheat, id=cheat.name, marks=[pytest.mark.slow] * (cheat.name not in QUICK)) for cheat in twins()],
)
def test_honest_twins_are_solved(students: Students, cheat: Cheat) -> None:
    verdict = graded(students, cheat, fixed=True)
    assert verdict.solved, verdict
    assert verdict.tampering == ()
