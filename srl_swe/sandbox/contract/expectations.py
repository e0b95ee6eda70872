"""What a check says when a promise is not kept: what was looked at, what was expected, and what came."""

from __future__ import annotations

from collections.abc import Callable

from srl_swe.errors import SandboxError
from srl_swe.records import CommandResult
from srl_swe.sandbox.protocol import DEFAULT_TIMEOUT_S, KILLED_EXIT_CODE, MAIN_SESSION, Sandbox

_LONGEST = 600


class BrokenPromiseError(AssertionError):
    """The sandbox did not do what every sandbox promises."""


class CheckSkippedError(Exception):
    """This check cannot be made here; the message says why."""


def expect(got: object, wanted: object, what: str) -> None:
    """Fail unless the two are equal."""
    if got != wanted:
        raise BrokenPromiseError(f"{what}: expected {_shown(wanted)}, got {_shown(got)}")


def expect_that(holds: bool, what: str, got: object) -> None:
    """Fail unless it holds.

    Args:
        holds: What was to be true.
        what: How it reads, as in "the output ends with 'x'".
        got: What was looked at.
    """
    if not holds:
        raise BrokenPromiseError(f"expected that {what}, got {_shown(got)}")


def expect_below(got: float, most: float, what: str) -> None:
    """Fail unless a number is small enough."""
    if not got < most:
        raise BrokenPromiseError(f"{what}: expected less than {most:g}, got {got:g}")


def expect_error(use: Callable[[], object], what: str, *, kind: type[SandboxError] = SandboxError) -> SandboxError:
    """Return the error that a call ends with; fail where it ends without."""
    try:
        got = use()
    except kind as error:
        return error
    raise BrokenPromiseError(f"{what}: expected {kind.__name__}, got {_shown(got)}")


def says(
    box: Sandbox, command: str, wanted: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, session: str = MAIN_SESSION
) -> None:
    """Run a command and fail unless its output is exactly this."""
    expect(box.run(command, timeout_s=timeout_s, session=session).output, wanted, f"output of {_shown(command)}")


def run_after(box: Sandbox, command: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> CommandResult:
    """Run a command after one that may have killed the session's own processes: it may be lost with them, once."""
    result = box.run(command, timeout_s=timeout_s)
    return box.run(command, timeout_s=timeout_s) if result.exit_code == KILLED_EXIT_CODE else result


def answers(box: Sandbox) -> None:
    """Fail unless the next command is answered, soon and rightly, or reported as killed and then answered."""
    result = run_after(box, "echo on", timeout_s=30)
    expect(result.output.splitlines()[-1:], ["on"], "output of the next command, `echo on`")
    expect_below(result.seconds, 20, "seconds that the next command, `echo on`, took")


def _shown(value: object) -> str:
    text = repr(value)
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]} ({len(text)} characters)"
