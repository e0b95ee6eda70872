"""Every value that crosses a room's border: frozen, keyword-only dataclasses with a docstring under each field."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Message = dict[str, str]
"""One chat message: ``{"role": "system" | "user" | "assistant", "content": …}``."""

Domain = Literal["repository", "mathematics"]
Split = Literal["train", "heldout"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """One change that makes right code wrong; `srl_swe.tasks.synthesis.operators` makes it in the source it is for."""

    path: str
    """The file, relative to the repository root."""
    operator: str
    """What kind of change: a name in `srl_swe.tasks.synthesis.operators.OPERATORS`."""
    line: int
    """Line of its first change, counted from 1."""
    column: int
    """Byte in that line, of its UTF-8 form, counted from 0."""
    variant: int = 0
    """Which of the operator's changes at that place, counted from 0."""
    before: str
    """First 12 hexadecimal digits of the SHA-256 of that line before the change."""
    after: str
    """The same of the changed lines after it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RepositorySource:
    """Where a task's repository comes from."""

    kind: Literal["folder", "git", "pypi", "image", "none"]
    """``folder``: a folder on this machine; ``git``: a clone; ``pypi``: a source distribution; ``image``: a container
    image that somebody else built, with the repository and all that it needs; ``none``: mathematics has none."""
    location: str
    """The folder, the clone URL, the PyPI package name, or the image's reference."""
    version: str = ""
    """``git``: the base commit; ``pypi``: the release that has the bug; unused for folders and images."""
    fixed_version: str = ""
    """``pypi``: the release that has the fix, which the gold patch and the hidden tests are taken from; empty where
    there are ``mutations``."""
    fixed: bool = False
    """The source holds the *fixed* code; the base state is made by applying the gold patch in reverse. Not ``pypi``."""
    root: str = "/testbed"
    """``image``: where in it the repository is."""
    source_paths: tuple[str, ...] = ()
    """``pypi``: the paths whose difference between the releases is the gold patch; empty: the package's sources."""
    mutations: tuple[Mutation, ...] = ()
    """``pypi``: what makes the base state from ``version``, which is right then; the gold patch takes it back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerKey:
    """What a right answer to a maths problem is, and who decides; see `srl_swe.rewards.mathematics`."""

    answer: str
    """The right answer, bare: LaTeX or a plain number, without ``\\boxed`` and ``####``."""
    tolerance: float = 0.0
    """A number may be off by this much, as OlympiadBench has it (absolute)."""
    scorer: Literal["math-verify", "reasoning-gym"] = "math-verify"
    """``math-verify``: mathematical equality; ``reasoning-gym``: the score of the problem's own maker."""
    recipe: str = ""
    """``reasoning-gym``: how the problem is made again, as JSON: dataset, seed, size, index, config."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One task as its folder declares it, or one maths problem. Nothing is downloaded or built; see `PreparedTask`."""

    task_id: str
    """Unique: ``<suite>/<folder name>``, such as ``starter/ledger-rounding``."""
    suite: str
    """The suite's name, the folder that holds the tasks."""
    domain: Domain = "repository"
    """What kind of world it is."""
    repository: str
    """The repository's name; splits are by repository. Of a maths problem: its data set or subject."""
    split: Split
    """Training refuses ``heldout`` tasks."""
    problem_statement: str
    """The issue, or the problem, as its author wrote it."""
    folder: Path
    """The task's own folder; of a maths problem, the suite's."""
    source: RepositorySource
    """Where the code comes from."""
    answer: AnswerKey | None = None
    """mathematics: what a right answer is; ``None``: nobody can say, as for a proof."""
    solution: str = ""
    """mathematics: an expert's worked solution, as its source writes it; empty where there is none."""
    requirements: tuple[str, ...] = ()
    """pip requirements of the repository and its tests (pytest is always there)."""
    install: bool = False
    """Whether the repository itself is pip-installed (editable, no build isolation) into the image."""
    test_paths: tuple[str, ...] = ()
    """Paths, relative to the repository root, of the hidden test files."""
    fail_to_pass: tuple[str, ...] = ()
    """pytest node ids that fail at the base state and pass with the gold patch."""
    pass_to_pass: tuple[str, ...] = ()
    """pytest node ids that pass before and after. With ``fail_to_pass``: the exact inventory of ``test_paths``."""
    excluded_tests: tuple[str, ...] = ()
    """pytest node ids in ``test_paths`` that are not run: flaky, or failing in a sandbox (no network …)."""
    partial: bool = False
    """Whether the hidden test files hold other tests too, which are not run: the inventory is of those named alone."""
    timeout_s: float = 120.0
    """Seconds the test run may take."""
    created_at: str = ""
    """The day the fix was made, such as ``2023-10-06``; empty where nobody knows. Splits by time are by this."""
    memory_mb: int = 1024
    """Memory of its sandboxes, in MiB."""
    network: tuple[str, ...] = ()
    """``host:port`` that the student's sandbox may reach, by HTTP and HTTPS; never the grading one."""
    read_only: bool = False
    """Whether the system is mounted read-only, all but the repository, the home and ``/tmp``. No snapshots then."""

    @property
    def content_hash(self) -> str:
        """SHA-256 over everything that defines the task: its fields and every file in its own folder."""
        digest = hashlib.sha256()
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("folder", "source")}
        # Tasks that say nothing of these keep their older hashes.
        for name in ("answer", "created_at", "memory_mb", "network", "partial", "read_only", "solution"):
            if fields[name] == type(self).__dataclass_fields__[name].default:
                del fields[name]
        if self.answer is not None:
            fields["answer"] = dataclasses.asdict(self.answer)
        source = dataclasses.asdict(self.source) | {"location": Path(self.source.location).name}
        if source["root"] == "/testbed":
            del source["root"]
        if not self.source.mutations:
            del source["mutations"]
        digest.update(json.dumps(fields | {"source": source}, sort_keys=True).encode())
        folders = [] if self.domain == "mathematics" else [self.folder]  # a problem has no folder of its own
        found = (path for folder in folders for path in folder.rglob("*"))
        for path in sorted(p for p in found if p.is_file() and "__pycache__" not in p.parts):
            digest.update(str(path.relative_to(self.folder)).encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedTask:
    """A task whose image is built and whose gold patch and hidden tests are at hand: what grading needs.

    A maths problem needs none of these; they are empty.
    """

    task: Task
    """The declaration."""
    image: str
    """Image reference: base + dependencies + the repository at its base state in ``/testbed``, one fresh commit."""
    gold_patch: str
    """Unified diff (``a/`` and ``b/`` prefixes) from the base state to the fix, without the hidden tests."""
    test_files: tuple[tuple[str, str], ...]
    """The hidden tests: (path relative to the repository root, text)."""
    base_commit: str = ""
    """The id of the image's one commit, as the image's builder knows it; empty: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandResult:
    """What one command did in a sandbox."""

    output: str
    """stdout and stderr, interleaved, invalid UTF-8 replaced; capped with head and tail kept."""
    exit_code: int
    """The command's own exit status; 124 where ``timed_out``."""
    timed_out: bool = False
    """Whether the command was killed at its time limit."""
    truncated: bool = False
    """Whether the middle of the output was left out."""
    seconds: float = 0.0
    """Wall-clock seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """An action as its source wrote it, before it was put into our grammar."""

    name: str
    """The tool's name, such as ``str_replace_editor`` or ``Read``."""
    arguments: str
    """To the character: JSON text for a function call, what follows the name for a command line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of a trajectory."""

    thought: str
    """What the expert thought; may be empty."""
    action: str
    """The action in canonical form: see `srl_swe.environments.actions`; where not ``runnable``, its text as it was. In
    mathematics: the step of the solution, as text."""
    observation: str
    """What came back."""
    call: ToolCall | None = None
    """What the source called; ``None`` where the action is the source's own text."""
    runnable: bool = True
    """Whether the action can run in our container; if not, the step is text to learn from, no more."""
    reward: float | None = None
    """The reward at this step, where the source gives one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """An expert's way through one task."""

    trajectory_id: str
    """Unique within its file."""
    task_id: str
    """The task it belongs to."""
    split: Split
    """The task's split, carried along so that training can refuse held-out tasks."""
    problem_statement: str
    """The problem as the expert saw it."""
    steps: tuple[Step, ...]
    """In order; the last action is the submission."""
    source: str
    """Where it was made: ``oracle``, or the format's owner."""
    model: str = ""
    """The expert model's name; empty for none."""
    resolved: bool | None = None
    """Whether the end was graded as solved; ``None``: not verified."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """How it was made: package version, task content hash, licence …"""
    domain: Domain = "repository"
    """What its actions are: shell commands, or steps of a solution."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepInstance:
    """What the student sees at step k, and what the expert did there."""

    instance_id: str
    """``<trajectory id>#<k>``."""
    task_id: str
    """The task; splits are by task's repository, never by step."""
    split: Split
    """The task's split."""
    step: int
    """k, counted from 0."""
    messages: tuple[Message, ...]
    """The student's context: system prompt, problem, expert's earlier actions and observations."""
    expert_action: str
    """The action to come close to."""
    expert_thought: str = ""
    """Only for imitation (SFT); never shown to the student."""
    domain: Domain = "repository"
    """Which form answers have: see `srl_swe.environments.answers`."""


class TestOutcome(enum.StrEnum):
    """How one hidden test ended."""

    __test__ = False  # pytest takes classes called Test… for tests

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"
    XFAIL = "xfail"
    XPASS = "xpass"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What grading found. Never a bare number."""

    solved: bool | None
    """Whether every expected test passed and nothing was tampered with; ``None``: grading itself failed."""
    outcomes: dict[str, TestOutcome] = field(default_factory=dict)
    """Outcome of each expected test."""
    tampering: tuple[str, ...] = ()
    """What was found to be forged, missing or surplus; any makes ``solved`` false."""
    refused_paths: tuple[str, ...] = ()
    """Paths of the student's patch that the path policy left out."""
    infrastructure: str | None = None
    """Why grading itself failed; then ``solved`` is ``None``."""
    log: str = ""
    """The test run's output."""
    record: str = ""
    """What `srl_swe.grading.regrade` reaches the verdict from again, as JSON; empty where grading itself failed, and in
    mathematics."""
    answer: str = ""
    """mathematics: the student's final answer, as it was read; empty where there was none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A reward with its parts."""

    value: float | None
    """``None``: could not be scored; the consumer re-runs or drops and counts, never sums it as 0."""
    parts: dict[str, float] = field(default_factory=dict)
    """Named parts, such as ``similarity``."""


class Ending(enum.StrEnum):
    """Why an episode or a completion ended."""

    SUBMITTED = "submitted"
    STEP_LIMIT = "step_limit"
    TOKEN_LIMIT = "token_limit"
    CONTEXT_LIMIT = "context_limit"
    TIME_LIMIT = "time_limit"
    MALFORMED = "malformed"
    AGENT_FAILED = "agent_failed"
    INFRASTRUCTURE = "infrastructure"

    def is_truncated(self) -> bool:
        """Ended by a limit, not by the student's own decision."""
        return self in (Ending.STEP_LIMIT, Ending.TOKEN_LIMIT, Ending.CONTEXT_LIMIT, Ending.TIME_LIMIT)

    def is_error(self) -> bool:
        """Ended by a failure that says nothing about the student."""
        return self is Ending.INFRASTRUCTURE


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How tokens are drawn."""

    max_new_tokens: int = 128
    """Most tokens sampled."""
    temperature: float = 1.0
    """0: greedy."""
    seed: int | None = None
    """Seed of this call's draws; ``None``: the engine's own stream goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One sampled continuation of a prompt."""

    token_ids: tuple[int, ...]
    """Sampled ids ``[T]``, the end-of-turn token included when it was drawn."""
    logprobs: tuple[float, ...]
    """The sampler's own log-probability of each id ``[T]``."""
    text: str
    """Decoded, special tokens left out."""
    finished: bool
    """Whether the end-of-turn token was drawn (else the token limit ended it)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatAnswer:
    """What whoever acts answered in a chat: a model, here or behind a server, or a policy without one."""

    text: str
    """The answer; a thought that a server keeps apart is put before it, in ``<think>`` tags."""
    finish_reason: str = ""
    """Why it ended: ``stop``, ``length``, or what else a server says; empty where nobody does."""
    prompt_tokens: int | None = None
    """Tokens read; ``None``: nobody counts them."""
    completion_tokens: int | None = None
    """Tokens written; ``None``: nobody counts them."""
    logprob: float | None = None
    """Sum of the sampler's own log-probabilities of the tokens written; ``None``: it does not say."""
    cost: float | None = None
    """What it cost, at the prices that are known; ``None``: none are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One completion at one step instance (SRL), or one episode step (RLVR), and its score."""

    instance_id: str
    """What it answers."""
    group: int
    """Rollouts with the same group share a prompt and are compared with one another."""
    prompt_ids: tuple[int, ...]
    """Prompt token ids."""
    completion: Completion
    """What was sampled."""
    weight_version: int
    """Version of the weights that sampled it."""
    score: Score
    """Reward."""
    ending: Ending
    """How it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What every objective trains on."""

    token_ids: tuple[int, ...]
    """Prompt and completion ``[T]``."""
    loss_mask: tuple[bool, ...]
    """True where the token is trained on ``[T]``; position 0 is never trained."""
    old_logprobs: tuple[float, ...]
    """Log-probabilities under the sampling policy ``[T]``; 0 where not trained, and for SFT unused."""
    advantage: float
    """One number for the whole response (1 for SFT)."""
    reference_logprobs: tuple[float, ...] | None = None
    """Log-probabilities under the reference model ``[T]``, as ``old_logprobs``; ``None``: no loss asks for them."""
    response: int | None = None
    """Samples with the same number are pieces of one response, and are weighted as one; ``None``: it is whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeResult:
    """One line of ``results.jsonl``: how a policy did in one episode of one task.

    Lines of earlier versions, which have one episode a task, lack what follows ``error``.
    """

    task_id: str
    """The task."""
    repository: str
    """Its repository, for the table by repository."""
    split: Split
    """Its split."""
    policy: str
    """Who acted."""
    solved: bool | None
    """``None``: an infrastructure failure, counted apart and left out of the rate."""
    ending: Ending
    """Why the episode ended."""
    steps: int
    """Actions taken."""
    malformed: int = 0
    """Answers that held no action."""
    seconds: float = 0.0
    """Wall-clock seconds."""
    patch: str = ""
    """The student's change."""
    tampering: tuple[str, ...] = ()
    """What grading found."""
    error: str | None = None
    """The infrastructure failure."""
    greedy: bool = False
    """Whether the most likely answers were taken; there is one such episode a task at most, sample 0."""
    sample: int = 0
    """Which of the task's episodes with drawn answers, counted from 0."""
    prompt_tokens: int | None = None
    """Tokens read in all its answers together; ``None``: not counted."""
    completion_tokens: int | None = None
    """Tokens written; ``None``: not counted."""
    logprob: float | None = None
    """Sum of the sampler's log-probabilities of all tokens written; ``None``: it does not say."""
    cost: float | None = None
    """What the answers cost; ``None``: no prices are known."""
    answer: str | None = None
    """The final answer in the form in which answers are compared; ``None``: none was given, or none is asked for."""
    exit_code: int | None = None
    """An external agent's exit code."""
    score: float | None = None
    """The reward at the end; ``None``: not scored."""

    @property
    def key(self) -> tuple[str, bool, int]:
        """Which episode it is: task, whether greedy, which sample."""
        return self.task_id, self.greedy, self.sample
