"""Runs mini-swe-agent (version 2) on the sandbox of an evaluation: for ``srl-swe eval --policy command``.

    srl-swe eval envs/starter --policy command --agent-name mini --out runs/mini \\
        --agent-command 'PYTHON docs/examples/mini_swe_agent.py -c mini.yaml -c model.model_name=NAME'

PYTHON is one that mini-swe-agent is installed in; ``-c`` takes what mini-swe-agent's own ``-c`` takes. Commands run in
the container of the evaluation, which is taken from the environment and not removed here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from minisweagent.agents.default import DefaultAgent
from minisweagent.config import get_config_from_spec
from minisweagent.environments.docker import DockerEnvironment
from minisweagent.models import get_model
from minisweagent.utils.serialize import recursive_merge

WORLD_FAILED = 75
"""Says to the evaluation: not the agent's fault, try again, and count it in no rate."""


class TaskContainer(DockerEnvironment):
    """The evaluation's container instead of one of its own; commands run as the sandbox's user."""

    def _start_container(self) -> None:
        self.container_id = os.environ["SRL_SWE_CONTAINER"]

    def cleanup(self) -> None:
        """Leave the container: the change is taken from it."""

    def execute(self, action: dict[str, Any], cwd: str = "", *, timeout: int | None = None) -> dict[str, Any]:
        """Run a command, with its time limit kept inside the container: nothing runs on after it."""
        seconds = timeout or self.config.timeout
        variables = [part for key, value in self.config.env.items() for part in ("-e", f"{key}={value}")]
        line = [self.config.executable, "exec", "-u", "agent", "-w", cwd or self.config.cwd, *variables]
        line += [str(self.container_id), "timeout", "-k", "5", str(seconds), *self.config.interpreter]
        done = subprocess.run(
            [*line, action.get("command", "")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        )  # fmt: skip
        note = f"timed out after {seconds} s" if done.returncode == 124 else ""
        output = {"output": done.stdout, "returncode": done.returncode, "exception_info": note}
        self._check_finished(output)
        return output


def report(agent: DefaultAgent) -> dict[str, float]:
    """What the evaluation wants to know of an agent."""
    extras = [message.get("extra", {}) for message in agent.messages]
    usages = [(extra.get("response") or {}).get("usage") or {} for extra in extras]
    counts = {name: sum(usage.get(name) or 0 for usage in usages) for name in ("prompt_tokens", "completion_tokens")}
    counts = counts if any(usages) else {}
    return {"steps": agent.n_calls, "cost": agent.cost, **counts}


def main() -> int:
    """Run one episode; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", "--config", action="append", required=True)
    config = recursive_merge(*(get_config_from_spec(spec) for spec in parser.parse_args().config))
    place = {"image": os.environ["SRL_SWE_IMAGE"], "cwd": os.environ["SRL_SWE_WORKDIR"]}
    ignored = ("mode", "confirm_exit", "agent_class")
    settings = {name: value for name, value in config.get("agent", {}).items() if name not in ignored}
    environment = {name: value for name, value in config.get("environment", {}).items() if name != "environment_class"}
    settings["output_path"] = Path(os.environ["SRL_SWE_OUTPUT"]) / "mini.traj.json"
    agent = DefaultAgent(get_model(config=config.get("model", {})), TaskContainer(**(environment | place)), **settings)
    try:
        ended = agent.run(Path(os.environ["SRL_SWE_PROBLEM_FILE"]).read_text(encoding="utf-8"))
    except Exception as error:
        traceback.print_exc()
        # Of the model's server, in litellm's names; a context that is too long is the agent's own affair.
        own = type(error).__name__ == "ContextWindowExceededError"
        return 1 if own or not type(error).__module__.startswith(("litellm", "openai")) else WORLD_FAILED
    finally:
        Path(os.environ["SRL_SWE_REPORT_FILE"]).write_text(json.dumps(report(agent)), encoding="utf-8")
    print(f"ended by: {ended.get('exit_status')}")
    return 0 if ended.get("exit_status") == "Submitted" else 1


if __name__ == "__main__":
    sys.exit(main())
