"""Mining as a whole: many steps at a time, interrupted and resumed, in real sandboxes where it matters."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from srl_swe import cli
from srl_swe.commands import mining
from srl_swe.errors import InfrastructureError, TaskError
from srl_swe.policies.endpoint import ChatEndpoint
from srl_swe.records import RepositorySource
from srl_swe.tasks import read_suite
from srl_swe.tasks.host_git import run_git
from srl_swe.tasks.mining import Candidate, Limits, RefusedError, Step, mine
from srl_swe.tasks.mining.journal import Journal
from srl_swe.tasks.mining.rewriting import rewrite
from srl_swe.tasks.mining.run import Miner
from srl_swe.tasks.mining.secrets import Secrets
from srl_swe.tasks.releases import fetch_sdist
from srl_swe.tasks.writing import TaskDraft, write_suite, write_task

PROGRAM = "import sys; from srl_swe.cli import main; sys.exit(main())"


def commit(folder: Path, message: str, files: dict[str, str]) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    run_git("add", "-A", cwd=folder)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    assert run_git(*identity, "commit", "-qm", message, cwd=folder).returncode == 0
    return run_git("rev-parse", "HEAD", cwd=folder).stdout.decode().strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four commits after the first: two fixes, one whose test passed before, one whose test needs a new name."""
    folder = tmp_path_factory.mktemp("git") / "Counting"
    folder.mkdir()
    run_git("init", "-q", cwd=folder)
    first = "def half(x):\n    return x / 2\n\n\ndef total(xs):\n    return sum(xs[1:])\n"
    test = "from counting import {}\n\n\ndef test_zero():\n    assert {}\n"
    start = {"counting/__init__.py": first, "tests/test_half.py": test.format("half", "half(0) == 0")}
    commit(folder, "Start", start | {"tests/test_total.py": test.format("total", "total([]) == 0")})
    second = first.replace("x / 2", "x // 2")
    more = "\n\ndef test_odd():\n    assert half(7) == 3\n"
    changed = {"counting/__init__.py": second, "tests/test_half.py": start["tests/test_half.py"] + more}
    commit(folder, "fix: half of an odd number is a whole number", changed)
    third = second.replace("[1:]", "")
    changed = {"counting/__init__.py": third, "tests/test_total.py": test.format("total", "total([]) == 0")}
    changed["tests/test_total.py"] += "\n\ndef test_all():\n    assert total([1, 2]) == 3\n"
    commit(folder, "Nothing is left out of a total", changed)
    fourth = third + "\n\ndef unused():\n    return 1\n"
    changed = {"counting/__init__.py": fourth, "tests/test_half.py": changed["tests/test_total.py"] + "# more\n"}
    commit(folder, "A new function, and a test of old ones", changed)
    fifth = fourth + "\n\ndef third(x):\n    return x // 3\n"
    changed = {"counting/__init__.py": fifth, "tests/test_third.py": test.format("third", "third(7) == 2")}
    commit(folder, "Thirds", changed)
    return folder


def mine_git(repository: Path, suite: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, "tasks", "mine", "git", str(repository), "--suite", str(suite), "-j", "1"]
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment)


@pytest.mark.docker
def test_a_repository_is_mined_interrupted_and_resumed(docker_client, repository, tmp_path):
    suite = tmp_path / "mined"
    journal = suite / ".mining/journal.jsonl"
    process = mine_git(repository, suite)
    while process.poll() is None and not (journal.exists() and journal.read_text()):
        time.sleep(0.05)
    time.sleep(0.2)  # a line that is not yet on the disk for good is taken back by an interruption
    process.send_signal(signal.SIGINT)
    output = process.communicate()[0]
    assert process.returncode == 130, output
    assert "Traceback" not in output
    begun = journal.read_text()
    assert 1 <= begun.count("\n") < 4

    process = mine_git(repository, suite)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert journal.read_text().startswith(begun)
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    assert len({row["key"] for row in rows}) == len(rows) == 4
    assert [row["task"] for row in rows] == ["", "", "counting-all", "counting-odd"]
    assert "cannot be imported on the old source: tests/test_third.py: E ImportError" in rows[0]["reason"]
    assert rows[1]["reason"] == "the new tests pass on the old source, or do not run"
    assert "2 kept, 2 refused, 0 failed, 0 not tried" in output

    tasks = {task.folder.name: task for task in read_suite(suite)}
    odd = tasks["counting-odd"]
    assert (odd.source.kind, odd.source.location) == ("git", str(repository))
    assert odd.fail_to_pass == ("tests/test_half.py::test_odd",)
    assert odd.pass_to_pass == ("tests/test_half.py::test_zero",)
    assert sorted(p.name for p in odd.folder.rglob("*") if p.is_file()) == [
        "gold.patch", "problem.md", "task.toml", "test_half.py",
    ]  # fmt: skip
    assert odd.problem_statement == (
        "# counting: Half of an odd number is a whole number\n\n    from counting import half\n\n    half(7)\n\n"
        "This gives `3.5`. I expected `3`."
    )
    gold = (odd.folder / "gold.patch").read_text()
    assert "+    return x // 2" in gold
    assert "tests/" not in gold

    process = mine_git(repository, suite)
    process.communicate()
    assert process.returncode == 0
    assert len(journal.read_text().splitlines()) == 4
    assert not docker_client.images.list(filters={"reference": "srl-swe/task-mining-counting*"})


@pytest.mark.docker
def test_a_release_is_mined(docker_client, tmp_path, capsys):
    del docker_client
    try:
        for version in ("1.6.2", "1.6.3"):
            fetch_sdist("blinker", version)
    except TaskError as error:
        pytest.skip(f"no package index: {error}")
    suite = tmp_path / "mined"
    arguments = ["tasks", "mine", "pypi", "blinker==1.6.2:1.6.3", "--suite", str(suite), "--heldout", "blinker"]
    assert cli.main(arguments) == 0
    assert "1 kept, 0 refused, 0 failed, 0 not tried" in capsys.readouterr().out
    (task,) = read_suite(suite)
    assert task.folder.name == "blinker-temp-connection-failure"
    assert (task.repository, task.split) == ("blinker", "heldout")
    assert task.source.source_paths == ("src/blinker/base.py",)
    assert task.fail_to_pass == ("tests/test_context.py::test_temp_connection_failure[BaseFailure]",)
    assert len(task.pass_to_pass) == 3
    assert sorted(p.name for p in task.folder.iterdir()) == ["problem.md", "task.toml"]
    assert "disconnect the receiver" in task.problem_statement
    assert "sig.receivers\n\nThis is true; it should be false." in task.problem_statement


def there(suite: Path, version: str) -> TaskDraft:
    """A task that the suite has; a step that leads to it is kept without a sandbox."""
    source = RepositorySource(kind="pypi", location="thing", version=version, fixed_version=f"{version}.1")
    drafted = TaskDraft(
        name=f"thing-{version}",
        repository="thing",
        split="train",
        problem_statement="x",
        source=source,
        test_files={"t.py": ""},
        fail_to_pass=("t.py::test_a",),
    )
    write_task(drafted, suite)
    return drafted


def step_to(drafted: TaskDraft, group: str) -> Step:
    def make(folder: Path, limits: Limits) -> Candidate:
        del limits
        return Candidate(
            repository="thing", source=drafted.source, base=folder, gold_patch="", test_files=drafted.test_files
        )

    return Step(key=f"pypi:{group}:{drafted.source.version}", group=group, make=make)


def failing(error: Exception) -> Step:
    def make(folder: Path, limits: Limits) -> Candidate:
        del folder, limits
        raise error

    return Step(key=f"pypi:{error}", group="failing", make=make)


@pytest.fixture
def miner(tmp_path: Path) -> Miner:
    suite = tmp_path / "suite"
    write_suite(suite, name="suite", description="x")
    return Miner(suite=suite, split_of=lambda _: "train")


def test_failures_of_the_world_are_not_refusals(miner):
    steps = [failing(RefusedError("no")), failing(TaskError("the index is away")), failing(InfrastructureError("gone"))]
    results = mine(steps, miner, workers=2)
    assert sorted((r.outcome, r.reason) for r in results) == [
        ("failed", "gone"), ("failed", "the index is away"), ("refused", "no"),
    ]  # fmt: skip
    assert list(Journal(miner.suite).rows) == ["pypi:no"]
    assert len(mine(steps, miner)) == 2


@pytest.mark.parametrize(("limit", "per_group", "kept"), [(None, None, 6), (2, None, 2), (None, 2, 4), (3, 2, 3)])
def test_mining_stops_when_there_is_enough(miner, limit, per_group, kept):
    drafts = [there(miner.suite, str(number)) for number in range(1, 4)]
    steps = [step_to(drafted, group) for drafted in drafts for group in ("a", "b")]
    seen = []
    mine(steps, miner, workers=3, limit=limit, per_group=per_group, on_result=lambda result: seen.append(result.key))
    journal = Journal(miner.suite)
    assert journal.kept() == len(seen) == kept
    assert per_group is None or max(journal.kept("a"), journal.kept("b")) <= per_group
    assert {row["task"] for row in journal.rows.values()} <= {drafted.name for drafted in drafts}
    mine(steps, miner, limit=limit, per_group=per_group)
    assert Journal(miner.suite).kept() == kept


@contextlib.contextmanager
def endpoint(answer: bytes) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A server that speaks the protocol of chat completions, and what it was asked."""
    asked: list[dict[str, object]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))) | {"path": self.path})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            del arguments

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", asked
        finally:
            server.shutdown()
            thread.join()


DRAFT = "# thing: wrong\n\n    half(7)\n\nThis gives `3.5`. I expected `3`.\n"
SECRETS = Secrets(lines=frozenset({"return x // 2"}), names=frozenset({"_whole_half"}))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# Halves\n\nHere is what I did:\n\n    half(7)\n\nIt gave `3.5`.", ""),
        ("<think>Be kind.</think># Halves\n\n    half(7)\n", ""),
        ("Halves\n\n    half(7)\n", "it has no title"),
        ("# Halves\n\nThey are wrong.", "it has lost a line of an example: half(7)"),
        ("# Halves\n\n    half(7)\n\nIt should `return x // 2`.", "it holds a line of the fix: return x // 2"),
        ("# Halves\n\n    half(7)\n\nUse _whole_half.", "it names what only the fix has: _whole_half"),
    ],
)
def test_a_model_may_improve_the_prose_and_nothing_else(text, problem):
    answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})
    with endpoint(answer.encode()) as (url, asked):
        written, why = rewrite(DRAFT, SECRETS, mining._asking(url, "small"))
    assert why == problem
    assert written == (DRAFT if problem else text.rpartition("</think>")[2].strip() + "\n")
    assert (asked[0]["path"], asked[0]["model"]) == ("/v1/chat/completions", "small")
    assert DRAFT in json.dumps(asked[0]["messages"]).encode().decode("unicode_escape")


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"choices": []}', b'{"choices": [{"message": 1}]}'])
def test_an_endpoint_that_does_not_answer_is_no_refusal(answer):
    with endpoint(answer) as (url, _), pytest.raises(InfrastructureError, match="not a chat completion"):
        client = ChatEndpoint(url, "small", retries=0)
        rewrite(DRAFT, SECRETS, lambda messages: client.answer(messages, temperature=0.0).text)


def test_splits_are_those_of_the_suite(tmp_path):
    write_suite(tmp_path, name="suite", description="x")
    there(tmp_path, "1")
    split_of = mining._splits(tmp_path, "heldout", ["My.Pkg"])
    assert [split_of(name) for name in ("thing", "my-pkg", "new")] == ["train", "heldout", "heldout"]
    ruled = tmp_path / "ruled"
    ruled.mkdir()
    (ruled / "suite.toml").write_text('name = "ruled"\n[split]\nby = "repository"\nheldout = ["thing"]\n')
    split_of = mining._splits(ruled, "heldout", ["new"])
    assert [split_of(name) for name in ("thing", "my-pkg", "new")] == ["heldout", "train", "train"]


def test_a_model_needs_an_endpoint(tmp_path, capsys):
    arguments = ["tasks", "mine", "pypi", "a==1:2", "--suite", str(tmp_path / "s"), "--model", "m"]
    assert cli.main(arguments) == 2
    assert "--rewrite-with and --model go together" in capsys.readouterr().err
    assert cli.main(["tasks", "mine", "pypi", "--suite", str(tmp_path / "s")]) == 2
    assert "name at least one package" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
