"""External agents, on a real container; their processes, on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from srl_swe.errors import ConfigError
from srl_swe.evaluation.agent_commands import Agent
from srl_swe.evaluation.agent_processes import EPISODE_VARIABLE, Ended, kill_marked, run_agent
from srl_swe.evaluation.agents import evaluate_agent
from srl_swe.evaluation.runner import read_results
from srl_swe.records import Ending, PreparedTask, RepositorySource, Task

FIX = "{exec} sed -i s/a-b/a+b/ adder.py; {exec} sed -i 's/a - b/a + b/' adder.py"


@pytest.fixture
def task(tiny_image, tmp_path):
    folder = tmp_path / "task"
    folder.mkdir()
    declaration = Task(
        task_id="suite/adder",
        suite="suite",
        repository="adder",
        split="heldout",
        problem_statement="add() takes away.\nIt's wrong.",
        folder=folder,
        source=RepositorySource(kind="folder", location=str(folder)),
        test_paths=("test_adder.py",),
        fail_to_pass=("test_adder.py::test_add",),
        pass_to_pass=("test_adder.py::test_zero",),
    )
    tests = (
        "from adder import add\n\n\ndef test_add():\n    assert add(2, 2) == 4\n\n\n"
        "def test_zero():\n    assert add(2, 0) == 2\n"
    )
    return PreparedTask(task=declaration, image=tiny_image, gold_patch="", test_files=(("test_adder.py", tests),))


def alive(marker):
    """Whether a process with this word in its command line is there."""
    found = subprocess.run(["pgrep", "-f", marker], capture_output=True, text=True, check=False).stdout.split()
    return [pid for pid in found if int(pid) != os.getpid()]


@pytest.mark.docker
def test_an_agent_on_this_machine(task, tmp_path, docker_client):
    before = len(docker_client.containers.list(all=True))
    command = f"""{FIX}
        test "$(cat {{problem_file}})" = "$(cat $SRL_SWE_PROBLEM_FILE)" && cat {{problem_file}}
        echo '{{"steps": 4, "prompt_tokens": 30, "completion_tokens": 5, "cost": 0.25}}' > {{report_file}}
        for x in {{a,b}}; do echo "$x ${{workdir:-none}} {{workdir}} {{task_id}}"; done"""
    (found,) = evaluate_agent(Agent(command=command, name="mine"), [task], tmp_path / "out", samples=1)
    assert (found.solved, found.ending, found.policy, found.exit_code) == (True, Ending.SUBMITTED, "mine", 0)
    assert (found.steps, found.prompt_tokens, found.completion_tokens, found.cost) == (4, 30, 5, 0.25)
    assert "+    return a + b" in found.patch
    log = (tmp_path / "out" / "agents" / "suite__adder-0" / "output.log").read_text()
    assert log == "add() takes away.\nIt's wrong.\na none /testbed suite/adder\nb none /testbed suite/adder\n".replace(
        "wrong.\n", "wrong."
    )
    record = json.loads((tmp_path / "out" / "transcripts.jsonl").read_text())
    assert (record["folder"], record["output"]) == ("agents/suite__adder-0", log)
    assert len(docker_client.containers.list(all=True)) == before
    assert evaluate_agent(Agent(command=command, name="mine"), [task], tmp_path / "out") == [found]  # not run again


@pytest.mark.docker
def test_an_agent_in_the_sandbox(task, tmp_path):
    command = "sed -i 's/a - b/a + b/' adder.py; wc -l < {problem_file}; whoami; exit 3"
    (found,) = evaluate_agent(Agent(command=command, where="sandbox"), [task], tmp_path / "out")
    assert (found.solved, found.ending, found.exit_code) == (True, Ending.AGENT_FAILED, 3)
    assert (tmp_path / "out" / "agents" / "suite__adder-0" / "output.log").read_text() == "1\nagent\n"


@pytest.mark.docker
def test_a_patch_that_the_agent_wrote_itself(task, tmp_path):
    patch = "--- a/adder.py\n+++ b/adder.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n"
    (tmp_path / "mine.diff").write_text(patch)
    agent = Agent(command=f"cp {tmp_path}/mine.diff {{patch_file}}; {{exec}} rm adder.py")
    (found,) = evaluate_agent(agent, [task], tmp_path / "out")
    assert (found.solved, found.patch) == (True, patch)


@pytest.mark.docker
def test_a_time_limit_leaves_nothing_and_a_failure_of_the_world_is_no_zero(task, tmp_path):
    marker = f"sleep 98{os.getpid()}"
    agent = Agent(command=f"{FIX}; {marker} & setsid {marker} & {marker}", timeout_s=3)
    (found,) = evaluate_agent(agent, [task], tmp_path / "limit")
    assert (found.solved, found.ending) == (False, Ending.TIME_LIMIT)
    assert "+    return a + b" in found.patch
    assert not alive(marker)
    (lost,) = evaluate_agent(Agent(command="echo no server; exit 75"), [task], tmp_path / "lost")
    assert (lost.solved, lost.ending) == (None, Ending.INFRASTRUCTURE)
    assert "no server" in lost.error
    (back,) = evaluate_agent(Agent(command="echo no server; exit 75"), [task], tmp_path / "lost")
    assert back.solved is None
    assert len(read_results(tmp_path / "lost")) == 1
    with pytest.raises(ConfigError, match=r"cannot be started: .*no-such-agent: command not found"):
        evaluate_agent(Agent(command="no-such-agent {container}"), [task], tmp_path / "none")


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        (Agent(command=" "), "empty"),
        (Agent(command="x", timeout_s=0), "timeout"),
        (Agent(command="x {container}", where="sandbox"), "{container} is on this machine"),
        (Agent(command="{exec} ls", backend="bubblewrap"), "bubblewrap has none"),
    ],
)
def test_what_cannot_work_is_refused(agent, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        evaluate_agent(agent, [], tmp_path)


def start(command, folder, *, timeout_s=60.0, stop=None):
    return run_agent(
        command,
        folder=folder,
        log=folder / "log",
        environment=os.environ,
        episode=f"test{time.monotonic_ns()}",
        timeout_s=timeout_s,
        stop=stop or threading.Event(),
    )


def test_a_command_and_its_end(tmp_path):
    assert start("echo out; echo err >&2; cat; exit 4", tmp_path) == Ended(exit_code=4)
    assert (tmp_path / "log").read_text() == "out\nerr\n"
    assert start("kill -9 $$", tmp_path) == Ended(exit_code=-signal.SIGKILL)


def test_it_may_clean_up_at_its_time_limit(tmp_path):
    ended = start("trap 'echo cleaned; exit 0' TERM; while :; do sleep 0.05; done", tmp_path, timeout_s=0.5)
    assert ended == Ended(exit_code=0, limit="0.5 s")
    assert (tmp_path / "log").read_text().endswith("cleaned\n")


def test_it_can_be_stopped(tmp_path):
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert start("sleep 987654", tmp_path, stop=stop).limit == "interrupted"


def test_what_left_its_group_and_its_session_is_found(tmp_path):
    marker = f"sleep 97{os.getpid()}"
    start(f"setsid nohup {marker} & (setsid setsid {marker} &) ; sleep 0.2", tmp_path)
    assert not alive(marker)
    assert kill_marked(f"{os.getpid()}:") == 0


def test_killed_its_agents_end_too(tmp_path):
    marker = f"sleep 96{os.getpid()}"
    code = (
        "import os, sys, threading; from pathlib import Path\n"
        "from srl_swe.evaluation.agent_processes import run_agent\n"
        f"run_agent('setsid {marker} & {marker}', folder=Path('.'), log=Path('log'), environment=os.environ,"
        " episode='e', timeout_s=600, stop=threading.Event())"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) as process:
        while len(alive(f"^{marker}")) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    for _ in range(500):
        if not alive(f"^{marker}"):
            break
        time.sleep(0.02)
    assert not alive(f"^{marker}")


@pytest.mark.slow
@pytest.mark.docker
def test_mini_swe_agent(task, tmp_path):
    """The real one, asking a server of ours, with its own model class for OpenAI-compatible endpoints."""
    from chat_servers import chat_server, completion

    from benchmarks.peers import MINI, peers_python

    commands = ["ls", "sed -i 's/a - b/a + b/' adder.py", "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"]

    def respond(body, _):
        said = sum(message["role"] == "assistant" for message in body["messages"])
        return completion(f"THOUGHT: I go on.\n\n```mswea_bash_command\n{commands[said]}\n```")

    driver = Path(__file__).parents[2] / "docs" / "examples" / "mini_swe_agent.py"
    with chat_server(respond) as server:
        specs = {
            "model.model_class": "litellm_textbased",
            "model.model_name": "openai/scripted",
            "model.cost_tracking": "ignore_errors",
            "model.model_kwargs.api_base": server.url,
            "model.model_kwargs.api_key": "none",
        }
        options = " ".join(f"-c {name}={value}" for name, value in specs.items())
        command = f"{peers_python(MINI)} {driver} -c mini_textbased.yaml {options}"
        (found,) = evaluate_agent(Agent(command=command, name="mini"), [task], tmp_path / "out")
    folder = tmp_path / "out" / "agents" / "suite__adder-0"
    assert found.solved, (folder / "output.log").read_text()
    assert (found.steps, found.prompt_tokens, found.completion_tokens) == (3, 300, 30)
    assert json.loads((folder / "mini.traj.json").read_text())["info"]["exit_status"] == "Submitted"
    assert "add() takes away." in server.requests[0]["messages"][1]["content"]
    assert EPISODE_VARIABLE not in os.environ
