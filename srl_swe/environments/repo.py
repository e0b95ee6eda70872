"""``srl_swe/Repo-v0``: mend a repository in a container, by shell commands, until ``submit``."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from srl_swe.environments import prompts
from srl_swe.environments.actions import format_malformed, format_observation, parse_action
from srl_swe.environments.lasting_states import LastingStates
from srl_swe.environments.options import read_options
from srl_swe.environments.snapshots import ExpertStates
from srl_swe.environments.spaces import UnicodeText
from srl_swe.errors import ConfigError, InfrastructureError, MalformedActionError
from srl_swe.grading import grade, student_patch
from srl_swe.records import Ending, PreparedTask, Score, Split, Step, Task, Verdict
from srl_swe.sandbox.pool import SandboxPool
from srl_swe.sandbox.protocol import Sandbox, SandboxLimits, SandboxSpec
from srl_swe.tasks.folder import read_suites
from srl_swe.tasks.prepare import prepare

_MAX_CHARS = 1_000_000


@dataclass(kw_only=True, slots=True)
class _Episode:
    """What changes from step to step."""

    prepared: PreparedTask
    steps: list[Step]
    taken: int = 0
    malformed: int = 0
    patch: str | None = None
    ending: Ending | None = None
    verdict: Verdict | None = None
    score: Score | None = None
    error: str | None = None

    def fail(self, reason: str) -> str:
        """End by a failure that is not the student's; return the observation."""
        self.ending, self.error, self.score = Ending.INFRASTRUCTURE, reason, Score(value=None)
        return f"the environment failed: {reason}"

    def score_as(self, ending: Ending, *, solved: bool) -> None:
        """End with a score."""
        self.ending = ending
        self.score = Score(value=float(solved), parts={"solved": float(solved)})


class RepoEnv(gymnasium.Env[str, str]):
    """Mend a repository by shell commands. One episode: one task, one sandbox, one model answer a step.

    ## Description
    The agent is told of a problem in a code repository, looks about and edits by shell commands in a sandbox that holds
    it, and submits. The outcome is decided by tests that it has not seen.

    ## Action Space
    `UnicodeText(1_000_000)`: a model's whole answer, a thought and then exactly one action in the grammar of
    `srl_swe.environments.actions`. The command ``submit`` ends the episode. An answer without exactly one action is
    not run: the observation says what was wrong, and it counts as a step. A command is stopped after
    ``command_timeout_s`` seconds.

    ## Observation Space
    `UnicodeText(1_000_000)`: at first the problem statement, later what the command did (exit code and output).

    ## Rewards
    0 until ``submit``, then 1 if the hidden tests pass and 0 if not. After a failure of the infrastructure the reward,
    which gymnasium wants to be a number, is 0 and must not be used: ``info["score"].value`` is ``None``.

    ## Starting State
    The task's repository at its base commit, in a new sandbox. Without the option ``task``, the seeded generator draws
    one of the tasks. With ``step``: the state after that many of the expert's actions.

    ## Episode End
    - Termination: ``submit``, or a failure of the infrastructure (`Ending.INFRASTRUCTURE`).
    - Truncation: after ``max_steps`` steps; those before the opening state do not count.

    ## Information
    - ``messages``: the chat so far (system, problem, last pairs); ``task_id``.
    - ``step``: steps behind the present state, the expert's included; ``malformed``: answers without an action.
    - ``ending``, ``verdict``, ``score``, ``error``: each ``None`` until the episode ends.

    ## Arguments
    Those of `__init__`. ``gymnasium.make("srl_swe/Repo-v0", suites=["envs/starter"], split="train")``; in vectors of
    processes with ``vector_kwargs={"shared_memory": False}`` (see `UnicodeText`).

    ## Options
    ``reset(options=…)`` takes ``task`` (an id), ``trajectory`` (a `Trajectory` of that task) and ``step`` (k: open at
    the state after the trajectory's first k actions, from a snapshot that this environment keeps until `close`, or
    from a lasting one that `keep_state` made earlier).

    ## Version History
    - v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 -- as gymnasium declares it

    def __init__(
        self,
        suites: str | Sequence[str] | None = None,
        *,
        split: Split | None = None,
        task: str | None = None,
        tasks: Sequence[PreparedTask | Task] | None = None,
        max_steps: int = 30,
        command_timeout_s: float = 60.0,
        history: int | None = 2,
        observation_chars: int = prompts.OBSERVATION_CHARS,
        problem_chars: int = prompts.PROBLEM_CHARS,
        backend: str = "docker",
        stateless: bool = False,
        warm: int = 0,
        snapshots_mb: float = 4096.0,
        render_mode: Literal["ansi"] | None = None,
    ) -> None:
        """Read the tasks; nothing is built or started before `reset`.

        Args:
            suites: Suite folders. Every argument but ``tasks`` can be written as JSON.
            split: Only tasks of this split.
            task: Only this task.
            tasks: Instead of ``suites``: tasks already read, or already prepared.
            max_steps: Steps after which the episode is truncated; those before the opening state do not count.
            command_timeout_s: Seconds one command may take.
            history: Action-observation pairs in ``info["messages"]``; ``None``: all of them.
            observation_chars: Longest observation there.
            problem_chars: Longest problem statement there.
            backend: Sandbox backend, such as ``docker``, ``docker:crun``, ``podman`` or ``bubblewrap``.
            stateless: Whether each command gets a fresh subshell, as some agents' trajectories have it.
            warm: Sandboxes kept ready for the next `reset`; finished ones are then removed in the background.
            snapshots_mb: What snapshots of expert states may take on the disk, in MiB.
            render_mode: ``ansi``: `render` returns the last step as text.

        Raises:
            ConfigError: An argument is wrong.
            TaskError: A suite is wrong, or has no such task.
        """
        if (suites is None) == (tasks is None):
            raise ConfigError("RepoEnv: give either suites or tasks")
        if split is not None and split not in get_args(Split):
            raise ConfigError(f"split: expected one of {', '.join(get_args(Split))}, not {split!r}")
        if max_steps < 1:
            raise ConfigError(f"max_steps: must be at least 1, not {max_steps}")
        if snapshots_mb < 0:
            raise ConfigError(f"snapshots_mb: must be at least 0, not {snapshots_mb}")
        if command_timeout_s <= 0:
            raise ConfigError(f"command_timeout_s: must be above 0, not {command_timeout_s}")
        if render_mode not in (None, "ansi"):
            raise ConfigError(f"render_mode: must be 'ansi' or None, not {render_mode!r}")
        self.render_mode = render_mode
        self.observation_space = UnicodeText(_MAX_CHARS)
        self.action_space = UnicodeText(_MAX_CHARS)
        self._tasks = _choose_tasks(suites, tasks, split=split, task=task)
        self._prepared: dict[str, PreparedTask] = {}
        self._max_steps = max_steps
        self._command_timeout_s = command_timeout_s
        self._chat_options: dict[str, Any] = {
            "last": history,
            "observation_chars": observation_chars,
            "problem_chars": problem_chars,
        }
        self._backend = backend
        self._stateless = stateless
        self._warm = warm
        self._pool = SandboxPool(backend, size=warm)
        self._states = ExpertStates(
            self._pool, backend=backend, command_timeout_s=command_timeout_s, capacity_mb=snapshots_mb
        )
        self._sandbox: Sandbox | None = None
        self._episode: _Episode | None = None

    # ------------------------------------------------------------------------------------------------- gymnasium.Env
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Open a sandbox for a task.

        Raises:
            ConfigError: An option is wrong; its key is named.
            InfrastructureError: The image could not be built, or the sandbox could not be opened.
        """
        super().reset(seed=seed)
        chosen = read_options(options, tuple(self._tasks))
        self._close_episode()
        prepared = self._prepare(chosen.task_id or self._draw(self.np_random))
        self._sandbox = self._states.open(self._spec(prepared), chosen.actions, chosen.runs)
        if self._warm and chosen.task_id is None and not chosen.steps:
            # What the next reset will draw, if it is not told otherwise.
            self._pool.expect(self._spec(self._prepare(self._draw(copy.deepcopy(self.np_random)))))
        self._episode = _Episode(prepared=prepared, steps=list(chosen.steps))
        first = chosen.steps[-1].observation if chosen.steps else prepared.task.problem_statement
        return prompts.clip(first, _MAX_CHARS), self._info(self._episode)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Run the one action in a model's answer.

        Raises:
            ResetNeeded: The episode has ended, or never began.
        """
        episode = self._episode
        if episode is None or episode.ending is not None:
            raise ResetNeeded("the episode has ended or not begun: call reset()")
        episode.taken += 1
        try:
            observation = self._act(episode, action)
        except InfrastructureError as error:
            observation = episode.fail(f"{type(error).__name__}: {error}")
        if episode.ending is None and episode.taken >= self._max_steps:
            episode.score_as(Ending.STEP_LIMIT, solved=False)
        truncated = episode.ending is not None and episode.ending.is_truncated()
        terminated = episode.ending is not None and not truncated
        reward = 0.0 if episode.score is None or episode.score.value is None else episode.score.value
        return prompts.clip(observation, _MAX_CHARS), reward, terminated, truncated, self._info(episode)

    def render(self) -> str | None:
        """Return the last step, or the problem before the first one, as text; ``None`` without ``render_mode``."""
        if self.render_mode is None:
            return None
        if self._episode is None:
            raise ResetNeeded("nothing to render: call reset()")
        if not self._episode.steps:
            return self._episode.prepared.task.problem_statement
        last = self._episode.steps[-1]
        return f"$ {last.action or last.thought}\n{last.observation}"

    def close(self) -> None:
        """Remove the sandbox, the spare ones and the snapshots. May be called again; `reset` opens anew."""
        self._close_episode()
        self._pool.close()  # first: a snapshot stays for as long as a spare stands on it
        self._states.close()

    # --------------------------------------------------------------------------------------------------- for callers
    @property
    def prepared(self) -> PreparedTask:
        """The task of the present episode.

        Raises:
            ResetNeeded: There is none.
        """
        if self._episode is None:
            raise ResetNeeded("no task yet: call reset()")
        return self._episode.prepared

    def patch(self) -> str:
        """Return the change made so far as a unified diff; after ``submit``, what was graded.

        Raises:
            InfrastructureError: The sandbox failed or is gone.
            ResetNeeded: There is no episode.
        """
        if self._episode is not None and self._episode.patch is not None:
            return self._episode.patch
        if self._sandbox is None or self._episode is None:
            raise ResetNeeded("no sandbox: call reset()")
        return student_patch(self._sandbox, base_commit=self._episode.prepared.base_commit)

    def keep_state(self, lasting: LastingStates) -> bool:
        """Keep the present state beyond this process, as the one after the actions so far; whether it is a new one.

        A later `reset` with an option ``step``, in any process, then opens it. A system that is mounted read-only has
        no snapshots, and is never kept.

        Raises:
            InfrastructureError: The sandbox failed or is gone; the list of states cannot be written.
            ResetNeeded: There is no episode.
        """
        if self._sandbox is None or self._episode is None:
            raise ResetNeeded("no sandbox: call reset()")
        spec = self._spec(self._episode.prepared)
        actions = [step.action for step in self._episode.steps if step.runnable and step.action]
        return not spec.read_only and self._states.keep(spec, actions, self._sandbox, lasting)

    # -------------------------------------------------------------------------------------------------------- inside
    def _prepare(self, task_id: str) -> PreparedTask:
        if task_id not in self._prepared:
            task = self._tasks[task_id]
            self._prepared[task_id] = task if isinstance(task, PreparedTask) else prepare(task, backend=self._backend)
        return self._prepared[task_id]

    def _draw(self, generator: np.random.Generator) -> str:
        return list(self._tasks)[int(generator.integers(len(self._tasks)))]

    def _spec(self, prepared: PreparedTask) -> SandboxSpec:
        task = prepared.task
        return SandboxSpec(
            image=prepared.image,
            limits=SandboxLimits(memory_mb=task.memory_mb),
            stateless=self._stateless,
            network=task.network,
            read_only=task.read_only,
        )

    def _act(self, episode: _Episode, answer: str) -> str:
        assert self._sandbox is not None
        try:
            _, action = parse_action(answer)
        except MalformedActionError as error:
            episode.malformed += 1
            observation = format_malformed(error)
            episode.steps.append(Step(thought=answer, action="", observation=observation))
            return observation
        if action.kind == "submit":
            observation = self._submit(episode)
        else:
            observation = format_observation(self._sandbox.run(action.command, timeout_s=self._command_timeout_s))
        episode.steps.append(Step(thought="", action=action.command, observation=observation))
        return observation

    def _submit(self, episode: _Episode) -> str:
        episode.patch = self.patch()
        # Before the grading container starts: one episode never holds the memory of two.
        self._close_sandbox()
        episode.verdict = grade(episode.prepared, episode.patch, backend=self._backend)
        if episode.verdict.solved is None:
            return episode.fail(episode.verdict.infrastructure or "grading failed")
        episode.score_as(Ending.SUBMITTED, solved=episode.verdict.solved)
        return "submitted"

    def _info(self, episode: _Episode) -> dict[str, Any]:
        task = episode.prepared.task
        return {
            "messages": prompts.chat(task.problem_statement, episode.steps, **self._chat_options),
            "task_id": task.task_id,
            "step": len(episode.steps),
            "malformed": episode.malformed,
            "ending": episode.ending,
            "verdict": episode.verdict,
            "score": episode.score,
            "error": episode.error,
        }

    def _close_episode(self) -> None:
        self._close_sandbox()
        self._episode = None

    def _close_sandbox(self) -> None:
        # Taken before it is closed: `close` may be called while a step runs.
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            self._pool.discard(sandbox)


def _choose_tasks(
    suites: str | Sequence[str] | None,
    tasks: Sequence[PreparedTask | Task] | None,
    *,
    split: Split | None,
    task: str | None,
) -> dict[str, PreparedTask | Task]:
    if suites is not None:
        paths = [suites] if isinstance(suites, str) else list(suites)
        found: Sequence[PreparedTask | Task] = read_suites(paths, split=split, ids=[task] if task else ())
    else:
        found = tasks or ()
    if problems := [t for t in map(_declaration, found) if t.domain != "repository"]:
        raise ConfigError(f"RepoEnv: {problems[0].task_id} is a maths problem; srl_swe/Math-v0 takes those")
    named = {_declaration(t).task_id: t for t in found if split is None or _declaration(t).split == split}
    if suites is None and task is not None:
        if task not in named:
            raise ConfigError(f"task: there is no {task!r} among the tasks given")
        named = {task: named[task]}
    if not named:
        raise ConfigError("RepoEnv: no task to choose from" + (f" in split {split!r}" if split else ""))
    return named


def _declaration(task: PreparedTask | Task) -> Task:
    return task.task if isinstance(task, PreparedTask) else task
