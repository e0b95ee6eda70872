"""`ExpertReplay`: the student is scored at every step of an expert's path, and never leaves it."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium

from srl_swe.environments.actions import NO_THOUGHT
from srl_swe.environments.answers import write_answer
from srl_swe.environments.scoring import score_action
from srl_swe.errors import ConfigError
from srl_swe.records import Trajectory


class ExpertReplay(gymnasium.Wrapper[str, str, str, str]):
    """Scores the student's action against the expert's, and runs the *expert's*, so that step k+1 is on its path.

    ## Description
    Supervised Reinforcement Learning as an environment (arXiv 2510.25992). It wraps any environment whose actions are
    answers in the form of the trajectory's domain (`srl_swe.environments.answers`). `gymnasium.make` knows it over
    `RepoEnv` and `MathEnv`, with a trajectory from a file, as ``srl_swe/ExpertReplay-v0``: see
    `srl_swe.experts.environment.make_expert_replay`.

    ## Action Space
    The wrapped environment's. The answer is scored and never run.

    ## Observation Space
    The wrapped environment's: what the *expert's* action did.

    ## Rewards
    The similarity of the two actions, from 0 to 1, or -1 where the student's answer is malformed (equation 4). The
    wrapped environment's reward is not used.

    ## Starting State
    The wrapped environment's, for the expert's task; with the option ``step``, after that many of the expert's actions.

    ## Episode End
    - Termination: after the expert's last step, or before that where the wrapped environment terminates.
    - Truncation: where the wrapped environment truncates.

    ## Information
    The wrapped environment's; after a step also ``score`` (the student's `Score` at it) and ``expert_step`` (its
    number). Whether the wrapped environment failed is in ``info["ending"]``; the score does not depend on it. Nothing
    of the expert's next action is in the observation or ``info``.

    ## Arguments
    Those of `__init__`. As an argument of ``make_vec``: ``wrappers=[lambda env: ExpertReplay(env, trajectory)]``.

    ## Options
    ``step``: k, from 0 to the number of the expert's steps less one. Others are the wrapped environment's, but may not
    name another task or trajectory.

    ## Version History
    - v0: first version.
    """

    def __init__(
        self,
        env: gymnasium.Env[str, str],
        trajectory: Trajectory,
        *,
        autojunk: bool = False,
        require_thought: bool = True,
    ) -> None:
        """Wrap an environment.

        Args:
            env: What the expert acted in.
            trajectory: The expert's way.
            autojunk: difflib's heuristic; see `srl_swe.rewards.similarity`.
            require_thought: Whether a student's answer without a thought is malformed.
        """
        super().__init__(env)
        if not trajectory.steps:
            raise ConfigError(f"trajectory: {trajectory.trajectory_id} has no steps")
        self.trajectory = trajectory
        self._autojunk = autojunk
        self._require_thought = require_thought
        self._next = len(trajectory.steps)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start the expert's task, at ``options["step"]`` if that is given.

        Raises:
            ConfigError: ``step`` is not one of the expert's steps, or an option names another task or trajectory.
        """
        given = dict(options or {})
        step = given.pop("step", 0)
        if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < len(self.trajectory.steps):
            last = len(self.trajectory.steps) - 1
            raise ConfigError(f"options['step']: expected a whole number from 0 to {last}, not {step!r}")
        for key, own in (("task", self.trajectory.task_id), ("trajectory", self.trajectory)):
            if given.setdefault(key, own) != own:
                raise ConfigError(f"options[{key!r}]: this wrapper replays {self.trajectory.trajectory_id}")
        if self.trajectory.domain == "mathematics":
            given["wanted"] = "step"
        observation, info = self.env.reset(seed=seed, options=given | {"step": step})
        self._next = step
        return observation, info

    def step(self, action: str) -> tuple[str, SupportsFloat, bool, bool, dict[str, Any]]:
        """Score the student's answer, then run the expert's action.

        Raises:
            ResetNeeded: The episode has ended, or never began.
        """
        if self._next >= len(self.trajectory.steps):
            raise gymnasium.error.ResetNeeded("the expert's trajectory has ended or not begun: call reset()")
        expert = self.trajectory.steps[self._next].action
        domain = self.trajectory.domain
        score = score_action(
            action, expert, autojunk=self._autojunk, require_thought=self._require_thought, domain=domain
        )
        assert score.value is not None
        expert_answer = f"{NO_THOUGHT}\n{write_answer('', expert, domain=domain)}"
        observation, _, terminated, truncated, info = self.env.step(expert_answer)
        info = {**info, "score": score, "expert_step": self._next}
        self._next = len(self.trajectory.steps) if terminated or truncated else self._next + 1
        if self._next >= len(self.trajectory.steps) and not truncated:
            terminated = True
        return observation, score.value, terminated, truncated, info
