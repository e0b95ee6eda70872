"""Every backend that is here keeps the contract; one that breaks its promises fails."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from srl_swe.errors import ConfigError, EngineUnavailableError, SandboxError
from srl_swe.records import CommandResult
from srl_swe.sandbox import Backend, Sandbox, SandboxSpec, get_backend
from srl_swe.sandbox.contract import Bench, Check, CheckResult, Group, all_checks, run_check, run_checks, select
from srl_swe.sandbox.contract.expectations import BrokenPromiseError, CheckSkippedError, expect
from srl_swe.sandbox.engine import EngineKind, connect
from srl_swe.sandbox.images import base_image
from srl_swe.sandbox.owners import OWNER_LABEL, this_process

BACKENDS = ("docker", "podman", "bubblewrap")
CHECKS = all_checks()
OpenBench = Callable[[str], Bench]


# Podman is the same backend over another engine: beside Docker, one case of each promise says whether it is kept there.
FIRST_CASES = {check.name.partition("[")[0]: check.id for check in reversed(CHECKS)}.values()
# How much gets through before somebody looks hangs on how busy the machine is: these may fail once and must hold then.
OF_RESOURCES = {"hogs", "limits", "hostile"}


def case(backend: str, check: Check) -> Any:
    marks = [pytest.mark.docker] if backend != "bubblewrap" else []
    slow = check.slow or (backend == "podman" and check.id not in FIRST_CASES)
    return pytest.param(backend, check, marks=marks + [pytest.mark.slow] * slow, id=f"{backend}-{check.id}")


@pytest.fixture(scope="module")
def bench_of() -> Iterator[OpenBench]:
    """Gives a backend's bench, the same one to all of its checks; skips where the backend is not here."""
    benches: dict[str, Bench | str] = {}
    with contextlib.ExitStack() as stack:

        def bench(name: str) -> Bench:
            if name not in benches:
                try:
                    kind: EngineKind = "podman" if name == "podman" else "docker"
                    with contextlib.closing(connect(kind)) as client:
                        image = base_image(client)
                    benches[name] = stack.enter_context(Bench(get_backend(name), image))
                except (EngineUnavailableError, ImportError) as error:
                    benches[name] = str(error).partition("\n")[0]
            found = benches[name]
            if isinstance(found, str):
                pytest.skip(found)
            return found

        yield bench


@pytest.mark.parametrize(("backend", "check"), [case(backend, check) for backend in BACKENDS for check in CHECKS])
def test_promise(bench_of: OpenBench, backend: str, check: Check) -> None:
    result = run_check(bench_of(backend), check)
    if result.status == "failed" and check.group in OF_RESOURCES:
        print(f"tried again: {result.message}")
        result = run_check(bench_of(backend), check)
    if result.status == "skipped":
        pytest.skip(result.message)
    if result.status == "failed":
        pytest.fail(result.message, pytrace=False)


def test_there_are_many_and_each_has_its_own_name() -> None:
    assert len({check.id for check in CHECKS}) == len(CHECKS) >= 60
    assert all(check.id.isprintable() for check in CHECKS)


# ------------------------------------------------------------------------------------ backends that break a promise
class BrokenBox:
    """A sandbox that passes everything on to a real one."""

    def __init__(self, real: Sandbox) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __enter__(self) -> BrokenBox:
        return self

    def __exit__(self, *_: object) -> None:
        self._real.close()


class AlwaysFine(BrokenBox):
    """Every command succeeds, it says."""

    def run(self, *args: Any, **options: Any) -> CommandResult:
        return dataclasses.replace(self._real.run(*args, **options), exit_code=0)


class Forgetful(BrokenBox):
    """Each command gets a shell of its own, whatever was asked for."""

    def run(self, command: str, *args: Any, **options: Any) -> CommandResult:
        return self._real.run(f"({command}\n)", *args, **options)


class Following(BrokenBox):
    """Files are written by the shell, which follows links."""

    def write_file(self, path: str, data: bytes) -> None:
        self._real.run(f"printf %s '{data.decode()}' > '{path}'", timeout_s=1)


class ForksItself(BrokenBox):
    """All forks are one and the same sandbox: the origin."""

    def fork(self, count: int) -> list[BrokenBox]:
        return [self] * count


class Unending(BrokenBox):
    """Time limits are not kept."""

    def run(self, command: str, *, timeout_s: float = 60.0, **options: Any) -> CommandResult:
        return self._real.run(command, timeout_s=timeout_s + 7, **options)


class BrokenBackend:
    """Opens real sandboxes, and wraps them."""

    def __init__(self, real: Backend, wrap: Callable[[Sandbox], BrokenBox]) -> None:
        self._real, self._wrap = real, wrap

    def open(self, spec: SandboxSpec) -> Any:
        return self._wrap(self._real.open(spec))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def checked(image: str, wrap: Callable[[Sandbox], BrokenBox], only: str) -> dict[str, CheckResult]:
    backend: Any = BrokenBackend(get_backend("docker"), wrap)
    return {result.name: result for result in run_checks(backend, image, select(CHECKS, only=only))}


@pytest.mark.docker
@pytest.mark.parametrize(
    ("wrap", "only", "fails", "passes"),
    [
        (AlwaysFine, "commands-output_*", "exit 255", "unicode"),
        (Forgetful, "commands-state_is_kept*", "plain variable", "file"),
        (Following, "not_followed[link to a", "link to a file", ""),
        (ForksItself, "snapshots-forks_begin*", "", ""),
        (Unending, "keeps_the_state[child]", "child", ""),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_a_broken_backend_is_found_out(
    base_image: str, wrap: Callable[[Sandbox], BrokenBox], only: str, fails: str, passes: str
) -> None:
    results = checked(base_image, wrap, only)
    failed = [result for name, result in results.items() if fails in name]
    assert failed
    for result in failed:
        assert result.status == "failed"
        assert "expected" in result.message
        assert ".py:" in result.message
    if passes:
        assert [result.status for name, result in results.items() if f"[{passes}]" in name] == ["passed"]


# --------------------------------------------------------------------------------------------------------- the runner
class NoBox(BrokenBox):
    """A sandbox that is none."""

    def __init__(self) -> None:
        self.closed = False

    def run(self, *_: Any, **__: Any) -> CommandResult:
        return CommandResult(output="", exit_code=0)

    def end_session(self, session: str) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class NoBackend:
    """Remembers what it opened."""

    def __init__(self) -> None:
        self.boxes: list[NoBox] = []

    def open(self, spec: SandboxSpec) -> Any:
        if spec.image == "none":
            raise SandboxError("no image 'none'")
        self.boxes.append(NoBox())
        return self.boxes[-1]


def outcomes(group: Group) -> tuple[list[CheckResult], NoBackend]:
    backend: Any = NoBackend()
    seen: list[CheckResult] = []
    results = run_checks(backend, "some", group.checks, on_result=seen.append)
    assert seen == results
    return results, backend


def test_the_runner_says_how_each_went() -> None:
    group = Group("mine")

    @group.add(cases={"one": 1, "two": 2})
    def numbers(_: Bench, number: int) -> None:
        expect(number, 1, "the number")

    @group.add()
    def cannot_be_made(_: Bench) -> None:
        raise CheckSkippedError("no such program")

    @group.add()
    def has_a_bug(_: Bench) -> None:
        raise ZeroDivisionError("oh")

    results, backend = outcomes(group)
    assert [(r.name, r.status) for r in results] == [
        ("numbers[one]", "passed"),
        ("numbers[two]", "failed"),
        ("cannot_be_made", "skipped"),
        ("has_a_bug", "failed"),
    ]
    assert results[1].message.startswith("the number: expected 1, got 2")
    assert results[2].message == "no such program"
    assert results[3].message.startswith("ZeroDivisionError: oh")
    assert all(box.closed for box in backend.boxes)


def test_a_check_that_does_not_end_is_a_failure() -> None:
    group, ended = Group("mine"), threading.Event()

    @group.add(limit_s=-29.5)  # the runner waits for half a second
    def hangs(_: Bench) -> None:
        ended.wait(20)

    @group.add(limit_s=0.1)
    def is_too_slow(_: Bench) -> None:
        ended.wait(0.3)

    results, _ = outcomes(group)
    ended.set()
    assert [result.status for result in results] == ["failed", "failed"]
    assert "did not end" in results[0].message
    assert "0.1 s were expected" in results[1].message


def test_a_failure_spoils_no_later_check() -> None:
    group = Group("mine")
    boxes = []

    @group.add(cases=["first", "second"])
    def fails(bench: Bench, name: str) -> None:
        boxes.append(bench.box)
        raise BrokenPromiseError(name)

    _, backend = outcomes(group)
    assert boxes[0] is not boxes[1]
    assert all(box.closed for box in backend.boxes)


def test_an_image_that_is_missing_is_no_result() -> None:
    backend: Any = NoBackend()
    with pytest.raises(SandboxError, match="none"):
        run_checks(backend, "none", CHECKS)


def test_checks_are_selected_by_part_of_their_name_or_by_pattern() -> None:
    assert [check.id for check in select(CHECKS, only="files-any_name[with space]")] == ["files-any_name[with space]"]
    assert {check.group for check in select(CHECKS, only="files-*")} == {"files"}
    assert not any(check.slow for check in select(CHECKS))
    assert any(check.slow for check in select(CHECKS, slow=True))
    for only in ("nonesuch", "gigabyte"):
        with pytest.raises(ConfigError, match=only):
            select(CHECKS, only=only)


@pytest.mark.docker
def test_the_checks_of_snapshots_leave_none(docker_client: docker.DockerClient, base_image: str) -> None:
    def images() -> list[str]:
        found = docker_client.api.images(filters={"label": f"{OWNER_LABEL}={this_process()}"})
        return sorted(image["Id"] for image in found)

    before = images()
    results = run_checks(get_backend("docker"), base_image, select(CHECKS, only="snapshots-*fork*"))
    assert {result.status for result in results} == {"passed"}
    assert images() == before
