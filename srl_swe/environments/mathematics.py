"""``srl_swe/Math-v0``: solve a maths problem in one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import gymnasium
from gymnasium.error import ResetNeeded

from srl_swe.environments.options import read_task
from srl_swe.environments.solutions import Wanted, parse_solution, problem_text, solution_chat
from srl_swe.environments.spaces import UnicodeText
from srl_swe.errors import ConfigError, MalformedActionError
from srl_swe.records import Ending, PreparedTask, Score, Split, Task, Trajectory, Verdict
from srl_swe.rewards.answers import final_answer
from srl_swe.rewards.mathematics import AnswerChecker, shared_checker
from srl_swe.tasks.folder import read_suites

_MAX_CHARS = 1_000_000
_KEYS = ("task", "step", "trajectory", "wanted")


@dataclass(kw_only=True, slots=True)
class _Episode:
    """What changes from step to step."""

    task: Task
    steps: list[str]
    wanted: Wanted
    length: int
    """Steps after which the solution is at its end, where steps are wanted."""
    malformed: int = 0
    ending: Ending | None = None
    verdict: Verdict | None = None
    score: Score | None = None
    error: str | None = None


class MathEnv(gymnasium.Env[str, str]):
    r"""Solve a maths problem. One episode: one problem, one answer, scored at once.

    ## Description
    The agent is told a problem and answers with a thought and a solution. Its final answer is compared with the right
    one by `srl_swe.rewards.mathematics`, in a process of its own.

    ## Action Space
    `UnicodeText(1_000_000)`: a model's whole answer: ``<think>…</think>``, then the solution with its final answer in
    ``\boxed{…}`` (or after ``####``, or plain). The thought may be missing, unless ``require_thought``.

    ## Observation Space
    `UnicodeText(1_000_000)`: the problem, and the solution so far where there is one.

    ## Rewards
    1 for a right answer, 0 for a wrong one, for none, and for an answer that is malformed; a problem of reasoning-gym
    has its own score, up to 1. Where the answer could not be judged the reward, which gymnasium wants to be a number,
    is 0 and must not be used: ``info["score"].value`` is ``None``.

    ## Starting State
    A problem. Without the option ``task``, the seeded generator draws one of those whose answer is known. With
    ``step``: after that many steps of an expert's solution, which the student goes on with.

    ## Episode End
    Termination: after one answer. With the option ``wanted="step"``, as `srl_swe.ExpertReplay` gives it, an answer is
    the next step of the solution, and the episode ends after as many as the expert's.

    ## Information
    - ``messages``: the chat (system, problem); ``task_id``; ``step``: steps of the solution so far.
    - ``malformed``: answers that were not in the form.
    - ``ending``, ``verdict``, ``score``, ``error``: each ``None`` until the episode ends. ``verdict.answer`` is the
      final answer as it was read.

    ## Arguments
    Those of `__init__`. ``gymnasium.make("srl_swe/Math-v0", suites=["envs/gsm8k"], split="train")``; in vectors of
    processes with ``vector_kwargs={"shared_memory": False}`` (see `UnicodeText`).

    ## Options
    ``reset(options=…)`` takes ``task`` (an id), ``trajectory`` (an expert's solution of that problem), ``step`` (k) and
    ``wanted`` (``answer``, or with a trajectory ``step``).

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
        require_thought: bool = False,
        checker: AnswerChecker | None = None,
        render_mode: Literal["ansi"] | None = None,
    ) -> None:
        """Read the problems; no process is started before the first answer that needs one.

        Args:
            suites: Suite folders. Every argument but ``tasks`` and ``checker`` can be written as JSON.
            split: Only problems of this split.
            task: Only this problem.
            tasks: Instead of ``suites``: problems already read.
            require_thought: Whether an answer without a thought is malformed, and so wrong.
            checker: Judges answers; by default all environments of a process share one.
            render_mode: ``ansi``: `render` returns the problem and the solution so far.

        Raises:
            ConfigError: An argument is wrong.
            TaskError: A suite is wrong, or has no such problem.
        """
        if (suites is None) == (tasks is None):
            raise ConfigError("MathEnv: give either suites or tasks")
        if split is not None and split not in get_args(Split):
            raise ConfigError(f"split: expected one of {', '.join(get_args(Split))}, not {split!r}")
        if render_mode not in (None, "ansi"):
            raise ConfigError(f"render_mode: must be 'ansi' or None, not {render_mode!r}")
        self.render_mode = render_mode
        self.observation_space = UnicodeText(_MAX_CHARS)
        self.action_space = UnicodeText(_MAX_CHARS)
        self._tasks = _choose_tasks(suites, tasks, split=split, task=task)
        self._drawn = [name for name, found in self._tasks.items() if found.answer is not None]
        self._require_thought = require_thought
        self._checker = checker
        self._episode: _Episode | None = None

    # ------------------------------------------------------------------------------------------------- gymnasium.Env
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Tell a problem.

        Raises:
            ConfigError: An option is wrong (its key is named), or there is no problem whose answer is known.
        """
        super().reset(seed=seed)
        self._episode = self._begin(options or {})
        return self._observation(self._episode), self._info(self._episode)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take the model's answer.

        Raises:
            ResetNeeded: The episode has ended, or never began.
            MissingDependencyError: What judges the answer is not installed.
        """
        episode = self._episode
        if episode is None or episode.ending is not None:
            raise ResetNeeded("the episode has ended or not begun: call reset()")
        try:
            _, text = parse_solution(action, require_thought=self._require_thought)
        except MalformedActionError as error:
            episode.malformed += 1
            _end(episode, Ending.MALFORMED, 0.0, Verdict(solved=False, log=str(error)))
        else:
            episode.steps.append(text)
            if episode.wanted == "answer" or len(episode.steps) >= episode.length:
                self._judge(episode)
        reward = 0.0 if episode.score is None or episode.score.value is None else episode.score.value
        return self._observation(episode), reward, episode.ending is not None, False, self._info(episode)

    def render(self) -> str | None:
        """Return the problem and the solution so far, as text; ``None`` without ``render_mode``."""
        if self.render_mode is None:
            return None
        if self._episode is None:
            raise ResetNeeded("nothing to render: call reset()")
        return self._observation(self._episode)

    # --------------------------------------------------------------------------------------------------- for callers
    @property
    def prepared(self) -> PreparedTask:
        """The problem of the present episode.

        Raises:
            ResetNeeded: There is none.
        """
        if self._episode is None:
            raise ResetNeeded("no problem yet: call reset()")
        return PreparedTask(task=self._episode.task, image="", gold_patch="", test_files=())

    def patch(self) -> str:
        """Return an empty text: there is no code to change."""
        return ""

    # -------------------------------------------------------------------------------------------------------- inside
    def _begin(self, options: Mapping[str, Any]) -> _Episode:
        for key in options:
            if key not in _KEYS:
                raise ConfigError(f"options[{key!r}]: unknown; expected {', '.join(_KEYS)}")
        trajectory, step = options.get("trajectory"), options.get("step") or 0
        if trajectory is not None and not isinstance(trajectory, Trajectory):
            raise ConfigError(f"options['trajectory']: expected a Trajectory, not {type(trajectory).__name__}")
        task_id = read_task(options.get("task"), trajectory, tuple(self._tasks))
        wanted = options.get("wanted", "answer")
        if wanted not in get_args(Wanted):
            raise ConfigError(f"options['wanted']: expected {' or '.join(get_args(Wanted))}, not {wanted!r}")
        length = 0 if trajectory is None else len(trajectory.steps)
        if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= max(length - 1, 0):
            raise ConfigError(
                f"options['step']: expected a whole number from 0, less than the {length} steps of "
                f"options['trajectory'], not {step!r}"
            )
        if wanted == "step" and trajectory is None:
            raise ConfigError("options['wanted']: 'step' needs options['trajectory'], whose steps they are")
        task = self._tasks[task_id] if task_id is not None else self._draw()
        if wanted == "answer" and task.answer is None:
            raise ConfigError(f"options['task']: nobody knows the answer of {task.task_id}: it can only be replayed")
        steps = [] if trajectory is None else [s.action for s in trajectory.steps[:step]]
        return _Episode(task=task, steps=steps, wanted=wanted, length=length)

    def _draw(self) -> Task:
        if not self._drawn:
            raise ConfigError("MathEnv: no problem whose answer is known; name one with a trajectory in the options")
        return self._tasks[self._drawn[int(self.np_random.integers(len(self._drawn)))]]

    def _judge(self, episode: _Episode) -> None:
        """Score the whole solution by its final answer."""
        key = episode.task.answer
        if key is None:  # a proof, replayed: nothing says whether it is right
            _end(episode, Ending.SUBMITTED, None, None)
            return
        text = "\n\n".join(episode.steps)
        score = (self._checker or shared_checker()).score(text, key)
        if score.value is None:
            episode.error = "the answer could not be judged"
            verdict = Verdict(solved=None, infrastructure=episode.error, answer=final_answer(text))
            _end(episode, Ending.INFRASTRUCTURE, None, verdict)
            return
        verdict = Verdict(solved=score.value >= 1.0, answer=final_answer(text))
        _end(episode, Ending.SUBMITTED, score.value, verdict)

    def _observation(self, episode: _Episode) -> str:
        return problem_text(episode.task.problem_statement, episode.steps)[:_MAX_CHARS]

    def _info(self, episode: _Episode) -> dict[str, Any]:
        return {
            "messages": solution_chat(episode.task.problem_statement, episode.steps, wanted=episode.wanted),
            "task_id": episode.task.task_id,
            "step": len(episode.steps),
            "malformed": episode.malformed,
            "ending": episode.ending,
            "verdict": episode.verdict,
            "score": episode.score,
            "error": episode.error,
        }


def _end(episode: _Episode, ending: Ending, value: float | None, verdict: Verdict | None) -> None:
    parts = {} if value is None or verdict is None else {"solved": float(bool(verdict.solved))}
    episode.ending, episode.verdict, episode.score = ending, verdict, Score(value=value, parts=parts)


def _choose_tasks(
    suites: str | Sequence[str] | None,
    tasks: Sequence[PreparedTask | Task] | None,
    *,
    split: Split | None,
    task: str | None,
) -> dict[str, Task]:
    if suites is not None:
        paths = [suites] if isinstance(suites, str) else list(suites)
        found = read_suites(paths, split=split, ids=[task] if task else ())
    else:
        given = [t.task if isinstance(t, PreparedTask) else t for t in tasks or ()]
        found = [t for t in given if split in (None, t.split) and task in (None, t.task_id)]
    if others := [t for t in found if t.domain != "mathematics"]:
        raise ConfigError(f"MathEnv: {others[0].task_id} is no maths problem; srl_swe/Repo-v0 takes repositories")
    if not found:
        raise ConfigError("MathEnv: no problem to choose from" + (f" in split {split!r}" if split else ""))
    return {t.task_id: t for t in found}
