"""The tables of the agents whose tools need no state: a tool's name, and how it is said in our grammar."""

from __future__ import annotations

from srl_swe.experts.dialects.apply_patch import apply_patch
from srl_swe.experts.dialects.dialect import Dialect, Way
from srl_swe.experts.dialects.sweagent import SWE_AGENT
from srl_swe.experts.dialects.ways import (
    editor,
    find_text,
    glob,
    grep,
    keystrokes,
    list_folder,
    nothing,
    python,
    replace,
    replace_many,
    shell,
    submit,
    view,
    write,
)

_EDITORS: dict[str, Way] = {"str_replace_editor": editor(), "str_replace_based_edit_tool": editor()}
_FILES = ("open_file", "goto_line", "scroll_up", "scroll_down", "create_file", "edit_file", "edit_file_by_replace")
_NOTEBOOK = (*_FILES, "insert_content_at_line", "append_file", "search_dir", "search_file", "find_file")
"""Functions that only OpenHands' notebook has."""

SHELL = Dialect(
    name="mini-swe-agent",
    tools={"bash": shell(), **_EDITORS},
    submission="COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT",
)
"""https://github.com/SWE-agent/mini-swe-agent: nothing but a shell."""

OPENHANDS = Dialect(
    name="openhands",
    tools={
        **_EDITORS,
        "execute_bash": shell("command", "cmd"),
        "terminal": shell(),
        "search": find_text("search_term", "path"),
        "submit": submit(),
        "file_editor": editor(),
        "execute_ipython_cell": python(foreign=_NOTEBOOK),
        "finish": submit(),
        "apply_patch": apply_patch("patch"),
        "edit_file": nothing("an edit that a second model makes"),
        "think": nothing("a thought"),
        "task_tracker": nothing("a plan"),
        "browser": nothing("a browser"),
        "web_read": nothing("a web page"),
    },
)
"""https://github.com/All-Hands-AI/OpenHands: CodeActAgent's tools, the names that its SDK gives them, and R2E-Gym's."""

OPENHANDS_EVENTS = Dialect(
    name="openhands-events",
    tools={
        **OPENHANDS.tools,
        "run": shell(),
        "run_ipython": python(foreign=_NOTEBOOK),
        "read": view("path", first="start", last="end"),
        "write": write("path", "content"),
        "edit": editor(),
        "finish": submit(),
        "reject": nothing("gives up"),
        "think": nothing("a thought"),
        "recall": nothing("a look into memory"),
        "browse": nothing("a web page"),
        "browse_interactive": nothing("a browser"),
        "delegate": nothing("another agent's work"),
        "add_task": nothing("a plan"),
        "modify_task": nothing("a plan"),
        "task_tracking": nothing("a plan"),
    },
)
"""The actions of OpenHands' event stream too, whose names stand where the model's own call was not recorded."""

CLAUDE_CODE = Dialect(
    name="claude-code",
    falls_silent=True,
    tools={
        "Bash": shell(),
        "Read": view("file_path", first="offset", count="limit"),
        "Edit": replace("file_path", "old_string", "new_string", everywhere="replace_all"),
        "MultiEdit": replace_many("file_path", "edits", "old_string", "new_string", everywhere="replace_all"),
        "Write": write("file_path", "content"),
        "Grep": grep(),
        "Glob": glob(),
        "LS": list_folder(),
        "TodoWrite": nothing("a plan"),
        "Task": nothing("another agent's work"),
        "Agent": nothing("another agent's work"),
        "WebFetch": nothing("a web page"),
        "WebSearch": nothing("a web search"),
        "NotebookEdit": nothing("a notebook"),
        "BashOutput": nothing("a background command"),
        "KillShell": nothing("a background command"),
        "ExitPlanMode": nothing("a plan"),
    },
)
"""https://docs.claude.com/en/docs/claude-code."""

OPENCODE = Dialect(
    name="opencode",
    falls_silent=True,
    tools={
        "bash": shell(),
        "read": view("filePath", first="offset", count="limit"),
        "edit": replace("filePath", "oldString", "newString", everywhere="replaceAll"),
        "multiedit": replace_many("filePath", "edits", "oldString", "newString", everywhere="replaceAll"),
        "write": write("filePath", "content"),
        "patch": apply_patch("patchText"),
        "apply_patch": apply_patch("patchText"),
        "grep": grep(),
        "glob": glob(),
        "list": list_folder(),
        "todowrite": nothing("a plan"),
        "todoread": nothing("a plan"),
        "task": nothing("another agent's work"),
        "webfetch": nothing("a web page"),
    },
)
"""https://opencode.ai/docs/tools."""

CODEX = Dialect(
    name="codex",
    falls_silent=True,
    tools={
        "shell": shell(),
        "shell_command": shell(),
        "local_shell": shell(),
        "exec_command": shell("cmd"),
        "apply_patch": apply_patch("input", "patch"),
        "update_plan": nothing("a plan"),
        "view_image": nothing("a picture"),
        "web_search": nothing("a web search"),
        "write_stdin": nothing("typed into a running program"),
    },
)
"""https://github.com/openai/codex."""

GEMINI = Dialect(
    name="gemini-cli",
    falls_silent=True,
    tools={
        "run_shell_command": shell(),
        "read_file": view("absolute_path", "file_path", first="offset", count="limit"),
        "write_file": write("file_path", "content"),
        "replace": replace("file_path", "old_string", "new_string"),
        "edit": replace("file_path", "old_string", "new_string"),
        "search_file_content": grep(),
        "grep_search": grep(),
        "glob": glob(),
        "list_directory": list_folder("path"),
        "write_todos": nothing("a plan"),
        "todo_write": nothing("a plan"),
        "save_memory": nothing("a note"),
        "web_fetch": nothing("a web page"),
        "google_web_search": nothing("a web search"),
    },
)
"""https://github.com/google-gemini/gemini-cli; Qwen Code speaks it too."""

TERMINUS = Dialect(
    name="terminus",
    tools={
        "bash_command": keystrokes(),
        "mark_task_complete": submit(),
        "image_read": nothing("a picture"),
    },
)
"""Harbor's Terminus 2, which types into a terminal: https://harborframework.com/docs."""

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (SHELL, SWE_AGENT, OPENHANDS, CLAUDE_CODE, OPENCODE, CODEX, GEMINI, TERMINUS, OPENHANDS_EVENTS)
}
"""By name; of those that know equally many of a recording's tools, the first is taken."""
