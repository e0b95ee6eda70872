"""Finding the engine, telling dead owners from living ones, and what the doctor says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from srl_swe.sandbox.doctor import diagnose
from srl_swe.sandbox.engine import PRIVATE_SOCKET, candidates, connect
from srl_swe.sandbox.owners import is_dead, this_process

ENGINE_SCRIPT = Path(__file__).parents[2] / "docker" / "engine.sh"


def test_the_users_own_choice_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    found = candidates()
    assert found[:3] == ["tcp://elsewhere:2375", PRIVATE_SOCKET, "unix:///var/run/docker.sock"]
    assert "unix:///run/user/7/podman/podman.sock" in found


def test_an_address_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", PRIVATE_SOCKET)
    assert candidates().count(PRIVATE_SOCKET) == 1


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
@pytest.mark.parametrize("address", ["unix:///nowhere.sock", "tcp://127.0.0.1:1", "nonsense"])
def test_an_address_that_does_not_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    client = connect()
    assert client.ping()
    client.close()


@pytest.mark.docker
def test_the_script_and_the_package_find_the_same_engine(docker_client: docker.DockerClient) -> None:
    found = subprocess.run([ENGINE_SCRIPT, "start"], capture_output=True, text=True, check=True)
    address = found.stdout.strip().removeprefix("DOCKER_HOST=")
    there = docker.DockerClient(base_url=address)
    assert there.info()["ID"] == docker_client.info()["ID"]
    there.close()


def test_the_script_explains_itself() -> None:
    found = subprocess.run([ENGINE_SCRIPT, "dance"], capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "docker/engine.sh start" in found.stderr


def test_this_process_is_alive_and_one_that_ended_is_dead() -> None:
    assert not is_dead(this_process())
    code = "from srl_swe.sandbox.owners import this_process; print(this_process())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert is_dead(ended)


def test_a_reused_pid_is_dead() -> None:
    assert is_dead(f"{socket.gethostname()}:{os.getpid()}:1")


@pytest.mark.parametrize("owner", ["", "nonsense", "another-host:1:1", ":::"])
def test_what_is_not_ours_is_not_judged(owner: str) -> None:
    assert not is_dead(owner)


@pytest.mark.docker
def test_the_doctor_finds_the_engine(base_image: str) -> None:
    rows = {row.name: row for row in diagnose()}
    assert rows["engine"].status == rows["API version"].status == rows["pip"].status == "ok"
    assert rows["base image"].detail == base_image
    assert {"storage driver", "leftovers", "model", "cache disk", "memory", "Python"} <= set(rows)
