"""States on an expert's path, kept as images: opening step k costs a container, not k commands."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from srl_swe.errors import InfrastructureError
from srl_swe.records import PreparedTask
from srl_swe.sandbox import open_sandbox, remove_snapshot
from srl_swe.sandbox.protocol import Sandbox

_Key = tuple[str, tuple[str, ...]]


class ExpertStates:
    """Opens sandboxes at the state after a prefix of an expert's actions.

    It owns the snapshots it makes, keyed by image and actions, until `close`. A prefix that is not there is made once,
    by running what is missing on top of the longest one that is.
    """

    def __init__(self, *, backend: str, command_timeout_s: float) -> None:
        """Make nothing yet."""
        self._backend = backend
        self._command_timeout_s = command_timeout_s
        self._snapshots: dict[_Key, str] = {}

    def open(self, prepared: PreparedTask, actions: Sequence[str]) -> Sandbox:
        """Open a sandbox in which ``actions`` (bare commands) have been run.

        Raises:
            InfrastructureError: The sandbox failed; nothing stays open.
        """
        if not actions:
            return open_sandbox(prepared.image, backend=self._backend)
        wanted = tuple(actions)
        # Images are tagged by the hash of their content, so the image's name stands for the task's state.
        done = max(
            (k for k in range(1, len(wanted) + 1) if (prepared.image, wanted[:k]) in self._snapshots),
            default=0,
        )
        image = self._snapshots[prepared.image, wanted[:done]] if done else prepared.image
        sandbox = open_sandbox(image, backend=self._backend)
        try:
            if done < len(wanted):
                for command in wanted[done:]:
                    sandbox.run(command, timeout_s=self._command_timeout_s)
                self._snapshots[prepared.image, wanted] = sandbox.snapshot()
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    def close(self) -> None:
        """Remove the snapshots; what cannot be removed now is found by the next sweep."""
        # The last made first: an image that another one stands on cannot be removed before it.
        for image in reversed(self._snapshots.values()):
            with contextlib.suppress(InfrastructureError):
                remove_snapshot(image, backend=self._backend)
        self._snapshots.clear()
