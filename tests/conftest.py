"""What tests of several rooms share: the engine, the base image, a tiny task image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from srl_swe.errors import EngineUnavailableError
from srl_swe.sandbox.engine import connect
from srl_swe.sandbox.images import ImageSpec, base_image, build_image
from srl_swe.sandbox.owners import OWNER_LABEL, this_process

pytest_plugins = ["tiny_models", "small_trajectories"]


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """A client of the engine. At the end no container that this process started may be left."""
    try:
        client = connect()
    except EngineUnavailableError as error:
        pytest.skip(str(error).partition("\n")[0].removesuffix(" Tried:"))
    yield client
    left = client.containers.list(all=True, filters={"label": f"{OWNER_LABEL}={this_process()}"}, ignore_removed=True)
    names = [container.name for container in left]
    for container in left:
        container.remove(force=True)
    client.close()
    assert not names, f"the tests left containers behind: {names}"


@pytest.fixture(scope="session", name="base_image")
def base_image_fixture(docker_client: docker.DockerClient) -> str:
    """The base image's tag."""
    return base_image(docker_client)


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two files: ``adder.py``, which is wrong, and a test that fails because of it."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "adder.py").write_text("def add(a, b):\n    return a - b\n")
    (folder / "test_adder.py").write_text(
        "from adder import add\n\n\n"
        "def test_add():\n    assert add(2, 2) == 4\n\n\n"
        "def test_zero():\n    assert add(2, 0) == 2\n"
    )
    return folder


@pytest.fixture(scope="session")
def tiny_image(docker_client: docker.DockerClient, tiny_repository: Path) -> str:
    """A task image of `tiny_repository`."""
    return build_image(docker_client, ImageSpec(repository=tiny_repository), name="tests-tiny")
