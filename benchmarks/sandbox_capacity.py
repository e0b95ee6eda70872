"""How many sandboxes can be open, what each costs its client, what is left after a thousand, and many at once.

    python -m benchmarks.sandbox_capacity --json benchmarks/results/sandbox_capacity.json

Figures: ``open_sandboxes``: open at the same time, each having answered; ``client_kb_each``: memory of this process for
each of them; ``leaked``: containers, descriptors and threads more than before ``--cycles`` sandboxes were opened, used
and closed one after the other, in all; ``memory_growth_mb``: growth of this process meanwhile, after a tenth of them;
``episodes_vs_mini``: actions a second of 64 episodes at once ÷ those of 64 mini-swe-agent environments on the same
image and engine.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import docker
from rich.progress import track

from benchmarks.peers import MINI, mini_swe_agent
from benchmarks.record import parse, report
from srl_swe.sandbox import Sandbox, open_sandbox
from srl_swe.sandbox.calls import address, shared_client
from srl_swe.sandbox.images import base_image
from srl_swe.sandbox.owners import OWNER_LABEL, this_process

EPISODES = 64
ROUNDS = 3
OUR_ACTIONS, PEER_ACTIONS = 500, 5


def resident_mb() -> float:
    """This process's memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def held(client: docker.DockerClient) -> int:
    """Containers, descriptors and threads of this process."""
    gc.collect()
    containers = client.api.containers(all=True, filters={"label": f"{OWNER_LABEL}={this_process()}"})
    return len(containers) + len(list(Path("/proc/self/fd").iterdir())) + threading.active_count()


def open_many(image: str, backend: str, count: int) -> tuple[list[Sandbox], float]:
    """Open sandboxes, four at a time; return them with the kilobytes that each took here."""
    open_sandbox(image, backend=backend).close()
    before = resident_mb()
    with ThreadPoolExecutor(4) as pool:
        opening = [pool.submit(open_sandbox, image, backend=backend) for _ in range(count)]
        opened = [future.result() for future in track(opening, f"opening {count}")]
        answers = list(pool.map(lambda box: box.run("echo on").output, opened))
    assert answers == ["on\n"] * count
    return opened, (resident_mb() - before) * 1000 / count


def cycle(image: str, backend: str, count: int, client: docker.DockerClient) -> tuple[int, float]:
    """Open, use and close one after the other; return what is left over, and how much memory grew."""
    warm_up = max(1, count // 10)
    before, memory = held(client), 0.0
    for done in track(range(count), f"{count} one after the other"):
        if done == warm_up:
            before, memory = held(client), resident_mb()
        with open_sandbox(image, backend=backend) as box:
            box.run("echo on; exit 3")
            box.write_file("/tmp/x", b"1")
    return max(0, held(client) - before), resident_mb() - memory


def actions_per_second(boxes: list[Sandbox]) -> float:
    """Of all at once, a thread each."""

    def episode(box: Sandbox) -> None:
        for _ in range(OUR_ACTIONS):
            box.run("true")

    start = time.perf_counter()
    with ThreadPoolExecutor(len(boxes)) as pool:
        list(pool.map(episode, boxes))
    return len(boxes) * OUR_ACTIONS / (time.perf_counter() - start)


def closing(boxes: list[Sandbox]) -> None:
    """Close them, four at a time."""
    with ThreadPoolExecutor(4) as pool:
        list(track(pool.map(lambda box: box.close(), boxes), "closing", total=len(boxes)))


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", default="docker")
    parser.add_argument("--sandboxes", type=int, default=500)
    parser.add_argument("--cycles", type=int, default=1000)
    options = parse(__doc__, parser)
    client = shared_client()
    image = base_image(client)
    boxes, each_kb = open_many(image, options.backend, options.sandboxes)
    closing(boxes)
    boxes, _ = open_many(image, options.backend, EPISODES)
    with mini_swe_agent(image, address(client.api)) as mini:
        mini.ask(open=EPISODES)
        peer: Callable[[], float] = lambda: (  # noqa: E731
            EPISODES * PEER_ACTIONS / mini.ask(episodes=EPISODES, actions=PEER_ACTIONS)
        )
        rates = [(actions_per_second(boxes), peer()) for _ in range(ROUNDS)]
    closing(boxes)
    leaked, growth = cycle(image, options.backend, options.cycles, client)
    ours, theirs = (statistics.median(pair[k] for pair in rates) for k in (0, 1))
    ratio = statistics.median(a / b for a, b in rates)
    rows = [
        ["what", "figure"],
        ["sandboxes open at once", options.sandboxes],
        ["memory of the client for each, KB", each_kb],
        [f"left over after {options.cycles} one after the other", leaked],
        ["growth of the client meanwhile, MB", growth],
        [f"{EPISODES} episodes at once: actions a second", ours],
        [f"the same with {MINI}", theirs],
        ["÷ mini-swe-agent", ratio],
    ]
    figures = {
        "open_sandboxes": options.sandboxes,
        "client_kb_each": each_kb,
        "cycles": options.cycles,
        "leaked": leaked,
        "memory_growth_mb": growth,
        "episodes_actions_per_s": ours,
        "episodes_mini_actions_per_s": theirs,
        "episodes_vs_mini": ratio,
    }
    versions = {"docker engine": client.version()["Version"], "docker SDK": version("docker"), "peer": MINI}
    report(f"capacity of {options.backend}", rows, figures, versions, options.json)


if __name__ == "__main__":
    main()
