"""A teacher behind vLLM's own server, in real containers: attempts, what they cost, a budget, a kill.

The embedded model solves nothing. What counts is that all that is asked of it is written down, once.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vllm_servers import vllm_server

from srl_swe.experts.attempts import Attempted, AttemptJournal
from srl_swe.policies.models import default_model_folder
from srl_swe.records import PreparedTask

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.docker, pytest.mark.model]
STARTER = Path(__file__).parents[2] / "envs" / "starter"
TASKS = ("starter/ledger-split-cents", "starter/textkit-slug-taken")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded model's server."""
    pytest.importorskip("vllm")
    log = tmp_path_factory.mktemp("server") / "log"
    options = ("--served-model-name", "small", "--dtype", "bfloat16", "--max-model-len", "4096")
    with vllm_server(default_model_folder(), log, *options) as (served, _):
        yield f"{served}/v1"


def line(url: str, out: Path, *options: str) -> list[str]:
    words = [sys.executable, "-m", "srl_swe.cli", "experts", "generate", str(STARTER), "--endpoint", url]
    words += ["--model", "small", "--to", str(out), "--attempts", "2", "--temperatures", "0.2,0.9"]
    words += ["--max-steps", "4", "--max-tokens", "60", "--history", "2", "-j", "2"]
    words += ["--cost-per-million-in", "1", "--cost-per-million-out", "4"]
    return [*words, *(word for task in TASKS for word in ("--task", task)), *options]


def attempts(out: Path) -> list[Attempted]:
    return list(AttemptJournal(out.with_suffix(".attempts.jsonl")).attempts)


@pytest.mark.usefixtures("cents")
def test_attempts_are_counted_stopped_by_a_budget_and_gone_on_with(url: str, tmp_path: Path, cents: PreparedTask):
    out = tmp_path / "t.jsonl"

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(line(url, out, *options), capture_output=True, text=True, check=False, timeout=500)

    small = run("--token-budget", "500")
    assert small.returncode == 1, small.stderr
    assert "with a larger one the same command goes on" in small.stderr
    spent = sum(attempted.tokens for attempted in attempts(out))
    assert 500 <= spent < 500 + 2 * 4096  # each of the two at work may finish its answer

    with subprocess.Popen(line(url, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        known, deadline = len(attempts(out)), time.monotonic() + 300
        while len(attempts(out)) == known and time.monotonic() < deadline:
            time.sleep(0.2)
        running.send_signal(signal.SIGKILL)
        running.communicate()
    before = attempts(out)

    done = run()
    assert done.returncode == 1, done.stderr
    assert "0 of 2 tasks solved" in done.stdout
    assert "larger one" not in done.stderr
    after = attempts(out)
    assert after[: len(before)] == before
    judged = [attempted for attempted in after if attempted.judged]
    assert len({attempted.key for attempted in judged}) == len(judged) == 4
    assert {(attempted.attempt, attempted.temperature) for attempted in judged} == {(0, 0.2), (1, 0.9)}
    assert {attempted.outcome for attempted in judged} <= {"unsolved", "limit", "malformed"}
    assert cents.task.content_hash in {attempted.task_hash for attempted in judged}
    for attempted in judged:
        assert attempted.prompt_tokens > 100
        assert 0 < attempted.completion_tokens <= 5 * 60
        assert attempted.cost == pytest.approx((attempted.prompt_tokens + 4 * attempted.completion_tokens) / 1e6)
    assert len(out.with_suffix(".rejected.jsonl").read_text().splitlines()) == 4
    assert not out.exists()
    assert attempts(out) == after
    again = run()
    assert again.returncode == 1
    assert attempts(out) == after  # nothing is asked twice
