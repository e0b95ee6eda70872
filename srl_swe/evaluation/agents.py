"""An external agent, by a command line: it works on a task's sandbox as it likes, and its change is graded.

The command runs on this machine, or in the sandbox. It is told where things are by placeholders and by environment
variables of the same meaning; ``docs/evaluation.md`` has the table. When it has ended, the change in the sandbox (or
the patch that it wrote to ``{patch_file}``) is graded in a fresh one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import secrets
import shlex
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from srl_swe.errors import ConfigError, EngineUnavailableError, InfrastructureError, StorageError
from srl_swe.evaluation.agent_commands import Agent, count, fill, read_report, whole
from srl_swe.evaluation.agent_processes import Ended, run_agent
from srl_swe.evaluation.jobs import Job, plan, without_patch
from srl_swe.evaluation.lines import check_meta
from srl_swe.evaluation.runner import META, Run, describe
from srl_swe.grading import grade, student_patch
from srl_swe.records import Ending, EpisodeResult, PreparedTask, Verdict
from srl_swe.sandbox import Sandbox, SandboxLimits, open_sandbox

WORKDIR = "/testbed"
"""Where in the sandbox the repository is."""
USER = "agent"
"""Whose it is there."""
WORLD_FAILED = 75
"""Exit code by which an agent says that the world failed it (EX_TEMPFAIL of sysexits.h): never counted against it."""
_CANNOT_START = (126, 127)
_TAIL = 4_000
_IN_SANDBOX = "/tmp/problem.md"


def evaluate_agent(
    agent: Agent,
    tasks: Sequence[PreparedTask],
    out: Path,
    *,
    samples: int = 1,
    concurrency: int = 2,
    split: str | None = None,
    console: Console | None = None,
) -> list[EpisodeResult]:
    """Run an agent on every task, or what is left of them, and return the results in the order of ``tasks``.

    As `srl_swe.evaluation.runner.evaluate`, but for who acts. What an agent prints and writes is kept in
    ``OUT/agents``.

    Raises:
        ConfigError: ``out`` holds results of something else, an argument is wrong, or the command cannot be started.
        EngineUnavailableError: no container engine answers.
        StorageError: ``out`` cannot be written.
    """
    agent.check()
    jobs = plan(tasks, samples=samples, greedy=False)
    settings = {"split": split, "agent": dataclasses.asdict(agent)}
    check_meta(out / META, "episodes", describe(agent.name, tasks, settings))
    run = Run(agent.name, out, lambda job: AgentEpisode(job=job, agent=agent, out=out), concurrency=concurrency)
    return run.all(jobs, console)


@dataclass(kw_only=True)
class AgentEpisode:
    """An agent at one task; a `srl_swe.evaluation.episodes.RunningEpisode`."""

    job: Job
    """What it is."""
    agent: Agent
    """Who acts."""
    out: Path
    """The evaluation's folder."""
    ending: Ending | None = None
    """Why it ended; ``None`` while it runs."""
    verdict: Verdict | None = None
    """What grading found."""
    patch: str = ""
    """The change."""
    exit_code: int | None = None
    """The command's."""
    failure: str | None = None
    """What failed that is not the agent's doing."""
    seconds: float = 0.0
    """How long it took."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """What the agent says of itself."""
    _sandbox: Sandbox | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def folder(self) -> Path:
        """Where what the agent prints and writes is kept."""
        name = re.sub(r"[^\w.-]+", "__", self.job.prepared.task.task_id)
        return self.out.resolve() / "agents" / f"{name}-{self.job.sample}"

    def run(self) -> None:
        """See `RunningEpisode.run`.

        Raises:
            ConfigError: the command cannot be started.
            EngineUnavailableError: no episode can be run at all.
            StorageError: the episode's folder cannot be written.
        """
        started = time.monotonic()
        try:
            self._make_folder()
            with self._failures():
                self._act()
        finally:
            self.close()
            self.seconds = round(time.monotonic() - started, 3)

    def close(self) -> None:
        """End the agent and remove the sandbox."""
        self._stop.set()
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            with contextlib.suppress(InfrastructureError):
                sandbox.close()

    def result(self, policy: str) -> EpisodeResult:
        """See `RunningEpisode.result`."""
        assert self.ending is not None
        task = self.job.prepared.task
        return EpisodeResult(
            task_id=task.task_id,
            repository=task.repository,
            split=task.split,
            policy=policy,
            solved=None if self.failure is not None else bool(self.verdict and self.verdict.solved),
            ending=self.ending,
            steps=whole(self.report.get("steps")) or 0,
            seconds=self.seconds,
            patch=self.patch,
            tampering=self.verdict.tampering if self.verdict else (),
            error=self.failure,
            sample=self.job.sample,
            prompt_tokens=whole(self.report.get("prompt_tokens")),
            completion_tokens=whole(self.report.get("completion_tokens")),
            cost=count(self.report.get("cost")),
            exit_code=self.exit_code,
        )

    def record(self, policy: str) -> dict[str, Any]:
        """The line of ``transcripts.jsonl``: no steps, since only the agent knows them, but the end of its output."""
        tests = {name: str(outcome) for name, outcome in self.verdict.outcomes.items()} if self.verdict else {}
        return without_patch(self.result(policy)) | {
            "problem": self.job.prepared.task.problem_statement,
            "tests": tests,
            "transcript": [],
            "output": self._tail(),
            "folder": str(self.folder.relative_to(self.out.resolve())),
        }

    def _make_folder(self) -> None:
        try:
            if self.folder.exists():
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True)
            (self.folder / "problem.md").write_text(self.job.prepared.task.problem_statement, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{self.folder}: cannot be written: {error.strerror or error}") from error

    def _act(self) -> None:
        prepared, backend = self.job.prepared, self.agent.backend
        task = prepared.task
        sandbox = self._sandbox = open_sandbox(
            prepared.image,
            backend=backend,
            limits=SandboxLimits(memory_mb=task.memory_mb),
            network=task.network,
            read_only=task.read_only,
        )
        ended = self._on_host(sandbox) if self.agent.where == "host" else self._in_sandbox(sandbox)
        self.exit_code = ended.exit_code
        if self._stop.is_set() or ended.exit_code == WORLD_FAILED:
            self._fail(f"the agent says that the world failed it (exit code {WORLD_FAILED}): {self._tail()[-300:]}")
            return
        if ended.exit_code in _CANNOT_START and not ended.limit:
            raise ConfigError(f"agent command: cannot be started: {self._tail()[-300:].strip()}")
        self.report = read_report(self.folder / "report.json")
        self.patch = self._taken(sandbox)
        self._close_sandbox()  # one episode never holds the memory of two
        if ended.limit:
            self.ending = Ending.TIME_LIMIT
            return
        self.verdict = grade(prepared, self.patch, backend=backend)
        if self.verdict.solved is None:
            self._fail(self.verdict.infrastructure or "grading failed")
            return
        self.ending = Ending.SUBMITTED if ended.exit_code == 0 else Ending.AGENT_FAILED

    def _on_host(self, sandbox: Sandbox) -> Ended:
        container, host = _container(sandbox)
        values = {
            "container": container,
            "image": self.job.prepared.image,
            "problem_file": str(self.folder / "problem.md"),
            "workdir": WORKDIR,
            "task_id": self.job.prepared.task.task_id,
            "output": str(self.folder),
            "patch_file": str(self.folder / "patch.diff"),
            "report_file": str(self.folder / "report.json"),
        }
        engine = {"DOCKER_HOST": host} if host else {}
        variables = {f"SRL_SWE_{name.upper()}": value for name, value in values.items()}
        prefix = shlex.join(["docker", "exec", "-i", "-u", USER, "-w", WORKDIR, container])
        quoted = {name: shlex.quote(value) for name, value in values.items()} | {"exec": prefix}
        return run_agent(
            fill(self.agent.command, quoted),
            folder=self.folder,
            log=self.folder / "output.log",
            environment={**os.environ, **engine, **variables},
            episode=secrets.token_hex(8),
            timeout_s=self.agent.timeout_s,
            stop=self._stop,
        )

    def _in_sandbox(self, sandbox: Sandbox) -> Ended:
        sandbox.write_file(_IN_SANDBOX, self.job.prepared.task.problem_statement.encode())
        values = {"problem_file": _IN_SANDBOX, "workdir": WORKDIR, "task_id": self.job.prepared.task.task_id}
        exports = " ".join(f"SRL_SWE_{name.upper()}={shlex.quote(value)}" for name, value in values.items())
        command = fill(self.agent.command, {name: shlex.quote(value) for name, value in values.items()})
        # In a session of its own, in a subshell: whatever it does to its shell, the patch is taken from another one.
        done = sandbox.run(f"export {exports}; (\n{command}\n)", timeout_s=self.agent.timeout_s, session="agent")
        (self.folder / "output.log").write_text(done.output, encoding="utf-8", errors="replace")
        sandbox.end_session("agent")
        return Ended(exit_code=done.exit_code, limit=f"{self.agent.timeout_s:g} s" if done.timed_out else "")

    def _taken(self, sandbox: Sandbox) -> str:
        """The change: what the agent wrote as its patch, or else what has changed in the sandbox."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            written = (self.folder / "patch.diff").read_bytes().decode()
            if written.strip():
                return written
        # What it has left running in there could change files under our hands.
        enclosure = getattr(sandbox, "enclosure", None)
        if enclosure is not None:
            enclosure.kill()
        return student_patch(sandbox, base_commit=self.job.prepared.base_commit)

    def _close_sandbox(self) -> None:
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    def _tail(self) -> str:
        try:
            with (self.folder / "output.log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def _fail(self, why: str) -> None:
        self.ending, self.failure = Ending.INFRASTRUCTURE, why

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (EngineUnavailableError, StorageError):
            raise
        except InfrastructureError as error:
            self._fail(f"{type(error).__name__}: {error}")


def _container(sandbox: Sandbox) -> tuple[str, str]:
    """The container's id and where its engine is; empty where there is no container."""
    enclosure = getattr(sandbox, "enclosure", None)
    return str(getattr(enclosure, "container_id", "")), str(getattr(enclosure, "engine_address", ""))
