"""The ``srl-swe`` command: parses, calls one of `srl_swe.commands`, and turns what goes wrong into one message.

Exit codes: 0 done; 1 the check that was asked for found something; 2 wrong input, or the world failed; 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tyro.extras import SubcommandApp

DESCRIPTION = "Train coding agents against containerised repositories by Supervised Reinforcement Learning."

FAILED, INTERRUPTED = 2, 130


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the parser itself leaves by `SystemExit`."""
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        return _run(list(sys.argv[1:] if args is None else args))
    except KeyboardInterrupt:
        # What was opened is closed on the way out; what the engine was about to make, its reaper removes.
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has gone; nothing more can be said, and the interpreter must not try to at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(args: list[str]) -> int:
    from srl_swe.errors import SrlSweError

    try:
        if args == ["--version"]:
            from srl_swe import __version__

            print(f"srl-swe {__version__}")
            return 0
        return int(_app().cli(prog="srl-swe", description=DESCRIPTION, args=args) or 0)
    except SrlSweError as error:
        return _say(f"error: {error}", FAILED)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _say(f"error: {_describe(error)}", FAILED)


def _app() -> SubcommandApp:
    from tyro.extras import SubcommandApp

    from srl_swe.commands import (
        demo,
        doctor,
        evaluation,
        experiment,
        experts,
        formats,
        instances,
        mathematics,
        mining,
        recording,
        replaying,
        report,
        results,
        sandbox,
        synthesis,
        tasks,
        teaching,
        training,
    )

    (
        app,
        task_commands,
        mine_commands,
        expert_commands,
        model_commands,
        sandbox_commands,
        result_commands,
        math_commands,
    ) = (SubcommandApp() for _ in range(8))
    app.command(doctor.doctor)
    task_commands.command(name="list")(tasks.list_tasks)
    task_commands.command(tasks.show)
    task_commands.command(tasks.validate)
    task_commands.command(tasks.build)
    task_commands.command(name="import")(formats.import_)
    task_commands.command(formats.export)
    task_commands.command(formats.grade)
    task_commands.command(formats.split)
    task_commands.command(formats.contamination)
    mine_commands.command(name="pypi")(mining.mine_pypi)
    mine_commands.command(name="git")(mining.mine_git)
    task_commands.command(mine_commands, name="mine", help="Make tasks from releases and from commits.")
    task_commands.command(synthesis.synthesise)
    app.command(task_commands, name="tasks", help="List, show, validate, build, import, export and make tasks.")
    expert_commands.command(recording.record)
    expert_commands.command(name="import")(experts.import_files)
    expert_commands.command(experts.export)
    expert_commands.command(experts.show)
    expert_commands.command(instances.instances)
    expert_commands.command(teaching.generate)
    expert_commands.command(teaching.from_episodes)
    about = "Record, generate, import, export and show expert trajectories, and cut them into steps."
    app.command(expert_commands, name="experts", help=about)
    math_commands.command(name="import")(mathematics.import_)
    math_commands.command(mathematics.generate)
    math_commands.command(mathematics.check)
    app.command(math_commands, name="math", help="Make and check suites of maths problems, with experts' solutions.")
    app.command(replaying.replay)
    app.command(training.train)
    app.command(name="eval")(evaluation.evaluate_policy)
    result_commands.command(results.summary)
    result_commands.command(results.compare)
    result_commands.command(results.predictions)
    app.command(result_commands, name="results", help="Sum up evaluations, compare two, and write their patches.")
    app.command(report.report)
    app.command(experiment.experiment)
    app.command(demo.demo)
    model_commands.command(name="fetch")(training.fetch_model)
    app.command(model_commands, name="model", help="Get a model.")
    sandbox_commands.command(name="list")(sandbox.list_backends)
    sandbox_commands.command(sandbox.check)
    sandbox_commands.command(sandbox.sweep)
    app.command(sandbox_commands, name="sandbox", help="List and check the backends of sandboxes, and clean up.")
    return app


def _describe(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}the disk is full; free some space and run the same command again"
    return f"{where}{error.strerror or error}"


def _say(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
