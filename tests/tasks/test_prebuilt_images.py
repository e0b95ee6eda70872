"""Worlds that somebody else built: an image with a repository, its history, and an environment of its own."""

from __future__ import annotations

from pathlib import Path

import docker
import public_rows
import pytest

from srl_swe.errors import ImageBuildError
from srl_swe.records import RepositorySource
from srl_swe.sandbox import open_sandbox
from srl_swe.sandbox.layers import add_layer
from srl_swe.sandbox.owners import KIND_LABEL
from srl_swe.tasks import prepare, validate
from srl_swe.tasks.writing import TaskDraft, write_suite, write_task

IMAGE = "srl-swe-tests/prebuilt:1"
# The fix is in the history and in the working tree, the tests of R2E-Gym lie about, and nothing is the agent's.
SCRIPT = """
rm -rf /app && mkdir -p /app/tests && cd /app
git init -q . && git config user.email x@y && git config user.name x
printf %s "$BUGGY" >adder.py
git add -A && git commit -q -m buggy
printf %s "$FIXED" >adder.py
git commit -q -a -m fixed
mkdir r2e_tests /r2e_tests && echo secret >r2e_tests/test_1.py && echo secret >/r2e_tests/test_1.py
sed -i /agent/d /etc/passwd
"""


@pytest.fixture(scope="module")
def foreign(docker_client: docker.DockerClient, base_image: str) -> str:
    values = {"BUGGY": public_rows.BUGGY, "FIXED": public_rows.FIXED}
    script = "".join(f"{name}='{text}'\n" for name, text in values.items()) + SCRIPT
    add_layer(docker_client, base_image, IMAGE, script=script, labels={KIND_LABEL: "test"})
    yield IMAGE
    docker_client.images.remove(IMAGE, force=True)


def task(tmp_path: Path, *, image: str, fixed: bool, root: str = "/app"):
    suite = tmp_path / "suite"
    write_suite(suite, name="prebuilt", description="x")
    (tmp_path / "bug").mkdir()
    draft = TaskDraft(
        name="adder",
        repository="psf/adder",
        split="train",
        problem_statement="add subtracts",
        source=RepositorySource(kind="image", location=image, root=root, fixed=fixed),
        gold_patch=public_rows.difference(tmp_path / "bug", "adder.py", public_rows.BUGGY, public_rows.FIXED),
        test_files={"tests/test_adder.py": public_rows.NEW_TESTS},
        fail_to_pass=tuple(public_rows.FAIL_TO_PASS),
        pass_to_pass=tuple(public_rows.PASS_TO_PASS),
        partial=True,
    )
    return write_task(draft, suite)


@pytest.mark.docker
def test_a_prebuilt_world(foreign: str, tmp_path: Path) -> None:
    one = task(tmp_path, image=foreign, fixed=True)
    result = validate(one, repeats=1)
    assert result.ok, result.problems
    prepared = prepare(one)
    assert prepare(one).image == prepared.image
    with open_sandbox(prepared.image) as sandbox:
        assert sandbox.read_file("/testbed/adder.py").decode() == public_rows.BUGGY
        assert sandbox.read_file("/app/adder.py").decode() == public_rows.BUGGY
        assert sandbox.run("git log --all --oneline | wc -l; git status --porcelain").output.strip() == "1"
        assert sandbox.run("git rev-parse HEAD").output.strip() == prepared.base_commit
        assert sandbox.run("id -un; echo $HOME").output.split() == ["agent", "/home/agent"]
        assert sandbox.run("grep -rl secret /testbed /r2e_tests 2>/dev/null").output == ""
        assert sandbox.run("touch new && rm new").exit_code == 0


@pytest.mark.docker
def test_what_does_not_fit_is_named(foreign: str, tmp_path: Path) -> None:
    for number, (options, problem) in enumerate(
        (
            ({"image": "localhost:1/none:1", "fixed": True}, "the engine does not have this image, and it cannot be"),
            ({"image": foreign, "fixed": False}, "the gold patch does not fit /app"),
            ({"image": foreign, "fixed": True, "root": "/nowhere"}, "the image has no folder /nowhere"),
        )
    ):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(ImageBuildError, match=problem):
            prepare(task(tmp_path / str(number), **options))
