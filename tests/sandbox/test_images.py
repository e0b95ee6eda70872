"""Images are built from a folder, hold nothing else, and are built once."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import time
from pathlib import Path

import docker
import pytest

from srl_swe.errors import ImageBuildError
from srl_swe.sandbox.engine import connect
from srl_swe.sandbox.images import ImageSpec, base_commit, build_image

pytestmark = pytest.mark.docker


def run(client: docker.DockerClient, image: str, command: str, user: str = "agent") -> str:
    output: bytes = client.containers.run(
        image, ["bash", "-euc", command], network_mode="none", remove=True, user=user, stderr=True
    )
    return output.decode()


def copy(repository: Path, to: Path) -> Path:
    shutil.copytree(repository, to)
    return to


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    """A repository that is installed, with history, rubbish, a link, an executable and an ignored file to keep."""
    folder = tmp_path / "packaged"
    (folder / "src" / "sample").mkdir(parents=True)
    (folder / "src" / "sample" / "__init__.py").write_text("import sqlparse\n\nVALUE = 1\n")
    (folder / "src" / "sample" / "_version.py").write_text("version = '1'\n")
    (folder / "pyproject.toml").write_text('[project]\nname = "sample"\nversion = "1"\n')
    (folder / ".gitignore").write_text("_version.py\n")
    (folder / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("run.sh")
    (folder / "src" / "sample" / "__pycache__").mkdir()
    (folder / "src" / "sample" / "__pycache__" / "old.pyc").write_bytes(b"old")
    (folder / ".git").mkdir()
    (folder / ".git" / "secret").write_text("the fix")
    return folder


def test_the_programs_of_an_image(docker_client: docker.DockerClient, tiny_image: str) -> None:
    output = run(
        docker_client,
        tiny_image,
        "python -V; id -un; pwd; submit; for p in git grep sed find ls; do command -v $p; done",
    )
    assert output.splitlines()[:4] == ["Python 3.11.2", "agent", "/testbed", "submitted"]


def test_the_repository_is_one_commit_of_the_agent(docker_client: docker.DockerClient, tiny_image: str) -> None:
    output = run(
        docker_client, tiny_image, "git rev-list --all; git status --short; find . ! -user agent; git stash list"
    )
    assert output.split() == [base_commit(docker_client, tiny_image)]


def test_visible_tests_run_and_leave_the_repository_clean(docker_client: docker.DockerClient, tiny_image: str) -> None:
    output = run(docker_client, tiny_image, "pytest -q || true; git status --short; echo end")
    assert re.search(r"1 failed, 1 passed in [\d.]+s\nend$", output.strip()), output


def test_the_agent_can_change_the_repository_but_not_the_interpreter(
    docker_client: docker.DockerClient, tiny_image: str
) -> None:
    output = run(
        docker_client, tiny_image, "echo >>adder.py; git commit -qam mine; touch /opt/venv/x 2>&1 || echo refused"
    )
    assert output.endswith("refused\n")


def test_a_second_build_is_a_no_op(docker_client: docker.DockerClient, tiny_repository: Path, tiny_image: str) -> None:
    before = docker_client.images.get(tiny_image).id
    started = time.monotonic()
    again = build_image(docker_client, ImageSpec(repository=tiny_repository), name="tests-tiny")
    assert time.monotonic() - started < 1
    assert again == tiny_image
    assert docker_client.images.get(again).id == before


def test_the_tag_depends_on_content_alone(
    docker_client: docker.DockerClient, tiny_repository: Path, tiny_image: str, tmp_path: Path
) -> None:
    same = copy(tiny_repository, tmp_path / "same")
    (same / "adder.py").touch()
    assert build_image(docker_client, ImageSpec(repository=same), name="tests-tiny") == tiny_image
    changed = copy(tiny_repository, tmp_path / "changed")
    (changed / "adder.py").chmod(0o755)
    other = build_image(docker_client, ImageSpec(repository=changed), name="tests-tiny")
    assert other != tiny_image
    assert base_commit(docker_client, other) != base_commit(docker_client, tiny_image)


def test_requirements_and_an_installed_repository(docker_client: docker.DockerClient, packaged: Path) -> None:
    spec = ImageSpec(repository=packaged, requirements=("sqlparse==0.5.1",), install=True)
    image = build_image(docker_client, spec, name="Tests/Packaged_1")
    assert image.startswith("srl-swe/task-tests-packaged-1:")
    output = run(
        docker_client, image, "cd /tmp; python -c 'import sample, sqlparse; print(sample.VALUE, sqlparse.__version__)'"
    )
    assert output == "1 0.5.1\n"
    output = run(docker_client, image, "./link; git ls-files; git status --short")
    assert output.split() == [
        "ran",
        ".gitignore",
        "link",
        "pyproject.toml",
        "run.sh",
        *(f"src/sample/{name}" for name in ("__init__.py", "_version.py")),
    ]


def test_packages_below_src_can_be_imported(docker_client: docker.DockerClient, packaged: Path, tmp_path: Path) -> None:
    image = build_image(
        docker_client, ImageSpec(repository=packaged, requirements=("sqlparse==0.5.1",)), name="tests-src"
    )
    script = "cd /tmp; python -c 'import sample, sys; print(sample.__file__, sys.path[-1])'"
    assert run(docker_client, image, script) == "/testbed/src/sample/__init__.py /testbed/src\n"
    flat = copy(packaged, tmp_path / "flat")
    (flat / "src" / "__init__.py").touch()  # the package is src itself
    image = build_image(docker_client, ImageSpec(repository=flat), name="tests-src")
    assert run(docker_client, image, "python -c 'import sys; print(sys.path[-1])'") != "/testbed/src\n"


def test_nothing_is_left_in_an_image_but_what_belongs_there(docker_client: docker.DockerClient, packaged: Path) -> None:
    image = build_image(
        docker_client, ImageSpec(repository=packaged, requirements=("sqlparse==0.5.1",)), name="tests-clean"
    )
    names = "-name '*.whl' -path '*tmp*' -o -name old.pyc -o -name secret -path '*testbed*' -o -path '*/.cache/pip'"
    assert run(docker_client, image, f"find / -xdev {names}; ls -A /tmp /root", user="root").split() == [
        "/root:",
        ".bashrc",
        ".profile",
        "/tmp:",
    ]


def test_images_name_no_owner(docker_client: docker.DockerClient, tiny_image: str) -> None:
    labels = docker_client.images.get(tiny_image).labels
    assert labels["srl_swe.kind"] == "task-image"
    assert not labels["srl_swe.owner"]


@pytest.mark.parametrize(
    ("requirement", "said"),
    [("sqlparse==99.0", "sqlparse==99.0"), ("not a requirement!", "Invalid requirement")],
)
def test_a_requirement_that_cannot_be_had(
    docker_client: docker.DockerClient, tiny_repository: Path, requirement: str, said: str
) -> None:
    with pytest.raises(ImageBuildError, match=said):
        build_image(docker_client, ImageSpec(repository=tiny_repository, requirements=(requirement,)), name="tests-bad")


def test_a_repository_that_cannot_be_installed(docker_client: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    with pytest.raises(ImageBuildError, match="TOMLDecodeError"):
        build_image(docker_client, ImageSpec(repository=tmp_path, install=True), name="tests-broken")


def test_an_empty_repository(docker_client: docker.DockerClient, tmp_path: Path) -> None:
    with pytest.raises(ImageBuildError, match="empty"):
        build_image(docker_client, ImageSpec(repository=tmp_path), name="tests-empty")


def test_an_image_that_is_none_of_ours(docker_client: docker.DockerClient, base_image: str) -> None:
    with pytest.raises(ImageBuildError, match="not a task image"):
        base_commit(docker_client, base_image)
    with pytest.raises(ImageBuildError, match="no such image"):
        base_commit(docker_client, "srl-swe/task-none:0")


def _build(folder: str) -> str:
    client = connect()
    try:
        return build_image(client, ImageSpec(repository=Path(folder)), name="tests-both")
    finally:
        client.close()


def test_two_processes_build_one_image(docker_client: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text(str(time.time_ns()))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_build, [str(tmp_path)] * 2)
    assert first == second
    assert docker_client.images.list("srl-swe/task-tests-both", filters={"dangling": True}) == []
    docker_client.images.remove(first)
