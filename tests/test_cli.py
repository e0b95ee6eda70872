"""The ``srl-swe`` command, run as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chat_servers import chat_server, completion

from srl_swe.sandbox.owners import OWNER_LABEL

ROOT = Path(__file__).parents[1]
STARTER = ROOT / "envs" / "starter"

GROUPS = [
    [],
    ["doctor"],
    ["tasks"],
    *[["tasks", name] for name in ("list", "show", "validate", "build", "import", "export", "grade", "split")],
    *[["tasks", name] for name in ("contamination", "mine", "synthesise")],
    ["tasks", "mine", "pypi"],
    ["tasks", "mine", "git"],
    ["experts"],
    *[["experts", name] for name in ("record", "import", "export", "show", "instances", "generate", "from-episodes")],
    ["replay"],
    ["train"],
    ["eval"],
    ["results"],
    *[["results", name] for name in ("summary", "compare", "predictions")],
    ["math"],
    *[["math", name] for name in ("import", "generate", "check")],
    ["experiment"],
    ["report"],
    ["demo"],
    ["model"],
    ["model", "fetch"],
]


def command(*args, **kwargs):
    """The command line of the console script, and how it is started."""
    environment = os.environ | kwargs.pop("environment", {})
    return [sys.executable, "-m", "srl_swe.cli", *map(str, args)], {"env": environment, "text": True, **kwargs}


def run(*args, code=0, timeout=300, **kwargs):
    """Run to the end; checks the exit code, and that no traceback is shown."""
    line, options = command(*args, **kwargs)
    done = subprocess.run(line, capture_output=True, timeout=timeout, check=False, **options)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def suite(tmp_path):
    """A suite of two tasks over one repository of two files, with trajectories of nobody."""
    folder = tmp_path / "envs" / "mini"
    (folder / "repositories" / "adder").mkdir(parents=True)
    (folder / "repositories" / "adder" / "adder.py").write_text("def add(a, b):\n    return a + b\n")
    (folder / "suite.toml").write_text('name = "mini"\ndescription = "For tests."\n')
    for name in ("one", "two"):
        task = folder / "tasks" / name
        (task / "tests").mkdir(parents=True)
        (task / "problem.md").write_text("# Sums are wrong\n\n`add(2, 3)` is -1.\n")
        (task / "gold.patch").write_text(
            "--- a/adder.py\n+++ b/adder.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n"
        )
        (task / "tests" / "test_sum.py").write_text(
            "from adder import add\n\n\ndef test_sum():\n    assert add(2, 3) == 5\n"
        )
        (task / "task.toml").write_text(
            'schema = 1\nrepository = "adder"\nsplit = "heldout"\n[source]\nkind = "folder"\n'
            'path = "../../repositories/adder"\nfixed = true\n[tests]\npaths = ["tests/test_sum.py"]\n'
            'FAIL_TO_PASS = ["tests/test_sum.py::test_sum"]\n'
        )
    return folder


# ------------------------------------------------------------------------------------------------ without an engine
@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_help(group):
    assert "usage: srl-swe" in run(*group, "--help").stdout


def test_help_is_quick():
    run("--help")
    start = time.monotonic()
    run("--help")
    assert time.monotonic() - start < 3  # 0.6 s on an idle machine; the tests share theirs


def test_version():
    from srl_swe import __version__

    assert run("--version").stdout == f"srl-swe {__version__}\n"


@pytest.mark.parametrize("args", [[], ["bogus"], ["tasks"], ["eval"], ["eval", "--policy", "bogus", "--out", "x"]])
def test_wrong_usage(args):
    assert run(*args, code=2).stderr or True


def test_list_and_show():
    listed = run("tasks", "list", STARTER).stdout
    names = sorted(path.name for path in (STARTER / "tasks").iterdir())
    assert all(name in listed for name in names)
    shown = run("tasks", "show", names[0], STARTER).stdout
    assert "FAIL_TO_PASS" in shown
    assert run("tasks", "list", "--split", "heldout", cwd=ROOT).stdout
    assert "no such task" in run("tasks", "show", "bogus", STARTER, code=2).stderr


def test_no_suites_here(tmp_path):
    assert run("tasks", "list", cwd=tmp_path, code=2).stderr.startswith("error: name at least one suite folder")


def test_broken_task_is_named(suite):
    toml = suite / "tasks" / "two" / "task.toml"
    toml.write_text(toml.read_text().replace("split", "spilt"))
    error = run("tasks", "list", suite, code=2).stderr
    assert error.startswith("error: ")
    assert str(toml) in error
    assert "spilt" in error or "split" in error


def test_half_a_trajectory_is_named(tmp_path, suite):
    file = tmp_path / "half.jsonl"
    file.write_text('{"schema": 1, "trajectory_id": "x')
    error = run("replay", file, suite, code=2).stderr
    assert error.startswith(f"error: {file}:1: not valid JSON")
    error = run("eval", "--policy", "expert", "--trajectories", file, "--out", tmp_path / "out", suite, code=2).stderr
    assert error.startswith(f"error: {file}:1: not valid JSON")
    assert not (tmp_path / "out").exists()


def test_tasks_without_a_trajectory(tmp_path, suite):
    out = ["--out", tmp_path / "out", suite]
    environment = {"SRL_SWE_CACHE": str(tmp_path / "cache")}
    error = run("eval", "--policy", "expert", *out, code=2, environment=environment, cwd=tmp_path).stderr
    assert error.startswith("error: no trajectories of mini; record them")


def test_contradicting_options(tmp_path, suite):
    out = ["--out", tmp_path / "out", suite]
    assert "--policy model" in run("eval", "--policy", "gold", "--model", "x", *out, code=2).stderr
    assert "--policy model" in run("eval", "--policy", "gold", "--measure", "steps", *out, code=2).stderr
    assert "--endpoint" in run("eval", "--policy", "openai", *out, code=2).stderr
    assert "--policy command" in run("eval", "--policy", "gold", "--agent-command", "x", *out, code=2).stderr
    assert "the same each time" in run("eval", "--policy", "gold", "--k", "2", *out, code=2).stderr
    assert "--engine" in run("eval", "--policy", "gold", "--engine", "vllm", *out, code=2).stderr
    assert "--seeds" in run("experts", "record", "--seeds", "0", suite, code=2).stderr


def test_no_engine(tmp_path, suite):
    # Another mount namespace, in which no engine's socket is to be seen.
    hide = ["unshare", "--mount", "bash", "-c", 'mount -t tmpfs none /run && exec "$@"', "bash"]
    if subprocess.run([*hide, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root and unshare")
    line, options = command("eval", "--policy", "gold", "--out", tmp_path / "out", suite)
    options["env"] = {
        key: value for key, value in options["env"].items() if key not in ("DOCKER_HOST", "XDG_RUNTIME_DIR")
    }
    done = subprocess.run([*hide, *line], capture_output=True, check=False, **options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no container engine answers; run docker/engine.sh start")
    assert not (tmp_path / "out").exists()


def test_report(tmp_path):
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    (run_folder / "metrics.jsonl").write_text(json.dumps({"stage": "srl", "update": 1, "loss": 0.5}) + "\n")
    assert "report/index.html" in run("report", run_folder).stdout
    assert "<svg" in (run_folder / "report" / "training.html").read_text()
    experts = ("--trajectories", "trajectories/starter.heldout.jsonl", "--title", "All of it")
    assert "all/index.html" in run("report", run_folder, *experts, "--out", tmp_path / "all").stdout
    assert "All of it" in (tmp_path / "all" / "trajectories.html").read_text()
    assert run("report", tmp_path / "none", code=2).stderr.startswith("error: ")
    assert "--out: name the folder" in run("report", code=2).stderr
    assert "--out: name the folder" in run("report", run_folder, run_folder, code=2).stderr


def test_report_where_nothing_can_be_written(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"stage": "srl", "update": 1, "loss": 0.5}) + "\n")
    (tmp_path / "file").write_text("")
    error = run("report", tmp_path, "--out", tmp_path / "file" / "site", code=2).stderr
    assert "cannot be written" in error
    assert len(error.splitlines()) == 1


def test_reader_of_the_output_has_gone():
    line, options = command("tasks", "list", STARTER)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


# --------------------------------------------------------------------------------------------------- with an engine
def containers(client, pid):
    """Containers that a process owns, whoever removes them."""
    found = client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    return [container.name for container in found if f":{pid}:" in container.labels[OWNER_LABEL]]


def wait_for(condition, *, seconds=120.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
    return found


def slow_trajectories(path, *, seconds=60):
    """An expert that sleeps."""
    step = {"thought": "Wait.", "action": f"sleep {seconds}", "observation": ""}
    records = [
        {
            "schema": 1,
            "trajectory_id": f"mini/{name}@slow",
            "task_id": f"mini/{name}",
            "split": "heldout",
            "problem_statement": "p",
            "source": "tests",
            "steps": [step],
        }
        for name in ("one", "two")
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_doctor():
    assert "engine" in run("doctor").stdout


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_evaluate_gold_and_nothing(tmp_path, suite):
    arguments = ("eval", "--policy", "gold", "--out", tmp_path / "gold", suite)
    assert "solved 2 of 2: 100.0% [34.2%, 100.0%]" in run(*arguments).stdout
    assert len((tmp_path / "gold" / "results.jsonl").read_text().splitlines()) == 2
    before = (tmp_path / "gold" / "results.jsonl").read_bytes()
    assert "solved 2 of 2" in run(*arguments).stdout
    assert (tmp_path / "gold" / "results.jsonl").read_bytes() == before
    mixed = run("eval", "--policy", "nothing", "--out", tmp_path / "gold", suite, code=2).stderr
    assert "this folder holds results with episodes.policy" in mixed
    nothing = run("eval", "--policy", "nothing", "--task", "one", "--out", tmp_path / "nothing", suite).stdout
    assert "solved 0 of 1" in nothing
    assert "index.html" in run("report", tmp_path / "gold").stdout
    compared = run("results", "compare", tmp_path / "nothing", tmp_path / "gold").stdout
    assert "gold solves 1 more of 1 task; p = 1.00: the difference could be chance." in compared
    assert "left out: 1 task in one run only" in compared
    predictions = tmp_path / "predictions.jsonl"
    assert "2 predictions" in run("results", "predictions", tmp_path / "gold", "--to", predictions).stdout
    assert "2 of 2 graded patches" in run("tasks", "grade", "--predictions", predictions, suite).stdout


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_evaluate_a_model_behind_a_server(tmp_path, suite):
    def respond(body, number):
        if number % 3 == 1:  # the request is repeated
            return 503, {"Retry-After": "0"}, b"busy"
        # Greedily it goes on and on, drawn it submits at once.
        command = "ls" if body["temperature"] == 0 else "submit"
        return completion(f"<think>\nso\n</think>\n```bash\n{command}\n```")

    out = tmp_path / "out"
    with chat_server(respond) as server:
        options = ("--policy", "openai", "--endpoint", server.url, "--model", "m", "--max-steps", "2", "--out", out)
        prices = ("--cost-per-million-in", "1000", "--cost-per-million-out", "0")
        shown = run("eval", *options, *prices, "--k", "2", suite).stdout
    assert "solved 0 of 2: 0.0% [0.0%, 65.8%]" in shown
    assert "pass@2" in shown
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert sorted((r["greedy"], r["sample"], r["ending"], r["prompt_tokens"], r["cost"]) for r in lines) == [
        *[(False, 0, "submitted", 100, 0.1)] * 2,
        *[(False, 1, "submitted", 100, 0.1)] * 2,
        *[(True, 0, "step_limit", 200, 0.2)] * 2,
    ]
    summary = json.loads((out / "evaluation.json").read_text())
    assert (summary["greedy"]["cost"], summary["sampled"]["total_prompt_tokens"]) == (0.4, 400)
    assert "avg@2" in run("results", "summary", out).stdout


def test_results_of_nothing(tmp_path):
    assert "no results.jsonl" in run("results", "summary", tmp_path, code=2).stderr
    assert "no results.jsonl" in run("results", "compare", tmp_path, tmp_path, code=2).stderr


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_validate_names_the_spoiled_task(suite):
    assert "2 of 2 tasks are valid" in run("tasks", "validate", suite, "--repeats", "1").stdout
    gold = suite / "tasks" / "two" / "gold.patch"
    gold.write_text(gold.read_text().replace("a - b", "a * b"))  # does nothing for the base state's other half
    tests = suite / "tasks" / "two" / "tests" / "test_sum.py"
    tests.write_text(tests.read_text().replace("== 5", "== 6"))
    spoiled = run("tasks", "validate", suite, "--repeats", "1", code=1)
    assert "1 of 2 tasks are valid" in spoiled.stdout
    assert "mini/two" in spoiled.stdout.partition("failed")[2]
    gold.write_text(gold.read_text().replace("def add", "def sub"))
    assert str(gold) in run("tasks", "validate", suite, "--repeats", "1", code=1).stdout.replace("\n", "")


@pytest.mark.docker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_interrupted_nothing_is_left(tmp_path, suite, docker_client, number):
    slow = slow_trajectories(tmp_path / "slow.jsonl")
    arguments = ("eval", "--policy", "expert", "--trajectories", slow, "--out", tmp_path / "out", suite)
    run("tasks", "build", suite)
    line, options = command(*arguments)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        wait_for(lambda: len(containers(docker_client, process.pid)) >= 2)
        time.sleep(1)
        start = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted"
    assert "Traceback" not in errors
    assert time.monotonic() - start < 30  # far less than the commands would have slept
    wait_for(lambda: not containers(docker_client, process.pid))


@pytest.mark.docker
def test_killed_it_leaves_nothing(tmp_path, suite, docker_client):
    slow = slow_trajectories(tmp_path / "slow.jsonl")
    arguments = ("eval", "--policy", "expert", "--trajectories", slow, "--out", tmp_path / "out", suite)
    run("tasks", "build", suite)
    line, options = command(*arguments)
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options) as process:
        wait_for(lambda: len(containers(docker_client, process.pid)) >= 2)
        process.kill()
    wait_for(lambda: not containers(docker_client, process.pid))
