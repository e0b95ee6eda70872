"""What a command may do to the shell: the next one is answered, rightly and at once."""

from __future__ import annotations

from srl_swe.sandbox.contract.bench import Bench
from srl_swe.sandbox.contract.checks import Group
from srl_swe.sandbox.contract.expectations import expect, expect_below, run_after, says

checks = Group("abuse")

# Exit code None: any.
SHELL_ABUSE: dict[str, tuple[str, int | None]] = {
    "exit": ("exit 3", 3),
    "exec": ("exec true", 0),
    "exec of nothing": ("exec /nonexistent", 127),
    "exec of another shell": ("exec sh", 0),
    "kill": ("kill -9 $$", 137),
    "kill with a job holding the pipe": ("sleep 100 & kill -9 $$", 137),
    "kill everything": ("kill -9 -1; kill -9 $$", 137),
    "kill of the parent": ("kill -9 $PPID", None),
    "set -e": ("set -e; false", 1),
    "set -u": ("set -u; echo $unheard_of", 127),
    "set -x": ("set -x", 0),
    "set -v": ("set -v", 0),
    "set -a": ("set -a", 0),
    "set -m": ("set -m; sleep 0.1 & wait", 0),
    "set -o posix": ("set -o posix", 0),
    "syntax error under posix": ("set -o posix; eval 'if'", None),
    "IFS": ("IFS=", 0),
    "readonly IFS": ("readonly IFS=0123456789", 0),
    "failglob": ("shopt -s failglob nullglob nocasematch", 0),
    "no match": ("shopt -s failglob; ls /nope*", 1),
    "division by zero": ("echo $((1/0))", 1),
    "closed output": ("exec 1>&- 2>&-", 0),
    "closed input": ("exec 0<&-", 0),
    "closed descriptors": ('for i in {3..60}; do eval "exec $i>&-"; done', None),
    "closed descriptors and exit": ("exec 19>&-; exit 4", 4),
    "no exit trap": ("trap - EXIT; exit 4", 4),
    "another exit trap": ("trap 'true' EXIT; exit 5", 5),
    "a trap for everything": ("trap 'echo trapped' DEBUG RETURN ERR; trap - DEBUG", None),
    "ignored signals": ("trap '' TERM INT HUP PIPE CHLD", 0),
    "break and continue": ("break; continue; break 99", None),
    "return": ("return 5", None),
    "unset": ("unset SRL_NONCE SRL_COMMAND PWD OLDPWD PATH REPLY", 0),
    "readonly": ("readonly SRL_NONCE=1 SRL_COMMAND=1 REPLY=1", 0),
    "aliases": ("shopt -s expand_aliases; alias printf=false eval=false builtin=false export=false", 0),
    "functions": ("printf() { :; }; eval() { :; }; mapfile() { :; }; export() { :; }; exit() { :; }; trap() { :; }", 0),
    "unset builtins": ("enable -n printf 2>/dev/null; enable printf", 0),
    "stopped job": ("sleep 30 & kill -STOP $!", 0),
    "a limit on open files": ("ulimit -n 20", 0),
}


@checks.add(cases=SHELL_ABUSE)
def the_shell_survives_or_is_replaced(bench: Bench, case: tuple[str, int | None]) -> None:
    command, exit_code = case
    box = bench.worn_box
    where = box.run("export MARK=before; pwd").output
    broken = box.run(command, timeout_s=10)
    expect(broken.timed_out, False, f"timed_out of {command!r}")
    if exit_code is not None:
        expect(broken.exit_code, exit_code, f"exit code of {command!r}")
    look = 'set +xveu; echo "$MARK"; pwd'
    # Where an engine tells of an end late, the command after is lost with the session's own process.
    after = run_after(box, look, timeout_s=10) if "$PPID" in command else box.run(look, timeout_s=10)
    expect(after.output.splitlines()[-2:], ["before", where.strip()], f"variable and directory after {command!r}")
    expect(after.exit_code, 0, "exit code of the command after")
    expect_below(broken.seconds + after.seconds, 5, "seconds that both took")


@checks.add()
def a_shell_that_runs_nothing_any_more_is_replaced_at_the_time_limit(bench: Bench) -> None:
    box = bench.worn_box
    expect(box.run("set -n", timeout_s=0.5).timed_out, True, "timed_out of `set -n`")
    says(box, "echo back", "back\n", timeout_s=5)


@checks.add()
def a_shell_whose_parent_is_stopped_is_replaced_at_the_time_limit(bench: Bench) -> None:
    box = bench.worn_box
    box.run("export MARK=before")
    expect(box.run("kill -STOP $PPID; kill -STOP $$", timeout_s=1).timed_out, True, "timed_out of a stopped shell")
    says(box, "echo $MARK", "before\n", timeout_s=10)


@checks.add(limit_s=120)
def a_large_exported_variable_is_borne(bench: Bench) -> None:
    """Or the sandbox goes on without it."""
    box = bench.worn_box
    box.run("export BIG=$(head -c 20000000 /dev/zero | tr '\\0' x)", timeout_s=10)
    box.run("unset BIG", timeout_s=10)
    says(box, "echo on", "on\n", timeout_s=10)


@checks.add(limit_s=120)
def a_directory_too_deep_for_its_path_is_borne(bench: Bench) -> None:
    box = bench.open()
    box.run("name=$(printf %0200d 0); for i in $(seq 30); do mkdir $name; cd $name; done", timeout_s=20)
    box.run("exit 3", timeout_s=20)
    says(box, "echo on", "on\n", timeout_s=20)
