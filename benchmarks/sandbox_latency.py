"""What an action costs in a sandbox: against a shell on the host, and against starting a process in the container.

    python -m benchmarks.sandbox_latency --json benchmarks/results/sandbox_latency.json

All that is compared is measured in turn, in the same rounds, on containers of the same image. Figures:
``host_shell_vs_action``: an action in a container ÷ the same protocol with a bash on the host;
``docker_exec_vs_action``: mini-swe-agent's action (``docker exec``) ÷ ours; ``sdk_exec_vs_action``: the docker SDK's
``exec_run`` ÷ ours; ``…_spread``: the distance of the ratio's quartiles over rounds ÷ its median.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import docker

from benchmarks.peers import MINI, mini_swe_agent
from benchmarks.record import parse, quartiles, report
from srl_swe.sandbox import open_sandbox
from srl_swe.sandbox.calls import address, shared_client
from srl_swe.sandbox.enclosure import ShellState
from srl_swe.sandbox.images import base_image
from srl_swe.sandbox.session import SHELL, ShellSession

ROUNDS = 12
COMMANDS = ("true", "echo hi; ls /etc | head -3")


class HostShell:
    """The same shell and the same protocol, without a container: a bash on this machine, over a socket pair."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        # The program's own pipes are closed here; it is waited for in `close`.
        self._process = subprocess.Popen(SHELL, stdin=theirs, stdout=theirs)
        theirs.close()
        self._session = ShellSession(self, ShellState(directory="/"), output_chars=16_000)

    def run(self, command: str) -> None:
        """One action."""
        assert self._session.run(command, timeout_s=60, stop=lambda: None).exit_code == 0

    def send(self, data: bytes) -> None:
        """As of a channel."""
        self._ours.settimeout(None)
        self._ours.sendall(data)

    def receive(self, seconds: float) -> bytes | None:
        """As of a channel."""
        try:
            self._ours.settimeout(seconds)
            return self._ours.recv(1 << 18)
        except (TimeoutError, BlockingIOError):
            return None

    def hang_up(self) -> None:
        """As of a channel."""

    def close(self) -> None:
        """As of a channel."""
        self._ours.close()
        self._process.wait()


def timed(act: Callable[[str], object], command: str, times: int) -> float:
    """The median of some actions, in milliseconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        act(command)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


def main() -> None:
    """Measure, print a table, write JSON."""
    options = parse(__doc__)
    client = shared_client()
    image = base_image(client)
    host = HostShell()
    container: Any = client.api.create_container(image, ["sleep", "infinity"], host_config={"NetworkMode": "none"})[
        "Id"
    ]
    client.api.start(container)
    with (
        open_sandbox(image) as sandbox,
        open_sandbox(image, stateless=True) as stateless,
        mini_swe_agent(image, address(client.api)) as mini,
    ):
        mini.ask(open=1)
        ways: dict[str, Callable[[str], float]] = {
            "action": lambda command: timed(sandbox.run, command, 200),
            "stateless_action": lambda command: timed(stateless.run, command, 100),
            "host_shell": lambda command: timed(host.run, command, 200),
            "sdk_exec": lambda command: timed(lambda c: sdk_exec(client, container, c), command, 5),
            "docker_exec": lambda command: statistics.median(mini.ask(time=5, command=command)) * 1000,
        }
        try:
            measured = {
                command: [{name: way(command) for name, way in ways.items()} for _ in range(ROUNDS)]
                for command in COMMANDS
            }
        finally:
            client.api.remove_container(container, force=True)
            host._session.close()
    write(measured, list(ways), options, client)


def sdk_exec(client: docker.DockerClient, container: str, command: str) -> None:
    """What ``container.exec_run`` does."""
    made = client.api.exec_create(container, ["bash", "-c", command])
    client.api.exec_start(made["Id"])
    assert client.api.exec_inspect(made["Id"])["ExitCode"] == 0


def write(
    measured: dict[str, list[dict[str, float]]], ways: list[str], options: Any, client: docker.DockerClient
) -> None:
    """The table and the figures; ratios are taken within a round."""
    rows: list[list[object]] = [["command", "way", "median ms", "quartiles over rounds", "÷ action"]]
    figures: dict[str, float] = {}
    for command, rounds in measured.items():
        for way in ways:
            low, middle, high = quartiles([found[way] for found in rounds])
            ratio = statistics.median(found[way] / found["action"] for found in rounds)
            rows.append([command, way, middle, f"{low:.3g} … {high:.3g}", ratio])
    for way in ways:
        figures[f"{way}_ms"] = statistics.median(found[way] for found in measured["true"])
    for way in ("sdk_exec", "docker_exec"):
        low, middle, high = quartiles([found[way] / found["action"] for found in measured["true"]])
        figures |= {f"{way}_vs_action": middle, f"{way}_vs_action_spread": (high - low) / middle}
    low, middle, high = quartiles([found["action"] / found["host_shell"] for found in measured["true"]])
    figures |= {"host_shell_vs_action": middle, "host_shell_vs_action_spread": (high - low) / middle}
    engine = client.version()["Version"]
    versions = {"docker engine": engine, "docker SDK": version("docker"), "peer": MINI}
    report("what an action costs", rows, figures, versions, options.json)


if __name__ == "__main__":
    main()
