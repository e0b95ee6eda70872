"""Runs a peer's environment in the peer's own virtual environment: ``peer_worker.py PEER IMAGE``.

A request is a line of JSON on standard input, the answer a line on standard output: ``{"open": n}``,
``{"time": n, "command": c}`` (seconds of each of n actions), ``{"episodes": e, "actions": a}`` (seconds for e episodes
at the same time, each of a actions), ``{"close": true}``.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

logging.disable(logging.CRITICAL)


def open_mini(image: str) -> Any:
    """mini-swe-agent's environment, with the limits that ours has."""
    from minisweagent.environments.docker import DockerEnvironment

    limits = ["--network=none", "--init", "--memory=1g", "--cpus=1", "--pids-limit=256", "--user=agent"]
    return DockerEnvironment(image=image, cwd="/testbed", run_args=["--rm", *limits])


def run_mini(environment: Any, command: str) -> None:
    """One action."""
    assert environment.execute({"command": command})["returncode"] == 0


def main() -> None:
    """Answer requests until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # the peer greets its user
    image = sys.argv[2]
    opened: list[Any] = []

    def episode(environment: Any, actions: int) -> None:
        for _ in range(actions):
            run_mini(environment, "true")

    for line in sys.stdin:
        request = json.loads(line)
        answer: object = None
        if "open" in request:
            with ThreadPoolExecutor(4) as pool:
                opened += list(pool.map(open_mini, [image] * request["open"]))
        elif "time" in request:
            answer = []
            for _ in range(request["time"]):
                start = time.perf_counter()
                run_mini(opened[0], request["command"])
                answer.append(time.perf_counter() - start)
        elif "episodes" in request:
            start = time.perf_counter()
            with ThreadPoolExecutor(request["episodes"]) as pool:
                list(pool.map(episode, opened[: request["episodes"]], [request["actions"]] * request["episodes"]))
            answer = time.perf_counter() - start
        else:
            import subprocess

            # Not the peer's own cleanup, which goes on in the background for as long as it likes.
            names = [environment.container_id for environment in opened]
            subprocess.run(["docker", "rm", "-f", *names], stdout=subprocess.DEVNULL, check=True)
            for environment in opened:
                environment.container_id = None
            opened.clear()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
