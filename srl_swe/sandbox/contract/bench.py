"""What a check works on: sandboxes of the backend that is looked at."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from srl_swe.errors import SandboxLostError
from srl_swe.sandbox.contract.expectations import CheckSkippedError, answers, expect, says
from srl_swe.sandbox.protocol import MAIN_SESSION, Backend, Sandbox, SandboxLimits, SandboxSpec

SMALL = SandboxLimits(memory_mb=200, processes=60)
"""Limits that a hog reaches soon."""


class Bench:
    """Opens sandboxes, shares one, and closes what a check has opened.

    Args:
        backend: What is looked at.
        image: What its sandboxes are opened on. It has bash, and a user and a folder as `SandboxSpec` names them.

    Raises:
        EngineUnavailableError: what runs the sandboxes is not there.
        SandboxError: none can be opened.
    """

    def __init__(self, backend: Backend, image: str) -> None:
        self.backend = backend
        self.image = image
        self._opened: list[Sandbox] = []
        self._snapshots: list[str] = []
        self._box: Sandbox | None = None
        self._box_worn = False
        self._folder = ""
        self._sibling: Sandbox | None = None
        self._kept = ""
        self._shared()

    @property
    def box(self) -> Sandbox:
        """The shared sandbox, in a folder of the check's own. Its shell is to be left usable."""
        box = self._shared()
        if not self._folder:
            self._folder = box.run('cd "$(mktemp -d)" && pwd').output.strip()
        return box

    @property
    def worn_box(self) -> Sandbox:
        """The shared sandbox, for a check that spoils the shell: its sessions are opened anew afterwards."""
        self._box_worn = True
        return self.box

    @property
    def small_box(self) -> Sandbox:
        """A sandbox of the check's own with `SMALL` limits."""
        return self.open(limits=SMALL)

    def open(self, image: str = "", **fields: Any) -> Sandbox:
        """Open a sandbox, closed after the check.

        Args:
            image: The bench's own by default.
            fields: The other fields of `SandboxSpec`.
        """
        box = self.backend.open(SandboxSpec(image=image or self.image, **fields))
        self._opened.append(box)
        return box

    def snapshot(self, box: Sandbox) -> str:
        """Return a snapshot of a sandbox, removed after the check."""
        self._snapshots.append(snapshot := box.snapshot())
        return snapshot

    def fork(self, box: Sandbox, count: int) -> list[Sandbox]:
        """Fork a sandbox; the forks are closed after the check."""
        forks = list(box.fork(count))
        self._opened += forks
        return forks

    def need(self, program: str) -> None:
        """Skip the check where the image has no such program.

        Raises:
            CheckSkippedError: it has none.
        """
        if not self._shared().run(f"command -v -- {program}").output.strip():
            raise CheckSkippedError(f"the image has no {program}")

    @property
    def sibling(self) -> Sandbox:
        """A sandbox beside the one that a check attacks. It holds a file, and runs a program."""
        if self._sibling is None:
            self._sibling = self.backend.open(SandboxSpec(image=self.image))
            self._kept = secrets.token_hex(8)
            self._sibling.run(f"echo {self._kept} >/tmp/kept; sleep 1000000 & watched=$!")
        return self._sibling

    def begin_watch(self) -> None:
        """Set up the sibling."""
        _ = self.sibling

    def end_watch(self) -> None:
        """Fail unless the sibling answers, and still has its file and its program."""
        answers(self.sibling)
        says(self.sibling, "cat /tmp/kept; kill -0 $watched && echo runs", f"{self._kept}\nruns\n")

    @contextlib.contextmanager
    def survival_or_loss(self) -> Iterator[None]:
        """Around what may cost a sandbox its life. A loss that `SandboxLostError` reports is no failure."""
        with contextlib.suppress(SandboxLostError):
            yield

    def tidy(self) -> None:
        """Close what a check that has passed opened, and mend the shared sandbox's shell."""
        while self._opened:
            self._opened.pop().close()
        left = [snapshot for snapshot in self._snapshots if not self.backend.remove_snapshot(snapshot)]
        self._snapshots.clear()
        expect(left, [], "snapshots that cannot be removed with no sandbox left on them")
        if self._box is not None and self._box_worn:
            self._box.end_session(MAIN_SESSION)
        if self._box is not None and self._folder:  # what is in it would be in every snapshot
            self._box.run(f"chmod -R u+rwX {self._folder}; rm -rf {self._folder}", session="tidy")
        self._box_worn, self._folder = False, ""

    def discard(self) -> None:
        """Close everything: after a check that has failed, nothing is what it was."""
        boxes, self._opened = self._opened, []
        boxes += [box for box in (self._box, self._sibling) if box is not None]
        self._box = self._sibling = None
        self._box_worn, self._folder = False, ""
        for box in boxes:
            with contextlib.suppress(Exception):  # whatever is wrong with it has been reported
                box.close()
        for snapshot in self._snapshots:
            with contextlib.suppress(Exception):
                self.backend.remove_snapshot(snapshot)
        self._snapshots.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def _shared(self) -> Sandbox:
        if self._box is None:
            self._box = self.backend.open(SandboxSpec(image=self.image))
        return self._box
