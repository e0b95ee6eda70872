"""Several sessions in one sandbox, and stateless sandboxes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from srl_swe.errors import SandboxError
from srl_swe.records import CommandResult
from srl_swe.sandbox.contract.bench import Bench
from srl_swe.sandbox.contract.checks import Group
from srl_swe.sandbox.contract.expectations import answers, expect, expect_below, says
from srl_swe.sandbox.contract.limits import nothing_is_left
from srl_swe.sandbox.protocol import MAIN_SESSION, Sandbox

checks = Group("sessions")

OTHER = "other"

# What a command may do in a stateless sandbox; nothing of it is there for the next one.
FORGOTTEN = {
    "directory": ("cd /usr", 0, "pwd"),
    "exported variable": ("export KEPT=1", 0, "echo ${KEPT-}"),
    "plain variable": ("KEPT=1", 0, "echo ${KEPT-}"),
    "function": ("kept() { :; }", 0, "type -t kept"),
    "exit": ("exit 3", 3, "echo on"),
    "exec": ("exec true", 0, "echo on"),
    "exec with output": ("exec >log; exec 2>&1", 0, "echo on"),
    "set -e": ("set -e; false; echo unseen", 1, "false; echo on"),
    "set -u": ("set -u", 0, "echo ${KEPT}on"),
    "kill": ("kill -9 $BASHPID", 137, "echo on"),
    "trap": ("trap 'echo trapped' EXIT TERM DEBUG; trap - EXIT DEBUG", None, "echo on"),
    "closed output": ("exec 1>&- 2>&-", 0, "echo on"),
    "closed descriptors": ('for i in {3..60}; do eval "exec $i>&-"; done', None, "echo on"),
    "syntax error": ("echo 'open", None, "echo on"),
}


def begun(box: Sandbox, command: str, session: str, *, timeout_s: float = 60) -> Callable[[], CommandResult]:
    """Begin a command in a thread; once it runs, return what waits for its result. It starts with ``touch begun``."""
    results: list[CommandResult | Exception] = []

    def run() -> None:
        try:
            results.append(box.run(f"touch /tmp/begun; {command}", timeout_s=timeout_s, session=session))
        except Exception as error:
            results.append(error)

    box.run("rm -f /tmp/begun", session="starter")
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    box.run("until [ -e /tmp/begun ]; do sleep 0.05; done", timeout_s=20, session="starter")

    def result() -> CommandResult:
        thread.join(timeout_s + 20)
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    return result


@checks.add()
def each_has_its_own_directory_and_variables(bench: Bench) -> None:
    box = bench.open()
    where = box.run("pwd").output
    box.run("cd /usr; export V=main; plain=main; here() { :; }")
    says(box, "pwd; echo $V$plain; type -t here", f"{where}\n", session=OTHER)
    box.run("cd /etc; export V=other", session=OTHER)
    says(box, "pwd; echo $V$plain", "/usr\nmainmain\n")
    says(box, "pwd; echo $V", "/etc\nother\n", session=OTHER)


@checks.add()
def they_share_files_and_processes(bench: Bench) -> None:
    box = bench.open()
    job = box.run("echo 1 > /tmp/file; sleep 100 & echo $!").output.strip()
    says(box, f"cat /tmp/file; kill {job} && echo ended", "1\nended\n", session=OTHER)


@checks.add()
def they_run_at_the_same_time(bench: Bench) -> None:
    box = bench.open()
    box.run("true", session=OTHER)
    with ThreadPoolExecutor() as pool:
        start = time.monotonic()
        results = list(pool.map(lambda name: box.run(f"sleep 1; echo {name}", session=name), (MAIN_SESSION, OTHER)))
        seconds = time.monotonic() - start
    expect([result.output for result in results], [f"{MAIN_SESSION}\n", f"{OTHER}\n"], "outputs")
    expect_below(seconds, 1.8, "seconds that two sleeps of one took")


@checks.add()
def calls_from_several_threads_come_one_after_the_other(bench: Bench) -> None:
    box = bench.worn_box
    box.run("count=0")
    with ThreadPoolExecutor(8) as pool:
        outputs = [result.output for result in pool.map(lambda _: box.run("echo $((++count))"), range(40))]
    expect(sorted(map(int, outputs)), list(range(1, 41)), "numbers that 40 calls counted")


@checks.add()
def a_time_limit_in_one_spares_the_other(bench: Bench) -> None:
    box = bench.open()
    box.run("plain=kept; sleep 1000 & job=$!", session=OTHER)
    other = begun(box, "sleep 3; echo through", OTHER)
    result = box.run("sleep 4321 & sleep 4321", timeout_s=0.5)
    expect(result.timed_out, True, "timed_out of the session with a time limit")
    nothing_is_left(box)
    done = other()
    expect((done.output, done.exit_code), ("through\n", 0), "output and exit code in the other session")
    says(box, "kill -0 $job && echo $plain", "kept\n", session=OTHER)


@checks.add()
def a_time_limit_in_one_ends_its_daemons(bench: Bench) -> None:
    bench.need("python")
    box = bench.open()
    box.run("plain=kept", session=OTHER)
    daemon = "python -c 'import os,time; os.fork() or os.setsid() or os.fork() or time.sleep(4321)'"
    box.run(f"{daemon}; (setsid sh -c 'sleep 4321 & sleep 4321' &); sleep 100", timeout_s=1)
    nothing_is_left(box, OTHER)
    says(box, "echo $plain", "kept\n", session=OTHER)


@checks.add()
def the_end_of_a_session_kills_what_it_runs(bench: Bench) -> None:
    box = bench.open()
    box.run("sleep 1000 & job=$!")
    running = begun(box, "sleep 4321 & sleep 4321", OTHER)
    start = time.monotonic()
    box.end_session(OTHER)
    try:
        result = running()
        expect(result.exit_code == 0, False, "whether the command of an ended session ended well")
    except SandboxError:
        pass
    expect_below(time.monotonic() - start, 10, "seconds until its command had ended")
    nothing_is_left(box)
    says(box, "kill -0 $job && echo spared", "spared\n")


@checks.add()
def a_session_that_is_named_again_is_a_fresh_one(bench: Bench) -> None:
    box = bench.open()
    where = box.run("pwd", session=OTHER).output
    box.run("cd /usr; export V=1; sleep 4321 &", session=OTHER)
    box.end_session(OTHER)
    nothing_is_left(box, OTHER)
    says(box, "pwd; echo $V", f"{where}\n", session=OTHER)
    box.end_session("never opened")


@checks.add()
def the_main_session_can_be_ended_too(bench: Bench) -> None:
    box = bench.open()
    where = box.run("pwd").output
    box.run("plain=other", session=OTHER)
    box.run("cd /usr; plain=main; sleep 4321 &")
    box.end_session(MAIN_SESSION)
    nothing_is_left(box)
    says(box, "pwd; echo $plain", f"{where}\n")
    says(box, "echo $plain", "other\n", session=OTHER)


@checks.add()
def an_end_of_one_shell_leaves_the_other_alone(bench: Bench) -> None:
    box = bench.open()
    other = begun(box, "sleep 2; echo through", OTHER)
    for command in ("exit 3", "exec true", "kill -9 $$"):
        box.run(command)
    says(box, "echo on", "on\n")
    expect(other().output, "through\n", "output in the other session")


@checks.add(cases=FORGOTTEN)
def stateless_commands_leave_nothing_in_the_shell(bench: Bench, case: tuple[str, int | None, str]) -> None:
    command, exit_code, look = case
    box = bench.open(stateless=True)
    before = box.run(look)
    result = box.run(command, timeout_s=10)
    expect(result.timed_out, False, "timed_out")
    if exit_code is not None:
        expect(result.exit_code, exit_code, f"exit code of {command!r}")
    after = box.run(look, timeout_s=10)
    expect((after.output, after.exit_code), (before.output, before.exit_code), f"output and exit code of {look!r}")


@checks.add()
def stateless_commands_leave_files_and_jobs(bench: Bench) -> None:
    box = bench.open(stateless=True)
    job = box.run("echo 1 > /tmp/file; sleep 100 >/dev/null & echo $!").output.strip()
    says(box, f"cat /tmp/file; kill -0 {job} && echo runs", "1\nruns\n")


@checks.add()
def stateless_time_limits_and_sessions_are_the_same(bench: Bench) -> None:
    box = bench.open(stateless=True)
    other = begun(box, "sleep 2; echo through", OTHER)
    result = box.run("echo part; sleep 4321", timeout_s=0.5)
    expect((result.output, result.timed_out), ("part\n", True), "output and timed_out")
    nothing_is_left(box)
    expect(other().output, "through\n", "output in the other session")
    answers(box)
