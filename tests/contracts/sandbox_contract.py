"""What every sandbox backend promises.

A backend's test module subclasses `ShellContract`, and `HostileContract` and `FileContract` from the modules beside
this one, sets ``backend`` and provides a fixture ``image``.
"""

from __future__ import annotations

import pytest
from contracts.sandbox_boxes import Boxes, OpenBox

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.sandbox import Sandbox, SandboxLimits
from srl_swe.sandbox.protocol import TIMEOUT_EXIT_CODE

# (first command, its exit code or None for "any", second command, its output)
STATE_KEPT = {
    "directory": ("mkdir sub; cd sub", 0, 'basename "$PWD"', "sub\n"),
    "exported variable": ("export KEPT='a b'", 0, 'sh -c "echo \\$KEPT"', "a b\n"),
    "plain variable": ("plain=1", 0, "echo $plain", "1\n"),
    "function": ("twice() { echo $1$1; }", 0, "twice ab", "abab\n"),
    "array": ("list=(a b c)", 0, "echo ${#list[@]}", "3\n"),
    "last status": ("sh -c 'exit 7'", 7, "echo $?", "7\n"),
    "background job": ("sleep 50 & pid=$!", 0, "kill -0 $pid && kill $pid && echo there", "there\n"),
    "file": ("echo text > file", 0, "cat file", "text\n"),
    "redirected output": ("exec >log; echo hidden", 0, "cat log; echo seen", "hidden\nseen\n"),
}

# What a command may do to the shell; the next command must be answered, rightly and at once. Exit code None: any.
SHELL_ABUSE = {
    "exit": ("exit 3", 3),
    "exec": ("exec true", 0),
    "exec of nothing": ("exec /nonexistent", 127),
    "kill": ("kill -9 $$", 137),
    "kill with a job holding the pipe": ("sleep 100 & kill -9 $$", 137),
    "kill everything": ("kill -9 -1; kill -9 $$", 137),
    "kill of the parent": ("kill -9 $PPID", None),
    "set -e": ("set -e; false", 1),
    "set -u": ("set -u; echo $unheard_of", 127),
    "set -x": ("set -x", 0),
    "set -v": ("set -v", 0),
    "set -a": ("set -a", 0),
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
    "ignored signals": ("trap '' TERM INT HUP PIPE CHLD", 0),
    "break and continue": ("break; continue; break 99", None),
    "return": ("return 5", None),
    "unset": ("unset SRL_NONCE SRL_COMMAND PWD OLDPWD PATH REPLY", 0),
    "readonly": ("readonly SRL_NONCE=1 SRL_COMMAND=1 REPLY=1", 0),
    "aliases": ("shopt -s expand_aliases; alias printf=false eval=false builtin=false export=false", 0),
    "functions": ("printf() { :; }; eval() { :; }; mapfile() { :; }; export() { :; }; exit() { :; }; trap() { :; }", 0),
    "unset builtins": ("enable -n printf 2>/dev/null; enable printf", 0),
    "stopped job": ("sleep 30 & kill -STOP $!", 0),
}


class ShellContract(Boxes):
    """Commands: what they give back and what they leave behind."""

    @pytest.mark.parametrize(
        ("command", "output", "exit_code"),
        [
            ("true", "", 0),
            ("exit 255", "", 255),
            ("sh -c 'kill -9 $$'", None, 137),
            ("echo a; echo b >&2; echo c", "a\nb\nc\n", 0),
            ("sh -c 'for i in 1 2 3; do echo $i; echo e$i >&2; done'", "1\ne1\n2\ne2\n3\ne3\n", 0),
            ("printf 'no newline'", "no newline", 0),
            ("printf '\\n\\n x \\r\\n\\n'", "\n\n x \r\n\n", 0),
            ("", "", 0),
            ("   \n\n", "", 0),
            ("# only a comment", "", 0),
            ("cat <<'E'\n$x `y` 'z' \"q\" \\\nE", "$x `y` 'z' \"q\" \\\n", 0),
            ("echo one\necho two\nfalse", "one\ntwo\n", 1),
            ("echo 'it''s' \"$(echo 'quoted')\" \\\n  joined", "its quoted joined\n", 0),
            ("echo ünïcödé 漢字 😀", "ünïcödé 漢字 😀\n", 0),
            ("nonesuch", "bash: line 1: nonesuch: command not found\n", 127),
            ("printf 'a\\0b'", "a\0b", 0),
            ("printf '\\377\\376'", "��", 0),
            ("printf '\\x1e%s done 0 \\x1e' 0123456789abcdef0123456789abcdef", None, 0),
            ("cat", "", 0),
            ("read x; echo $?", "1\n", 0),
            ("false | true; echo ${PIPESTATUS[0]}", "1\n", 0),
        ],
    )
    def test_output_and_exit_code_are_exact(
        self, box: Sandbox, command: str, output: str | None, exit_code: int
    ) -> None:
        result = box.run(command)
        assert output is None or result.output == output
        assert (result.exit_code, result.timed_out, result.truncated) == (exit_code, False, False)

    def test_a_forged_marker_is_output(self, box: Sandbox) -> None:
        forged = "\x1e" + "0" * 32 + " done 0\0/\0 " + "0" * 32 + "\x1e"
        result = box.run("printf '\\036%s done 0\\0/\\0 %s\\036' " + f"{'0' * 32} {'0' * 32}; exit 9")
        assert (result.output, result.exit_code) == (forged, 9)

    @pytest.mark.parametrize("command", ["echo 'open", "if true; then", "foo(", "echo )", "cat <<E\nx", "done"])
    def test_a_syntax_error_is_the_commands_own(self, box: Sandbox, command: str) -> None:
        assert box.run(f"state=kept; :\n{command}", timeout_s=5).seconds < 4
        assert box.run("echo on").output == "on\n"

    @pytest.mark.parametrize("name", STATE_KEPT)
    def test_state_is_kept(self, worn_box: Sandbox, name: str) -> None:
        first, exit_code, second, output = STATE_KEPT[name]
        assert worn_box.run(first).exit_code == exit_code
        assert worn_box.run(second).output == output

    def test_input_ends_at_once(self, box: Sandbox) -> None:
        result = box.run("python -c 'input()'", timeout_s=20)
        assert "EOFError" in result.output
        assert result.exit_code == 1

    def test_a_background_job_does_not_hold_the_action_up(self, box: Sandbox) -> None:
        result = box.run("sleep 40 & (setsid sleep 40 &); echo begun")
        assert result.output == "begun\n"
        assert result.seconds < 5

    def test_error_messages_do_not_depend_on_what_was_run_before(self, box: Sandbox) -> None:
        first = box.run("true\nnonesuch").output
        box.run("true\n" * 10)
        assert box.run("true\nnonesuch").output == first == "bash: line 2: nonesuch: command not found\n"

    @pytest.mark.parametrize("name", SHELL_ABUSE)
    def test_the_shell_survives_or_is_replaced(self, worn_box: Sandbox, name: str) -> None:
        command, exit_code = SHELL_ABUSE[name]
        where = worn_box.run("export MARK=before; pwd").output
        broken = worn_box.run(command, timeout_s=10)
        assert not broken.timed_out
        assert exit_code is None or broken.exit_code == exit_code
        after = worn_box.run('set +xveu; echo "$MARK"; pwd', timeout_s=10)
        assert after.output.splitlines()[-2:] == ["before", where.strip()]
        assert after.exit_code == 0
        assert broken.seconds + after.seconds < 5

    def test_a_shell_that_runs_nothing_any_more_is_replaced_at_the_time_limit(self, worn_box: Sandbox) -> None:
        assert worn_box.run("set -n", timeout_s=0.5).timed_out
        assert worn_box.run("echo back", timeout_s=5).output == "back\n"

    def test_an_exit_keeps_its_own_directory_and_variables(self, box: Sandbox) -> None:
        assert box.run("cd /usr; export LATE='a\nb'; exit 6").exit_code == 6
        assert box.run('pwd; echo "$LATE"').output == "/usr\na\nb\n"

    def test_a_removed_directory_is_left(self, box: Sandbox) -> None:
        parent = box.run("pwd; mkdir gone; cd gone").output
        box.run('rmdir "$PWD"; exit 0')
        assert box.run("pwd").output == parent

    def test_long_output_keeps_head_and_tail(self, box: Sandbox) -> None:
        result = box.run("seq 1 1000000")
        assert result.truncated
        assert result.output.startswith("1\n2\n3\n")
        assert result.output.endswith("\n999999\n1000000\n")
        assert len(result.output) < SandboxLimits().output_chars + 100

    def test_a_hundred_megabytes_of_output_are_bounded_and_fast(self, box: Sandbox) -> None:
        result = box.run("head -c 100000000 /dev/zero | tr '\\0' x; echo end", timeout_s=50)
        assert result.exit_code == 0
        assert result.output.endswith("xend\n")
        assert len(result.output) < SandboxLimits().output_chars + 100
        assert result.seconds < 25

    def test_binary_output_does_not_break_the_protocol(self, box: Sandbox) -> None:
        assert box.run("head -c 3000000 /dev/urandom; exit 5").exit_code == 5
        assert box.run("echo on").output == "on\n"

    def test_a_command_of_a_megabyte(self, box: Sandbox) -> None:
        assert box.run(f"text={'é' * 500_000}; echo ${{#text}}", timeout_s=50).output == "500000\n"

    def test_a_nul_character_is_refused(self, box: Sandbox) -> None:
        box.run("plain=on")
        with pytest.raises(SandboxError, match="NUL"):
            box.run("echo a\0b")
        assert box.run("echo $plain").output == "on\n"

    @pytest.mark.parametrize(
        "command",
        [
            "echo part; sleep 4321",
            "echo part; (trap '' TERM INT; setsid sleep 4321 & wait)",
            "echo part; python -c 'import os,time; os.fork() or os.setsid() or os.fork() or time.sleep(4321)'; sleep 9",
            "echo part; sleep 4321 | cat",
            "echo part; while :; do :; done",
            "echo part; while :; do sleep 4321; done",
            "echo part; yes 4321 >/dev/null",
        ],
    )
    def test_a_timeout_kills_the_whole_tree_and_keeps_the_state(self, box: Sandbox, command: str) -> None:
        where = box.run("mkdir here; cd here; export KEPT=yes; pwd").output
        result = box.run(command, timeout_s=0.7)
        assert (result.output, result.exit_code, result.timed_out) == ("part\n", TIMEOUT_EXIT_CODE, True)
        assert result.seconds < 6
        left = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null | grep '[4]321'"
        assert box.run(f'pwd; echo "$KEPT"; {left}').output == f"{where}yes\n"

    def test_what_a_timed_out_command_did_to_the_shell_is_kept(self, box: Sandbox) -> None:
        box.run("cd /usr; plain=1; sleep 100", timeout_s=0.5)
        assert box.run("pwd; echo $plain").output == "/usr\n1\n"

    def test_a_builtin_costs_no_process(self, box: Sandbox) -> None:
        times = sorted(box.run("true").seconds for _ in range(50))
        assert times[25] < 0.02

    def test_closed_is_closed(self, open_box: OpenBox) -> None:
        with open_box() as box:
            assert box.run("echo in").output == "in\n"
        box.close()
        for use in (lambda: box.run("true"), lambda: box.read_file("x"), box.snapshot):
            with pytest.raises(SandboxLostError):
                use()

    def test_two_sandboxes_share_nothing(self, open_box: OpenBox) -> None:
        with open_box() as one, open_box() as other:
            one.run("echo mine > /tmp/file; sleep 4321 &")
            assert (
                other.run("ls /tmp/file 2>/dev/null; cat /proc/*/cmdline | tr '\\0' ' ' | grep '[4]321'").output == ""
            )

    @pytest.mark.parametrize("options", [{"workdir": "/nope"}, {"user": "nobody-here"}, {"image": "srl-swe/none:none"}])
    def test_what_cannot_be_opened_says_so(self, open_box: OpenBox, options: dict[str, str]) -> None:
        with pytest.raises(SandboxError) as caught:
            open_box(**options)
        assert next(iter(options.values())) in str(caught.value)
