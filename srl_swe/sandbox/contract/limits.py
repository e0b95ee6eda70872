"""Time limits, and what is kept of an output."""

from __future__ import annotations

import resource

from srl_swe.sandbox.contract.bench import Bench
from srl_swe.sandbox.contract.checks import Group
from srl_swe.sandbox.contract.expectations import answers, expect, expect_below, expect_that, says
from srl_swe.sandbox.protocol import MAIN_SESSION, TIMEOUT_EXIT_CODE, Sandbox, SandboxLimits

checks = Group("limits")

MOST_CHARS = SandboxLimits().output_chars + 100
"""The output that is kept, and the note about what is missing."""

_STILL_RUNNING = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null | grep '[4]321'"

TREES = {
    "child": "echo part; sleep 4321",
    "waiting for a session leader": "echo part; (trap '' TERM INT; setsid sleep 4321 & wait)",
    "daemon": "echo part; "
    "python -c 'import os,time; os.fork() or os.setsid() or os.fork() or time.sleep(4321)'; sleep 9",
    "pipe": "echo part; sleep 4321 | cat",
    "busy shell": "echo part; while :; do :; done",
    "loop": "echo part; while :; do sleep 4321; done",
    "output elsewhere": "echo part; yes 4321 >/dev/null",
    "ignores signals": "echo part; sh -c \"trap '' TERM INT HUP QUIT USR1; while :; do sleep 4321; done\"",
    "stopped": "echo part; sleep 4321 & kill -STOP $!; wait",
    "nohup": "echo part; nohup sleep 4321 >/dev/null 2>&1 & disown; sleep 9",
    "waits for a FIFO": "echo part; mkfifo never; cat never 4321",
    "many": "echo part; for i in $(seq 50); do sleep 4321 & done; wait",
}


def nothing_is_left(box: Sandbox, session: str = MAIN_SESSION) -> None:
    """Fail if a program runs that has the number 4321 among its arguments.

    Bash may say here that it has noticed the end of a background job.
    """
    output = box.run(f'echo "left: $({_STILL_RUNNING})"', session=session).output
    expect_that("left: " in output.splitlines(), "nothing is left of what was stopped", output)


@checks.add(cases=TREES)
def a_time_limit_kills_the_whole_tree_and_keeps_the_state(bench: Bench, command: str) -> None:
    if "python" in command:
        bench.need("python")
    box = bench.box
    where = box.run("mkdir here; cd here; export KEPT=yes; pwd").output
    result = box.run(command, timeout_s=0.7)
    got = (result.output, result.exit_code, result.timed_out)
    expect(got, ("part\n", TIMEOUT_EXIT_CODE, True), "output, exit code, timed_out")
    expect_below(result.seconds, 6, "seconds")
    nothing_is_left(box)
    says(box, 'pwd; echo "$KEPT"', f"{where}yes\n")


@checks.add()
def what_a_timed_out_command_did_to_the_shell_is_kept(bench: Bench) -> None:
    box = bench.worn_box
    box.run("cd /usr; plain=1; sleep 100", timeout_s=0.5)
    says(box, "pwd; echo $plain", "/usr\n1\n")


@checks.add()
def a_time_limit_ends_background_jobs_of_earlier_commands_too(bench: Bench) -> None:
    box = bench.box
    box.run("sleep 4321 & (setsid sleep 4321 &)")
    box.run("sleep 100", timeout_s=0.5)
    nothing_is_left(box)


@checks.add()
def a_command_within_its_time_is_left_alone(bench: Bench) -> None:
    result = bench.box.run("sleep 1; echo done", timeout_s=20)
    expect((result.output, result.exit_code, result.timed_out), ("done\n", 0, False), "output, exit code, timed_out")


@checks.add()
def long_output_keeps_head_and_tail(bench: Bench) -> None:
    result = bench.box.run("seq 1 1000000")
    expect(result.truncated, True, "truncated")
    expect(result.output[:6], "1\n2\n3\n", "the output's beginning")
    expect(result.output[-16:], "\n999999\n1000000\n", "the output's end")
    expect_below(len(result.output), MOST_CHARS, "characters of output")


@checks.add()
def the_limit_of_output_is_the_callers(bench: Bench) -> None:
    box = bench.open(limits=SandboxLimits(output_chars=100))
    says(box, "printf %0100d 0", "0" * 100)
    result = box.run("printf %0101d 0")
    expect(result.truncated, True, "truncated")
    result = box.run("seq 1 1000000; echo end")
    expect_that(result.output.endswith("\nend\n"), "the output ends with 'end'", result.output)
    expect_below(len(result.output), 200, "characters of output")


@checks.add(limit_s=90)
def a_loop_of_a_million_lines(bench: Bench) -> None:
    result = bench.box.run("for i in $(seq 1000000); do echo $i; done", timeout_s=60)
    expect((result.exit_code, result.truncated), (0, True), "exit code and truncated")
    expect(result.output[-9:], "\n1000000\n", "the output's end")


@checks.add(limit_s=90)
def a_hundred_megabytes_of_output_are_bounded_and_fast(bench: Bench) -> None:
    result = bench.box.run("head -c 100000000 /dev/zero | tr '\\0' x; echo end", timeout_s=50)
    expect(result.exit_code, 0, "exit code")
    expect(result.output[-5:], "xend\n", "the output's end")
    expect_below(len(result.output), MOST_CHARS, "characters of output")
    expect_below(result.seconds, 25, "seconds")


@checks.add(slow=True, limit_s=120)
def a_gigabyte_of_output_is_bounded(bench: Bench) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = bench.box.run("head -c 1000000000 /dev/zero; echo end", timeout_s=100)
    expect((result.exit_code, result.timed_out, result.truncated), (0, False, True), "exit code, timed_out, truncated")
    expect(result.output[-4:], "end\n", "the output's end")
    expect_below(len(result.output), MOST_CHARS, "characters of output")
    expect_below(result.seconds, 60, "seconds")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    expect_below(grown, 100, "MiB that the caller's memory grew by")


@checks.add()
def endless_output_is_stopped(bench: Bench) -> None:
    box = bench.box
    result = box.run("yes", timeout_s=1)
    expect((result.timed_out, result.truncated), (True, True), "timed_out and truncated")
    answers(box)


@checks.add()
def the_processor_is_shared_out(bench: Bench) -> None:
    box = bench.open(limits=SandboxLimits(cpus=0.5))
    spin = "end=$((SECONDS+3)); while [ $SECONDS -lt $end ]; do :; done"
    result = box.run(f"({spin}) & ({spin}) & wait; times | tail -n 1")
    user, system = (60 * float(time.split("m")[0]) + float(time.split("m")[1][:-1]) for time in result.output.split())
    expect_below(user + system, 0.5 * result.seconds + 0.5, "processor seconds used with half a processor")


@checks.add()
def open_files_are_limited(bench: Bench) -> None:
    box = bench.open(limits=SandboxLimits(open_files=100))
    says(box, "ulimit -Sn; ulimit -Hn", "100\n100\n")
    says(box, "ulimit -n 101 2>/dev/null || echo refused", "refused\n")
    box.run('for i in $(seq 30 200); do eval "exec $i</dev/null" || break; done')
    answers(box)


@checks.add()
def no_core_is_dumped(bench: Bench) -> None:
    says(bench.box, "ulimit -Hc; { sh -c 'kill -SEGV $$'; } 2>/dev/null; ls", "0\n")
