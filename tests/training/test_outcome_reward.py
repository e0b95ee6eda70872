"""RLVR in a world without containers: groups of episodes, what is trained on, lost ones, the reverse curriculum."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_trajectories import make_trajectory
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from srl_swe.environments.actions import format_answer, parse_action
from srl_swe.environments.prompts import chat
from srl_swe.errors import ConfigError, InfrastructureError, NoSignalError, SandboxLostError
from srl_swe.policies.chat import encode_prompt
from srl_swe.policies.models import default_model_folder
from srl_swe.records import (
    Completion,
    Ending,
    PreparedTask,
    RepositorySource,
    Sampling,
    Step,
    Task,
    Trajectory,
    Verdict,
)
from srl_swe.training.config import TrainConfig
from srl_swe.training.outcome_reward import OutcomeReward
from srl_swe.training.reverse_curriculum import ReverseCurriculum


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(str(default_model_folder()))


class World:
    """Solved by ``fix`` and then ``submit``. Sandboxes are lost as often as ``losses`` says."""

    def __init__(self, history: int | None = 2) -> None:
        self.history, self.losses = history, 0
        self.lock = threading.Lock()
        self.starts: list[int] = []

    def __call__(self, prepared: PreparedTask, max_steps: int) -> "Environment":
        return Environment(self, prepared, max_steps)


class Environment:
    def __init__(self, world: World, prepared: PreparedTask, max_steps: int) -> None:
        self.world, self.problem, self.max_steps = world, prepared.task.problem_statement, max_steps
        self.steps: list[Step] = []
        self.taken = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        del seed
        assert options is not None
        trajectory: Trajectory | None = options.get("trajectory")
        self.steps = list(trajectory.steps[: options["step"]]) if trajectory else []
        with self.world.lock:
            self.world.starts.append(len(self.steps))
        return "", self._info()

    def step(self, action: str, /) -> tuple[str, float, bool, bool, dict[str, Any]]:
        with self.world.lock:
            if self.world.losses:
                self.world.losses -= 1
                raise SandboxLostError("the sandbox is gone")
        self.taken += 1
        command = parse_action(action)[1].command
        fixed = any(step.action == "fix" for step in self.steps)
        self.steps.append(Step(thought="", action=command, observation=f"did {command}"))
        if command == "submit":
            ended = {"ending": Ending.SUBMITTED, "verdict": Verdict(solved=fixed)}
            return "", float(fixed), True, False, self._info() | ended
        return "", 0.0, False, self.taken >= self.max_steps, self._info()

    def patch(self) -> str:
        return ""

    def close(self) -> None:
        pass

    def _info(self) -> dict[str, Any]:
        return {"messages": chat(self.problem, self.steps, last=self.world.history)}


Script = Callable[[str, int], str]
"""The command that completion number i answers a prompt with."""


def one_fixes(prompt: str, i: int) -> str:
    """At the start the first one of the group mends it; the others submit at once."""
    return "fix" if i == 0 and "did" not in prompt else "submit"


class ScriptedEngine:
    def __init__(self, tokenizer: PreTrainedTokenizerBase, script: Script) -> None:
        self.tokenizer, self.script = tokenizer, script
        self.calls: list[tuple[int, int]] = []
        self.weight_version = 0

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[list[Completion]]:
        assert sampling.seed is not None
        self.calls.append((len(prompts), n))
        return [[self._complete(self.tokenizer.decode(p), i) for i in range(n)] for p in prompts]

    def _complete(self, prompt: str, i: int) -> Completion:
        text = format_answer(f"thought {i}", self.script(prompt, i))
        ids = (*self.tokenizer(text)["input_ids"], self.tokenizer.eos_token_id)
        return Completion(token_ids=ids, logprobs=(-0.5,) * len(ids), text=text, finished=True)


def make_task(folder: Path, number: int) -> Task:
    return Task(
        task_id=f"suite/task-{number}",
        suite="suite",
        repository="r",
        split="train",
        problem_statement=f"Problem {number}.",
        folder=folder,
        source=RepositorySource(kind="folder", location=str(folder)),
        test_paths=("test_x.py",),
        fail_to_pass=("test_x.py::test_x",),
    )


def make_objective(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    script: Script = one_fixes,
    *,
    world: World | None = None,
    curriculum: ReverseCurriculum | None = None,
    tasks: int = 2,
    **options: object,
) -> tuple[OutcomeReward, ScriptedEngine]:
    settings: dict[str, object] = {"objective": "rlvr", "batch": 1, "group_size": 2, "max_refills": 2} | options
    if not settings.get("dynamic_sampling", True):
        del settings["max_refills"]
    config = TrainConfig(out=folder, suites=(folder,), **settings)  # type: ignore[arg-type]
    engine = ScriptedEngine(tokenizer, script)
    objective = OutcomeReward(
        [make_task(folder, i) for i in range(tasks)],
        config,
        engine,  # type: ignore[arg-type]
        tokenizer,
        curriculum=curriculum,
        prepare=lambda task: PreparedTask(task=task, image="", gold_patch="", test_files=()),
        environments=world or World(),
    )
    return objective, engine


def test_episodes_are_compared_by_their_verdicts(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    made, engine = make_objective(tmp_path, tokenizer)
    batch = made.next_batch(1)
    # The solved one: its second answer saw the first without the thought, so that it is a sequence of its own.
    assert [(s.response, s.advantage) for s in batch.samples] == [(0, -1.0), (1, 1.0), (1, 1.0)]
    assert made.loss.token_weights(batch.samples)[1] == 1 / (2 * sum(sum(s.loss_mask) for s in batch.samples[1:]))
    assert engine.calls == [(1, 2), (1, 1)]  # the group's first prompt is one prompt
    assert (batch.metrics["solve_rate"], batch.metrics["episodes"], batch.metrics["kept_groups"]) == (0.5, 2, 1)
    assert [r.score.value for r in batch.rollouts] == [0.0, 1.0, 1.0]


def test_an_episode_that_keeps_its_answers_is_one_sequence_of_the_tokens_that_were_sampled(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    world = World(history=None)
    made, _ = make_objective(tmp_path, tokenizer, world=world, keep_answers=True, history=None)
    batch = made.next_batch(1)
    assert [s.advantage for s in batch.samples] == [-1.0, 1.0]
    long = batch.samples[1]
    answers = [format_answer("thought 0", command) for command in ("fix", "submit")]
    trained = [t for t, kept in zip(long.token_ids, long.loss_mask, strict=True) if kept]
    assert tokenizer.decode(trained) == "".join(f"{answer}<|im_end|>" for answer in answers)
    assert [p for p, kept in zip(long.old_logprobs, long.loss_mask, strict=True) if kept] == [-0.5] * len(trained)
    problem = next(s for s in ("Problem 0.", "Problem 1.") if s in tokenizer.decode(long.token_ids))
    conversation = [
        *chat(problem, ()),
        {"role": "assistant", "content": answers[0]},
        {"role": "user", "content": "did fix"},
    ]
    expected = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
    assert tokenizer.decode(long.token_ids) == f"{expected}{answers[1]}<|im_end|>"


def test_lost_episodes_are_tried_again_and_never_rewarded(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    world = World()
    world.losses = 2  # both episodes of the first wave
    made, _ = make_objective(tmp_path, tokenizer, world=world)
    metrics = made.next_batch(1).metrics
    assert (metrics["episodes"], metrics["episodes_lost"]) == (2, 0)
    world.losses = 10**6
    with pytest.raises(InfrastructureError, match=r"all 6 episodes were lost; the last one: .*the sandbox is gone"):
        made.next_batch(2)


def test_groups_that_do_not_vary_are_replaced_one_by_one(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    def second_task_varies(prompt: str, i: int) -> str:
        return one_fixes(prompt, i) if "Problem 1." in prompt else "submit"

    made, _ = make_objective(tmp_path, tokenizer, second_task_varies, batch=2, tasks=2, max_refills=3)
    metrics = made.next_batch(1).metrics
    assert (metrics["kept_groups"], metrics["sampled_groups"]) in [(2, 3), (2, 4)]
    made, _ = make_objective(tmp_path, tokenizer, lambda *_: "submit")
    with pytest.raises(NoSignalError, match=r"not one of 3 groups .*0 of 6 episodes were solved.*reverse_curriculum"):
        made.next_batch(1)


def test_without_dynamic_sampling_all_groups_are_trained_on(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    made, _ = make_objective(tmp_path, tokenizer, lambda *_: "submit", batch=2, dynamic_sampling=False)
    batch = made.next_batch(1)
    assert [s.advantage for s in batch.samples] == [0.0] * 4
    assert batch.metrics["kept_groups"] == batch.metrics["sampled_groups"] == 2


def test_a_context_that_gets_too_long_ends_the_episode(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    first = len(encode_prompt(tokenizer, chat("Problem 0.", ())))
    made, _ = make_objective(tmp_path, tokenizer, tasks=1, dynamic_sampling=False, max_prompt_tokens=first)
    batch = made.next_batch(1)
    assert [r.ending for r in batch.rollouts] == [Ending.SUBMITTED, Ending.CONTEXT_LIMIT]
    assert [r.score.value for r in batch.rollouts] == [0.0, 0.0]
    made, _ = make_objective(tmp_path, tokenizer, tasks=1, dynamic_sampling=False, max_prompt_tokens=first - 1)
    with pytest.raises(ConfigError, match="max_prompt_tokens: all 2 episodes began with more"):
        made.next_batch(1)


def expert(number: int) -> Trajectory:
    actions = ("look", "fix", "submit")
    steps = tuple(Step(thought="t", action=a, observation=f"did {a}") for a in actions)
    return Trajectory(
        trajectory_id=f"t{number}",
        task_id=f"suite/task-{number}",
        split="train",
        problem_statement=f"Problem {number}.",
        steps=steps,
        source="oracle",
        resolved=True,
    )


def test_the_reverse_curriculum_starts_late_and_moves_back_as_tasks_are_solved(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    def half_good(prompt: str, i: int) -> str:
        """One of two does what is left to do; the other one waits, again and again."""
        if i or "did wait" in prompt:
            return "wait"
        return "submit" if "did fix" in prompt else "fix"

    world = World()
    curriculum = ReverseCurriculum([expert(0)])
    made, _ = make_objective(
        tmp_path,
        tokenizer,
        half_good,
        world=world,
        curriculum=curriculum,
        tasks=1,
        max_steps=3,
        reverse_curriculum=True,
        trajectories=(tmp_path,),
    )
    starts = []
    for update in range(1, 5):
        world.starts.clear()
        made.next_batch(update)
        starts.append(world.starts[0])
    assert starts == [2, 1, 0, 0]
    state = made.state_dict()
    assert state == {"position": 4, "curriculum": {"suite/task-0": 3}}
    assert curriculum.metrics == {"curriculum_left": 1.0, "curriculum_whole": 1.0}
    other = ReverseCurriculum([expert(0)])
    other.load_state_dict(state["curriculum"])
    assert other.start("suite/task-0") == {}
    assert other.start("suite/another") == {}


def test_a_curriculum_needs_ways_that_can_be_followed() -> None:
    unsolved = make_trajectory(0)
    object.__setattr__(unsolved, "resolved", None)
    with pytest.raises(ConfigError, match="none of 1 trajectories is solved"):
        ReverseCurriculum([unsolved])
