"""Fixtures of the sandbox contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from srl_swe.sandbox import Sandbox, open_sandbox

OpenBox = Callable[..., Sandbox]


class Boxes:
    """Opens sandboxes and shares one."""

    backend = "docker"

    @pytest.fixture(scope="class")
    @classmethod
    def open_box(cls, image: str) -> Iterator[OpenBox]:
        """Opens a sandbox, with `open_sandbox`'s arguments; closed after the last test."""
        with ExitStack() as stack:

            def opened(image: str = image, **options: object) -> Sandbox:
                return stack.enter_context(open_sandbox(image, backend=cls.backend, **options))  # type: ignore[arg-type]

            yield opened

    @pytest.fixture(scope="class")
    @classmethod
    def shared_box(cls, open_box: OpenBox) -> Sandbox:
        return open_box()

    @pytest.fixture
    def box(self, shared_box: Sandbox) -> Sandbox:
        """The shared sandbox, in a folder of the test's own. Its shell is to be left usable."""
        shared_box.run('cd "$(mktemp -d)"')
        return shared_box

    @pytest.fixture
    def worn_box(self, box: Sandbox) -> Iterator[Sandbox]:
        """The shared sandbox, for a test that spoils the shell."""
        box.run("exit 0")
        yield box
        box.run("enable exit; unset -f exit; exit 0")
        box.run("enable exit; unset -f exit; exit 0")
