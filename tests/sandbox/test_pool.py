"""The warm pool over real containers, and its bounds over a backend that only counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import docker
import pytest

from srl_swe.errors import ConfigError, SandboxError, SandboxLostError
from srl_swe.records import CommandResult
from srl_swe.sandbox import SandboxLimits, SandboxSpec
from srl_swe.sandbox.owners import OWNER_LABEL, this_process
from srl_swe.sandbox.pool import SandboxPool
from srl_swe.sandbox.shells import ShellSandbox


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about")


class CountingBox:
    """A sandbox of `CountingBackend`."""

    def __init__(self, backend: CountingBackend, spec: SandboxSpec) -> None:
        self.backend, self.spec, self.lost = backend, spec, False

    def run(self, command: str, *, timeout_s: float = 60.0, session: str = "main") -> CommandResult:  # noqa: ARG002
        if self.lost:
            raise SandboxLostError("gone")
        return CommandResult(output="", exit_code=0)

    def close(self) -> None:
        self.backend.open_boxes.discard(self)


class CountingBackend:
    """Opens nothing, and counts what is open."""

    def __init__(self) -> None:
        self.open_boxes: set[CountingBox] = set()
        self.opened = 0
        self.failing = False
        self.gate = threading.Event()
        self.gate.set()

    def open(self, spec: SandboxSpec) -> CountingBox:
        assert self.gate.wait(20)
        if self.failing:
            raise SandboxError("no room")
        self.opened += 1
        box = CountingBox(self, spec)
        self.open_boxes.add(box)
        return box


def spec(image: str, memory_mb: int = 100) -> SandboxSpec:
    return SandboxSpec(image=image, limits=SandboxLimits(memory_mb=memory_mb))


def pool_of(backend: CountingBackend, **options: int) -> SandboxPool:
    return SandboxPool(backend, **options)  # type: ignore[arg-type]


def test_a_spare_is_given_out_once_and_replaced() -> None:
    backend = CountingBackend()
    pool = pool_of(backend, size=2)
    first = pool.open(spec("a"))
    wait_for(lambda: pool.ready(spec("a")) == 1)
    assert backend.opened == 2
    second = pool.open(spec("a"))
    assert second is not first
    wait_for(lambda: pool.ready(spec("a")) == 1)
    assert backend.opened == 3
    pool.discard(first)
    pool.discard(second)
    pool.close()
    assert backend.open_boxes == set()


def test_without_a_size_nothing_is_kept() -> None:
    backend = CountingBackend()
    pool = pool_of(backend)
    pool.discard(pool.open(spec("a")))
    pool.expect(spec("a"), 5)
    assert (backend.opened, backend.open_boxes) == (1, set())


def test_what_was_asked_for_longest_ago_makes_room() -> None:
    backend = CountingBackend()
    pool = pool_of(backend, size=2)
    for image in ("a", "b", "c"):
        pool.expect(spec(image))
        wait_for(lambda image=image: pool.ready(spec(image)) == 1)  # type: ignore[misc]
    assert [pool.ready(spec(image)) for image in ("a", "b", "c")] == [0, 1, 1]
    pool.expect(spec("c"), 9)
    wait_for(lambda: pool.ready(spec("c")) == 2)
    assert len(backend.open_boxes) == 2
    pool.close()
    assert backend.open_boxes == set()


def test_memory_is_bounded() -> None:
    backend = CountingBackend()
    pool = pool_of(backend, size=9, memory_mb=250)
    pool.expect(spec("a"), 9)
    wait_for(lambda: pool.ready(spec("a")) == 2)
    pool.expect(spec("large", memory_mb=300))
    assert pool.ready(spec("large")) == 0
    pool.close()
    assert backend.open_boxes == set()
    assert backend.opened == 2


def test_a_spare_that_cannot_be_opened_fails_where_it_is_asked_for() -> None:
    backend = CountingBackend()
    pool = pool_of(backend, size=1)
    backend.failing = True
    pool.expect(spec("a"))
    with pytest.raises(SandboxError, match="no room"):
        pool.open(spec("a"))
    backend.failing = False
    assert pool.open(spec("a")).run("true").exit_code == 0
    pool.close()


def test_a_spare_that_has_died_is_not_given_out() -> None:
    backend = CountingBackend()
    pool = pool_of(backend, size=1)
    pool.expect(spec("a"))
    wait_for(lambda: pool.ready(spec("a")) == 1)
    (dead,) = backend.open_boxes
    dead.lost = True
    assert pool.open(spec("a")) is not dead
    assert dead not in backend.open_boxes
    pool.close()


def test_closing_does_not_forget_what_is_being_opened() -> None:
    backend = CountingBackend()
    pool = pool_of(backend, size=3)
    backend.gate.clear()
    pool.expect(spec("a"), 3)
    threading.Timer(0.2, backend.gate.set).start()
    pool.close()
    assert backend.open_boxes == set()
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("sandbox-pool")]
    assert threads == []


@pytest.mark.parametrize("options", [{"size": -1}, {"memory_mb": -1}])
def test_bounds_below_zero_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        SandboxPool(**options)  # type: ignore[arg-type]


@pytest.mark.docker
def test_with_containers(docker_client: docker.DockerClient, base_image: str) -> None:
    def containers() -> int:
        filters = {"label": f"{OWNER_LABEL}={this_process()}"}
        return len(docker_client.api.containers(all=True, filters=filters))

    before = containers()
    pool, wanted = SandboxPool(size=1), SandboxSpec(image=base_image)
    for _ in range(3):
        box = pool.open(wanted)
        assert isinstance(box, ShellSandbox)
        assert box.run("ls /tmp; pwd; touch /tmp/dirty").output == "/testbed\n"
        pool.discard(box)
        wait_for(lambda: pool.ready(wanted) == 1)
    wait_for(lambda: containers() == before + 1)
    pool.close()
    assert containers() == before
