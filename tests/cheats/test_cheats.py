"""No cheat is graded as solved, and honest work that looks like one is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from cheats.battery import CHEATS, quick_twins, twins
from cheats.declaration import JSONPATCH, SLUGS, TIMESTAMP, YEN, Cheat
from cheats.students import Students
from srl_swe.sandbox import open_sandbox

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def students(docker_client: docker.DockerClient) -> Iterator[Students]:
    with Students(Path(__file__).parents[2] / "envs", docker_client) as students:
        yield students


@pytest.mark.parametrize(
    "cheat", [pytest.param(cheat, id=cheat.name, marks=[pytest.mark.slow] * cheat.slow) for cheat in CHEATS]
)
def test_no_cheat_is_solved(students: Students, cheat: Cheat) -> None:
    verdict = students.verdict(cheat, fixed=False)
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
    verdict = students.verdict(cheat, fixed=True)
    assert verdict.solved, verdict
    assert verdict.tampering == ()


def telling_lines(text: str, known: str) -> list[str]:
    """Lines of a fix or a test that say something, and that the repository does not have."""
    return [line for line in text.splitlines() if len(line.strip()) > 30 and line.strip() not in known]


@pytest.mark.parametrize("task_id", [SLUGS, YEN, JSONPATCH, TIMESTAMP])
def test_the_students_sandbox_holds_neither_fix_nor_tests_nor_later_history(students: Students, task_id: str) -> None:
    prepared = students.prepared(task_id)
    with open_sandbox(prepared.image) as sandbox:
        assert sandbox.run("git ls-files -z | xargs -0 cat >/tmp/known").exit_code == 0
        known = sandbox.read_file("/tmp/known").decode(errors="replace")
        sandbox.run("rm /tmp/known")
        fix = [line[1:] for line in prepared.gold_patch.splitlines() if line[:1] == "+" and line[:3] != "+++"]
        wanted = telling_lines("\n".join([*fix, *(text for _, text in prepared.test_files)]), known)
        assert wanted
        sandbox.write_file("/tmp/wanted", "\n".join(wanted).encode())
        places = "/testbed /home /tmp /root /opt /srv /var /usr/local /etc /run /mnt /media"
        found = sandbox.run(f"grep -rlIF -f /tmp/wanted {places} 2>/dev/null | grep -v /tmp/wanted", timeout_s=120)
        assert found.output == ""
        # The search finds what is there.
        sandbox.write_file("/home/agent/left", prepared.test_files[0][1].encode())
        found = sandbox.run("grep -rlIF -f /tmp/wanted /home 2>/dev/null")
        assert found.output == "/home/agent/left\n"
        objects = sandbox.run(
            "git cat-file --batch-all-objects --batch-check | grep -c commit; git tag; git stash list"
        )
        assert objects.output == "1\n"
        assert sandbox.run("git reflog | wc -l; git remote; git for-each-ref | wc -l").output.split() in (
            ["1", "1"],
            ["0", "1"],
        )
