"""What is special to Podman: one OCI runtime, its own profile of system calls, limits that it drops, the script."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from srl_swe.errors import ConfigError, SandboxError, SandboxLostError
from srl_swe.sandbox import Sandbox, SandboxLimits, SandboxSpec, get_backend
from srl_swe.sandbox.engine import PRIVATE_PODMAN_SOCKET, connect
from srl_swe.sandbox.images import base_image
from srl_swe.sandbox.owners import OWNER_LABEL, this_process
from srl_swe.sandbox.podman import GO, PodmanTraits, podman_traits
from srl_swe.sandbox.system_image import copy_image

PODMAN_SCRIPT = Path(__file__).parents[2] / "docker" / "podman.sh"


def script(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PODMAN_SCRIPT, *words], capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def podman_client() -> Iterator[docker.DockerClient]:
    """A client of Podman: of the one that answers, or of a private service for these tests."""
    if shutil.which("podman") is None:
        pytest.skip("Podman is not installed")
    ran = script("status").returncode == 0
    started = script("start")
    if started.returncode != 0:
        pytest.skip(f"Podman does not start: {started.stderr.strip()}")
    with contextlib.closing(connect("podman")) as client:
        yield client
        mine: dict[str, str | list[str] | bool] = {"label": f"{OWNER_LABEL}={this_process()}"}
        left = [container.name for container in client.containers.list(all=True, filters=mine)]
    if not ran:
        assert script("stop").returncode == 0
    assert not left, f"the tests left containers behind: {left}"


@pytest.fixture(scope="module")
def podman_image(podman_client: docker.DockerClient) -> str:
    return base_image(podman_client)


@pytest.fixture
def box(podman_image: str) -> Iterator[Sandbox]:
    limits = SandboxLimits(memory_mb=256, processes=64, open_files=200, disk_mb=100)
    with get_backend("podman").open(SandboxSpec(image=podman_image, limits=limits)) as opened:
        yield opened


def said(sandbox: Sandbox, command: str) -> str:
    return sandbox.run(command, timeout_s=20).output.strip()


# -------------------------------------------------------------------------------------------------- what Podman is like
@pytest.mark.docker
def test_podman_is_told_from_docker(docker_client: docker.DockerClient, podman_client: docker.DockerClient) -> None:
    traits = podman_traits(podman_client.api)
    assert traits is not None
    assert traits.runtime in ("runc", "crun", "runsc")
    if docker_client.version()["Components"][0]["Name"] != "Podman Engine":
        assert podman_traits(docker_client.api) is None


@pytest.mark.docker
def test_another_runtime_than_the_services_is_refused(podman_client: docker.DockerClient, podman_image: str) -> None:
    traits = podman_traits(podman_client.api)
    assert traits is not None
    with pytest.raises(ConfigError, match=rf"with {traits.runtime}, not kata"):
        get_backend("podman:kata").open(SandboxSpec(image=podman_image))
    get_backend(f"podman:{traits.runtime}").open(SandboxSpec(image=podman_image)).close()


def test_a_podman_without_limits_is_refused() -> None:
    PodmanTraits(runtime="runc").check("runc")
    PodmanTraits(runtime="runc", rootless=True).check("")
    with pytest.raises(SandboxError, match="cgroup v2"):
        PodmanTraits(runtime="runc", rootless=True, limits=False).check("")


@pytest.mark.docker
def test_the_limits_arrive(box: Sandbox) -> None:
    assert said(box, "ulimit -Hn; ulimit -Hc; ulimit -Hf") == f"200\n0\n{100 * 1024}"
    assert int(said(box, "ulimit -Hu")) > 64  # counts the processes of all sandboxes
    assert said(box, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null") == str(
        256 << 20
    )
    assert said(box, "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null") == "64"


def test_what_podman_drops_is_set_by_the_command_itself() -> None:
    limits = SandboxLimits(open_files=50, disk_mb=3)
    show = ("sh", "-c", 'ulimit -n; ulimit -c; ulimit -f; echo "$0 $1"; cat', "a b", "c'd")
    command = PodmanTraits(runtime="crun", rootless=True).patient(show, limits)
    found = subprocess.run(command, capture_output=True, check=True, input=GO + b"more")
    assert found.stdout.decode() == f"50\n0\n{3 << 11}\na b c'd\nmore"
    command = PodmanTraits(runtime="crun").patient(("sh", "-c", "echo $0; cat", "a b"), limits)
    assert subprocess.run(command, capture_output=True, check=True, input=GO + b"more").stdout == b"a b\nmore"


@pytest.mark.docker
@pytest.mark.slow
def test_nothing_that_a_program_says_is_lost(box: Sandbox) -> None:
    for _ in range(200):
        box.write_file("/tmp/file", b"content")
        assert box.read_file("/tmp/file") == b"content"


@pytest.mark.docker
@pytest.mark.parametrize(
    "command",
    ["unshare -r true", "unshare -U true", "unshare -p --fork true", "mount -t tmpfs none /tmp", "unshare -C true"],
)
def test_new_namespaces_are_refused_as_by_docker(box: Sandbox, command: str) -> None:
    assert box.run(command, timeout_s=20).exit_code not in (0, 127)


@pytest.mark.docker
def test_threads_and_processes_are_not(box: Sandbox) -> None:
    program = "import threading as t; x = t.Thread(target=print, args=('thread',)); x.start(); x.join()"
    assert said(box, f'python -c "{program}"') == "thread"
    assert said(box, "echo a | cat | cat") == "a"


@pytest.mark.docker
def test_at_the_process_limit_everything_is_still_killed(box: Sandbox) -> None:
    assert box.run("for i in $(seq 200); do sleep 30 & done; wait", timeout_s=2).timed_out
    assert said(box, "cat /dev/null && echo on") == "on"


# ------------------------------------------------------------------------------------------------ containers and images
@pytest.mark.docker
def test_a_container_that_ended_is_a_loss(podman_client: docker.DockerClient, podman_image: str) -> None:
    with get_backend("podman").open(SandboxSpec(image=podman_image)) as lost:
        mine: dict[str, str | list[str] | bool] = {"label": f"{OWNER_LABEL}={this_process()}"}
        (container,) = podman_client.containers.list(filters=mine)
        container.kill()
        for use in (lambda: lost.run("true", timeout_s=5), lambda: lost.read_file("/etc/passwd")):
            with pytest.raises(SandboxLostError):
                use()
        container.remove(force=True)
        with pytest.raises(SandboxLostError):
            lost.run("true", timeout_s=5)


@pytest.mark.docker
def test_removing_a_snapshot_does_not_remove_who_stands_on_it(box: Sandbox, podman_image: str) -> None:
    backend = get_backend("podman")
    box.run("cd /tmp; export A=1; echo kept > file")
    snapshot = box.snapshot()
    try:
        with backend.open(SandboxSpec(image=snapshot)) as later:
            assert not backend.remove_snapshot(snapshot)
            assert said(later, "pwd; echo $A; cat file") == "/tmp\n1\nkept"
            assert 0 < backend.snapshot_mb(snapshot) < 1
    finally:
        assert backend.remove_snapshot(snapshot)
    assert backend.snapshot_mb(snapshot) == 0
    assert podman_image  # the one below is still there
    get_backend("podman").open(SandboxSpec(image=podman_image)).close()


@pytest.mark.docker
def test_an_image_goes_from_docker_to_podman(
    docker_client: docker.DockerClient, podman_client: docker.DockerClient, tiny_image: str
) -> None:
    copy_image(docker_client, podman_client, tiny_image)
    try:
        here, there = (client.images.get(tiny_image).attrs["Config"] for client in (docker_client, podman_client))
        for field in ("User", "WorkingDir", "Cmd", "Labels"):
            assert here[field] == there[field]
        with get_backend("podman").open(SandboxSpec(image=tiny_image)) as opened:
            assert said(opened, "pwd; git status --short; python -m pytest -q | tail -1").startswith(
                "/testbed\n1 failed"
            )
    finally:
        podman_client.images.remove(tiny_image)


# ----------------------------------------------------------------------------------------------------------- the script
@pytest.mark.docker
def test_the_script_finds_what_the_package_finds(podman_client: docker.DockerClient) -> None:
    for word in ("start", "status"):
        found = script(word)
        assert found.returncode == 0
        address = found.stdout.strip().removeprefix("CONTAINER_HOST=")
        with contextlib.closing(docker.DockerClient(base_url=address)) as there:
            assert there.info()["DockerRootDir"] == podman_client.info()["DockerRootDir"]


@pytest.mark.docker
def test_the_script_changes_no_runtime_under_its_users(podman_client: docker.DockerClient) -> None:
    if PRIVATE_PODMAN_SOCKET not in script("status").stdout:
        pytest.skip("another Podman answers")
    runtime = podman_client.info()["DefaultRuntime"]
    other = "crun" if runtime == "runc" else "runc"
    found = script("start", other)
    assert found.returncode == 1
    assert f"runs with {runtime}" in found.stderr
    assert podman_client.ping()


@pytest.mark.parametrize("words", [("dance",), ("start", "kata"), ()])
def test_the_script_explains_itself(words: tuple[str, ...]) -> None:
    found = script(*words)
    assert found.returncode == 2
    assert "RUNTIME" in found.stderr
