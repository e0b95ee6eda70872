"""Every dialect's actions, said in our grammar, and really run where they change files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from srl_swe.environments.actions import format_answer, parse_action
from srl_swe.experts.dialects.agents import DIALECTS
from srl_swe.experts.dialects.mapping import tell, to_trajectory
from srl_swe.experts.formats.recordings import Recording, Turn
from srl_swe.records import Step, ToolCall

TOOLS = Path(__file__).resolve().parents[3] / "docker/tools"


def steps_of(dialect: str, *turns: Turn, **options: Any) -> tuple[Step, ...]:
    recording = Recording(format="chat", task_id="t", problem="p", turns=turns, dialect=dialect, **options)
    return to_trajectory(recording, trajectory_id="t", split="train").steps


def call(name: str, **arguments: Any) -> Turn:
    return Turn(thought="", call=ToolCall(name=name, arguments=json.dumps(arguments)))


def line(command: str, observation: str = "", folder: str = "") -> Turn:
    return Turn(thought="", command=command, observation=observation, folder=folder)


def run(command: str, folder: Path) -> str:
    """Run a command as the container would: in a shell, with our editor on the path."""
    environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", "HOME": str(folder / ".home")}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


PLAIN = [
    ("claude-code", call("Bash", command="ls -la", description="x"), "ls -la"),
    ("claude-code", call("Read", file_path="/a b.py"), "str_replace_editor view '/a b.py'"),
    ("claude-code", call("Read", file_path="a", offset=5, limit=3), "str_replace_editor view a --view_range 5 7"),
    ("claude-code", call("Grep", pattern="x y", path="src", **{"-i": True}), "grep -rE -i -l -- 'x y' src"),
    (
        "claude-code",
        call("Grep", pattern="x", output_mode="content", glob="*.py", head_limit=5, **{"-A": 2}),
        "grep -rE -n -A 2 --include='*.py' -- x . | head -n 5",
    ),
    ("claude-code", call("Glob", pattern="**/*.py", path="src"), "find src -type f -name '*.py'"),
    ("claude-code", call("Glob", pattern="*.cfg"), "find . -maxdepth 1 -type f -name '*.cfg'"),
    ("claude-code", call("Glob", pattern="a/**/b.py"), "find . -type f -path './a/*b.py'"),
    ("claude-code", call("LS", path="/x"), "ls -la /x"),
    ("opencode", call("read", filePath="a", offset=0, limit=10), "str_replace_editor view a --view_range 1 10"),
    ("opencode", call("bash", command="ls"), "ls"),
    ("codex", call("shell", command=["bash", "-lc", "ls | wc"]), "ls | wc"),
    ("codex", call("shell", command=["grep", "a b", "c"]), "grep 'a b' c"),
    ("codex", call("exec_command", cmd="ls"), "ls"),
    ("openhands", call("execute_bash", command="ls", is_input="false", timeout=3), "ls"),
    ("openhands", call("str_replace_editor", command="undo_edit", path="a"), "str_replace_editor undo_edit a"),
    ("openhands", call("finish", message="done"), "submit"),
    ("openhands", call("execute_bash", cmd="ls"), "ls"),
    ("openhands", call("search", search_term="a b", path="src"), "grep -rn -- 'a b' src"),
    ("mini-swe-agent", call("bash", command="make test"), "make test"),
    ("mini-swe-agent", line("echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && git diff"), "submit"),
    ("terminus", call("bash_command", keystrokes="cd src\nls\n", duration=1.0), "cd src\nls"),
    ("terminus", call("mark_task_complete"), "submit"),
    ("gemini-cli", call("run_shell_command", command="ls", description="x"), "ls"),
    ("gemini-cli", call("read_file", file_path="a"), "str_replace_editor view a"),
    ("swe-agent", line("find_file 'a b.py' src"), "find src -name 'a b.py'"),
    ("swe-agent", line('search_dir "x y"'), "grep -rnI --exclude-dir='.?*' -- 'x y' ."),
    ("swe-agent", line("search_file x src/a.py"), "grep -n -- x src/a.py"),
    ("swe-agent", line("submit\n"), "submit"),
    ("swe-agent", line("python -c 'open(1)'\n"), "python -c 'open(1)'"),
]


@pytest.mark.parametrize(("dialect", "turn", "action"), PLAIN, ids=[f"{d}-{a[:30]}" for d, _, a in PLAIN])
def test_an_action_said_in_our_grammar(dialect: str, turn: Turn, action: str) -> None:
    (step,) = steps_of(dialect, turn)
    assert (step.action, step.runnable) == (action, True)
    assert parse_action(format_answer("", step.action), require_thought=False)[1].command == action


TEXT = [
    ("claude-code", call("TodoWrite", todos=[]), "a plan"),
    ("claude-code", call("WebSearch", query="x"), "a web search"),
    ("claude-code", call("Edit", file_path="a"), "old_string is missing"),
    ("claude-code", call("Grep", pattern="x", multiline=True), "a pattern over several lines"),
    ("claude-code", call("mcp__x__y"), "no tool 'mcp__x__y' in claude-code"),
    ("claude-code", Turn(thought="", call=ToolCall(name="Bash", arguments="{")), "arguments that are not JSON"),
    ("claude-code", Turn(thought="", call=ToolCall(name="Bash", arguments="[]")), "arguments that are no object"),
    ("claude-code", call("Bash", command=" "), "no command"),
    ("claude-code", call("Bash", command="a\0b"), "a character that no shell could be given"),
    ("openhands", call("execute_bash", command="y", is_input="true"), "typed into a running program"),
    ("openhands", call("execute_bash", command="C-c"), "typed into a running program"),
    ("openhands", call("str_replace_editor", command="fly", path="a"), "the editor has no command 'fly'"),
    ("openhands", call("execute_ipython_cell", code="%cd x"), "a notebook's command"),
    ("openhands", call("execute_ipython_cell", code="open_file('x')"), "open_file is the agent's own function"),
    ("terminus", call("bash_command", keystrokes="q"), "typed into a running program"),
    ("codex", call("apply_patch", input="--- a"), "not a patch"),
    ("swe-agent", line("goto 5"), "no file is open"),
    ("swe-agent", line("open 'x"), "quotes that do not match: No closing quotation"),
    ("swe-agent", line("open a b c"), "too many arguments"),
    ("swe-agent", line("filemap a.py"), "an outline of a file"),
    ("swe-agent", line("connect_start ctf.example 80 'x"), "quotes that do not match: No closing quotation"),
    ("swe-agent", line("debug_exec info registers"), "a debugger"),
    (
        "swe-agent",
        Turn(thought="", call=ToolCall(name="open_site", arguments="{}"), command="open_site x"),
        "no tool 'open_site' in swe-agent",
    ),
    ("mini-swe-agent", Turn(thought="Hm."), "an answer without an action"),
]


@pytest.mark.parametrize(("dialect", "turn", "reason"), TEXT, ids=[f"{d}-{r[:30]}" for d, _, r in TEXT])
def test_what_cannot_run_is_kept_as_text_and_counted(dialect: str, turn: Turn, reason: str) -> None:
    recording = Recording(format="chat", task_id="t", problem="p", turns=(turn,), dialect=dialect)
    trajectory = to_trajectory(recording, trajectory_id="t", split="train")
    (step,) = trajectory.steps
    assert not step.runnable and step.action.strip() and step.call == turn.call
    assert trajectory.provenance["not_runnable"] == {reason: 1}


def test_changes_to_files_are_really_made(tmp_path: Path) -> None:
    turns = {
        "claude-code": [
            call("Write", file_path="src/a.py", content="x = 1\ny = 1\nEOF\n"),
            call("Edit", file_path="src/a.py", old_string="x = 1", new_string="x = 'it''s $HOME'"),
            call("Edit", file_path="src/a.py", old_string="1", new_string="2", replace_all=True),
            call(
                "MultiEdit",
                file_path="src/a.py",
                edits=[
                    {"old_string": "y", "new_string": "z"},
                    {"old_string": "EOF\n", "new_string": "", "replace_all": True},
                ],
            ),
        ],
        "openhands": [
            call("str_replace_editor", command="create", path="b.py", file_text="one\nthree\n"),
            call("str_replace_editor", command="insert", path="b.py", insert_line=1, new_str="two"),
            call("str_replace_editor", command="str_replace", path="b.py", old_str="three", new_str="3"),
            call("execute_ipython_cell", code="print(open('b.py').read().count('3'))\n"),
        ],
        "swe-agent": [
            line("create c.py"),
            line("edit 1:1\nfirst\nsecond\nthird\nend_of_edit\n"),
            line('edit 2:3\nsecond\'s "own"\nend_of_edit\n'),
            line("edit first 1st"),
            line('insert "4th" 2'),
            line("insert last"),
        ],
    }
    for dialect, acts in turns.items():
        for step in steps_of(dialect, *acts):
            assert step.runnable, step
            run(step.action, tmp_path)
    assert (tmp_path / "src/a.py").read_text() == "x = 'it''s $HOME'\nz = 2\n"
    assert (tmp_path / "b.py").read_text() == "one\ntwo\n3\n"
    assert (tmp_path / "c.py").read_text() == '1st\nsecond\'s "own"\n4th\nlast\n'


PATCH = """*** Begin Patch
*** Add File: new/n.txt
+one
+two
*** Update File: a.py
*** Move to: b.py
@@ def f():
 def f():
-    return 1
+    return 2
@@
 def g():
+    # g
     pass
*** Delete File: old.py
*** End Patch"""


def test_a_patch_is_really_applied(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n    return 1\n\n\ndef g():\n    pass\n")
    (tmp_path / "old.py").write_text("")
    (step,) = steps_of("codex", call("apply_patch", input=PATCH))
    run(step.action, tmp_path)
    assert (tmp_path / "b.py").read_text() == "def f():\n    return 2\n\n\ndef g():\n    # g\n    pass\n"
    assert (tmp_path / "new/n.txt").read_text() == "one\ntwo\n"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != ".home") == ["b.py", "new"]


def test_searches_really_find(tmp_path: Path) -> None:
    for name in ("src/deep/money.py", "src/money.py", ".hidden/money.py", "src/other.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("Total = 1\n")
    found = {
        call("Glob", pattern="**/*.py", path="src"): {"src/deep/money.py", "src/money.py"},
        call("Glob", pattern="src/*.txt"): {"./src/other.txt"},
        call("Grep", pattern="total|sum", glob="*.py", path="src", **{"-i": True}): {
            "src/deep/money.py",
            "src/money.py",
        },
    }
    for turn, files in found.items():
        (step,) = steps_of("claude-code", turn)
        assert set(run(step.action, tmp_path).split()) == files
    (step,) = steps_of("swe-agent", line("search_dir Total"))
    assert {hit.split(":")[0] for hit in run(step.action, tmp_path).splitlines()} == {
        "./src/deep/money.py",
        "./src/money.py",
        "./src/other.txt",
    }


def test_the_window_on_a_file_is_kept_in_mind() -> None:
    shown = "[File: /repo/a.py (900 lines total)]\n(184 more lines above)\n{}:x\n{}:y\n"
    steps = steps_of(
        "swe-agent",
        line("open a.py 200", shown.format(184, 283), "/repo"),
        line("scroll_down", shown.format(282, 381), "/repo"),
        line("goto 500", "", "/repo"),
        line("scroll_up", "", "/repo"),
        line("cd src", "", "/repo/src"),
        line("search_file x", "", "/repo/src"),
        line("set_cursors 7 9", "", "/repo/src"),
        line("edit\nnew\nend_of_edit", "", "/repo/src"),
        line("edit 1:2\nbad(\nend_of_edit", "Your proposed edit has introduced new syntax error(s).", "/repo/src"),
    )
    assert [step.action for step in steps[:8]] == [
        "str_replace_editor view a.py --view_range 184 283",
        "str_replace_editor view a.py --view_range 282 381",
        "str_replace_editor view a.py --view_range 484 583",
        "str_replace_editor view a.py --view_range 386 485",
        "cd src",
        "grep -n -- x /repo/a.py",
        "str_replace_editor view /repo/a.py --view_range 7 9",
        "sed -i 7,9d /repo/a.py && str_replace_editor insert /repo/a.py --insert_line 6 --new_str new",
    ]
    assert not steps[8].runnable  # our editor has no linter, and would make the edit


def test_only_the_last_submission_ends_the_work() -> None:
    steps = steps_of("swe-agent", line("submit", "Sure? Run the tests."), line("ls"), line("submit"))
    assert [(step.action, step.runnable) for step in steps] == [("submit", False), ("ls", True), ("submit", True)]
    steps = steps_of("mini-swe-agent", line("echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", "failed"), line("ls"))
    assert [step.action for step in steps] == ["echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", "ls"]


def test_an_agent_that_falls_silent_has_finished() -> None:
    talk = Turn(thought="All done.")
    for dialect in ("claude-code", "opencode", "codex", "gemini-cli"):
        assert [s.action for s in steps_of(dialect, talk, talk)] == ["All done.", "submit"]
    assert [s.action for s in steps_of("mini-swe-agent", talk, talk, falls_silent=True)] == ["All done.", "submit"]
    assert [s.runnable for s in steps_of("mini-swe-agent", talk, talk)] == [False, False]


@pytest.mark.parametrize(
    ("tools", "dialect"),
    [
        (["Read", "Edit", "Bash"], "claude-code"),
        (["bash", "read", "glob"], "opencode"),
        (["bash", "str_replace_editor", "submit"], "swe-agent"),
        (["execute_bash", "think", "finish"], "openhands"),
        (["shell", "apply_patch"], "codex"),
        (["bash_command"], "terminus"),
        (["run_shell_command", "replace"], "gemini-cli"),
        (["read", "edit"], "opencode"),
        (["run", "read", "edit"], "openhands-events"),
        (["bash"], "mini-swe-agent"),
        (["fly"], "mini-swe-agent"),
        ([], "mini-swe-agent"),
    ],
)
def test_a_dialect_is_told_by_its_tools(tools: list[str], dialect: str) -> None:
    assert tell([call(tool) for tool in tools]).name == dialect


def test_thoughts_can_be_written_in_our_answers() -> None:
    (step,) = steps_of(
        "claude-code", Turn(thought="<think>\nHm.\n</think>\n\nLook.", call=call("Bash", command="ls").call)
    )
    assert step.thought == "Hm.\n\nLook."
    assert parse_action(format_answer(step.thought, step.action))[0] == step.thought


def test_every_tool_of_every_table_gives_a_command_or_a_reason() -> None:
    for dialect in DIALECTS.values():
        for tool in dialect.tools:
            for arguments in ({}, {"command": 3, "path": [], "file_path": {}, "start_line": "x"}):
                (step,) = steps_of(dialect.name, call(tool, **arguments))
                assert step.action.strip()
