"""`EnvironmentBatch`: many environments at once, none of which waits for a slower one.

gymnasium's vector environments step all of their copies together: one command that takes a minute holds back all the
others. Here each environment has a thread, and `EnvironmentBatch.recv` returns those that are ready, as in EnvPool
(arXiv 2206.10558), whose ``send`` and ``recv`` these are.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, Self, SupportsIndex, get_args

import gymnasium
from gymnasium.error import AlreadyPendingCallError, ClosedEnvironmentError, NoAsyncCallError, ResetNeeded

from srl_swe.environments.batch_result import BatchResult, Row, gather, reset_row, step_row
from srl_swe.errors import ConfigError, InfrastructureError

Autoreset = Literal["disabled", "next_step", "same_step"]
"""What follows the end of an episode; the words are gymnasium's `AutoresetMode`."""
_CLOSERS = 16
_Call = Callable[[], Row]


class EnvironmentBatch:
    """Environments that are stepped each in its own thread.

    `send` and `async_reset` begin calls and return at once; `recv` returns whatever is ready. `step` and `reset` are
    both in one: they wait for all the environments they name, and leave the results of others where they are. An
    environment has one call under way at a time, and its result must be received before the next. Where ``env_ids``
    is left out all environments are meant, in order. One thread may send while another receives.

    Errors: an `InfrastructureError` is delivered as the result of the environment it befell, in
    ``BatchResult.errors``, with a reward of NaN; the others go on, and a reset begins anew. Any other exception of an
    environment is a mistake in the program: `recv` (or `step`, or `reset`) raises it, with a note that says where, and
    the results of the others stay to be received.
    """

    def __init__(
        self,
        make: Callable[[], gymnasium.Env[str, str]],
        size: int,
        *,
        autoreset: Autoreset = "disabled",
        workers: int | None = None,
    ) -> None:
        """Make the environments, one after the other, and start none.

        Args:
            make: Returns a new environment each time.
            size: How many.
            autoreset: ``disabled``: after an end only a reset may follow. ``next_step``: the next `send` resets, its
                action is not used. ``same_step``: the result of an end holds the next episode's first observation and
                ``info``, in which ``final_obs`` and ``final_info`` are those of the end.
            workers: Most calls under way at once; ``None``: one for each environment.

        Raises:
            ConfigError: An argument is wrong, or ``make`` returned the same environment twice.
        """
        if size < 1:
            raise ConfigError(f"size: must be at least 1, not {size}")
        if workers is not None and workers < 1:
            raise ConfigError(f"workers: must be at least 1, not {workers}")
        if autoreset not in get_args(Autoreset):
            raise ConfigError(f"autoreset: expected one of {', '.join(get_args(Autoreset))}, not {autoreset!r}")
        self._autoreset = autoreset
        self._environments: list[gymnasium.Env[str, str]] = []
        try:
            for _ in range(size):
                self._environments.append(make())
            if len(set(map(id, self._environments))) < size:
                raise ConfigError("make: returned the same environment twice")
        except BaseException:
            self._close_environments(range(len(self._environments)))
            raise
        self._workers = ThreadPoolExecutor(workers or size, thread_name_prefix="environment")
        self._changed = threading.Condition()
        self._over = [True] * size
        self._pending: set[int] = set()
        self._ready: dict[int, Row] = {}  # in the order in which they came
        self._closed = False

    @property
    def environments(self) -> tuple[gymnasium.Env[str, str], ...]:
        """The environments, by their ids. Use one only while it has no call under way."""
        return tuple(self._environments)

    def __len__(self) -> int:
        """How many environments there are."""
        return len(self._environments)

    # ------------------------------------------------------------------------------------------ begin, and be answered
    def async_reset(
        self,
        env_ids: Iterable[int] | None = None,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
    ) -> None:
        """Begin new episodes.

        Args:
            env_ids: Which environments.
            seed: ``s``: environment i gets s + i, as in gymnasium's vectors; or one for each of ``env_ids``.
            options: For all of them; or one for each of ``env_ids``.

        Raises:
            AlreadyPendingCallError: One has a call under way, or a result that was not received. None was begun.
            ClosedEnvironmentError: The batch is closed.
            ConfigError: An id is wrong, or a sequence has another length than ``env_ids``.
        """
        ids = self._ids(env_ids)
        seeds = (
            [operator.index(seed) + i for i in ids] if isinstance(seed, SupportsIndex) else _one_each(seed, ids, "seed")
        )
        each = [options] * len(ids) if isinstance(options, Mapping) else _one_each(options, ids, "options")
        calls = {
            env_id: self._reset_call(env_id, one_seed, one)
            for env_id, one_seed, one in zip(ids, seeds, each, strict=True)
        }
        self._begin("async_reset", calls)

    def send(self, actions: Sequence[str], env_ids: Iterable[int] | None = None) -> None:
        """Begin a step in each environment named.

        Args:
            actions: ``[N]``: one for each of ``env_ids``.
            env_ids: ``[N]``: which environments.

        Raises:
            AlreadyPendingCallError: One has a call under way, or a result that was not received. None was begun.
            ClosedEnvironmentError: The batch is closed.
            ConfigError: An id is wrong, or there are more or fewer actions than ids.
            ResetNeeded: The episode of one has ended or not begun, and ``autoreset`` is ``disabled``. None was begun.
        """
        ids = self._ids(env_ids)
        if isinstance(actions, str) or len(actions) != len(ids):
            given = "one text" if isinstance(actions, str) else str(len(actions))
            raise ConfigError(f"actions: expected one for each of {len(ids)} environments, not {given}")
        with self._changed:
            over = [env_id for env_id in ids if self._over[env_id] and env_id not in self._pending]
            if over and self._autoreset == "disabled":
                raise ResetNeeded(f"the episode of environment {over[0]} has ended or not begun: reset it")
            calls = {
                env_id: self._reset_call(env_id, None, None) if env_id in over else self._step_call(env_id, action)
                for env_id, action in zip(ids, actions, strict=True)
            }
            self._begin("send", calls)

    def recv(self, min_ready: int = 1, timeout_s: float | None = None) -> BatchResult:
        """Return every result that is ready, in the order in which they came.

        Args:
            min_ready: Results to wait for; all that are under way where those are fewer.
            timeout_s: Seconds to wait at most; then there may be fewer results, or none. ``None``: as long as it takes.

        Raises:
            ClosedEnvironmentError: The batch is closed, or was closed meanwhile.
            ConfigError: ``min_ready`` is below 1.
            NoAsyncCallError: Nothing was begun.
            Exception: A mistake in the program, raised in an environment.
        """
        if min_ready < 1:
            raise ConfigError(f"min_ready: must be at least 1, not {min_ready}")
        with self._changed:
            self._refuse_closed()
            if not self._pending and not self._ready:
                raise NoAsyncCallError("recv: no call is under way; send actions first", "recv")
            self._changed.wait_for(
                lambda: self._closed or len(self._ready) >= min_ready or not self._pending, timeout=timeout_s
            )
            return self._take(list(self._ready))

    # ------------------------------------------------------------------------------------------------------ all at once
    def reset(
        self,
        env_ids: Iterable[int] | None = None,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
    ) -> BatchResult:
        """`async_reset`, and wait for all of them: the rows are in the order of ``env_ids``."""
        ids = self._ids(env_ids)
        self.async_reset(ids, seed=seed, options=options)
        return self._wait(ids)

    def step(self, actions: Sequence[str], env_ids: Iterable[int] | None = None) -> BatchResult:
        """`send`, and wait for all of them: the rows are in the order of ``env_ids``."""
        ids = self._ids(env_ids)
        self.send(actions, ids)
        return self._wait(ids)

    def close(self, *, interrupt: bool = True) -> None:
        """Close the environments and end the threads; return when all that is done. May be called again.

        Args:
            interrupt: Close environments under their running calls too, so that those end soon: this package's allow
                that. ``False``: wait for the calls.

        Raises:
            Exception: An environment could not be closed; the others were.
        """
        with self._changed:
            if self._closed:
                return
            self._closed = True
            pending = sorted(self._pending)
            self._changed.notify_all()
        self._workers.shutdown(wait=False, cancel_futures=True)
        if interrupt:
            self._close_environments(pending)
        self._workers.shutdown(wait=True)
        # Those that were interrupted too: a reset may have opened something after that.
        failures = self._close_environments(range(len(self)))
        if failures:
            raise failures[0]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Close."""
        self.close()

    # ---------------------------------------------------------------------------------------------------------- inside
    def _ids(self, env_ids: Iterable[int] | None) -> list[int]:
        if env_ids is None:
            return list(range(len(self)))
        ids = [operator.index(env_id) for env_id in env_ids]
        for env_id in ids:
            if not 0 <= env_id < len(self):
                raise ConfigError(f"env_ids: expected numbers from 0 to {len(self) - 1}, not {env_id}")
        if len(set(ids)) < len(ids):
            raise ConfigError(f"env_ids: one is named twice in {ids}")
        return ids

    def _reset_call(self, env_id: int, seed: int | None, options: Mapping[str, Any] | None) -> _Call:
        return partial(reset_row, env_id, self._environments[env_id], seed=seed, options=options)

    def _step_call(self, env_id: int, action: str) -> _Call:
        same_step = self._autoreset == "same_step"
        return partial(step_row, env_id, self._environments[env_id], action, same_step=same_step)

    def _begin(self, name: str, calls: Mapping[int, _Call]) -> None:
        with self._changed:
            self._refuse_closed()
            for env_id in calls:
                if env_id in self._pending or env_id in self._ready:
                    what = "a call under way" if env_id in self._pending else "a result that was not received"
                    raise AlreadyPendingCallError(f"{name}: environment {env_id} has {what}", name)
            for env_id, call in calls.items():
                self._pending.add(env_id)
                self._workers.submit(self._run, env_id, call)

    def _run(self, env_id: int, call: _Call) -> None:
        try:
            row = call()
        except InfrastructureError as error:
            row = Row(env_id=env_id, error=error)
        except BaseException as fault:  # `recv` raises it: left to the thread, it would never be seen
            fault.add_note(f"in environment {env_id} of the batch")
            row = Row(env_id=env_id, fault=fault)
        with self._changed:
            self._pending.discard(env_id)
            self._over[env_id] = row.over
            self._ready[env_id] = row
            self._changed.notify_all()

    def _wait(self, ids: Sequence[int]) -> BatchResult:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._pending.intersection(ids))
            return self._take(ids)

    def _take(self, ids: Sequence[int]) -> BatchResult:
        self._refuse_closed()
        for env_id in ids:
            if (fault := self._ready[env_id].fault) is not None:
                del self._ready[env_id]
                raise fault
        return gather([self._ready.pop(env_id) for env_id in ids])

    def _refuse_closed(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError("the batch is closed")

    def _close_environments(self, env_ids: Sequence[int]) -> list[Exception]:
        """Close some, several at a time; return what went wrong."""
        failures: list[Exception] = []

        def close(env_id: int) -> None:
            try:
                self._environments[env_id].close()
            except Exception as error:
                error.add_note(f"in environment {env_id} of the batch")
                failures.append(error)

        if env_ids:
            with ThreadPoolExecutor(min(_CLOSERS, len(env_ids)), thread_name_prefix="environment-close") as closers:
                list(closers.map(close, env_ids))
        return failures


def _one_each(given: Sequence[Any] | None, ids: Sequence[int], name: str) -> Sequence[Any]:
    if given is None:
        return [None] * len(ids)
    if len(given) != len(ids):
        raise ConfigError(f"{name}: expected one for each of {len(ids)} environments, not {len(given)}")
    return given
