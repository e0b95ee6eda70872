"""What a reset costs: cold, from a warm pool, at step k of an expert's trajectory.

    python -m benchmarks.sandbox_reset --json benchmarks/results/sandbox_reset.json

Figures: ``reset_warm_ms``: median of `RepoEnv.reset` with one spare, after episodes of a second;
``reset_cold_vs_docker_run``: median of a cold reset ÷ ``docker run`` of the same image, in the same rounds;
``reset_stepK_vs_cold``: a reset to step K from its snapshot ÷ a cold one; ``rerun_stepK_vs_cold``: what running the K
actions again costs instead; ``bubblewrap_reset_ms``: a cold reset on the ``bubblewrap`` backend.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.record import parse, quartiles, report
from srl_swe.environments.actions import format_answer
from srl_swe.environments.repo import RepoEnv
from srl_swe.experts.trajectories import read_trajectories
from srl_swe.records import PreparedTask, Step, Trajectory
from srl_swe.sandbox.calls import address, shared_client
from srl_swe.tasks.folder import read_suites
from srl_swe.tasks.prepare import prepare

ROUNDS = 15
STEPS = (1, 5, 20)
EPISODE_S = 1.0
FIRST = "reset to step 1 for the first time: all steps are run and kept"


def lengthened(trajectory: Trajectory, length: int) -> Trajectory:
    """The recorded actions again and again, until there are enough: as long a replay as the benchmark wants."""
    before_submit = trajectory.steps[:-1]
    steps = [before_submit[k % len(before_submit)] for k in range(length - 1)]
    steps.append(Step(thought="", action="true", observation=""))
    return dataclasses.replace(trajectory, steps=tuple(steps))


def docker_run(host: str, image: str) -> None:
    """A container as a user would start it."""
    subprocess.run(
        ["docker", "-H", host, "run", "--rm", "-d", "--network=none", "--init", image, "sleep", "5"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


class Times(dict[str, list[float]]):
    """Milliseconds by what was timed."""

    def add(self, name: str, act: Callable[[], object]) -> None:
        """Time one call."""
        start = time.perf_counter()
        act()
        self.setdefault(name, []).append((time.perf_counter() - start) * 1000)


def measure(task: PreparedTask, expert: Trajectory, host: str, *, bubblewrap: bool) -> Times:
    """All that is compared, in turn."""
    times = Times()
    fresh, warm, on_path = RepoEnv(tasks=[task]), RepoEnv(tasks=[task], warm=1), RepoEnv(tasks=[task])
    embedded = RepoEnv(tasks=[task], backend="bubblewrap") if bubblewrap else None
    environments = [fresh, warm, on_path, *([embedded] if embedded else [])]
    times.add(FIRST, lambda: on_path.reset(options={"trajectory": expert, "step": 1}))
    times[FIRST] *= ROUNDS
    for environment in environments:
        environment.reset()  # the first one also builds or exports what is missing
    for _ in range(ROUNDS):
        fresh.close()
        times.add("docker run", lambda: docker_run(host, task.image))
        times.add("reset, cold", fresh.reset)
        times.add("reset, cold, after another episode", fresh.reset)
        for step in STEPS:
            options = {"trajectory": expert, "step": step}
            times.add(f"reset to step {step}, after another episode", partial(on_path.reset, options=options))
        times.add(f"the same by running {STEPS[-1]} actions again", lambda: rerun(fresh, expert, STEPS[-1]))
        if embedded:
            embedded.close()
        time.sleep(EPISODE_S)
        if embedded:
            times.add("reset, bubblewrap, cold", embedded.reset)
        times.add("reset, warm, after another episode", warm.reset)  # last: the next spare is begun by it
    for environment in environments:
        environment.close()
    return times


def rerun(environment: RepoEnv, expert: Trajectory, count: int) -> None:
    """Reach a state without a snapshot."""
    environment.reset()
    for step in expert.steps[:count]:
        _, _, terminated, truncated, info = environment.step(format_answer("As the expert.", step.action))
        assert not terminated and not truncated and not info["malformed"]


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--suite", type=Path, default=Path("envs/starter"))
    parser.add_argument("--trajectories", type=Path, default=Path("trajectories/starter.train.jsonl"))
    parser.add_argument("--no-bubblewrap", action="store_true")
    options = parse(__doc__, parser)
    recorded = next(iter(read_trajectories(options.trajectories)))
    client = shared_client()
    task = prepare(read_suites([options.suite], ids=[recorded.task_id])[0])
    expert = lengthened(recorded, max(STEPS))
    times = measure(task, expert, address(client.api), bubblewrap=not options.no_bubblewrap)

    def ratio(name: str, to: str) -> float:
        return statistics.median(a / b for a, b in zip(times[name], times[to], strict=True))

    cold = "reset, cold, after another episode"
    rows: list[list[object]] = [["what", "median ms", "quartiles", "÷ docker run", "÷ cold"]]
    for name, found in times.items():
        low, middle, high = quartiles(found)
        rows.append([name, middle, f"{low:.3g} … {high:.3g}", ratio(name, "docker run"), ratio(name, cold)])
    figures = {
        "reset_warm_ms": statistics.median(times["reset, warm, after another episode"]),
        "reset_cold_ms": statistics.median(times["reset, cold"]),
        "reset_cold_vs_docker_run": ratio("reset, cold", "docker run"),
        f"rerun_step{STEPS[-1]}_vs_cold": ratio(f"the same by running {STEPS[-1]} actions again", cold),
    }
    figures |= {f"reset_step{k}_vs_cold": ratio(f"reset to step {k}, after another episode", cold) for k in STEPS}
    if not options.no_bubblewrap:
        figures["bubblewrap_reset_ms"] = statistics.median(times["reset, bubblewrap, cold"])
    versions = {"docker engine": client.version()["Version"], "docker SDK": version("docker")}
    report(f"resets of {task.task.task_id}", rows, figures, versions, options.json)


if __name__ == "__main__":
    main()
