"""Commands: what they give back and what they leave behind."""

from __future__ import annotations

from srl_swe.errors import SandboxLostError
from srl_swe.sandbox.contract.bench import Bench
from srl_swe.sandbox.contract.checks import Group
from srl_swe.sandbox.contract.expectations import answers, expect, expect_below, expect_error, expect_that, says

checks = Group("commands")

# command, its output or None for "any", its exit code
EXACT: dict[str, tuple[str, str | None, int]] = {
    "nothing to say": ("true", "", 0),
    "exit 255": ("exit 255", "", 255),
    "killed child": ("sh -c 'kill -9 $$'", None, 137),
    "errors among output": ("echo a; echo b >&2; echo c", "a\nb\nc\n", 0),
    "errors among a child's output": (
        "sh -c 'for i in 1 2 3; do echo $i; echo e$i >&2; done'",
        "1\ne1\n2\ne2\n3\ne3\n",
        0,
    ),
    "no newline at the end": ("printf 'no newline'", "no newline", 0),
    "blank lines": ("printf '\\n\\n x \\r\\n\\n'", "\n\n x \r\n\n", 0),
    "empty": ("", "", 0),
    "white space": ("   \n\n", "", 0),
    "comment": ("# only a comment", "", 0),
    "here-document": ("cat <<'E'\n$x `y` 'z' \"q\" \\\nE", "$x `y` 'z' \"q\" \\\n", 0),
    "several lines": ("echo one\necho two\nfalse", "one\ntwo\n", 1),
    "quotes": ("echo 'it''s' \"$(echo 'quoted')\" \\\n  joined", "its quoted joined\n", 0),
    "unicode": ("echo ünïcödé 漢字 😀", "ünïcödé 漢字 😀\n", 0),
    "no such program": ("nonesuch", "bash: line 1: nonesuch: command not found\n", 127),
    "NUL in the output": ("printf 'a\\0b'", "a\0b", 0),
    "invalid UTF-8": ("printf '\\377\\376'", "��", 0),
    "cut UTF-8": ("printf 'a\\342\\202'; printf '\\254b\\360\\237'", "a€b�", 0),
    "looks like a marker": (
        "printf '\\x1e%s done 0 \\x1e' 0123456789abcdef0123456789abcdef",
        "\x1e0123456789abcdef0123456789abcdef done 0 \x1e",
        0,
    ),
    "reads its input": ("cat", "", 0),
    "read": ("read x; echo $?", "1\n", 0),
    "pipe": ("false | true; echo ${PIPESTATUS[0]}", "1\n", 0),
    # A time limit has the same code; what tells them apart is `timed_out`.
    "exits with 124": ("sh -c 'exit 124'", "", 124),
    "the shell exits with 124": ("exit 124", "", 124),
    "exits with 137": ("(exit 137)", "", 137),
    "a time limit of its own": ("timeout 0.2 sleep 4321", "", 124),
}

# (first command, its exit code, second command, its output)
STATE_KEPT = {
    "directory": ("mkdir sub; cd sub", 0, 'basename "$PWD"', "sub\n"),
    "exported variable": ("export KEPT='a b'", 0, 'sh -c "echo \\$KEPT"', "a b\n"),
    "plain variable": ("plain=1", 0, "echo $plain", "1\n"),
    "function": ("twice() { echo $1$1; }", 0, "twice ab", "abab\n"),
    "array": ("list=(a b c)", 0, "echo ${#list[@]}", "3\n"),
    "last status": ("sh -c 'exit 7'", 7, "echo $?", "7\n"),
    "background job": ("sleep 50 & pid=$!", 0, "kill -0 $pid && echo there", "there\n"),
    "file": ("echo text > file", 0, "cat file", "text\n"),
    "redirected output": ("exec >log; echo hidden", 0, "cat log; echo seen", "hidden\nseen\n"),
}

UNFINISHED = {
    "quote": "echo 'open",
    "if": "if true; then",
    "function": "foo(",
    "bracket": "echo )",
    "here-document": "cat <<E\nx",
    "done": "done",
}

# Programs that would wait for a person: program, command.
INTERACTIVE = {
    "read": ("bash", "read -p 'name? ' answer"),
    "select": ("bash", "select x in a b; do echo $x; done"),
    "python": ("python", "python"),
    "python -i": ("python", "python -i"),
    "input()": ("python", "python -c 'input()'"),
    "bash -i": ("bash", "bash -i"),
    "the terminal": ("cat", "cat </dev/tty"),
    "git commit": ("git", "git init -q . && git -c user.name=a -c user.email=a@b commit --allow-empty"),
    "git password": ("git", "git -c credential.helper= credential fill <<<$'protocol=https\\nhost=localhost\\n'"),
    "less": ("less", "seq 1000 > long; less long"),
    "more": ("more", "seq 1000 > long; more long"),
    "vi": ("vi", "vi new"),
    "nano": ("nano", "nano new"),
    "top": ("top", "top -n 1"),
    "su": ("su", "su -c true"),
}


@checks.add(cases=EXACT)
def output_and_exit_code_are_exact(bench: Bench, case: tuple[str, str | None, int]) -> None:
    command, output, exit_code = case
    result = bench.box.run(command)
    if output is not None:
        expect(result.output, output, f"output of {command!r}")
    got = (result.exit_code, result.timed_out, result.truncated)
    expect(got, (exit_code, False, False), f"exit code, timed_out, truncated of {command!r}")


@checks.add()
def a_forged_marker_is_output(bench: Bench) -> None:
    forged = "\x1e" + "0" * 32 + " done 0\0/\0 " + "0" * 32 + "\x1e"
    result = bench.box.run("printf '\\036%s done 0\\0/\\0 %s\\036' " + f"{'0' * 32} {'0' * 32}; exit 9")
    expect((result.output, result.exit_code), (forged, 9), "output and exit code")


@checks.add(cases=UNFINISHED)
def a_syntax_error_is_the_commands_own(bench: Bench, command: str) -> None:
    box = bench.box
    expect_below(box.run(f"state=kept; :\n{command}", timeout_s=5).seconds, 4, "seconds")
    says(box, "echo on", "on\n")


@checks.add(cases=STATE_KEPT)
def state_is_kept(bench: Bench, case: tuple[str, int, str, str]) -> None:
    first, exit_code, second, output = case
    box = bench.worn_box
    expect(box.run(first).exit_code, exit_code, f"exit code of {first!r}")
    says(box, second, output)


@checks.add(cases=INTERACTIVE)
def what_asks_a_person_gets_the_end_of_its_input(bench: Bench, case: tuple[str, str]) -> None:
    program, command = case
    bench.need(program)
    box = bench.box
    result = box.run(command, timeout_s=20)
    expect(result.timed_out, False, f"timed_out of {command!r}")
    expect_below(result.seconds, 15, f"seconds that {command!r} took")
    answers(box)


@checks.add()
def an_error_for_want_of_input_is_the_programs_own(bench: Bench) -> None:
    bench.need("python")
    result = bench.box.run("python -c 'input()'", timeout_s=20)
    expect_that("EOFError" in result.output, "the output names EOFError", result.output)
    expect(result.exit_code, 1, "exit code")


@checks.add()
def a_background_job_does_not_hold_the_action_up(bench: Bench) -> None:
    result = bench.box.run("sleep 40 & (setsid sleep 40 &); echo begun")
    expect(result.output, "begun\n", "output")
    expect_below(result.seconds, 5, "seconds")


@checks.add()
def what_a_background_job_prints_comes_with_a_later_command(bench: Bench) -> None:
    box = bench.box
    box.run("(until [ -e go ]; do sleep 0.1; done; echo late; touch printed) &")
    says(box, "touch go; until [ -e printed ]; do sleep 0.1; done", "late\n")


@checks.add()
def error_messages_do_not_depend_on_what_was_run_before(bench: Bench) -> None:
    box, wanted = bench.box, "bash: line 2: nonesuch: command not found\n"
    says(box, "true\nnonesuch", wanted)
    box.run("true\n" * 10)
    says(box, "true\nnonesuch", wanted)


@checks.add()
def an_exit_keeps_its_own_directory_and_variables(bench: Bench) -> None:
    box = bench.worn_box
    expect(box.run("cd /usr; export LATE='a\nb'; exit 6").exit_code, 6, "exit code")
    says(box, 'pwd; echo "$LATE"', "/usr\na\nb\n")


@checks.add()
def a_removed_directory_is_left(bench: Bench) -> None:
    box = bench.box
    parent = box.run("pwd; mkdir gone; cd gone").output
    box.run('rmdir "$PWD"; exit 0')
    says(box, "pwd", parent)


@checks.add()
def a_command_of_a_megabyte(bench: Bench) -> None:
    says(bench.worn_box, f"text={'é' * 500_000}; echo ${{#text}}", "500000\n", timeout_s=50)


@checks.add()
def a_command_of_a_hundred_thousand_lines(bench: Bench) -> None:
    says(bench.worn_box, "x=$((x+1))\n" * 100_000 + "echo $x", "100000\n", timeout_s=50)


@checks.add()
def binary_output_does_not_break_the_protocol(bench: Bench) -> None:
    box = bench.box
    expect(box.run("head -c 3000000 /dev/urandom; exit 5").exit_code, 5, "exit code")
    says(box, "echo on", "on\n")


@checks.add()
def a_nul_character_is_refused(bench: Bench) -> None:
    box = bench.worn_box
    box.run("plain=on")
    error = expect_error(lambda: box.run("echo a\0b"), "a command with a NUL character")
    expect_that("NUL" in str(error), "the message names NUL", str(error))
    says(box, "echo $plain", "on\n")


@checks.add()
def a_builtin_costs_no_process(bench: Bench) -> None:
    box = bench.box
    times = sorted(box.run("true").seconds for _ in range(50))
    expect_below(times[25], 0.02, "seconds that `true` takes, median of 50")


@checks.add()
def closed_is_closed(bench: Bench) -> None:
    box = bench.open()
    with box:
        says(box, "echo in", "in\n")
    box.close()
    uses = {
        "run": lambda: box.run("true"),
        "read_file": lambda: box.read_file("x"),
        "write_file": lambda: box.write_file("x", b""),
        "snapshot": box.snapshot,
        "fork": lambda: box.fork(1),
    }
    for name, use in uses.items():
        expect_error(use, f"{name} of a closed sandbox", kind=SandboxLostError)


@checks.add()
def two_sandboxes_share_nothing(bench: Bench) -> None:
    one, other = bench.open(), bench.open()
    one.run("echo mine > /tmp/file; sleep 4321 &")
    says(other, "ls /tmp/file 2>/dev/null; cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' ' | grep '[4]321'", "")


@checks.add(
    cases={"folder": ("workdir", "/nope"), "user": ("user", "nobody-here"), "image": ("image", "srl-swe/no:no")}
)
def what_cannot_be_opened_says_so(bench: Bench, case: tuple[str, str]) -> None:
    field, value = case
    error = expect_error(lambda: bench.open(**{field: value}), f"opening with {field}={value!r}")
    expect_that(value in str(error), f"the message names {value!r}", str(error))
