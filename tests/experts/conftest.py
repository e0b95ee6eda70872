"""One task of the starter suite, with its image."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from srl_swe.records import PreparedTask, Task
from srl_swe.tasks.folder import read_task
from srl_swe.tasks.prepare import prepare

STARTER = Path(__file__).parents[2] / "envs" / "starter"


@pytest.fixture(scope="session")
def cents_task() -> Task:
    """A task whose fix is one line."""
    return read_task(STARTER / "tasks" / "ledger-split-cents")


@pytest.fixture(scope="session")
def cents(cents_task: Task, docker_client: docker.DockerClient) -> PreparedTask:
    """The same, its image built."""
    return prepare(cents_task, client=docker_client)
