"""Small rows in the exact form of every format, written by hand."""

from __future__ import annotations

import json
from typing import Any


def chat_call(name: str, identity: str, **arguments: Any) -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


SWE_AGENT: dict[str, Any] = {
    "environment": "main",
    "trajectory": [
        {
            "action": "open src/money.py 3\n",
            "observation": "[File: /repo/src/money.py (4 lines total)]\n1:a\n2:b\n3:c\n4:d\n",
            "response": "Look.\n```\nopen src/money.py 3\n```",
            "state": '{"open_file": "n/a", "working_dir": "/repo"}\n',
            "thought": "Look.\n",
            "query": [{"role": "user", "content": "…"}],
            "extra_info": {},
        },
        {
            "action": "edit 3:3\nC\nend_of_edit\n",
            "observation": "[File: /repo/src/money.py (4 lines total)]\n3:C\n",
            "response": "Mend.",
            "state": {"open_file": "/repo/src/money.py", "working_dir": "/repo"},
            "thought": "Mend.",
        },
        {"action": "submit", "observation": "diff --git", "response": "", "state": {}, "thought": ""},
    ],
    "history": [
        {"role": "system", "content": "SETTING: …", "agent": "main", "message_type": "system_prompt"},
        {"role": "user", "content": "demo", "is_demo": True},
        {"role": "user", "content": "Here:\nISSUE:\nTotals are off.\n\nINSTRUCTIONS:\nNow …"},
        {"role": "assistant", "content": "Look.", "thought": "Look.", "action": "open src/money.py 3\n"},
    ],
    "info": {"exit_status": "submitted", "submission": "diff --git", "model_stats": {}},
}
MINI_1: dict[str, Any] = {
    "info": {"exit_status": "Submitted", "config": {"model": {"model_name": "m"}}},
    "messages": [
        {"role": "system", "content": "…"},
        {
            "role": "user",
            "content": "<pr_description>\nConsider the following PR description:\nOff.\n</pr_description>",
        },
        {"role": "assistant", "content": "THOUGHT: Look.\n\n```bash\nls -la\n```"},
        {"role": "user", "content": "<returncode>0</returncode>\n<output>\nx\n</output>"},
        {"role": "assistant", "content": "THOUGHT: Two.\n```bash\na\n```\n```bash\nb\n```"},
        {"role": "user", "content": "Please always provide EXACTLY ONE action"},
        {"role": "assistant", "content": "```bash\necho COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && git diff\n```"},
        {"role": "user", "content": "diff --git"},
    ],
    "trajectory_format": "mini-swe-agent-1",
    "instance_id": "owner__repo-1",
}
MINI_2: dict[str, Any] = {
    "info": {"exit_status": "Submitted"},
    "messages": [
        {"role": "user", "content": "Mend it."},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Two at once.",
            "tool_calls": [chat_call("bash", "c1", command="ls"), chat_call("bash", "c2", command="pwd")],
        },
        {"role": "tool", "tool_call_id": "c2", "content": "/testbed"},
        {"role": "tool", "tool_call_id": "c1", "content": "src"},
        {
            "object": "response",
            "output": [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Done."}]},
                {
                    "type": "function_call",
                    "call_id": "c3",
                    "name": "bash",
                    "arguments": '{"command": "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"}',
                },
            ],
        },
        {"type": "function_call_output", "call_id": "c3", "output": "diff --git"},
        {"role": "exit", "content": "diff --git", "extra": {}},
    ],
    "trajectory_format": "mini-swe-agent-1.1",
    "instance_id": "owner__repo-2",
}
OPENHANDS: dict[str, Any] = {
    "instance_id": "owner__repo-3",
    "instruction": "<issue_description>\nOff.\n</issue_description>\nRules …",
    "metadata": {"llm_config": {"model": "m"}},
    "report": {"resolved": True},
    "error": None,
    "history": [
        {"id": 0, "source": "user", "action": "message", "args": {"content": "…"}},
        {"id": 1, "source": "agent", "action": "run", "args": {"command": "ls", "thought": "Look.", "is_input": False}},
        {"id": 2, "source": "agent", "cause": 1, "observation": "run", "content": "src", "extras": {}},
        {"id": 3, "source": "agent", "action": "message", "args": {"content": "Shall I?"}},
        {"id": 4, "source": "user", "action": "message", "args": {"content": "Go on."}},
        {"id": 5, "source": "agent", "action": "think", "args": {"thought": "Hm."}},
        {"id": 6, "source": "agent", "cause": 5, "observation": "think", "content": "Logged."},
        {
            "id": 7,
            "source": "agent",
            "action": "finish",
            "args": {"final_thought": "Done.", "outputs": {}},
            "tool_call_metadata": {
                "function_name": "finish",
                "tool_call_id": "c7",
                "model_response": {
                    "choices": [{"message": {"tool_calls": [chat_call("finish", "c7", message="Done.")]}}]
                },
            },
        },
    ],
}
OPENHANDS_PAIRS = [
    [
        {"action": "run", "args": {"command": "ls", "thought": "Look."}},
        {"observation": "run", "content": "src", "extras": {"exit_code": 0}},
    ],
    [{"action": "finish", "args": {"thought": "Done."}}, {"observation": "null", "content": ""}],
]
OPENHANDS_SDK: dict[str, Any] = {
    "instance_id": "owner__repo-4",
    "instruction": "Mend it.",
    "history": [
        {"kind": "SystemPromptEvent", "source": "agent", "system_prompt": {"type": "text", "text": "…"}},
        {"kind": "MessageEvent", "source": "user", "llm_message": {"role": "user", "content": [{"text": "Mend it."}]}},
        {
            "kind": "ActionEvent",
            "source": "agent",
            "thought": [{"type": "text", "text": "Look."}],
            "reasoning_content": "Hm.",
            "tool_name": "terminal",
            "tool_call_id": "c1",
            "tool_call": {"id": "c1", "name": "terminal", "arguments": '{"command": "ls"}'},
            "action": {"kind": "TerminalAction", "command": "ls"},
        },
        {
            "kind": "ObservationEvent",
            "source": "environment",
            "tool_name": "terminal",
            "tool_call_id": "c1",
            "observation": {"kind": "TerminalObservation", "content": [{"type": "text", "text": "src"}]},
        },
        {"kind": "ActionEvent", "source": "agent", "tool_name": "task_tracker", "tool_call_id": "c2", "action": {}},
        {"kind": "AgentErrorEvent", "source": "agent", "tool_call_id": "c2", "error": "no plan"},
        {
            "kind": "ActionEvent",
            "source": "agent",
            "tool_name": "finish",
            "tool_call_id": "c3",
            "action": {"message": "x"},
        },
    ],
}
NEMO_GYM: dict[str, Any] = {
    "responses_create_params": {"metadata": {"instance_id": "owner__repo-5", "problem_statement": "Off."}, "input": []},
    "response": {
        "model": "m",
        "output": [
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Look."}]},
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "Read",
                "arguments": '{"file_path": "a.py", "offset": 5}',
            },
            {"type": "function_call_output", "call_id": "c1", "output": "5\tx"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
        ],
    },
    "reward": 1.0,
    "resolved": True,
    "agent_ref": {"name": "anyswe_claude_code"},
}
NEBIUS_SWE_AGENT: dict[str, Any] = {
    "instance_id": "owner__repo-6",
    "model_name": "swe-agent-llama-70b",
    "target": True,
    "trajectory": [
        {"role": "system", "system_prompt": "SETTING: …", "text": None, "mask": False, "cutoff_date": "01.01.2023"},
        {"role": "user", "system_prompt": None, "text": "ISSUE:\nTotals are off.\n\nINSTRUCTIONS:\nNow", "mask": False},
        {
            "role": "ai",
            "system_prompt": None,
            "text": "DISCUSSION\nLook.\n```\nfind_file money.py src\n```",
            "mask": True,
        },
        {"role": "user", "system_prompt": None, "text": "Found 1 matches", "mask": False},
        {"role": "ai", "system_prompt": None, "text": "Done.\n```\nsubmit\n```", "mask": True},
    ],
    "exit_status": "submitted",
    "generated_patch": "diff --git",
    "eval_logs": "…",
}
NEBIUS_OPENHANDS: dict[str, Any] = {
    "trajectory_id": "chatcmpl-1",
    "instance_id": "owner__repo-7",
    "repo": "owner/repo",
    "trajectory": [
        {"role": "system", "content": "You are OpenHands agent", "tool_calls": None},
        {"role": "user", "content": "<issue_description>\nOff.\n</issue_description>", "tool_calls": None},
        {"role": "assistant", "content": "Look.", "tool_calls": [chat_call("execute_bash", "c1", command="ls")]},
        {"role": "tool", "content": "src", "name": "execute_bash", "tool_call_id": "c1", "tool_calls": None},
        {"role": "assistant", "content": "", "tool_calls": [chat_call("finish", "c2", message="Done.")]},
    ],
    "tools": [],
    "model_patch": "diff --git",
    "exit_status": "submit",
    "resolved": 0,
    "gen_tests_correct": None,
}
ATIF: dict[str, Any] = {
    "schema_version": "ATIF-v1.7",
    "session_id": "s-1",
    "agent": {"name": "claude-code", "version": "2.0", "model_name": "m"},
    "steps": [
        {"step_id": 1, "timestamp": "2026-01-01T00:00:00Z", "source": "user", "message": "Mend it."},
        {"step_id": 2, "source": "agent", "message": "copied", "is_copied_context": True},
        {
            "step_id": 3,
            "source": "agent",
            "message": [{"type": "text", "text": "Two at once."}],
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"tool_call_id": "c1", "function_name": "Bash", "arguments": {"command": "ls"}},
                {"tool_call_id": "c2", "function_name": "TodoWrite", "arguments": {"todos": []}},
            ],
            "observation": {
                "results": [
                    {"source_call_id": "c2", "content": "noted"},
                    {"source_call_id": "c1", "content": [{"type": "text", "text": "src"}]},
                ]
            },
            "metrics": {"prompt_tokens": 1, "extra": {"reward": 0.5}},
        },
        {"step_id": 4, "source": "system", "message": "compaction"},
        {"step_id": 5, "source": "agent", "message": "Done."},
    ],
    "final_metrics": {"total_steps": 5},
    "extra": {"task_id": "owner__repo-8", "resolved": True},
}
CHAT_XML: dict[str, Any] = {
    "instance_id": "owner__repo-9",
    "messages": [
        {"role": "system", "content": "…"},
        {"role": "user", "content": [{"type": "text", "text": "<pr_description>\nOff.\n</pr_description>"}]},
        {
            "role": "assistant",
            "content": "View.\n\n<function=str_replace_editor>\n<parameter=command>view</parameter>\n"
            "<parameter=path>/testbed/a.py</parameter>\n<parameter=view_range>[3, 9]</parameter>\n</function>",
        },
        {"role": "user", "content": "OBSERVATION:\n3\tx"},
        {"role": "assistant", "content": "<function=submit>\n</function>"},
    ],
}
CHAT_TICKS: dict[str, Any] = {
    "instance_id": "owner__repo-10",
    "traj_id": "owner__repo-10.x",
    "model": "m",
    "resolved": True,
    "messages": json.dumps(
        [
            {"role": "user", "content": "<pr_description>\nOff.\n</pr_description>"},
            {"role": "assistant", "content": "See:\n```python\nx = 1\n```\nLook.\n```\nls src\n```"},
            {"role": "user", "content": "OBSERVATION:\nmoney.py"},
            {"role": "assistant", "content": "```\nsubmit\n```"},
        ]
    ),
}
CHAT_ANTHROPIC: dict[str, Any] = {
    "id": "a-1",
    "messages": [
        {"role": "user", "content": "Mend it."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm."},
                {"type": "text", "text": "Write."},
                {
                    "type": "tool_use",
                    "id": "t1",
                    "name": "Write",
                    "input": {"file_path": "a/b.py", "content": "x = 1\n"},
                },
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "written"}]}],
        },
    ],
}
CHAT_SHAREGPT: dict[str, Any] = {
    "id": "g-1",
    "conversations": [
        {"from": "system", "value": "…"},
        {"from": "human", "value": "Mend it."},
        {"from": "gpt", "value": '<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n</tool_call>'},
        {"from": "tool", "value": "src"},
        {"from": "gpt", "value": "<think>\nUse ```bash\nthis\n```?\n</think>\n````bash\ncat <<E\n```\nE\n````"},
    ],
}
SWE_AGENT_JSON: dict[str, Any] = {
    "history": [
        {"role": "user", "content": "Mend it."},
        {
            "role": "assistant",
            "content": '{"thought": "Go.", "command": {"name": "goto", "arguments": {"line_number": 5}}}',
        },
        {"role": "user", "content": "No file open."},
    ]
}
OURS: dict[str, Any] = {
    "schema": 1,
    "trajectory_id": "t@oracle-0",
    "task_id": "starter/t",
    "split": "heldout",
    "problem_statement": "Off.",
    "source": "oracle",
    "model": "",
    "resolved": True,
    "provenance": {"seed": 0},
    "steps": [
        {"thought": "Look.", "action": "ls", "observation": "exit code: 0\nsrc"},
        {"thought": "", "action": "submit", "observation": ""},
    ],
}
